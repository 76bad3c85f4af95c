"""One store contract, kept by PostgreSQL and by memory: what is proven on one is worth something on the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.sandbox.servers import Servers
from shared.envelope import SHARDS
from shared.ids import new_id
from shared.store import (
    AnswerRow,
    Changes,
    Conflict,
    ConstraintFired,
    DueRow,
    OutboxRow,
    ParkedRow,
    Transaction,
    Unavailable,
)
from shared.table import Need, Table
from tests.support.store_rigs import MemoryRig, Rig, postgres_rig
from tests.support.toy import PURSES, TILL_MOVES, TILLS, Purse, PurseState, Till, TillMove

PAST = datetime(2020, 1, 1, tzinfo=UTC)
WAIT_S = 20.0


def a_purse(**changes: Any) -> Purse:
    return replace(Purse(new_id(), PurseState.PAYING, 5, {"tags": ["a", "b"]}, version=1), **changes)


def moved(row: Purse, state: PurseState) -> Purse:
    return replace(row, state=state, version=row.version + 1)


def a_timer(name: str = "ring", owner: str = "me", at: datetime = PAST, queue: str = "toy_till") -> DueRow:
    return DueRow(new_id(), queue, at, {"type": "t"}, "{}", name, owner)


def an_outbox_row(subject: str = "s", destination: str = "toy_till") -> OutboxRow:
    return OutboxRow(new_id(), subject, destination, False, {"id": "1"}, "{}")


async def written(rig: Rig, changes: Changes) -> None:
    async with rig.store.transaction() as tx:
        await tx.write(changes)
        await tx.commit()


async def read(rig: Rig, table: Table[Any], by: str, *values: Any) -> list[Any]:
    async with rig.store.transaction() as tx:
        return (await tx.load([Need.of(table, by, *values)])).rows[0]


class StoreContract:
    """Every test takes `rig`; the two classes below say which."""

    # -- rows ----------------------------------------------------------------------------------------------------

    async def test_what_is_committed_is_loaded_as_it_was(self, rig: Rig) -> None:
        one, other = a_purse(), a_purse()
        await written(rig, Changes(inserts={PURSES: [one, other]}))
        assert await read(rig, PURSES, "id", one.id, new_id()) == [one]
        assert sorted(await read(rig, PURSES, "state", PurseState.PAYING), key=lambda row: row.id) == [one, other]

    async def test_of_a_bounded_range_the_first_of_each_value_are_loaded(self, rig: Rig) -> None:
        paying = [a_purse(coins=coins) for coins in (30, 10, 20)]
        paid = [a_purse(coins=coins, state=PurseState.PAYING) for coins in (2, 1)]
        await written(rig, Changes(inserts={PURSES: [*paying, *paid]}))
        await written(rig, Changes(waves=[{PURSES: [moved(purse, PurseState.PAID) for purse in paid]}]))
        async with rig.store.transaction() as tx:
            need = Need.first(2, PURSES, "state", PurseState.PAYING, PurseState.PAID, order="coins")
            (found,) = (await tx.load([need])).rows
        assert sorted(purse.coins for purse in found) == [1, 2, 10, 20]

    async def test_what_is_not_committed_never_was(self, rig: Rig) -> None:
        purse, claim = a_purse(), ("toy_till", new_id())
        async with rig.store.transaction() as tx:
            await tx.claim_inbox([claim])
            await tx.write(Changes(inserts={PURSES: [purse]}, due=[a_timer()], outbox=[an_outbox_row()]))
        assert await read(rig, PURSES, "id", purse.id) == []
        assert await rig.store.waiting(range(SHARDS), 10) == []
        async with rig.store.transaction() as tx:
            assert (await tx.claim_inbox([claim]))[0] == {claim}
            assert await tx.claim_due(["toy_till"], 10) == []

    async def test_a_row_that_is_there_already_is_a_conflict(self, rig: Rig) -> None:
        purse = a_purse()
        await written(rig, Changes(inserts={PURSES: [purse]}))
        with pytest.raises(Conflict) as conflict:
            await written(rig, Changes(inserts={PURSES: [purse]}))
        assert conflict.value.rows == {("purses", (purse.id,))}

    async def test_a_move_from_an_old_version_is_a_conflict_and_nothing_is_kept(self, rig: Rig) -> None:
        purse, other = a_purse(), a_purse()
        await written(rig, Changes(inserts={PURSES: [purse, other]}))
        await written(rig, Changes(waves=[{PURSES: [moved(purse, PurseState.PAID)]}]))
        late = sorted([moved(purse, PurseState.UNDOING), moved(other, PurseState.PAID)], key=lambda row: row.id)
        with pytest.raises(Conflict) as conflict:
            await written(rig, Changes(waves=[{PURSES: late}]))
        assert conflict.value.rows == {("purses", (purse.id,))}
        assert await read(rig, PURSES, "id", other.id) == [other]

    async def test_waves_move_one_row_several_times(self, rig: Rig) -> None:
        purse = a_purse()
        undoing = moved(purse, PurseState.UNDOING)
        empty = moved(undoing, PurseState.EMPTY)
        await written(rig, Changes(inserts={PURSES: [purse]}, waves=[{PURSES: [undoing]}, {PURSES: [empty]}]))
        assert await read(rig, PURSES, "id", purse.id) == [empty]

    async def test_fixed_columns_are_never_sent_again(self, rig: Rig) -> None:
        purse = a_purse(coins=5)
        await written(rig, Changes(inserts={PURSES: [purse]}))
        await written(rig, Changes(waves=[{PURSES: [replace(moved(purse, PurseState.PAID), coins=9)]}]))
        assert (await read(rig, PURSES, "id", purse.id))[0].coins == 5

    async def test_what_would_break_a_check_fires(self, rig: Rig) -> None:
        with pytest.raises(ConstraintFired):
            await written(rig, Changes(inserts={PURSES: [a_purse(coins=0)]}))
        await written(rig, Changes(inserts={TILLS: [Till("main", 1)]}))
        with pytest.raises(ConstraintFired):
            await written(rig, Changes(locked={TILLS: [Till("main", -1)]}))
        assert await read(rig, TILLS, "name", "main") == [Till("main", 1)]

    @pytest.mark.parametrize("state", [PurseState.PAID, PurseState.EMPTY])
    async def test_nothing_starts_in_the_middle(self, rig: Rig, state: PurseState) -> None:
        with pytest.raises(ConstraintFired):
            await written(rig, Changes(inserts={PURSES: [a_purse(state=state)]}))

    async def test_a_move_the_machine_does_not_know_fires(self, rig: Rig) -> None:
        purse = a_purse()
        await written(rig, Changes(inserts={PURSES: [purse]}))
        with pytest.raises(ConstraintFired):
            await written(rig, Changes(waves=[{PURSES: [moved(purse, PurseState.EMPTY)]}]))

    async def test_appended_rows_are_never_written_twice(self, rig: Rig) -> None:
        move = TillMove(new_id(), new_id(), 5)
        await written(rig, Changes(inserts={TILL_MOVES: [move]}))
        for again in (move, replace(move, id=new_id())):  # the same id, and the same unique key
            with pytest.raises(ConstraintFired):
                await written(rig, Changes(inserts={TILL_MOVES: [again]}))

    # -- inbox ---------------------------------------------------------------------------------------------------

    async def test_an_id_is_claimed_once(self, rig: Rig) -> None:
        one, two = sorted([("toy_till", new_id()), ("toy_till", new_id())])
        async with rig.store.transaction() as tx:
            assert (await tx.claim_inbox([one]))[0] == {one}
            await tx.commit()
        async with rig.store.transaction() as tx:
            assert (await tx.claim_inbox([one, two]))[0] == {two}

    async def test_the_same_id_on_two_queues_is_two_messages(self, rig: Rig) -> None:
        id_ = new_id()
        async with rig.store.transaction() as tx:
            assert len((await tx.claim_inbox([("toy_purse", id_), ("toy_till", id_)]))[0]) == 2

    async def test_who_comes_second_waits_for_the_first(self, rig: Rig) -> None:
        claim = ("toy_till", new_id())

        async def second() -> set[tuple[str, UUID]]:
            async with rig.store.transaction() as tx:
                return (await tx.claim_inbox([claim]))[0]

        for commits, wins in ((False, {claim}), (True, set())):
            async with rig.store.transaction() as tx:
                await tx.claim_inbox([claim])
                waiting = asyncio.create_task(second())
                await rig.until_blocked()
                if commits:
                    await tx.commit()
            assert await asyncio.wait_for(waiting, WAIT_S) == wins

    async def test_attempts_are_counted_until_it_is_decided(self, rig: Rig) -> None:
        id_ = new_id()
        assert [await rig.store.count_attempt("toy_till", id_) for _ in range(3)] == [1, 2, 3]
        async with rig.store.transaction() as tx:
            assert (await tx.claim_inbox([("toy_till", id_)]))[0] == {("toy_till", id_)}
            await tx.commit()
        assert await rig.store.count_attempt("toy_till", id_) == 0

    # -- due -----------------------------------------------------------------------------------------------------

    async def test_due_rows_come_soonest_first_and_never_early(self, rig: Rig) -> None:
        rows = [a_timer(f"t{n}", at=PAST + timedelta(days=n)) for n in (3, 1, 2)]
        later = a_timer("later", at=datetime.now(UTC) + timedelta(hours=1))
        elsewhere = a_timer("elsewhere", queue="toy_purse")
        await written(rig, Changes(due=[*rows, later, elsewhere]))
        async with rig.store.transaction() as tx:
            assert [row.name for row in await tx.claim_due(["toy_till"], 2)] == ["t1", "t2"]
            await tx.commit()
        async with rig.store.transaction() as tx:
            assert [row.name for row in await tx.claim_due(["toy_till"], 9)] == ["t3"]
        async with rig.store.transaction() as tx:
            assert [row.name for row in await tx.claim_due(["toy_till"], 9)] == ["t3"]  # it came back

    async def test_what_another_has_claimed_is_skipped(self, rig: Rig) -> None:
        await written(rig, Changes(due=[a_timer("t1"), a_timer("t2")]))
        async with rig.store.transaction() as one, rig.store.transaction() as two:
            [first] = await one.claim_due(["toy_till"], 1)
            [second] = await two.claim_due(["toy_till"], 9)
        assert {first.name, second.name} == {"t1", "t2"}

    async def test_a_timer_set_again_rings_once_with_its_new_message(self, rig: Rig) -> None:
        await written(rig, Changes(due=[a_timer()]))
        await written(rig, Changes(due=[replace(a_timer(), body='{"new": 1}')]))
        async with rig.store.transaction() as tx:
            assert [row.body for row in await tx.claim_due(["toy_till"], 9)] == ['{"new": 1}']

    async def test_a_cleared_timer_does_not_ring(self, rig: Rig) -> None:
        await written(rig, Changes(due=[a_timer(), a_timer(owner="you")]))
        await written(rig, Changes(timers_cleared={("ring", "me")}))
        async with rig.store.transaction() as tx:
            assert [row.owner for row in await tx.claim_due(["toy_till"], 9)] == ["you"]

    async def test_one_claimed_and_set_again_in_one_transaction_is_the_new_one(self, rig: Rig) -> None:
        await written(rig, Changes(due=[a_timer()]))
        async with rig.store.transaction() as tx:
            await tx.claim_due(["toy_till"], 9)
            await tx.write(Changes(due=[replace(a_timer(), body='{"again": 1}')]))
            await tx.commit()
        async with rig.store.transaction() as tx:
            assert [row.body for row in await tx.claim_due(["toy_till"], 9)] == ['{"again": 1}']

    # -- answers -------------------------------------------------------------------------------------------------

    async def test_a_first_answer_that_somebody_else_gave_is_a_conflict(self, rig: Rig) -> None:
        answer = AnswerRow("k/do", "hash", "withdrawn")
        await written(rig, Changes(answers={"k/do": answer}, first_answers={"k/do"}))
        mine = Changes(answers={"k/do": AnswerRow("k/do", "hash", "pending")}, first_answers={"k/do"})
        with pytest.raises(Conflict) as conflict:
            await written(rig, mine)
        assert conflict.value.rows == {("answers", ("k/do",))}

    async def test_only_what_is_pending_is_answered_and_what_was_said_stays_said(self, rig: Rig) -> None:
        await written(rig, Changes(answers={"k": AnswerRow("k", "hash", "pending")}, first_answers={"k"}))
        for said in ("one", "two"):
            await written(rig, Changes(answers={"k": AnswerRow("k", "", "answered", said, "{}")}))
        async with rig.store.transaction() as tx:
            assert (await tx.load([], ["k", "unknown"])).answers == [AnswerRow("k", "hash", "answered", "one", "{}")]

    # -- locks ---------------------------------------------------------------------------------------------------

    async def test_hot_rows_are_locked_at_load_and_read_as_the_other_left_them(self, rig: Rig) -> None:
        await written(rig, Changes(inserts={TILLS: [Till("main", 1)]}))

        async def second() -> list[Any]:
            async with rig.store.transaction() as tx:
                return (await tx.load([Need.of(TILLS, "name", "main")])).rows[0]

        async with rig.store.transaction() as tx:
            await tx.load([Need.of(TILLS, "name", "main")])
            waiting = asyncio.create_task(second())
            await rig.until_blocked()
            await tx.write(Changes(locked={TILLS: [Till("main", 2)]}))
            await tx.commit()
        assert await asyncio.wait_for(waiting, WAIT_S) == [Till("main", 2)]

    async def test_of_two_writers_of_a_versioned_row_one_loses(self, rig: Rig) -> None:
        purse = a_purse()
        await written(rig, Changes(inserts={PURSES: [purse]}))
        async with rig.store.transaction() as tx:
            await tx.write(Changes(waves=[{PURSES: [moved(purse, PurseState.PAID)]}]))
            late = asyncio.create_task(written(rig, Changes(waves=[{PURSES: [moved(purse, PurseState.UNDOING)]}])))
            await rig.until_blocked()
            await tx.commit()
        with pytest.raises(Conflict):
            await asyncio.wait_for(late, WAIT_S)

    async def test_two_that_wait_for_each_other_are_told_so(self, rig: Rig) -> None:
        await written(rig, Changes(inserts={TILLS: [Till("a", 1), Till("b", 1)]}))

        async def take(tx: Transaction, name: str) -> None:
            await tx.load([Need.of(TILLS, "name", name)])

        async def crossing(first: str, second: str, both: asyncio.Barrier) -> str:
            try:
                async with rig.store.transaction() as tx:
                    await take(tx, first)
                    await both.wait()
                    await take(tx, second)
                    await tx.commit()
                    return "done"
            except Unavailable:
                return "deadlock"

        both = asyncio.Barrier(2)
        ended = await asyncio.wait_for(asyncio.gather(crossing("a", "b", both), crossing("b", "a", both)), WAIT_S)
        assert sorted(ended) == ["deadlock", "done"]

    # -- outbox and parking --------------------------------------------------------------------------------------

    async def test_the_outbox_is_read_in_order_and_kept_until_published(self, rig: Rig) -> None:
        rows = [an_outbox_row(f"s{n}") for n in range(5)]
        await written(rig, Changes(outbox=rows))
        waiting = await rig.store.waiting(range(SHARDS), 3)
        assert [row.id for _, row in waiting] == [row.id for row in rows[:3]]
        published = [position for position, _ in waiting]
        assert [row for _, row in await rig.store.waiting(range(SHARDS), 9, (), published)] == rows[3:]
        assert [row for _, row in await rig.store.waiting(range(SHARDS), 9)] == rows[3:]

    async def test_every_row_is_in_one_shard(self, rig: Rig) -> None:
        await written(rig, Changes(outbox=[an_outbox_row(f"s{n}") for n in range(20)]))
        by_shard = [await rig.store.waiting([shard], 50) for shard in range(SHARDS)]
        assert sum(len(rows) for rows in by_shard) == 20
        assert all(rows for rows in by_shard)

    async def test_a_command_is_parked_once(self, rig: Rig) -> None:
        def parked() -> ParkedRow:
            return ParkedRow(new_id(), "toy_till", "k/do", {}, b"{}", "failed", "it broke", 5)

        await written(rig, Changes(parked=[parked()]))
        await written(rig, Changes(parked=[parked()], outbox=[an_outbox_row()]))
        assert len(await rig.store.waiting(range(SHARDS), 9)) == 1

    async def test_a_transaction_that_is_left_by_an_error_lets_its_locks_go(self, rig: Rig) -> None:
        await written(rig, Changes(inserts={TILLS: [Till("main", 1)]}))
        with suppress(RuntimeError):
            async with rig.store.transaction() as tx:
                await tx.load([Need.of(TILLS, "name", "main")])
                raise RuntimeError("the decision broke")
        assert await asyncio.wait_for(read(rig, TILLS, "name", "main"), WAIT_S) == [Till("main", 1)]


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return MemoryRig()


class TestPostgresStore(StoreContract):
    @pytest.fixture
    async def rig(self, servers: Servers) -> AsyncIterator[Rig]:
        async with postgres_rig(servers.database_url) as rig:
            yield rig

"""A store in memory that behaves like PostgreSQL where it matters: READ COMMITTED, row locks held until commit,
compare-and-set, transition triggers. It passes the same contract tests as the real one (tests/contract/test_store.py).

Every call first awaits `step(name)`. By default that returns at once; the simulator yields there, so that any other
task may run between any two calls, and raises there, so that the database may go away between any two calls.
"""

import types
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

import orjson
import sqlalchemy as sa

from shared.envelope import shard_of
from shared.machine import Machine
from shared.store import (
    AnswerRow,
    Changes,
    Claim,
    Conflict,
    ConstraintFired,
    DueRow,
    OutboxRow,
    ParkedRow,
    Seen,
    Unavailable,
)
from shared.table import Discipline, Key, Need, Table
from tests.support.promises import Promises, promises_of

Step = Callable[[str], Awaitable[None]]
Ident = tuple[Any, ...]

WAITS_AT_MOST: Final = 10_000
"""Turns a transaction waits for one lock: stands for the lock timeout, and ends a test that would hang."""
WAITING: Final = "waiting for a lock"


async def at_once(_: str) -> None:
    """The step of plain tests: nobody comes between."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A row of the inbox."""

    state: str
    attempts: int = 0


@dataclass(slots=True)
class _Stored:
    """Rows of one table, with an index per column that a need has asked for."""

    rows: dict[Key, Any] = field(default_factory=dict)
    by: dict[str, dict[Any, set[Key]]] = field(default_factory=dict)

    def keep(self, key: Key, row: Any) -> None:
        before = self.rows.get(key)
        self.rows[key] = row
        for column, index in self.by.items():
            if before is not None:
                index[getattr(before, column)].discard(key)
            index.setdefault(getattr(row, column), set()).add(key)

    def keys(self, table: Table[Any], by: str, values: Iterable[Any]) -> list[Key]:
        if table.key == (by,):
            return sorted((value,) for value in values if (value,) in self.rows)
        index = self.by.get(by)
        if index is None:
            index = self.by[by] = {}
            for key, row in self.rows.items():
                index.setdefault(getattr(row, by), set()).add(key)
        return sorted(key for value in values for key in index.get(value, ()))


class MemoryStore:
    """One service's database. Everything in it is public to tests; only `transaction` and the relay change it."""

    def __init__(
        self,
        clock: Callable[[], datetime] | None = None,
        *,
        tables: Iterable[Table[Any]] = (),
        machines: Iterable[tuple[str, str, Machine[Any]]] = (),
        step: Step = at_once,
    ) -> None:
        self.clock = clock or (lambda: datetime.now(UTC))
        self.step = step
        self.stored: dict[Table[Any], _Stored] = {table: _Stored() for table in tables}
        self.machines: dict[str, list[tuple[str, Machine[Any]]]] = {}
        for table, column, machine in machines:
            self.machines.setdefault(table, []).append((column, machine))
        self.inbox: dict[Claim, Heard] = {}
        self.answers: dict[str, AnswerRow] = {}
        self.due: dict[Ident, DueRow] = {}
        self.outbox: dict[int, OutboxRow] = {}
        self.parked: dict[UUID, ParkedRow] = {}
        self.locks: dict[Ident, MemoryTransaction] = {}
        self.blocked: set[MemoryTransaction] = set()
        self.position = 0
        self.commits = 0
        self._soonest: tuple[int, datetime | None] = (0, None)

    # -- Store ---------------------------------------------------------------------------------------------------

    def transaction(self) -> "MemoryTransaction":
        return MemoryTransaction(self)

    async def count_attempt(self, queue: str, message_id: UUID) -> int:
        async with self.transaction() as tx:
            attempts = await tx.try_again((queue, message_id))
            await tx.commit()
        return attempts

    async def take_open(self, table: Table[Any], limit: int, only: tuple[str, str] | None = None) -> list[Any]:
        async with self.transaction() as tx:
            taken = await tx.take_open(table, limit, only)
            await tx.commit()
        return taken

    # -- Outbox --------------------------------------------------------------------------------------------------

    async def waiting(
        self, shards: Sequence[int], limit: int, but: Collection[str] = (), published: Sequence[int] = ()
    ) -> list[tuple[int, OutboxRow]]:
        await self.step("read the outbox")
        for position in published:
            self.outbox.pop(position, None)
        ours = (
            item
            for item in sorted(self.outbox.items())
            if shard_of(item[1].subject) in shards and item[1].destination not in but
        )
        return [item for item, _ in zip(ours, range(limit), strict=False)]

    # -- for tests -----------------------------------------------------------------------------------------------

    def rows(self, table: Table[Any]) -> list[Any]:
        """Every committed row, in key order."""
        stored = self.stored.get(table)
        return [] if stored is None else [stored.rows[key] for key in sorted(stored.rows)]

    def row(self, table: Table[Any], *key: Any) -> Any:
        stored = self.stored.get(table)
        return None if stored is None else stored.rows.get(key)

    def keep(self, *rows: Any) -> None:
        """Rows that were always there: written without a transaction, to begin a test with."""
        for row in rows:
            table = Table.of(row)
            self.stored.setdefault(table, _Stored()).keep(table.key_of(row), row)

    def next_due(self) -> datetime | None:
        """The instant of the soonest row; looked up once per commit."""
        if self._soonest[0] != self.commits:
            self._soonest = (self.commits, min((row.not_before for row in self.due.values()), default=None))
        return self._soonest[1]

    def said(self) -> list[OutboxRow]:
        """What waits to be published, oldest first."""
        return [row for _, row in sorted(self.outbox.items())]


class MemoryTransaction:
    """Writes are kept apart until `commit`; locks are let go at the end, however it ends."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._open = False
        self._held: list[Ident] = []
        self._waits_for: MemoryTransaction | None = None
        self._rows: dict[tuple[Table[Any], Key], Any] = {}
        self._inbox: dict[Claim, Heard] = {}
        self._answers: dict[str, AnswerRow] = {}
        self._due: dict[Ident, DueRow | None] = {}
        self._outbox: dict[int, OutboxRow] = {}
        self._parked: dict[UUID, ParkedRow] = {}

    async def __aenter__(self) -> Self:
        await self._store.step("begin")
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._end()  # without a step: a crash closes the coroutine here, and a closing coroutine cannot wait

    def _end(self) -> None:
        self._open = False
        for ident in self._held:
            self._store.locks.pop(ident, None)
        self._held.clear()

    # -- reading and claiming ------------------------------------------------------------------------------------

    async def claim_inbox(
        self, ids: Sequence[Claim], needs: Sequence[Need] = (), command_keys: Sequence[str] = ()
    ) -> tuple[set[Claim], Seen]:
        """What is seen is from before the claims, which may wait: one statement has one snapshot."""
        seen = await self.load(needs, command_keys) if needs or command_keys else Seen()
        return await self.claim(ids), seen

    async def claim(self, ids: Sequence[Claim]) -> set[Claim]:
        await self._store.step("claim inbox ids")
        won: set[Claim] = set()
        for claim in ids:
            await self._lock(("inbox", *claim))
            before = self._heard(claim)
            if before is None or before.state == "trying":
                self._inbox[claim] = Heard("done", before.attempts if before else 0)
                won.add(claim)
        return won

    async def try_again(self, claim: Claim) -> int:
        """One more attempt at a message that is not decided yet."""
        await self._store.step("count an attempt")
        await self._lock(("inbox", *claim))
        before = self._heard(claim) or Heard("trying")
        if before.state != "trying":
            return 0  # decided already: nothing is being tried
        self._inbox[claim] = Heard("trying", before.attempts + 1)
        return before.attempts + 1

    async def claim_due(self, queues: Sequence[str], limit: int) -> list[DueRow]:
        """FOR UPDATE SKIP LOCKED, soonest first."""
        await self._store.step("claim due rows")
        now = self._store.clock()
        ripe = [
            (row.not_before, row.id.bytes, ident, row)
            for ident, row in self._store.due.items()
            if row.not_before <= now and row.queue in queues
        ]
        taken: list[DueRow] = []
        for _, _, ident, row in sorted(ripe, key=lambda item: item[:2]):
            if len(taken) >= limit:
                break
            if self._store.locks.get(ident, self) is not self:
                continue
            self._take(ident)
            self._due[ident] = None
            taken.append(row)
        return taken

    async def now(self) -> datetime:
        return self._store.clock()

    async def load(self, needs: Sequence[Need], command_keys: Sequence[str] = ()) -> Seen:
        """Hot rows are locked in key order and read once the lock is ours; then everything else in one step."""
        locked = {need: await self._locked(need) for need in needs if need.hot}
        if len(locked) < len(needs) or command_keys:
            await self._store.step("load")
        rows = [locked[need] if need in locked else self._found(need) for need in needs]
        return Seen(rows, [self._store.answers[key] for key in command_keys if key in self._store.answers])

    async def _locked(self, need: Need) -> list[Any]:
        await self._store.step(f"load {need.table.name}")
        for row in self._found(need):
            await self._lock((need.table.name, need.table.key_of(row)))
        return self._found(need)

    def _found(self, need: Need) -> list[Any]:
        stored = self._store.stored.get(need.table)
        if stored is None:
            return []
        if not need.limit:
            return [stored.rows[key] for key in stored.keys(need.table, need.by, need.values)]
        found: list[Any] = []
        for value in sorted(need.values):
            rows = [stored.rows[key] for key in stored.keys(need.table, need.by, (value,))]
            found += sorted(rows, key=lambda row: getattr(row, need.order))[: need.limit]
        return found

    async def take_open(self, table: Table[Any], limit: int, only: tuple[str, str] | None = None) -> list[Any]:
        """open -> calling, SKIP LOCKED."""
        await self._store.step(f"take open {table.name}")
        stored = self._store.stored.get(table)
        if stored is None:
            return []
        taken: list[Any] = []
        for key in sorted(stored.rows):
            row, ident = stored.rows[key], (table.name, key)
            if len(taken) >= limit:
                break
            if only is not None and getattr(row, only[0]) != only[1]:
                continue
            if row.state != "open" or self._store.locks.get(ident, self) is not self:
                continue
            self._take(ident)
            calling = type(row.state)("calling")
            row = replace(row, state=calling, version=row.version + 1)
            self._check(table, stored.rows[key], row)
            self._rows[table, key] = row
            taken.append(row)
        return taken

    # -- writing -------------------------------------------------------------------------------------------------

    async def write(self, changes: Changes) -> None:
        await self._store.step("write")
        lost: list[tuple[str, Key]] = []
        inserts = sorted(changes.inserts.items(), key=lambda item: _rank(item[0]))
        for table, rows in inserts:
            if table.discipline is not Discipline.APPEND:
                for row in rows:
                    await self._insert(table, row, lost)
        for wave in changes.waves:
            for table, rows in wave.items():
                for row in rows:
                    await self._update(table, row, lost)
        for table, rows in changes.locked.items():
            for row in rows:
                await self._overwrite(table, row, lost)
        if lost:
            raise Conflict(lost)
        for table, rows in inserts:
            if table.discipline is Discipline.APPEND:
                for row in rows:
                    await self._append(table, row)
        for key in sorted(changes.answers):
            await self._answer(changes.answers[key], key in changes.first_answers, lost)
        if lost:
            raise Conflict(lost)
        self._clear(changes.timers_cleared | changes.timers_set())
        for due in changes.due:
            await self._wait(due)
        for state, claims in (("waiting", changes.waiting), ("done", changes.settled)):
            for claim in claims:
                if (before := self._heard(claim)) is not None:
                    self._inbox[claim] = replace(before, state=state)
        for parked in changes.parked:
            await self._park(parked)
        for message in changes.outbox:
            self._store.position += 1  # like an identity column: given at insert, seen at commit, lost by a rollback
            self._outbox[self._store.position] = message

    async def commit(self) -> None:
        if not self._open:
            raise RuntimeError("this transaction has ended")
        store = self._store
        await store.step("commit")
        for (table, _), row in self._rows.items():
            self._references(table, row, deferred=True)
        for (table, key), row in self._rows.items():
            store.stored.setdefault(table, _Stored()).keep(key, row)
        store.inbox.update(self._inbox)
        store.answers.update(self._answers)
        for ident, due in self._due.items():
            if due is None:
                store.due.pop(ident, None)
            else:
                store.due[ident] = due
        store.outbox.update(self._outbox)
        store.parked.update(self._parked)
        store.commits += 1
        self._end()
        await store.step("committed")

    async def _insert(self, table: Table[Any], row: Any, lost: list[tuple[str, Key]]) -> None:
        """ON CONFLICT DO NOTHING: whichever unique key is taken, somebody else made this row before us."""
        key = table.key_of(row)
        await self._lock((table.name, key))
        if self._row(table, key) is not None or await self._taken(table, key, row) is not None:
            lost.append((table.name, key))
            return
        self._change(table, key, None, row)

    async def _append(self, table: Table[Any], row: Any) -> None:
        key = table.key_of(row)
        await self._lock((table.name, key))
        if self._row(table, key) is not None:
            raise ConstraintFired(f"{table.name} {key} is there already")
        if taken := await self._taken(table, key, row):
            raise ConstraintFired(f"{table.name}: {taken}")
        self._change(table, key, None, row)

    async def _update(self, table: Table[Any], row: Any, lost: list[tuple[str, Key]]) -> None:
        key = table.key_of(row)
        await self._lock((table.name, key))
        before = self._row(table, key)
        if before is None or before.version != row.version - 1:
            lost.append((table.name, key))
            return
        if taken := await self._taken(table, key, row):
            raise ConstraintFired(f"{table.name}: {taken}")
        self._change(table, key, before, row)

    async def _overwrite(self, table: Table[Any], row: Any, lost: list[tuple[str, Key]]) -> None:
        key = table.key_of(row)
        await self._lock((table.name, key))
        before = self._row(table, key)
        if before is None:
            lost.append((table.name, key))
            return
        self._change(table, key, before, row)

    def _change(self, table: Table[Any], key: Key, before: Any, row: Any) -> None:
        if before is not None:
            changed = {
                column: was for column in table.fixed if (was := getattr(before, column)) != getattr(row, column)
            }
            if changed:
                row = replace(row, **changed)
        row = _through_json(table, row)
        self._check(table, before, row)
        self._rows[table, key] = row
        self._references(table, row, deferred=False)

    def _check(self, table: Table[Any], before: Any, row: Any) -> None:
        """What the trigger and the CHECKs of the real table refuse."""
        for column, machine in self._store.machines.get(table.name, ()):
            to = getattr(row, column)
            if before is None:
                if to not in machine.start:
                    raise ConstraintFired(f"{table.name} cannot start as {to}")
            elif (at := getattr(before, column)) != to and (at, to) not in machine.pairs:
                raise ConstraintFired(f"{table.name} cannot go from {at} to {to}")
        for check in _promises(table).checks:
            if check.holds(row) is False:
                raise ConstraintFired(f"{table.name}: {check.name}")

    async def _taken(self, table: Table[Any], key: Key, row: Any) -> str | None:
        """The name of a unique key that another row has already."""
        for unique in _promises(table).unique:
            value = unique.value(row)
            if value is None:
                continue
            await self._lock(("unique", table.name, unique.name, value))
            if any(other != key and unique.value(there) == value for other, there in self._seen(table).items()):
                return unique.name
        return None

    def _seen(self, table: Table[Any]) -> dict[Key, Any]:
        stored = self._store.stored.get(table)
        own = {key: row for (of, key), row in self._rows.items() if of is table}
        return ({} if stored is None else stored.rows) | own

    def _references(self, table: Table[Any], row: Any, *, deferred: bool) -> None:
        for foreign in _promises(table).foreign:
            key = tuple(getattr(row, column) for column in foreign.columns)
            if foreign.deferred is not deferred or None in key:
                continue
            target = next((other for other in self._store.stored if other.name == foreign.table), None)
            if target is not None and self._row(target, key) is None:
                raise ConstraintFired(f"{table.name}: {foreign.name}")

    async def _answer(self, answer: AnswerRow, first: bool, lost: list[tuple[str, Key]]) -> None:
        """What was said stays said. A key nobody had answered at load must still be nobody's."""
        key = answer.command_key
        await self._lock(("answers", key))
        before = self._answers.get(key) or self._store.answers.get(key)
        if before is not None:
            if first:
                lost.append(("answers", (key,)))
                return
            if before.state != "pending":
                return
            answer = replace(answer, content_hash=answer.content_hash or before.content_hash)
        self._answers[key] = answer

    def _clear(self, timers: set[tuple[str, str]]) -> None:
        """SKIP LOCKED: a timer being rung elsewhere is left to ring."""
        if not timers:
            return
        for ident, row in [*self._store.due.items(), *self._due.items()]:
            if row is None or (row.name, row.owner) not in timers or self._timer(ident) is None:
                continue
            if self._store.locks.get(ident, self) is self:
                self._take(ident)
                self._due[ident] = None

    async def _wait(self, due: DueRow) -> None:
        ident = _ident(due)
        await self._lock(ident)
        if self._timer(ident) is None:
            self._due[ident] = due

    async def _park(self, parked: ParkedRow) -> None:
        """Unique per command key: the second one of a key is the same trouble again."""
        if parked.command_key:
            await self._lock(("parked", parked.command_key))
            known = (*self._store.parked.values(), *self._parked.values())
            if any(row.command_key == parked.command_key for row in known):
                return
        self._parked[parked.id] = parked

    # -- locks and own writes ------------------------------------------------------------------------------------

    def _row(self, table: Table[Any], key: Key) -> Any:
        own = self._rows.get((table, key))
        return own if own is not None else self._store.row(table, *key)

    def _heard(self, claim: Claim) -> Heard | None:
        return self._inbox.get(claim) or self._store.inbox.get(claim)

    def _timer(self, ident: Ident) -> DueRow | None:
        return self._due[ident] if ident in self._due else self._store.due.get(ident)

    def _take(self, ident: Ident) -> None:
        if self._store.locks.get(ident) is not self:
            self._store.locks[ident] = self
            self._held.append(ident)

    async def _lock(self, ident: Ident) -> None:
        if self._store.locks.get(ident, self) is not self:
            try:
                await self._until_free(ident)
            finally:
                self._waits_for = None
                self._store.blocked.discard(self)
        self._take(ident)

    async def _until_free(self, ident: Ident) -> None:
        self._store.blocked.add(self)
        for _ in range(WAITS_AT_MOST):
            self._waits_for = self._store.locks.get(ident)
            if self._waits_for is None:
                return
            if self._waits_for_itself():
                raise Unavailable(f"deadlock at {ident}")
            await self._store.step(WAITING)
        raise Unavailable(f"lock timeout at {ident}")

    def _waits_for_itself(self) -> bool:
        at = self._waits_for
        for _ in range(len(self._store.locks)):
            if at is None or at is self:
                break
            at = at._waits_for
        return at is self


def _ident(due: DueRow) -> Ident:
    return ("due", due.id)


_PROMISES: dict[Table[Any], Promises] = {}
_RANKS: dict[Table[Any], int] = {}
_JSON: dict[Table[Any], tuple[str, ...]] = {}


def _promises(table: Table[Any]) -> Promises:
    known = _PROMISES.get(table)
    if known is None:
        known = _PROMISES[table] = promises_of(table)
    return known


def _rank(table: Table[Any]) -> int:
    """Position in dependency order: a row is inserted after the rows it references."""
    rank = _RANKS.get(table)
    if rank is None:
        rank = _RANKS[table] = [known.name for known in table.sql.metadata.sorted_tables].index(table.name)
    return rank


def _through_json(table: Table[Any], row: Any) -> Any:
    """jsonb columns come back as JSON has them: what does not survive that in PostgreSQL must not survive here."""
    columns = _JSON.get(table)
    if columns is None:
        columns = _JSON[table] = tuple(c.name for c in table.sql.columns if isinstance(c.type, sa.JSON))
    changed = {}
    for column in columns:
        value = getattr(row, column)
        if (back := orjson.loads(orjson.dumps(value))) != value:
            changed[column] = back
    return replace(row, **changed) if changed else row

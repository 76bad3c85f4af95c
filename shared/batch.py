"""Prefetch -> decide -> commit: one transaction for whatever messages are waiting.

The order of steps is the safety argument: (1) inbox ids claimed, sorted; (2) due work claimed; (3) rows loaded;
(4) decided, one message at a time, purely; (5) written; (6) committed. Only then does the caller acknowledge.
This file awaits nothing but the store, so the simulator drives it step by step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.message import Kind, Message
from shared.answers import Answers
from shared.consumer import (
    Consumer,
    Moment,
    NotYet,
    Said,
    Sender,
    bare,
    listed,
)
from shared.crash import point
from shared.envelope import UnknownType, Unreadable, content_hash, head_of, open_envelope
from shared.failures import MAX_ATTEMPTS, RETRY_FOR_S, Failures, unknown_to_foreigner
from shared.heard import Done, Heard, heard_again
from shared.ids import NewId
from shared.saying import outbox_row
from shared.store import (
    Changes,
    Claim,
    Conflict,
    ConstraintFired,
    DueRow,
    Seen,
    Store,
    Transaction,
    Unavailable,
)
from shared.table import Discipline, Need
from shared.working_set import Rows

DUE_AT_ONCE: Final = 100
"""Due rows per batch: as many as a prefetch, so timers and messages share the loads."""
MAX_CONFLICTS: Final = 20
"""Version conflicts in a row before the consumer pauses; each round the conflicted go first, so this is never usual."""


@dataclass(slots=True)
class _Opened:
    heard: Heard
    message: Message | None
    failure: Exception | None


class TooManyConflicts(Exception):
    """This batch lost every race: let others go first."""


class Batches:
    """Runs batches of one consumer over one store."""

    def __init__(self, consumer: Consumer, store: Store, new_id: NewId, *, retry_for_s: float = RETRY_FOR_S) -> None:
        self.consumer, self.store, self.new_id = consumer, store, new_id
        self.source = consumer.name
        self.retry_for_s = retry_for_s

    async def run(self, heard: Sequence[Heard], *, due: bool = False) -> Done:
        """Decide and commit these messages, and due work when `due`. Raises `Unavailable`: nothing happened,
        again later."""
        total = Done()
        together = [item for item in heard if not item.alone]
        if together or due:
            await self._run_set(together, due, total)
        for item in heard:
            if item.alone:
                await self._run_alone(item, total)
        return total

    async def _run_alone(self, item: Heard, total: Done) -> None:
        """Its attempt is committed first, so that a message that kills the process is counted too."""
        attempts = await self.store.count_attempt(item.queue, item.id)
        point("alone.counted")
        if attempts > MAX_ATTEMPTS:
            item.trouble = f"kills_its_consumer: delivered {attempts} times and never finished"
        try:
            await self._run_set([item], False, total)
        except (Unavailable, TooManyConflicts):
            item.alone = False  # nobody's fault: it comes again with others and is not counted once more
            raise

    async def _run_set(self, items: Sequence[Heard], due: bool, total: Done) -> None:
        """Conflict: the conflicted first, all again. Constraint: halve until the guilty one is alone."""
        order = list(items)
        for _ in range(MAX_CONFLICTS):
            attempt = _Attempt(self, order, total)
            try:
                await attempt.run(due)
                return
            except Conflict as conflict:
                total.conflicts += 1
                movers = attempt.rows.movers(conflict.rows)
                guilty = [
                    attempt.opened[index].heard for index in sorted(movers) if attempt.opened[index].heard.due is None
                ]
                order = guilty + [item for item in order if item not in guilty]
            except ConstraintFired as fired:
                if due and order:
                    await self._run_set(order, False, total)
                    await self._run_set([], True, total)
                elif len(order) > 1:
                    middle = len(order) // 2
                    await self._run_set(order[:middle], False, total)
                    await self._run_set(order[middle:], False, total)
                elif order:
                    await _Attempt(self, order, total, failing=str(fired)).run(False)
                else:
                    await self._due_one_by_one(total)
                return
        if due or not order:
            raise TooManyConflicts(f"{len(order)} messages of {self.consumer.name} lost {MAX_CONFLICTS} races")
        if len(order) == 1:  # alone it conflicts with nobody we can see: a key it does not know of is taken
            await _Attempt(self, order, total, failing=f"conflict that stays, {MAX_CONFLICTS} times").run(False)
            return
        middle = len(order) // 2
        await self._run_set(order[:middle], False, total)
        await self._run_set(order[middle:], False, total)

    async def _due_one_by_one(self, total: Done) -> None:
        """A constraint fired among due rows: each alone, and the one that fires it again is counted."""
        for _ in range(DUE_AT_ONCE):
            before = total.due_claimed
            attempt = _Attempt(self, [], total, due_limit=1)
            try:
                await attempt.run(True)
            except Conflict as lost:
                raise TooManyConflicts(str(lost)) from lost
            except ConstraintFired as fired:
                guilty = attempt.opened[0].heard.id if attempt.opened else None
                await _Attempt(self, [], total, due_limit=1, failing=str(fired), guilty=guilty).run(True)
            if total.due_claimed == before:
                return


class _Attempt:
    """One transaction over one list of messages."""

    def __init__(
        self,
        batches: Batches,
        items: Sequence[Heard],
        total: Done,
        *,
        failing: str = "",
        due_limit: int = DUE_AT_ONCE,
        guilty: UUID | None = None,
    ) -> None:
        self.batches, self.items, self.total = batches, items, total
        self.failing, self.due_limit, self.guilty = failing, due_limit, guilty
        self.rows = Rows()
        self.opened: list[_Opened] = []
        self.answers = Answers()
        self.changes = Changes()
        self.said: list[tuple[_Opened, list[Said]]] = []
        self.done = Done()
        self.failures = Failures(self.changes, self.done, batches.new_id, batches.retry_for_s)

    async def run(self, due: bool) -> None:
        items = self._once()
        claims = sorted(
            {item.claim for item in items if not item.foreign}, key=lambda claim: (claim[0], claim[1].bytes)
        )
        opened = [self._open(item) for item in items]
        needs, keys = self._needs(opened)
        async with self.batches.store.transaction() as tx:
            point("batch.begun")
            won: set[Claim] = set()
            if claims and not due:
                free = [need for need in needs if not need.hot]
                won, seen = await tx.claim_inbox(claims, free, keys)
                self._see(free, seen)
                needs, keys = [need for need in needs if need.hot], []
            elif claims:
                won, _ = await tx.claim_inbox(claims)
            point("batch.claimed")
            self.opened = [one for one in opened if one.heard.foreign or one.heard.claim in won]
            self.done.heard = len(self.items)
            self.done.duplicates = len(self.items) - len(self.opened)
            if due:
                claimed = await tx.claim_due(self.batches.consumer.queues, self.due_limit)
                if claimed:
                    point("batch.due_claimed")
                self.done.due_claimed = len(claimed)
                self.opened += [self._open(heard_again(row)) for row in claimed]
                needs, keys = self._needs(self.opened)
            if self.opened:
                await self._load(tx, needs, keys)
                now = await tx.now()
                self._decide_all(now)
                self._collect(now)
                await tx.write(self.changes)
                point("batch.written")
            await tx.commit()
        if self.opened:
            point("batch.committed")
        self.total.add(self.done)

    def _once(self) -> list[Heard]:
        """Transport duplicates inside the batch end here."""
        seen: set[Claim] = set()
        once: list[Heard] = []
        for item in self.items:
            if item.foreign or item.claim not in seen:
                once.append(item)
            seen.add(item.claim)
        return once

    def _open(self, heard: Heard) -> _Opened:
        """A foreign sender learns at once that nobody knows its type; one of ours may only be ahead of us."""
        if heard.trouble:
            reason, _, detail = heard.trouble.partition(": ")
            return _Opened(heard, None, Unreadable(reason, detail))
        try:
            if heard.envelope.type not in self.batches.consumer.hearings:
                raise UnknownType(heard.envelope.type or "(no type)")
            return _Opened(heard, open_envelope(heard.envelope), None)
        except UnknownType as unknown:
            if heard.foreign:
                return _Opened(heard, None, unknown_to_foreigner(heard.envelope.type, self.batches.consumer))
            try:
                heard.envelope.body.decode()  # it will wait in a text column
            except UnicodeDecodeError as broken:
                return _Opened(heard, None, Unreadable("malformed_json", str(broken)[:500]))
            return _Opened(heard, None, unknown)
        except Unreadable as unreadable:
            return _Opened(heard, None, unreadable)

    def _needs(self, several: Sequence[_Opened]) -> tuple[list[Need], list[str]]:
        """The rows these messages name, and the command keys whose answers are looked up."""
        needs: list[Need] = []
        for opened in several:
            if opened.message is None or opened.failure is not None:
                continue
            envelope = opened.heard.envelope
            hearing = self.batches.consumer.hearings[opened.message.full_type]
            try:
                needs.extend(hearing.needs(opened.message, Sender(envelope.source, envelope.command_key)))
            except Exception as error:  # noqa: BLE001 - a message whose needs can't be named fails alone
                opened.failure = error
                continue
            key = envelope.command_key
            if key and opened.message.kind is Kind.COMMAND:
                self.answers.ask(key)
        return self.rows.missing(needs), sorted(self.answers.asked)

    def _see(self, needs: Sequence[Need], seen: Seen) -> None:
        for need, rows in zip(needs, seen.rows, strict=True):
            self.rows.loaded(need, rows)
        self.answers.loaded(seen.answers)

    async def _load(self, tx: Transaction, first: Sequence[Need], keys: Sequence[str]) -> None:
        """Two stages: the rows that messages name, then those that only these rows know."""
        free, hot = [need for need in first if not need.hot], [need for need in first if need.hot]
        if free or keys:
            self._see(free, await tx.load(free, keys))
        if hot:
            self._see(hot, await tx.load(hot))
        point("batch.loaded")
        second = self.rows.missing(self._second_needs())
        if not second:
            return
        again: list[Need] = []
        if any(need.hot for need in second):
            # while we waited for the hot rows' locks, the aggregates read before may have moved: look at them again,
            # so that what is decided under the lock is decided on what is true under the lock
            again = [need for need in self.rows.seen() if need.table.discipline is Discipline.VERSIONED]
        seen = await tx.load([*second, *again])
        self._see(second, Seen(seen.rows[: len(second)]))
        for need, rows in zip(again, seen.rows[len(second) :], strict=True):
            self.rows.loaded_again(need, rows)
        point("batch.loaded_then")

    def _second_needs(self) -> list[Need]:
        """Keys that only the rows of the first stage know."""
        needs: list[Need] = []
        for opened in self.opened:
            if opened.message is None or opened.failure is not None:
                continue
            then = self.batches.consumer.hearings[opened.message.full_type].then
            if then is not None:
                try:
                    needs.extend(then(opened.message, self.rows))
                except Exception as error:  # noqa: BLE001 - as above
                    opened.failure = error
        return needs

    def _decide_all(self, now: datetime) -> None:
        for index, opened in enumerate(self.opened):
            try:
                if self.failing and self.guilty in (None, opened.heard.id):
                    raise ConstraintFired(self.failing)
                said = self._decide(opened, now)
            except NotYet as not_yet:
                self._failed(opened, self.failures.wait(opened.heard, now, str(not_yet), not_yet.otherwise))
                if self.failures.waited_out(opened.heard, now):
                    for row in not_yet.keeping:
                        self.rows.put(row)
                    self.rows.merge(index)
                    if not opened.heard.foreign:
                        self.changes.settled.append(opened.heard.claim)
            except UnknownType as unknown:
                self._failed(opened, self.failures.wait(opened.heard, now, f"unknown_type: {unknown}"))
            except Unreadable as unreadable:
                self._failed(opened, self.failures.park(opened.heard, unreadable.reason, unreadable.detail, 1))
            except Exception as error:  # noqa: BLE001 - the decision is guilty, whatever it raised: set aside, then park
                self._failed(opened, self.failures.set_aside(opened.heard, now, f"{type(error).__name__}: {error}"))
            else:
                self.rows.merge(index)
                self.said.append((opened, said))
                self.done.decided += 1
                if opened.message is not None:
                    topic = opened.message.topic
                    self.done.decided_types[topic] = self.done.decided_types.get(topic, 0) + 1
                due = opened.heard.due
                if opened.heard.alone and opened.heard.foreign:
                    self.changes.settled.append(opened.heard.claim)
                if due is not None and due.first_tried is not None and not due.name and not opened.heard.foreign:
                    self.changes.settled.append(opened.heard.claim)

    def _failed(self, opened: _Opened, said: Sequence[Said]) -> None:
        """Nobody sees what it changed; that it failed may be told."""
        self.rows.drop()
        self.said.append((opened, list(said)))

    def _decide(self, opened: _Opened, now: datetime) -> list[Said]:
        if opened.failure is not None:
            raise opened.failure
        assert opened.message is not None
        message, envelope = opened.message, opened.heard.envelope
        hearing = self.batches.consumer.hearings[message.full_type]
        key = envelope.command_key if message.kind is Kind.COMMAND else None
        hash_ = "" if key is None else content_hash(message)
        if key is not None and (again := self.answers.again(key, hash_)) is not None:
            return again
        moment = Moment(now, self.batches.new_id, envelope.source, envelope.command_key, envelope.id)
        said = listed(hearing.decide(message, self.rows, moment))
        self.answers.give(key, hash_, said)
        return said

    # -- what is written -----------------------------------------------------------------------------------------

    def _collect(self, now: datetime) -> None:
        moved = self.rows.changes()
        changes = self.changes
        changes.inserts, changes.waves, changes.locked = moved.inserts, moved.waves, moved.locked
        for group in (moved.inserts, moved.locked, *moved.waves):
            for table, rows in group.items():
                self.done.written.setdefault(table.name, []).extend(rows)
        changes.answers, changes.first_answers = self.answers.changed, self.answers.first
        for (name, owner), timer in sorted(self.rows.timers().items()):
            if timer is None:
                changes.timers_cleared.add((name, owner))
                continue
            id_ = self.batches.new_id()
            head = head_of(timer.message, id_=id_, source=self.batches.source, subject=owner, now=now, cause={})
            changes.due.append(
                DueRow(id_, timer.message.heard_by, timer.at, head, timer.message.model_dump_json(), name, owner)
            )
        for opened, said in self.said:
            for item in said:
                row = outbox_row(item, opened.heard.envelope, self.batches.source, self.batches.new_id, now)
                if (one := bare(item)) and one.kind is Kind.LOCAL:
                    changes.due.append(DueRow(row.id, row.destination, now, row.head, row.body))
                else:
                    changes.outbox.append(row)
        self.done.said = len(changes.outbox)
        self.done.next_due = [row.not_before for row in changes.due]

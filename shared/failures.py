"""What becomes of a message that could not be decided: it waits, it is set aside and tried again, or it is parked.

Only what a message does alone counts as an attempt; trouble of the database or the broker never comes here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from contracts.frame import MessageRefused
from shared.consumer import Consumer, Publish, Said
from shared.envelope import Unreadable
from shared.heard import Done, Heard, key_of_command
from shared.ids import NewId
from shared.store import Changes, DueRow, ParkedRow

MAX_ATTEMPTS: Final = 5
"""Failures alone before a message is parked: with the delays below about five minutes, long enough for a deploy."""
RETRY_DELAYS_S: Final = (0.5, 2.0, 10.0, 60.0, 240.0)
NOT_YET_DELAY_S: Final = 1.0
"""The first wait for what is not known yet; later ones are half of what was waited so far: about fifteen looks
in all."""
RETRY_FOR_S: Final = 600.0
"""How long a message may wait for what it is about (unknown order, newer version) before it is refused or parked."""


@dataclass(slots=True)
class Failures:
    """The failures of one batch: each ends as a row among its changes, and each method returns what is said of it."""

    changes: Changes
    done: Done
    new_id: NewId
    retry_for_s: float

    def wait(self, heard: Heard, now: datetime, why: str, otherwise: Sequence[Said] = ()) -> Sequence[Said]:
        """Not an attempt: what it is about may still come."""
        since = _since(heard, now)
        if self.waited_out(heard, now):
            return otherwise or self.park(heard, why.partition(":")[0].replace(" ", "_"), why, 1)
        attempts = heard.due.attempts if heard.due else 0
        waited_s = (now - since).total_seconds()
        delay_s = min(max(NOT_YET_DELAY_S, waited_s / 2), self.retry_for_s - waited_s)  # the last look is in time
        return self._again_at(heard, now + timedelta(seconds=delay_s), max(attempts, 0), since, why)

    def waited_out(self, heard: Heard, now: datetime) -> bool:
        """It has waited as long as anything may."""
        return now - _since(heard, now) >= timedelta(seconds=self.retry_for_s)

    def set_aside(self, heard: Heard, now: datetime, error: str) -> Sequence[Said]:
        """An attempt: it comes back after a delay, and is parked at the limit."""
        attempts = (heard.due.attempts if heard.due else 0) + 1
        if attempts >= MAX_ATTEMPTS:
            return self.park(heard, "failed", error, attempts)
        since = _since(heard, now)
        return self._again_at(heard, now + timedelta(seconds=RETRY_DELAYS_S[attempts - 1]), attempts, since, error)

    def _again_at(self, heard: Heard, at: datetime, attempts: int, since: datetime, why: str) -> Sequence[Said]:
        self.done.set_aside += 1
        if not heard.foreign:
            self.changes.waiting.append(heard.claim)
        row = DueRow(
            id=self._own_id(heard),
            queue=heard.queue,
            not_before=at,
            head=dict(heard.envelope.head) | ({"foreign": "1"} if heard.foreign else {}),
            body=heard.envelope.body.decode(errors="replace"),
            name=heard.due.name if heard.due else "",
            owner=heard.due.owner if heard.due else "",
            attempts=attempts,
            first_tried=since,
            error=why[:2000],
        )
        self.changes.due.append(row)
        self.done.set_aside_rows.append(row)
        return ()

    def _own_id(self, heard: Heard) -> UUID:
        """A stranger may use one id for two messages: neither may hide the other where it is kept."""
        return self.new_id() if heard.foreign and heard.due is None else heard.id

    def park(self, heard: Heard, reason: str, error: str, attempts: int) -> Sequence[Said]:
        """Kept for a person; a foreign sender hears of it."""
        row = ParkedRow(
            id=self._own_id(heard),
            queue=heard.queue,
            command_key=key_of_command(heard.envelope),
            head=dict(heard.envelope.head),
            body=heard.envelope.body,
            reason=reason[:100],
            error=error[:2000],
            attempts=attempts,
        )
        self.changes.parked.append(row)
        self.done.parked_rows.append(row)
        self.done.parked += 1
        refusal = refusal_for(heard, reason, error)
        return [] if refusal is None else [refusal]


def _since(heard: Heard, now: datetime) -> datetime:
    return heard.due.first_tried if heard.due and heard.due.first_tried else now


def unknown_to_foreigner(type_: str, consumer: Consumer) -> Unreadable:
    """Names what is known instead: the other versions, or everything."""
    stem = type_.rpartition(".v")[0]
    versions = sorted(known for known in consumer.hearings if known.rpartition(".v")[0] == stem)
    if versions:
        return Unreadable("unknown_version", f"{type_!r} is not known; {', '.join(versions)} is")
    return Unreadable("unknown_type", f"{type_!r} is not known here; known are {', '.join(sorted(consumer.hearings))}")


def refusal_for(heard: Heard, reason: str, error: str) -> Publish | None:
    """A foreign sender is told by name that its message could not be handled."""
    if not heard.foreign or not heard.envelope.source:
        return None
    return Publish(
        heard.envelope.source,
        MessageRefused(
            message_id=heard.envelope.id[:200],
            message_type=heard.envelope.type[:200],
            reason=reason if reason.isascii() and reason else "failed",
            detail=error[:2000],
        ),
    )

"""Timers ring in time, and not while what is being heard lay in a queue; but not never."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import uuid4

from shared.broker import Delivery
from shared.envelope import Envelope
from shared.heard import Heard
from shared.service import LONGEST_SILENCE_S, DueClock

NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


def delivery(said_at: str | None, *, foreign: bool = False, delivered: bool = True) -> Delivery:
    head = {} if said_at is None else {"time": said_at}
    raw = cast(Any, object()) if delivered else None
    return Delivery([Heard("order", Envelope(head, b"{}"), uuid4(), foreign=foreign)], raw)


def test_a_message_is_as_old_as_its_sender_says() -> None:
    old = delivery("2026-01-01T11:59:50Z")
    assert old.said_before(NOW.timestamp())
    assert not old.said_before((NOW - timedelta(seconds=11)).timestamp())


def test_nobody_goes_by_a_strangers_clock_or_by_none() -> None:
    for unknown in (
        delivery("2020-01-01T00:00:00Z", foreign=True),
        delivery("2020-01-01T00:00:00Z", delivered=False),  # our own word, never in a queue
        delivery("yesterday"),
        delivery(None),
    ):
        assert not unknown.said_before(NOW.timestamp())


def test_silence_is_counted_from_the_last_look() -> None:
    clock, at = DueClock(), NOW.timestamp()
    assert clock.silent_for(at) == 0.0
    assert clock.silent_for(at + LONGEST_SILENCE_S) == LONGEST_SILENCE_S
    clock.looked(at + 100, found=0)
    assert clock.silent_for(at + 103) == 3.0

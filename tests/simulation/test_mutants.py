"""Mistakes put in on purpose, each at a seam everything depends on: the simulator finds every one of them, and soon."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from services.inventory import sources
from services.orchestrator import engine
from shared.batch import _Attempt
from tests.simulation.play import play
from tests.simulation.replica import Replica
from tests.support.memory import MemoryTransaction

SCHEDULES = 1_000

Mutant = Callable[[pytest.MonkeyPatch], None]


def the_inbox_is_skipped(patch: pytest.MonkeyPatch) -> None:
    """Every delivery counts as new."""

    claim = MemoryTransaction.claim

    async def claim_all(self: MemoryTransaction, ids: Any) -> Any:
        await claim(self, ids)
        return set(ids)

    patch.setattr(MemoryTransaction, "claim", claim_all)


def acknowledged_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A crash in between loses the message."""
    patch.setattr(Replica, "acks_before_commit", True)


def an_undo_is_dropped(patch: pytest.MonkeyPatch) -> None:
    """The saga forgets that the money must be given back."""
    undo_from = engine._undo_from

    def forgetful(saga: Any, run: Any, stage: int, now: Any) -> engine.Advanced:
        asked = [slug for slug in run.asked if slug != "authorize-payment"]
        return undo_from(saga, replace(run, asked=asked), stage, now)

    patch.setattr(engine, "_undo_from", forgetful)


def a_do_does_not_see_its_undo(patch: pytest.MonkeyPatch) -> None:
    """The tombstone and the command it forbids commit side by side."""
    collect = _Attempt._collect

    def careless(self: Any, now: Any) -> None:
        collect(self, now)
        self.changes.first_answers = set()

    patch.setattr(_Attempt, "_collect", careless)


def an_older_count_is_taken(patch: pytest.MonkeyPatch) -> None:
    """Whatever a source says is news, however late it comes."""
    patch.setattr(sources, "turnout", lambda source, sequence: sources.Turnout.NEXT)


def a_late_change_is_lost(patch: pytest.MonkeyPatch) -> None:
    """What was missed is taken for old when it comes."""
    turnout = sources.turnout

    def impatient(source: Any, sequence: int) -> sources.Turnout:
        found = turnout(source, sequence)
        return sources.Turnout.OLD if found is sources.Turnout.LATE else found

    patch.setattr(sources, "turnout", impatient)


@contextmanager
def put_in(mutant: Mutant) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        yield


@pytest.mark.parametrize(
    "mutant",
    [
        the_inbox_is_skipped,
        acknowledged_before_the_commit,
        an_undo_is_dropped,
        a_do_does_not_see_its_undo,
        an_older_count_is_taken,
        a_late_change_is_lost,
    ],
    ids=lambda mutant: mutant.__name__,
)
def test_a_mistake_is_found(mutant: Mutant) -> None:
    with put_in(mutant):
        tally = play(range(1, SCHEDULES + 1), stop_at_first=True)
    assert tally.found, f"{SCHEDULES} schedules found nothing wrong although {mutant.__name__}"
    print(f"{mutant.__name__}: found by schedule {tally.schedules}: {tally.found[0].sentences[0]}")

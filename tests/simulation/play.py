"""Schedules one after the other: what each found, and what all of them met together."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.order import OrderCancelledEvent, OrderPaymentFailedEvent
from services.orchestrator import engine
from services.orchestrator.late import LATE
from services.orchestrator.saga import UndoAgain
from tests.simulation.cluster import Cluster
from tests.simulation.faults import Fault
from tests.simulation.invariants import broken, told_of_lost_money
from tests.simulation.script import KINDS
from tests.simulation.stock import MET, met

CALLED_BACK: Final = {
    OrderCancelledEvent.full_type: "money lost: nothing leaves",
    OrderPaymentFailedEvent.full_type: "money lost: something leaves",
}
"""What a transfer that was called back, or a hold that was let go, must come to in some schedule."""
REPLAY: Final = "python -m tests.simulation --seed {seed} --schedules 1 --trace"


@dataclass
class Found:
    """A schedule that broke something."""

    seed: int
    sentences: list[str]

    def __str__(self) -> str:
        told = "\n".join(f"  {sentence}" for sentence in self.sentences[:10])
        return f"seed {self.seed}:\n{told}\n  replay: {REPLAY.format(seed=self.seed)}"


@dataclass
class Tally:
    """What a run of schedules met. Tallies of several processes add up."""

    schedules: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    played: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    fewest_faults: int = 10**9
    found: list[Found] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.schedules += other.schedules
        for name in ("faults", "late", "played", "counts"):
            getattr(self, name).update(getattr(other, name))
        self.fewest_faults = min(self.fewest_faults, other.fewest_faults)
        self.found += other.found

    def never_met(self) -> list[str]:
        """Faults, kinds of checkout, what may become of a word about stock, and rows of the late-answer tables where
        something must be undone."""
        return [
            *(f"fault {fault}" for fault in Fault if not self.faults[fault.value]),
            *(f"checkout {kind}" for kind in KINDS if not self.played[kind]),
            *(f"stock: {what}" for what in MET if not self.counts[what]),
            *(what for what in CALLED_BACK.values() if not self.counts[what]),
            *(f"late answer {row}" for row in rows_that_undo() if not self.late[row]),
        ]


def rows_that_undo() -> list[str]:
    """The rows with something at stake; the others only record."""
    return [
        late_row(saga, heard.__name__, phase.value)
        for saga, answers in LATE.items()
        for (heard, phase), does in answers.rows.items()
        if isinstance(does, UndoAgain)
    ]


def late_row(saga: str, heard: str, phase: str) -> str:
    return f"{saga}: {heard} while {phase}"


@contextmanager
def late_answers_counted() -> Iterator[Counter[str]]:
    """The engine tells which row of its table an answer met; here it is counted."""
    met: Counter[str] = Counter()
    hear = engine.hear

    def hear_and_count(saga: Any, late: Any, *rest: Any) -> engine.Advanced:
        advanced = hear(saga, late, *rest)
        if advanced.late is not None:
            heard, phase = advanced.late
            met[late_row(saga.name, heard, phase.value)] += 1
        return advanced

    engine.hear = hear_and_count  # type: ignore[assignment]
    try:
        yield met
    finally:
        engine.hear = hear


def play(seeds: Iterable[int], *, stop_at_first: bool = False, after_each: Callable[[], None] | None = None) -> Tally:
    """Play these schedules."""
    tally = Tally()
    with late_answers_counted() as late:
        for seed in seeds:
            cluster = Cluster(seed)
            sentences = outcome(cluster)
            tally.schedules += 1
            tally.faults.update(cluster.faults.fired)
            tally.played.update(cluster.played)
            tally.counts.update(cluster.counts)
            tally.counts.update(met(cluster.stores["inventory"]))
            tally.counts.update(CALLED_BACK[type_] for type_ in told_of_lost_money(cluster).values())
            tally.counts["turns"] += cluster.turn
            tally.fewest_faults = min(tally.fewest_faults, cluster.faults.fired.total())
            if sentences:
                tally.found.append(Found(seed, sentences))
                if stop_at_first:
                    break
            if after_each is not None:
                after_each()
    tally.late = late
    return tally


def outcome(cluster: Cluster) -> list[str]:
    """Run a schedule and say everything that is wrong."""
    started = time.process_time()
    try:
        cluster.run()
    except Exception as error:  # noqa: BLE001 - whatever broke, this seed found it
        return [f"{type(error).__name__}: {error}", *traceback.format_exc().splitlines()[-8:]]
    finally:
        cluster.counts["cpu_us"] += int((time.process_time() - started) * 1e6)
        for task in cluster.tasks:
            task.die()
    return broken(cluster)

"""`python -m tests.simulation --schedules 2000 --seed 1 --jobs 2`: many seeded schedules; `--trace`: one of them."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.simulation.cluster import Cluster
from tests.simulation.play import Tally, late_answers_counted, outcome, play

CHUNK: Final = 20
"""Schedules per job: a second or two, so the bar moves and a failure is told soon."""


def main() -> int:
    arguments = _arguments()
    if arguments.trace:
        return _trace(arguments.seed)
    started = time.monotonic()
    tally = played(arguments.seed, arguments.schedules, arguments.jobs, quiet=arguments.json, go_on=arguments.go_on)
    seconds = time.monotonic() - started
    summary = summary_of(tally, seconds)
    if arguments.json:
        print(json.dumps(summary))
    else:
        _show(summary, tally)
    return 1 if tally.found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first schedule; the next one has the next seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--json", action="store_true", help="one line of JSON, no bar")
    parser.add_argument("--trace", action="store_true", help="play one schedule and print every step")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first schedule that breaks something")
    return parser.parse_args()


def played(seed: int, schedules: int, jobs: int, *, quiet: bool = True, go_on: bool = False) -> Tally:
    """Play `schedules` schedules from `seed` on, in `jobs` processes."""
    last = seed + schedules
    chunks = [range(first, min(first + CHUNK, last)) for first in range(seed, last, CHUNK)]
    tally = Tally()
    with _progress(schedules, quiet) as advance, _workers(jobs) as pool:
        for result in _results(pool, chunks):
            tally.add(result)
            advance(result.schedules)
            if tally.found and not go_on:
                break
    tally.found.sort(key=lambda found: found.seed)
    return tally


def _results(pool: ProcessPoolExecutor | None, chunks: Sequence[range]) -> Iterator[Tally]:
    """As they come. A worker that dies is an error (BrokenProcessPool), not a wait without end."""
    if pool is None:
        yield from map(play, chunks)
        return
    for future in as_completed([pool.submit(play, chunk) for chunk in chunks]):
        yield future.result()


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor | None]:
    if jobs <= 1:
        yield None
        return
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _progress(schedules: int, quiet: bool) -> Iterator[Any]:
    if quiet:
        yield lambda done: None
        return
    columns = (
        TextColumn("schedules"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}/min"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=schedules, rate=0)

        def advance(done: int) -> None:
            total = progress.tasks[0].completed + done
            rate = int(total * 60 / max(0.001, time.monotonic() - started))
            progress.update(task, advance=done, rate=rate)

        yield advance


def summary_of(tally: Tally, seconds: float) -> dict[str, Any]:
    return {
        "schedules": tally.schedules,
        "seconds": round(seconds, 1),
        "schedules_per_minute": round(tally.schedules * 60 / seconds),
        "cpu_ms_per_schedule": round(tally.counts["cpu_us"] / 1000 / max(1, tally.schedules), 1),
        "fewest_faults_in_a_schedule": tally.fewest_faults,
        "faults": dict(sorted(tally.faults.items())),
        "checkouts": dict(sorted(tally.played.items())),
        "late_answers": dict(sorted(tally.late.items())),
        "counts": {name: count for name, count in sorted(tally.counts.items()) if name != "cpu_us"},
        "never_met": tally.never_met(),
        "failures": [{"seed": found.seed, "broken": found.sentences[:10]} for found in tally.found],
    }


def _show(summary: dict[str, Any], tally: Tally) -> None:
    for name, value in summary.items():
        if isinstance(value, dict):
            print(f"{name.replace('_', ' ')}: " + ", ".join(f"{key} {count}" for key, count in value.items()))
        elif name != "failures":
            print(f"{name.replace('_', ' ')}: {value if value != [] else 'nothing'}")
    for found in tally.found[:5]:
        print(found)
    print("FAILED" if tally.found else "every invariant held in every schedule")


def _trace(seed: int) -> int:
    cluster = Cluster(seed, tracing=True)
    with late_answers_counted() as late:
        sentences = outcome(cluster)
    print("\n".join(cluster.lines))
    print(f"faults: {dict(cluster.faults.fired)}")
    print(f"late answers: {dict(late)}")
    print("\n".join(sentences) or "every invariant held")
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())

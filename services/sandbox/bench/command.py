"""Runs the benchmarks that were asked for, one after the other, on servers brought once; yardsticks first."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.sandbox.bench.checkout import checkout_closed, checkout_rate
from services.sandbox.bench.child import ChildFailed
from services.sandbox.bench.feed import feed
from services.sandbox.bench.flash_sale import flash_sale
from services.sandbox.bench.relay import relay
from services.sandbox.bench.routing import routing
from services.sandbox.bench.simulator import simulator
from services.sandbox.bench.stage import Asked, Watching
from services.sandbox.bench.webhooks import webhooks
from services.sandbox.bench.yardsticks import yardsticks
from services.sandbox.processes import NotRunning
from services.sandbox.servers import Servers, ServersUnavailable, bring

__all__ = ["BENCHES", "Asked", "benches", "run"]


WIDE: Final = 140
"""Columns of a log, which has no edge."""


class Bench(Protocol):
    async def __call__(self, servers: Servers, asked: Asked, folder: Path, watching: Watching, /) -> dict[str, Any]: ...


BENCHES: Final[dict[str, Bench]] = {
    "checkout_closed": checkout_closed,
    "checkout_rate": checkout_rate,
    "flash_sale": flash_sale,
    "feed": feed,
    "relay": relay,
    "routing": routing,
    "simulator": simulator,
    "webhooks": webhooks,
}


def run(names: Sequence[str], asked: Asked, *, quiet: bool) -> int:
    """The exit status: 0 when every benchmark is in order, 1 when one is not, 2 when one could not be run."""
    console = Console(stderr=True, quiet=quiet)
    if not console.is_terminal:
        console.width = WIDE
    if unknown := [name for name in names if name not in BENCHES]:
        Console(stderr=True).print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHES)}")
        return 2
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # several processes start at once: none compiles again
    folder = Path(tempfile.mkdtemp(prefix="waybill-bench-"))
    try:
        with bring(fsync=True, say=lambda line: console.print(line, style="bright_black", highlight=False)) as servers:
            lines = uvloop.run(_all(servers, names or tuple(BENCHES), asked, folder, console))
    except (ServersUnavailable, NotRunning, ChildFailed, RuntimeError) as error:
        Console(stderr=True).print(f"{error}\nwhat was written: {folder}", style="bold red", highlight=False)
        return 2
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running", style="bright_black")
        shutil.rmtree(folder, ignore_errors=True)
        return 130
    console.print(_table(lines))
    if all(line["ok"] for line in lines):
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    Console(stderr=True).print(f"not in order; what was written: {folder}", style="bold red", highlight=False)
    return 1


async def _all(
    servers: Servers, names: Sequence[str], asked: Asked, folder: Path, console: Console
) -> list[dict[str, Any]]:
    lines = []
    with _progress(console) as progress:
        async for line in benches(servers, names, asked, folder, progress):
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
            lines.append(line)
    return lines


class Told(Protocol):
    def __call__(self, bench: str, what: str, share: float) -> None: ...


async def benches(
    servers: Servers, names: Sequence[str], asked: Asked, folder: Path, told: Told
) -> AsyncIterator[dict[str, Any]]:
    """One line per benchmark, in the order of their names."""
    told("yardsticks", "pgbench, and round trips of bare aio-pika", 0.0)
    measures = await yardsticks(servers, asked.yardstick_s)
    told("yardsticks", ", ".join(f"{name} {value}" for name, value in measures.items()), 1.0)
    for name in names:
        busy, _, _ = os.getloadavg()
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)

        def watching(what: str, share: float, name: str = name) -> None:
            told(name, what, share)

        found = await BENCHES[name](servers, asked, place, watching)
        told(name, "in order" if found["ok"] else "NOT in order", 1.0)
        machine = {"cpus": os.cpu_count(), "load_before": round(busy, 1), "servers": servers.how}
        yield {"bench": name, **found, "yardsticks": measures, "machine": machine}


@contextmanager
def _progress(console: Console) -> Iterator[Told]:
    """A bar per benchmark on a terminal; a line when one begins to do something else, elsewhere."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(complete_style="cyan", finished_style="green"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}", style="bright_black"),
    )
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=console, refresh_per_second=2, disable=not console.is_terminal) as progress:

        def told(bench: str, what: str, share: float) -> None:
            if bench not in tasks:
                tasks[bench] = progress.add_task(bench, total=1.0, what=what)
            progress.update(tasks[bench], completed=share, what=what)

        yield told


def _table(lines: Sequence[dict[str, Any]]) -> Table:
    """The same for people."""
    drawn = Table(box=None, header_style="bright_black", padding=(0, 1))
    for heading in ("benchmark", "orders", "per s", "p50 ms", "p99 ms", "CPU ms", "besides", "invariants"):
        left = heading in ("benchmark", "besides", "invariants")
        drawn.add_column(heading, justify="left" if left else "right", no_wrap=heading != "besides")
    for line in lines:
        cpu = (line.get("cpu_ms_per_order") or {}).get("total")
        besides = [
            f"{line[name]} {name.replace('_', ' ')}"
            for name in (
                *("in_flight", "rate", "sold", "rows_per_s", "messages_per_s", "schedules_per_minute"),
                "small_p50_ms",
            )
            if line.get(name) is not None
        ]
        checked = line.get("invariants", {"checked": 0, "broken": 0})
        holds = f"{checked['checked']} hold" if line["ok"] else f"[bold red]{checked['broken']} broken, or not in order"
        figures = (line.get(name) for name in ("orders", "orders_per_s", "p50_ms", "p99_ms"))
        drawn.add_row(line["bench"], *(_shown(one) for one in (*figures, cpu)), ", ".join(besides), holds)
    return drawn


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,}"

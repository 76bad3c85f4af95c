"""A feed's way from a file into inventory's schema, and what a terminal shows of it until it is applied."""

import asyncio
import importlib
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from services.ops.places import BY_SERVICE, errors, fail
from services.ops.told import plain

CHUNK_BYTES: Final = 256 * 1024
LOOK_EVERY_S: Final = 0.2
STILL_WITHIN_S: Final = 60.0
"""Nothing was applied for so long: somebody should look."""
ENDED: Final = frozenset({"applied", "skipped", "rejected"})
PLACE: Final = BY_SERVICE["inventory"]
FEED_COLUMNS: Final = """id, source, sequence, origin, mode, state, reason, rows, rows_done, pages, pages_done,
    problems, raised, lowered, opened, clamped, short_units, created_at, ended_at"""
_HOW_FAR: Final = f"SELECT {FEED_COLUMNS} FROM inventory.feeds WHERE id = $1"


def staging() -> Any:
    """Inventory's own reading and staging. By name: operators' tools do not hang on a service's code."""
    return importlib.import_module("services.inventory.staging")


async def imported(file: str, asked: Any, wait: bool, *, quiet: bool) -> dict[str, Any]:
    engine = staging()
    began = time.perf_counter()
    with _progress(quiet) as progress:
        bar = progress.add_task("reading", total=None)

        def tell(what: str, count: int) -> None:
            progress.update(bar, description=what, completed=count)

        async with connected() as connection:
            try:
                staged = await engine.stage(connection, _chunks(file), asked, tell)
            except engine.Refused as refused:
                return {"outcome": "refused", "reason": refused.reason, "detail": str(refused)}
            told: dict[str, Any] = {
                "outcome": staged.outcome,
                "rows": staged.rows,
                "problems": staged.problems,
                "report": staged.report,
                "staged_s": round(time.perf_counter() - began, 2),
            }
            if asked.dry_run:
                told["would"] = staged.would
            if staged.feed_id is not None:
                follow = wait and staged.outcome in ("staged", "recognised")
                progress.update(bar, description="applying", completed=0, total=max(1, staged.rows))
                told["feed"] = plain([await _followed(connection, staged.feed_id, follow, progress, bar)])[0]
                told["total_s"] = round(time.perf_counter() - began, 2)
            told["peak_mb"] = _peak_mb()
    return told


async def _followed(
    connection: asyncpg.Connection, feed_id: UUID, follow: bool, progress: Progress, bar: TaskID
) -> Mapping[str, Any]:
    """The feed's row when it has ended, or when nothing was applied for `STILL_WITHIN_S`."""
    moved, far = time.monotonic(), -1
    while True:
        feed: Mapping[str, Any] = dict(await connection.fetchrow(_HOW_FAR, feed_id) or {})
        progress.update(bar, completed=feed["rows_done"])
        if feed["rows_done"] != far:
            moved, far = time.monotonic(), feed["rows_done"]
        if not follow or feed["state"] in ENDED or time.monotonic() - moved > STILL_WITHIN_S:
            return feed
        await asyncio.sleep(LOOK_EVERY_S)


async def _chunks(file: str) -> AsyncIterator[bytes]:
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as opened:  # noqa: ASYNC230 - nobody else waits
            while chunk := opened.read(CHUNK_BYTES):
                yield chunk
    except OSError as trouble:
        raise fail(f"{file} cannot be read: {trouble.strerror}") from trouble


@asynccontextmanager
async def connected() -> AsyncIterator[asyncpg.Connection]:
    """COPY needs the driver itself."""
    url = PLACE.url(os.environ)
    if url is None:
        raise fail(f"to be set: {PLACE.variable} (or DATABASE_URL), the inventory service's database")
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as away:
        raise fail(f"the inventory service's database cannot be reached: {away or type(away).__name__}") from away
    try:
        yield connection
    except asyncpg.UniqueViolationError as twice:
        raise fail("somebody else staged this sequence at the same time; import it again to see") from twice
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as refused:
        raise fail(f"inventory: {str(refused)[:300]}") from refused
    finally:
        await connection.close(timeout=10)


def _progress(quiet: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=errors, transient=True, disable=quiet or not errors.is_terminal)


def _peak_mb() -> float | None:
    """Of this process, where the kernel tells."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmHWM:")), None)

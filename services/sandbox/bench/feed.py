"""A stock feed of a million rows: through the command line into the running service, twice.

The first opens every shelf, the second changes every count. Rate and memory are of the whole way: read, checked, staged
and applied in decisions of one page each.
"""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from services.ops.invariants import check
from services.ops.quiet import until_quiet
from services.sandbox.bench.cpu import spent_s
from services.sandbox.bench.stage import QUIET_WITHIN_S, START_WITHIN_S, Asked, Watching
from services.sandbox.environment import prepare
from services.sandbox.processes import Group, check_alive, running, until_started
from services.sandbox.servers import Servers

SOURCE: Final = "bench"
WAREHOUSES: Final = 20
WITHIN_S: Final = 1_800.0
WRITTEN_AT_ONCE: Final = 10_000


async def feed(servers: Servers, asked: Asked, folder: Path, watching: Watching) -> dict[str, Any]:
    watching("making a database and a vhost", 0.0)
    environment = await asyncio.to_thread(prepare, servers, f"waybill_bench_{secrets.token_hex(4)}")
    try:
        env = environment.env
        with running([("inventory",)], env, folder) as groups:
            await until_started(groups, [1], START_WITHIN_S)
            await _described(env, groups)
            service = groups[0].process.pid
            opened = await _import(env, folder, asked.rows, 1, groups, watching, "--new")
            before = spent_s([service]), spent_s(servers.pids().get("postgresql", []))
            changed = await _import(env, folder, asked.rows, 2, groups, watching)
            moving = await until_quiet(env, QUIET_WITHIN_S)
            cpu = spent_s([service]) - before[0], spent_s(servers.pids().get("postgresql", [])) - before[1]
            service_mb = _peak_mb(service)
            watching("checking invariants", 1.0)
            invariants = await check(env, {})
            units = await _ask(env, "SELECT sum(on_hand)::bigint FROM inventory.shelves")
    finally:
        await asyncio.to_thread(environment.drop)
    broken = {one.name: list(one.examples) for one in invariants if not one.holds}
    exact = units == sum(_quantity(number, 2) for number in range(asked.rows))
    return {
        "orders": None,
        "orders_per_s": None,
        "p50_ms": None,
        "p99_ms": None,
        "cpu_ms_per_order": None,
        "rows": asked.rows,
        "rows_per_s": round(asked.rows / changed["total_s"]),
        "opening": _figures(opened, asked.rows),
        "changing": _figures(changed, asked.rows),
        "cpu_s": {"service": round(cpu[0], 1), "postgresql": round(cpu[1], 1)},
        "importer_peak_mb": max(opened["peak_mb"] or 0, changed["peak_mb"] or 0),
        "service_peak_mb": service_mb,
        "invariants": {
            "checked": sum(one.checked for one in invariants),
            "broken": sum(one.broken for one in invariants),
            **({"which": broken} if broken else {}),
        },
        "ok": exact and not broken and not moving,
    }


def _figures(told: Mapping[str, Any], rows: int) -> dict[str, Any]:
    return {
        "seconds": told["total_s"],
        "staged_s": told["staged_s"],
        "rows_per_s": round(rows / told["total_s"]),
        "peak_mb": told["peak_mb"],
    }


async def _described(env: Mapping[str, str], groups: list[Group]) -> None:
    warehouses = [word for number in range(WAREHOUSES) for word in ("--warehouse", f"w-{number:02}")]
    await _oms(env, "feed", "describe", SOURCE, *warehouses)
    async with asyncio.timeout(START_WITHIN_S):
        while not await _ask(env, "SELECT count(*) FROM inventory.sources"):
            check_alive(groups)
            await asyncio.sleep(0.2)


async def _import(
    env: Mapping[str, str],
    folder: Path,
    rows: int,
    sequence: int,
    groups: list[Group],
    watching: Watching,
    *more: str,
) -> dict[str, Any]:
    watching(f"feed {sequence}: writing {rows:,} rows", (sequence - 1) / 2)
    path = folder / f"feed-{sequence}.csv"
    await asyncio.to_thread(_write, path, rows, sequence)
    watching(f"feed {sequence}: importing", (sequence - 1) / 2 + 0.1)
    words = ("--source", SOURCE, "--sequence", str(sequence), "--mode", "absolute", "--json", *more)
    began = time.perf_counter()
    told = orjson.loads(await _oms(env, "feed", "import", str(path), *words))
    told.setdefault("total_s", time.perf_counter() - began)
    check_alive(groups)
    path.unlink()
    if told.get("feed", {}).get("state") != "applied":
        raise RuntimeError(f"the feed was not applied: {told}")
    return dict(told)


def _write(path: Path, rows: int, sequence: int) -> None:
    with path.open("w") as file:
        file.write("sku,warehouse,quantity\n")
        for first in range(0, rows, WRITTEN_AT_ONCE):
            numbers = range(first, min(rows, first + WRITTEN_AT_ONCE))
            file.writelines(
                f"SKU-{number // WAREHOUSES:07},w-{number % WAREHOUSES:02},{_quantity(number, sequence)}\n"
                for number in numbers
            )


def _quantity(number: int, sequence: int) -> int:
    """Another one for every shelf with every feed."""
    return (number * 7) % 500 + sequence


async def _oms(env: Mapping[str, str], *words: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", *words,
        env={**_without(env), "INVENTORY_DATABASE_URL": env["INVENTORY_DATABASE_URL"]},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, said = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"oms {' '.join(words[:2])} ended with {process.returncode}: {(said or out)[-1500:]!r}")
    return out


def _without(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in env}


async def _ask(env: Mapping[str, str], query: str) -> int:
    connection = await asyncpg.connect(env["DATABASE_URL"])
    try:
        return int(await connection.fetchval(query, timeout=120) or 0)
    finally:
        await connection.close()


def _peak_mb(pid: int) -> float | None:
    """The most memory a process ever held, where the kernel tells."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmHWM:")), None)

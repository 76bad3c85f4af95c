"""The simulator: how many seeded schedules of faults it plays in a minute. It runs as its users run it."""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from services.sandbox.bench.stage import Asked, Watching
from services.sandbox.servers import Servers

ROOT: Final = Path(__file__).resolve().parents[3]
A_MINUTE: Final = 1_000
"""About as many schedules as a minute takes: a run lasts about the seconds asked for."""
FEWEST: Final = 20
WITHIN: Final = 20
"""Times the seconds asked for; then it is not coming to an end."""


async def simulator(servers: Servers, asked: Asked, folder: Path, watching: Watching) -> dict[str, Any]:
    if not (ROOT / "tests" / "simulation" / "__main__.py").exists():
        return {"skipped": "the simulator is part of the tests, and they are not here", "ok": True}
    schedules = max(FEWEST, round(A_MINUTE * asked.seconds / 60))
    watching(f"playing {schedules} schedules", 0.0)
    with (folder / "simulator.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.simulation", "--schedules", str(schedules), "--json",
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=log,
        )  # fmt: skip
        try:
            out, _ = await asyncio.wait_for(process.communicate(), asked.seconds * WITHIN + 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    told = orjson.loads(out.strip().rpartition(b"\n")[2] or b"{}")
    if "schedules" not in told:
        raise RuntimeError(f"the simulator said nothing:\n{(folder / 'simulator.log').read_text()[-1500:]}")
    orders = sum(told["checkouts"].values())
    return {
        "orders": orders,
        "orders_per_s": round(orders / told["seconds"], 1),
        "p50_ms": None,
        "p99_ms": None,
        "cpu_ms_per_order": None,
        "schedules": told["schedules"],
        "schedules_per_minute": told["schedules_per_minute"],
        "cpu_ms_per_schedule": told["cpu_ms_per_schedule"],
        "faults": sum(told["faults"].values()),
        "seconds": told["seconds"],
        "invariants": {"checked": told["schedules"], "broken": len(told["failures"])},
        "ok": not told["failures"] and process.returncode == 0,
    }

"""The routing decision by itself: how long the exact one takes for 10 lines over 20 warehouses, and for 3 over 5.

It runs in a process of its own, by name: the sandbox knows no service's code.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from services.sandbox.bench.stage import Asked, Watching
from services.sandbox.servers import Servers

PER_SECOND: Final = 50
"""Orders of each size per second asked for: a run lasts a few of them."""
MOST: Final = 2_000
WITHIN_S: Final = 300.0


async def routing(servers: Servers, asked: Asked, folder: Path, watching: Watching) -> dict[str, Any]:
    orders = min(MOST, max(100, round(PER_SECOND * asked.seconds)))
    watching(f"routing {orders} orders of each size", 0.0)
    with (folder / "routing.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.inventory.timing", str(orders), stdout=asyncio.subprocess.PIPE, stderr=log
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode or not out:
        raise RuntimeError(f"no order was routed:\n{(folder / 'routing.log').read_text()[-1500:]}")
    told = orjson.loads(out)
    return {
        "orders": told["orders"],
        "orders_per_s": round(told["orders"] / told["seconds"], 1),
        "p50_ms": told["large_cheapest"]["p50_ms"],
        "p99_ms": told["large_cheapest"]["p99_ms"],
        "cpu_ms_per_order": None,
        "small_p50_ms": told["small_cheapest"]["p50_ms"],
        "small_p99_ms": told["small_cheapest"]["p99_ms"],
        "priority_p50_ms": told["small_priority"]["p50_ms"],
        "too_large": told["too_large"],
        "invariants": {"checked": told["orders"], "broken": told["wrong"]},
        "ok": not told["wrong"],
    }

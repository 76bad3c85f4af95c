"""The demo as a newcomer runs it, in a process of its own, and what it says to a machine."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import psutil
import pytest

from tests.support.processes import ROOT
from tests.support.until import until

DEMO_S = 280
LATER = {
    "split shipment": ("shipped in 2", "delivered"),
    "backorder": ("confirmed backorder", "stock_arrived", "delivered"),
    "pre-order": ("confirmed preorder", "stock_arrived", "delivered"),
    "made to order": ("confirmed production", "stock_arrived", "delivered"),
    "kit": ("confirmed", "delivered"),
    "returned goods": ("delivered", "units restocked"),
}
"""What each case of these must hear; of what comes back, one unit each."""

NOBODY_ASKED = {"settlement differences are booked as they were accepted"}
"""In the demo nobody reconciles."""
STORIES = {
    "split shipment": ("order.paid", "order.delivered"),
    "backorder": ("order.paid", "order.stock_arrived", "order.delivered"),
    "pre-order": ("order.paid", "order.stock_arrived", "order.delivered"),
    "oversold, exchanged": ("order.shortage", "order.shortage_settled", "order.delivered"),
    "oversold, waits": ("order.shortage", "order.shortage_settled", "order.stock_arrived", "order.delivered"),
    "oversold, money back": ("order.shortage", "order.shortage_settled", "payment.refunded"),
    "oversold, no answer": ("order.shortage", "order.shortage_settled", "payment.refunded"),
}
"""What support must be able to read of each, in any order."""


async def demo(env: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", "demo", *arguments,
        cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def own_servers() -> dict[str, str]:
    """Servers of its own, as on a fresh machine."""
    return {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "AMQP_URL")}


async def test_the_demo_ends_well_and_says_so_in_json(own_servers: dict[str, str]) -> None:
    running = await demo(own_servers, "--json", "--orders", "200")
    async with asyncio.timeout(DEMO_S):
        out, err = await running.communicate()
    assert running.returncode == 0, err.decode()[-3000:] + out.decode()[-3000:]
    told: dict[str, Any] = json.loads(out)
    assert told["ok"] is True
    scenarios = {one["name"]: one for one in told["scenarios"]}
    assert len(scenarios) >= 40
    assert {name for name, one in scenarios.items() if one["asked"] == 0 or not one["holds"]} == set()
    assert sum(one["asked"] for one in scenarios.values()) >= 200
    for name, words in LATER.items():
        assert scenarios[name]["asked"] >= 2
        assert {word: scenarios[name]["became"].get(word) for word in words} == dict.fromkeys(
            words, scenarios[name]["asked"]
        )
    for name, lines in STORIES.items():
        assert set(lines) <= set(scenarios[name]["story"]), f"what `oms order` tells of {name}"
    assert len(told["invariants"]) >= 31
    assert [one for one in told["invariants"] if one["broken"]] == []
    assert {one["name"] for one in told["invariants"] if not one["checked"]} == NOBODY_ASKED
    assert told["still_moving"] == {}
    assert b"servers" in err, "how the servers were brought is told on stderr"


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes by their environment")
async def test_interrupted_it_leaves_nothing_running(own_servers: dict[str, str]) -> None:
    mark = f"mark-{os.getpid()}"
    running = await demo({**own_servers, "WAYBILL_TEST_MARK": mark}, "--json")
    assert running.stderr is not None
    async with asyncio.timeout(DEMO_S):
        while b"services started" not in await running.stderr.readline():
            assert running.returncode is None
        running.send_signal(signal.SIGINT)
        await running.communicate()
    assert running.returncode == 130
    await until(lambda: not _marked(mark), lambda: f"the servers' keeper ends last; there are {_marked(mark)}")


def _marked(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("WAYBILL_TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline())[:200])
        except (psutil.Error, OSError):
            continue
    return found

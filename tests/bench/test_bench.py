"""Small runs of every benchmark: the lines have their keys, the flash sale is exact, invariants hold. Nothing is timed:
how fast a test machine is says nothing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.sandbox.bench.command import benches
from services.sandbox.bench.stage import Asked
from services.sandbox.servers import Servers

SMALL = Asked(
    seconds=3.0,
    warmup_s=1.0,
    rate=10.0,
    in_flight=10,
    skus=50,
    buyers=200,
    units=20,
    rows=2_000,
    relay_orders=300,
    webhooks=100,
    yardstick_s=1.0,
)
KEYS = {"bench", "orders", "orders_per_s", "p50_ms", "p99_ms", "cpu_ms_per_order", "yardsticks", "invariants", "ok"}
GROUPS = {"services", "postgresql", "rabbitmq", "load", "world", "total"}
SYSTEM = ["services", "postgresql", "rabbitmq"]
NAMES = ["checkout_closed", "checkout_rate", "flash_sale", "relay", "routing", "simulator", "webhooks"]


@pytest.fixture(scope="module")
async def lines(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Any]]:
    told: list[tuple[str, str, float]] = []
    folder = tmp_path_factory.mktemp("bench")
    found = [line async for line in benches(servers, [*NAMES, "feed"], SMALL, folder, lambda *one: told.append(one))]
    assert {bench for bench, _, _ in told} == {"yardsticks", "feed", *NAMES}
    assert all(0 <= share <= 1 for _, _, share in told)
    yield {line["bench"]: line for line in found}


@pytest.mark.parametrize("name", NAMES)
async def test_a_line_has_its_keys_and_is_in_order(lines: dict[str, Any], name: str) -> None:
    line = lines[name]
    assert line.keys() >= KEYS
    assert json.loads(json.dumps(line)) == line
    assert line["invariants"]["checked"] > 0
    assert line["invariants"]["broken"] == 0, line
    assert line["ok"] is True, line
    assert line["orders"] > 0 and line["orders_per_s"] > 0
    assert line["yardsticks"]["amqp_roundtrips_per_s"] > 0
    assert line["yardsticks"].get("pgbench_tps", line["yardsticks"].get("asyncpg_update_tps")) > 0


@pytest.mark.parametrize("name", ["checkout_closed", "checkout_rate", "flash_sale"])
async def test_cpu_is_counted_for_every_group(lines: dict[str, Any], name: str, servers: Servers) -> None:
    cpu = lines[name]["cpu_ms_per_order"]
    assert set(cpu) == GROUPS
    assert cpu["services"] > 0 and cpu["load"] > 0 and cpu["world"] >= 0
    if all(servers.pids().values()):
        assert cpu["total"] == pytest.approx(sum(cpu[group] for group in SYSTEM), abs=0.05)
        assert cpu["total"] > cpu["load"]
    else:
        assert cpu["total"] is None  # unknown is not zero


@pytest.mark.parametrize("name", ["checkout_closed", "checkout_rate"])
async def test_every_checkout_is_confirmed_by_several_processes(lines: dict[str, Any], name: str) -> None:
    line = lines[name]
    assert line["confirmed"] >= line["orders"]
    assert (line["cancelled"], line["unanswered"]) == (0, 0)
    assert 0 < line["p50_ms"] <= line["p99_ms"]
    assert line["layout"] == ["orchestrator payment", "order inventory fulfillment"]
    assert line["messages_per_order"] >= 10


async def test_the_rate_is_kept_whatever_the_answers_take(lines: dict[str, Any]) -> None:
    assert lines["checkout_rate"]["orders"] == pytest.approx(SMALL.rate * SMALL.seconds, abs=1)


async def test_a_flash_sale_sells_exactly_what_there_is(lines: dict[str, Any]) -> None:
    line = lines["flash_sale"]
    assert line["orders"] == SMALL.buyers
    assert (line["sold"], line["confirmed"], line["cancelled"]) == (
        SMALL.units,
        SMALL.units,
        SMALL.buyers - SMALL.units,
    )
    assert line["unanswered"] == 0


async def test_routing_is_timed_for_both_sizes(lines: dict[str, Any]) -> None:
    line = lines["routing"]
    assert 0 < line["p50_ms"] <= line["p99_ms"]
    assert 0 < line["small_p50_ms"] <= line["small_p99_ms"]
    assert line["priority_p50_ms"] > 0


async def test_the_relay_says_everything_once_and_in_packs(lines: dict[str, Any]) -> None:
    line = lines["relay"]
    assert line["messages"] == SMALL.relay_orders * 5
    assert SMALL.relay_orders < line["parcels"] < line["messages"] / 2


async def test_a_feed_is_applied_whole_in_measured_memory(lines: dict[str, Any]) -> None:
    line = lines["feed"]
    assert line["rows"] == SMALL.rows
    assert line["rows_per_s"] > 0 and line["opening"]["rows_per_s"] > 0
    assert line["importer_peak_mb"] > 0 and line["service_peak_mb"] > 0
    assert line["invariants"]["checked"] >= 2 * SMALL.rows and line["invariants"]["broken"] == 0
    assert line["ok"] is True

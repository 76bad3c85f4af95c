"""The figures of a benchmark: percentiles, demand, CPU of processes that have ended, what is left out of a proof."""

import random
import subprocess
import sys
from array import array
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from contracts.checkout import PlaceCheckout
from services.ops.invariants import Invariant
from services.sandbox.bench import demand
from services.sandbox.bench.command import run
from services.sandbox.bench.cpu import Meter, spent_s
from services.sandbox.bench.flash_sale import HOT, spread
from services.sandbox.bench.load import Storefront, percentile, result_of
from services.sandbox.bench.stage import WAREHOUSES, Asked, Proof


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([7.0], 0.99, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([float(n) for n in range(1, 101)], 0.50, 50.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 1002)], 0.99, 991.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


def test_demand_is_zipf_and_follows_from_its_seed() -> None:
    zipf, rng = demand.Zipf(1_000), random.Random(1)
    drawn = Counter(zipf.draw(rng) for _ in range(20_000))
    assert min(drawn) == 0 and max(drawn) <= 999
    assert drawn[0] == pytest.approx(2 * drawn[1], rel=0.15)
    assert drawn[0] == pytest.approx(20_000 / 7.485, rel=0.1)  # one over the thousandth harmonic number
    assert demand.carts(50, seed=3, count=20) == demand.carts(50, seed=3, count=20) != demand.carts(50, 4, 20)


def test_a_prebuilt_cart_is_a_valid_checkout_of_two_different_goods() -> None:
    for prebuilt in demand.carts(skus=50, seed=1, count=50):
        checkout = PlaceCheckout.model_validate_json(demand.body(prebuilt, "bench-1"))
        assert checkout.checkout_id == "bench-1"
        assert len({line.sku for line in checkout.lines}) == 2


def _storefront(due: list[float], ended: list[float]) -> Storefront:
    confirmed = sum(1 for at in ended if at)
    shop = SimpleNamespace(
        due=array("d", due), ended=array("d", ended), placed=len(due), confirmed=confirmed, answered=confirmed, again=0
    )
    return cast(Storefront, shop)


def test_latency_counts_from_when_an_order_was_due_and_throughput_from_what_was_answered_meanwhile() -> None:
    # one of the warm-up, answered while it was measured; two measured; one answered later; one never
    shop = _storefront([0.0, 10.0, 11.0, 12.0, 13.0], [10.5, 10.2, 11.1, 30.0, 0.0])
    told = result_of(shop, first=1, since=10.0, placed_until=5, seconds=5.0)
    assert told["orders"] == 4
    assert told["orders_per_s"] == 0.6
    assert (told["p50_ms"], told["p99_ms"]) == (200.0, 18_000.0)
    assert told["unanswered"] == 1


BURN = "import time\nwhile time.process_time() < {s}: pass"
PARENT = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {BURN.format(s=0.3)!r}], check=True)
print("burnt", flush=True)
sys.stdin.read()
"""


def test_cpu_of_processes_that_have_ended_is_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdin is not None
        meter = Meter({"services": [parent.pid], "postgresql": [], "rabbitmq": [parent.pid]})
        meter.start()
        assert parent.stdout.readline() == b"burnt\n"
        meter.stop()
        assert 0.25 <= meter.spent["services"] <= spent_s([parent.pid])
        each = meter.ms_per(10)
        assert each["services"] == pytest.approx(meter.spent["services"] * 100, abs=0.01)
        assert each["postgresql"] is None
        assert each["total"] is None  # a part of it is unknown
        parent.stdin.close()


def test_a_proof_fails_on_whatever_is_left() -> None:
    fine = Invariant("stock", "is right", 10, 0)
    assert Proof([fine], {}, {}).holds
    assert not Proof([fine], {"orders: to be said": 1}, {}).holds
    assert not Proof([fine], {}, {"order.dead": 1}).holds
    broken = Proof([fine, Invariant("money", "is right", 5, 1, ("order 7: 3 of 4",))], {}, {})
    assert not broken.holds
    assert broken.shown()["invariants"] == {"checked": 15, "broken": 1, "which": {"money": ["order 7: 3 of 4"]}}


def test_an_unknown_benchmark_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["checkout", "relay"], Asked(), quiet=True) == 2
    said: Any = capsys.readouterr()
    assert "checkout" in said.err and "checkout_closed" in said.err
    assert said.out == ""


def test_a_layout_is_one_process_per_word_list() -> None:
    assert Asked().with_layout([]).layout == Asked().layout
    assert Asked().with_layout(["order payment", "inventory"]).layout == (("order", "payment"), ("inventory",))


def test_a_flash_sale_wants_one_unit_of_one_thing() -> None:
    for prebuilt in demand.one_of("HOT", seed=1):
        lines = orjson.loads(demand.body(prebuilt, "x"))["lines"]
        assert [(line["sku"], line["quantity"]) for line in lines] == [("HOT", 1)]


@pytest.mark.parametrize(("units", "shares"), [(500, [167, 167, 166]), (3, [1, 1, 1]), (2, [1, 1]), (1, [1])])
def test_the_units_of_a_flash_sale_lie_in_all_warehouses(units: int, shares: list[int]) -> None:
    assert spread(units) == {(HOT, where): share for where, share in zip(WAREHOUSES, shares, strict=False)}

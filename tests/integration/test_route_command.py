"""`oms route` as an operator types it, over orders that inventory routed: in words, as JSON, and what if."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from services.sandbox.environment import Environment, prepare
from services.sandbox.servers import Servers
from tests.support.priced import PARIS, by_cost, prepared
from tests.support.processes import ROOT
from tests.support.replicas import stores_of
from tests.support.stock_books import on_its_way
from tests.support.stock_room import commit, hold, order


@pytest.fixture(scope="module")
def environment(servers: Servers) -> Iterator[Environment]:
    """Order 1 is split, order 2 is not; 8 lamps are left in Leipzig, 9 in Lyon."""
    made = prepare(servers, "route_command_test")

    async def route() -> None:
        async with stores_of(made, "inventory", 1) as stores:
            (batches,) = by_cost(stores)
            await prepared(batches, {"lamp": (10, 10, 0), "cord": (0, 4, 1)}, 5)
            await batches.run([on_its_way(hold(1, ("lamp", 1), ("cord", 5), ship_to=PARIS))])
            await batches.run([on_its_way(hold(2, ("lamp", 2), ship_to=PARIS)), on_its_way(commit(2))])

    asyncio.run(route())
    yield made
    made.drop()


@pytest.fixture(scope="module")
def oms(environment: Environment) -> Any:
    env = {**environment.env, "COLUMNS": "200", "PATH": "/usr/bin:/bin"}

    def run(*arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "services", "route", *arguments],
            cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) is fails, done.stderr[-2000:]
        return done.stderr if fails else done.stdout

    return run


def test_a_decision_is_told_in_words(oms: Any) -> None:
    told = oms("explain", str(order(2)))
    assert "leipzig, 400 minor units; lyon would cost 600 minor units; gdansk lacks 2 x lamp" in told
    assert "(the cheapest; to Paris, FR; exact)" in told


def test_a_split_is_told_with_its_parts_and_as_json(oms: Any) -> None:
    (told,) = json.loads(oms("explain", str(order(1)), "--json"))["decisions"]
    assert told["in_words"].startswith("lyon, 750 minor units and gdansk, 950 minor units, together 1700 minor units")
    assert sorted(told["chosen"]) == [["gdansk", "cord", 1], ["lyon", "cord", 4], ["lyon", "lamp", 1]]
    assert (told["cost_minor"], told["gap_permille"]) == (1700, 0)
    assert {one["warehouse"]: one.get("why") for one in told["candidates"]} == {
        "gdansk": None,
        "lyon": None,
        "leipzig": "lacks 5 x cord",
    }


def test_an_order_nobody_routed_is_said_so(oms: Any) -> None:
    assert "no order was routed" in oms("explain", str(order(99)), fails=True)
    assert "no order has the id or checkout id" in oms("explain", "cart-of-nobody", fails=True)


def tried(oms: Any, *arguments: str) -> dict[str, Any]:
    told = json.loads(oms("try", *arguments, "--json"))
    return {one["strategy"]: one for one in told["strategies"]}


def test_what_if_tells_every_strategy_by_the_same_cost(oms: Any) -> None:
    found = tried(oms, "--line", "lamp=2", "--to", "FR,Lyon")
    assert {name: (one["chosen"], one["cost_minor"]) for name, one in found.items()} == {
        "priority": ([["leipzig", "lamp", 2]], 400),
        "nearest": ([["lyon", "lamp", 2]], 600),
        "cheapest": ([["leipzig", "lamp", 2]], 400),
    }
    assert "leipzig, 400 minor units; lyon would cost 600" in oms("try", "--line", "lamp=2", "--to", "FR,Paris")


def test_what_if_with_other_stock_and_other_costs_and_nothing_is_changed(oms: Any, environment: Environment) -> None:
    async def whole() -> list[Any]:
        connection = await asyncpg.connect(environment.env["DATABASE_URL"])
        tables = ("shelves", "warehouses", "routes", "reservations", "dispatches", "bookings")
        found = [await connection.fetch(f"SELECT * FROM inventory.{table} ORDER BY 1, 2") for table in tables]
        await connection.close()
        return found

    before = asyncio.run(whole())
    asked = ("--line", "lamp=2", "--to", "FR,Paris", "--strategy", "cheapest")
    assert tried(oms, *asked, "--stock", "leipzig/lamp=1")["cheapest"]["chosen"] == [["lyon", "lamp", 2]]
    dearer = tried(oms, *asked, "--fixed", "leipzig=1000", "--fixed", "lyon=0")["cheapest"]
    assert (dearer["chosen"], dearer["cost_minor"]) == ([["lyon", "lamp", 2]], 100)
    short = tried(oms, *asked, "--stock", "leipzig/lamp=0", "--stock", "lyon/lamp=1")["cheapest"]
    assert short["missing"] == {"lamp": 1}
    assert asyncio.run(whole()) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "say what is wanted"),
        (("--line", "lamp"), "not as it should be"),
        (("--line", "lamp=0"), "not as it should be"),
        (("--line", "la mp=1"), "not as it should be"),
        (("--line", "lamp=1", "--to", "France"), "--to France"),
        (("--line", "lamp=1", "--fixed", "nowhere=1"), "no warehouse is called"),
        (("--line", "lamp=1", "--stock", "leipzig/cord=1"), "is not in this order"),
        (("--line", "lamp=1", "--stock", "leipzig/lamp=-1"), "negative"),
        (("--order", "cart-of-nobody"), "no order has the id"),
    ],
)
def test_what_cannot_be_asked_is_said_so(oms: Any, arguments: tuple[str, ...], told: str) -> None:
    assert told in oms("try", *arguments, fails=True)

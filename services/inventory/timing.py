"""How long a routing decision takes, by itself: `python -m services.inventory.timing ORDERS` prints one JSON object.

The benchmark `routing` runs it as a process of its own. Orders are made from a seed: warehouses all over Europe, of
each SKU nothing in a third of them, a part of what is wanted in a quarter, plenty in the rest.
"""

import json
import sys
import time
from collections.abc import Sequence
from random import Random
from typing import Any, Final

from services.inventory.domain import Shelf, Warehouse, wanted
from services.inventory.products import Product
from services.inventory.routing.cheapest import Cheapest, cost_of
from services.inventory.routing.places import Place
from services.inventory.routing.strategy import Demand, PriorityList, Route, Strategy, TooLarge

SEED: Final = 1815
WARM: Final = 20
"""Orders routed before any is timed."""
SIZES: Final = {"large": (10, 20), "small": (3, 5)}
"""Lines and warehouses."""


def main(orders: int) -> dict[str, Any]:
    random = Random(SEED)
    told: dict[str, Any] = {"orders": 0, "seconds": 0.0, "wrong": 0, "too_large": 0}
    for size, (lines, warehouses) in SIZES.items():
        demands = [_demand(random, lines, warehouses) for _ in range(orders + WARM)]
        spent: dict[str, list[float]] = {"cheapest": [], "priority": []}
        for demand in demands:
            routes = []
            for name, strategy in (("cheapest", Cheapest()), ("priority", PriorityList())):
                seconds, chosen = _timed(strategy, demand)
                spent[name].append(seconds * 1000)
                told["too_large"] += isinstance(chosen, TooLarge)
                routes.append(chosen.route if isinstance(chosen, TooLarge) else chosen)
            told["wrong"] += not _right(demand, routes)
        for name, times in spent.items():
            timed = sorted(times[WARM:])
            told[f"{size}_{name}"] = {"p50_ms": _share(timed, 0.5), "p99_ms": _share(timed, 0.99)}
            told["seconds"] += sum(timed) / 1000
        told["orders"] += orders
    return told


def _timed(strategy: Strategy, demand: Demand) -> tuple[float, Any]:
    began = time.perf_counter()
    chosen = strategy.choose(demand)
    return time.perf_counter() - began, chosen


def _right(demand: Demand, routes: Sequence[Any]) -> bool:
    """Both strategies give every unit, or neither does; and the cheapest is not the dearer."""
    filled = [isinstance(route, Route) for route in routes]
    if not all(filled):
        return not any(filled)
    whole = all(wanted((pick.sku, pick.quantity) for pick in route.picks) == demand.units for route in routes)
    cheapest, listed = (cost_of(demand, route.picks) for route in routes)
    return whole and cheapest <= listed


def _demand(random: Random, lines: int, warehouses: int) -> Demand:
    codes = [f"w{number:02}" for number in range(warehouses)]
    units = {f"s{number:02}": random.randint(1, 5) for number in range(lines)}
    return Demand(
        units=units,
        shelves={
            sku: [Shelf(sku, code, on_hand=_there(random, wish)) for code in codes] for sku, wish in units.items()
        },
        warehouses={
            code: Warehouse(
                code,
                code,
                number,
                latitude=random.uniform(36, 60),
                longitude=random.uniform(-9, 30),
                shipment_minor=random.randint(300, 900),
                bands=[[500, random.randint(20, 60)], [1_500, random.randint(60, 150)], [5_000, 300]],
            )
            for number, code in enumerate(codes)
        },
        products={sku: Product(sku, weight_g=random.randint(50, 5_000)) for sku in units},
        to=Place(random.uniform(36, 60), random.uniform(-9, 30)),
    )


def _there(random: Random, units: int) -> int:
    kind = random.random()
    return 0 if kind < 0.35 else random.randint(1, units) if kind < 0.6 else 100


def _share(times: Sequence[float], share: float) -> float:
    return round(times[min(len(times) - 1, int(len(times) * share))], 4)


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1])), sys.stdout)

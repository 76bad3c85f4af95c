"""Orders to be routed: plain problems from a seed, the same as shelves and warehouses, and what is right about a route
by looking at every set of warehouses."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import combinations
from random import Random

from contracts.inventory import DescribeWarehouse, DistanceBand, ReceiveStock, StockReceipt
from contracts.message import Message
from contracts.product import DescribeProduct
from services.inventory.domain import Shelf, Taken, Warehouse
from services.inventory.products import Product
from services.inventory.routing.places import Place
from services.inventory.routing.search import Problem, fill
from services.inventory.routing.strategy import Demand
from tests.support.stock_room import StockRoom

SCALES = ((0, 0, 0), (3, 2, 1), (900, 2_000, 90), (100_000, 50, 3), (500, 40_000, 900))
"""Fixed cost in minor units, grams, minor units per kg, at most: free, full of ties, usual, fixed only, weight only."""


def a_demand(random: Random, skus: int, warehouses: int, *, tight: float = 0.5) -> Demand:
    """Warehouses anywhere in Europe; of each SKU nothing, something or plenty lies in each, some of it kept back."""
    fixed, grams, rate = random.choice(SCALES)
    codes = [f"w{number:02}" for number in range(warehouses)]
    names = [f"s{number:02}" for number in range(skus)]
    units = {name: random.randint(1, 6) for name in names}
    return Demand(
        units=units,
        shelves={name: [_shelf(random, name, code, units[name], tight) for code in codes] for name in names},
        warehouses={
            code: Warehouse(
                code,
                code.upper(),
                random.randint(0, 3),
                latitude=None if random.random() < 0.1 else random.uniform(36, 60),
                longitude=random.uniform(-9, 30),
                shipment_minor=random.randint(0, fixed),
                bands=[[km, random.randint(0, rate)] for km in sorted(random.sample((100, 500, 1_000, 2_500), 2))],
                daily_shipments=random.choice((None, None, 1, 2)),
            )
            for code in codes
        },
        products={
            name: Product(
                name,
                weight_g=random.randint(0, grams),
                not_from=random.sample(codes, 1) if random.random() < 0.1 else [],
            )
            for name in names
        },
        shipments={code: random.randint(0, 2) for code in codes},
        to=Place(random.uniform(36, 60), random.uniform(-9, 30)),
    )


def _shelf(random: Random, sku: str, code: str, units: int, tight: float) -> Shelf:
    there = 0 if random.random() < tight / 2 else random.randint(1, units) if random.random() < tight else 9
    return Shelf(sku, code, on_hand=there + 2, held=random.randint(0, 1), safety_stock=random.randint(0, 1))


def brute(problem: Problem) -> int | None:
    """The least cost over every set of warehouses; None when none of them has enough."""
    costs = []
    for count in range(1, len(problem.warehouses) + 1):
        for opened in combinations(range(len(problem.warehouses)), count):
            picks = fill(problem, opened)
            if picks is not None:
                fixed = sum(problem.fixed[j] for j in {j for _, j, _ in picks})
                costs.append(fixed + sum(units * problem.each[i][j] for i, j, units in picks))
    return min(costs, default=None)


def check(demand: Demand, picks: Iterable[Taken]) -> None:
    """Every unit, none above what is available, none from where it must not come."""
    given: Counter[str] = Counter()
    for pick in picks:
        given[pick.sku] += pick.quantity
        (shelf,) = [shelf for shelf in demand.shelves[pick.sku] if shelf.warehouse == pick.warehouse]
        assert 0 < pick.quantity <= shelf.available
        assert pick.warehouse not in demand.products[pick.sku].not_from
        limit = demand.warehouses[pick.warehouse].daily_shipments
        assert limit is None or demand.shipments[pick.warehouse] < limit
    assert given == Counter(demand.units)


def described(room: StockRoom, code: str, priority: int = 1, **more: object) -> Message:
    """A word about a warehouse, as of now."""
    bands = more.pop("bands", ())
    assert isinstance(bands, tuple)
    made = [DistanceBand(up_to_km=km, minor_per_kg=minor) for km, minor in bands]
    return DescribeWarehouse.model_validate(
        {"warehouse": code, "name": code.title(), "priority": priority, "bands": made, "as_of": room.now, **more}
    )


def weighs(room: StockRoom, sku: str, grams: int, *not_from: str) -> Message:
    return DescribeProduct(sku=sku, weight_g=grams, not_from=not_from, as_of=room.now)


LARGE = {f"s{number}": number % 3 + 1 for number in range(8)}
"""Units per SKU of an order that one node of the search does not prove, where `a_large_room` is told of."""


def a_large_room(as_of: datetime) -> list[Message]:
    """Ten warehouses that have a little of everything, at places and prices of all kinds."""
    random = Random(5)
    told: list[Message] = []
    for number in range(10):
        code = f"w{number}"
        receipts = [
            StockReceipt(sku=sku, warehouse=code, quantity=random.randint(1, units + 1)) for sku, units in LARGE.items()
        ]
        told.append(ReceiveStock(reference=f"large-{code}", receipts=tuple(receipts)))
        latitude, longitude = random.uniform(40, 55), random.uniform(0, 20)
        bands = ((500, random.randint(20, 90)), (3_000, random.randint(90, 200)))
        told.append(
            DescribeWarehouse(
                warehouse=code,
                priority=1,
                latitude=latitude,
                longitude=longitude,
                bands=tuple(DistanceBand(up_to_km=km, minor_per_kg=minor) for km, minor in bands),
                shipment_minor=random.randint(300, 600),
                as_of=as_of,
            )
        )
    told += [DescribeProduct(sku=sku, weight_g=random.randint(200, 2_000), as_of=as_of) for sku in LARGE]
    return told

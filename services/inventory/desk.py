"""`oms route`: what was decided, and what would be if stock or costs were other. Nothing is changed by asking."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from pydantic import TypeAdapter, ValidationError
from rich.text import Text

from contracts.values import MAX_LINES, Destination, Sku, Units, WarehouseCode
from services.inventory.domain import Reservation, ReservationStatus, Shelf, Shortage, Warehouse
from services.inventory.products import Product
from services.inventory.routing.cheapest import Cheapest, cost_of, to_minor
from services.inventory.routing.nearest import Nearest
from services.inventory.routing.places import locate
from services.inventory.routing.rows import Booking, Dispatch
from services.inventory.routing.strategy import Demand, PriorityList, Route, Strategy, StrategyName, TooLarge
from services.inventory.tables import BOOKINGS, DISPATCHES, PRODUCTS, RESERVATIONS, SHELVES, WAREHOUSES
from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.route import explain, in_words, order_of
from services.ops.told import QUIET, console, tell_json
from shared.frozen import replace
from shared.table import Table

WITHOUT_HURRY: Final = 20_000_000
"""No shelf is locked while this is asked, so the search may take its time."""
STRATEGIES: Final[Mapping[StrategyName, Strategy]] = {
    StrategyName.PRIORITY: PriorityList(),
    StrategyName.NEAREST: Nearest(),
    StrategyName.CHEAPEST: Cheapest(WITHOUT_HURRY),
}

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Which warehouses serve an order, and why.")
app.command("explain")(explain)


@app.command("try")
def try_(
    order: Annotated[str, typer.Option("--order", help="An order's id or checkout id, as if it came now.")] = "",
    line: Annotated[list[str] | None, typer.Option(help="SKU=UNITS; once per SKU.")] = None,
    to: Annotated[str, typer.Option(help="COUNTRY, COUNTRY,CITY or COUNTRY,CITY,REGION: FR,Paris")] = "",
    stock: Annotated[list[str] | None, typer.Option(help="WAREHOUSE/SKU=UNITS that were available there.")] = None,
    fixed: Annotated[list[str] | None, typer.Option(help="WAREHOUSE=MINOR that a shipment from it did cost.")] = None,
    strategy: Annotated[StrategyName | None, typer.Option(help="Only this one; else all three.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """What if: how an order would be routed now, or with other stock or other costs. Changes nothing.

    Reads INVENTORY_DATABASE_URL; and ORDER_DATABASE_URL for --order.
    """
    units = dict(_pairs(line or (), "--line", Sku, Units))
    known = asyncio.run(order_of(order)) if order else None
    if order and known is None:
        raise fail(f"no order has the id or checkout id {order!r}, or ORDER_DATABASE_URL is not set")
    units = units or (known["units"] if known else {})
    if not 0 < len(units) <= MAX_LINES:
        raise fail(f"say what is wanted: --order, or --line SKU=UNITS up to {MAX_LINES} times")
    there = {_shelf(of): available for of, available in _pairs(stock or (), "--stock", str, int)}
    costs = dict(_pairs(fixed or (), "--fixed", WarehouseCode, int))
    if min([*there.values(), *costs.values()], default=0) < 0:
        raise fail("neither stock nor a cost is negative")
    demand = asyncio.run(_demand(units, _destination(to, known), UUID(known["id"]) if known else None))
    demand = _changed(demand, there, costs)
    wanted = [strategy] if strategy else list(StrategyName)
    names = {code: warehouse.name for code, warehouse in demand.warehouses.items()}
    tell(demand, [_tried(demand, one, names, known["currency"] if known else "") for one in wanted], json)


def tell(demand: Demand, tried: list[dict[str, Any]], json: bool) -> None:
    place = demand.to.known_by if demand.to else "nobody knows where"
    if json:
        tell_json({"units": dict(demand.units), "to": place, "strategies": tried})
        return
    wish = ", ".join(f"{units} x {sku}" for sku, units in demand.units.items())
    console.print(Text.assemble((wish, "bold"), f"  to {place}"))
    for one in tried:
        console.print(Text.assemble((f"{one['strategy']:>9} ", QUIET), one["in_words"]))


def _tried(demand: Demand, strategy: StrategyName, names: Mapping[str, str], currency: str) -> dict[str, Any]:
    """As a decision is kept, whatever the strategy with its cost, so that they compare."""
    chosen = STRATEGIES[strategy].choose(demand)
    if isinstance(chosen, Shortage):
        missing = [*chosen.missing.items(), *((sku, demand.units[sku]) for sku in chosen.unknown)]
        told = ", ".join(f"{units} x {sku}" for sku, units in missing)
        return {"strategy": strategy, "missing": dict(missing), "in_words": f"nothing: {told} missing"}
    route: Route = chosen.route if isinstance(chosen, TooLarge) else chosen
    made: dict[str, Any] = {
        "strategy": route.strategy,
        "chosen": [[pick.warehouse, pick.sku, pick.quantity] for pick in route.picks],
        "cost_minor": to_minor(cost_of(demand, route.picks)),
        "gap_permille": route.gap_permille,
        "candidates": [candidate.as_json() for candidate in route.candidates],
        "note": route.note,
    }
    return {**made, "in_words": in_words(made, names, currency)}


async def _demand(units: Mapping[str, int], to: Destination | None, order_id: UUID | None) -> Demand:
    """The rows as they stand; what the order itself holds counts as free, for it is asked about anew."""
    async with reading(BY_SERVICE["inventory"]) as connection:

        async def read(table: Table[Any], where: str = "", **known: object) -> list[Any]:
            query = f"SELECT {', '.join(table.columns)} FROM inventory.{table.name} {where}"
            return [table.row(**row) for row in await rows(connection, query, **known)]

        skus = {"skus": list(units)}
        warehouses: list[Warehouse] = await read(WAREHOUSES)
        shelves: list[Shelf] = await read(SHELVES, "WHERE sku = ANY(:skus)", **skus)
        products: list[Product] = await read(PRODUCTS, "WHERE sku = ANY(:skus)", **skus)
        dispatches: list[Dispatch] = await read(DISPATCHES)
        own: list[Reservation] = await read(RESERVATIONS, "WHERE order_id = :id", id=order_id)
        booked: list[Booking] = await read(BOOKINGS, "WHERE order_id = :id", id=order_id)
    free = _held_by(own)
    counted = {(code, booking.day) for booking in booked for code in booking.warehouses}
    shelves = [replace(shelf, on_hand=shelf.on_hand + free.get((shelf.sku, shelf.warehouse), 0)) for shelf in shelves]
    today = datetime.now(UTC).date()
    return Demand(
        units=units,
        shelves={sku: [shelf for shelf in shelves if shelf.sku == sku] for sku in units},
        warehouses={warehouse.code: warehouse for warehouse in warehouses},
        products={product.sku: product for product in products},
        shipments={
            dispatch.warehouse: dispatch.on(today).shipments - ((dispatch.warehouse, today) in counted)
            for dispatch in dispatches
        },
        to=locate(to),
    )


def _held_by(own: Iterable[Reservation]) -> dict[tuple[str, str], int]:
    living = (ReservationStatus.HELD, ReservationStatus.COMMITTED)
    return {(pick.sku, pick.warehouse): pick.left for one in own if one.status in living for pick in one.taken}


def _changed(demand: Demand, there: Mapping[tuple[str, str], int], costs: Mapping[str, int]) -> Demand:
    """The same with other stock and other costs."""
    for code in {*costs, *(code for code, _ in there)} - demand.warehouses.keys():
        raise fail(f"no warehouse is called {code!r}")
    shelves = {sku: list(of) for sku, of in demand.shelves.items()}
    for (code, sku), available in there.items():
        if sku not in shelves:
            raise fail(f"{sku} is not in this order")
        others = [shelf for shelf in shelves[sku] if shelf.warehouse != code]
        shelves[sku] = [*others, Shelf(sku, code, on_hand=available)]
    warehouses = {
        code: replace(warehouse, shipment_minor=costs.get(code, warehouse.shipment_minor))
        for code, warehouse in demand.warehouses.items()
    }
    return replace(demand, shelves=shelves, warehouses=warehouses)


def _destination(to: str, known: Mapping[str, Any] | None) -> Destination | None:
    try:
        if to:
            country, city, region, *_ = [*(part.strip() for part in to.split(",")), "", ""]
            return Destination(country=country, city=city, region=region)
        if known:
            address = known["shipping_address"]
            return Destination(**{name: address[name] for name in Destination.model_fields if name in address})
    except ValidationError as invalid:
        raise fail(f"--to {to}: {invalid.errors()[0]['msg']}") from None
    return None


def _shelf(of: str) -> tuple[str, str]:
    code, _, sku = of.partition("/")
    return code, sku


def _pairs(given: Iterable[str], option: str, name: Any, number: Any) -> list[tuple[Any, Any]]:
    """NAME=NUMBER, as the contracts have them."""
    found = []
    checks: tuple[Callable[[Any], Any], Callable[[Any], Any]] = (
        TypeAdapter(name).validate_python,
        TypeAdapter(number).validate_python,
    )
    for one in given:
        left, _, right = one.rpartition("=")
        try:
            found.append((checks[0](left), checks[1](int(right))))
        except ValueError:
            raise fail(f"{option} {one}: not as it should be, see oms route try --help") from None
    return found

"""A world in which units break that were promised, and what its tests ask of it."""

from typing import Any

from contracts.inventory import ReceiveStock, StockReceipt
from contracts.order import OrderShortageEvent
from contracts.product import DescribeProduct
from contracts.shortage import AnswerShortage, Choice
from contracts.warehousing import CorrectStock
from services.inventory.tables import SHELVES
from services.orchestrator.tables import RUNS
from services.order.tables import ORDERS
from tests.simulation.invariants import broken_now
from tests.support.world import START, World


def a_world(**stock: int) -> World:
    world = World()
    receipts = tuple(StockReceipt(sku=sku, warehouse="north", quantity=units) for sku, units in stock.items())
    world.hears(ReceiveStock(reference="first", receipts=receipts), source="warehouse")
    product = {"sku": "tea", "substitutes": ["assam"], "lead_days": 10, "as_of": START}
    world.hears(DescribeProduct.model_validate(product), source="ops")
    return world


def lose(world: World, units: int, sku: str = "tea", reference: str = "broken") -> None:
    fact = CorrectStock(reference=reference, sku=sku, warehouse="north", delta=-units, reason="broken", by="ann")
    world.hears(fact, source="ops")


def told(world: World, type_: type[Any]) -> list[Any]:
    return [event for event in world.told("demo-shop") if isinstance(event, type_)]


def answer(world: World, choice: Choice, substitute: str | None = None, **changes: Any) -> None:
    [*_, short] = told(world, OrderShortageEvent)
    wish = {"order_id": short.order_id, "shortage_id": short.detail["shortage_id"], "choice": choice}
    world.hears(AnswerShortage.model_validate({**wish, "substitute": substitute} | changes))


def order_of(world: World, checkout_id: str) -> Any:
    [order] = [row for row in world.store("order").rows(ORDERS) if row.checkout_id == checkout_id]
    return order


def shelf(world: World, sku: str = "tea") -> tuple[int, int, int, int]:
    row = world.store("inventory").row(SHELVES, sku, "north")
    return row.on_hand, row.held, row.allocated, row.short


def paid_back(world: World) -> int:
    return sum(payment["refunded_minor"] for payment in world.provider.books()["payments"])


def ended(world: World) -> bool:
    runs_over = all(run.changing is None for run in world.store("orchestrator").rows(RUNS))
    shelves_whole = all(row.short == 0 for row in world.store("inventory").rows(SHELVES))
    return runs_over and shelves_whole and broken_now(world) == []

"""A world in which units break that were promised, and what its tests ask of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from contracts.fulfillment import OrderShipment, ReportShipment
from contracts.inventory import ReceiveStock, StockReceipt
from contracts.message import Message
from contracts.order import OrderShortageEvent
from contracts.product import DescribeProduct
from contracts.shortage import AmendShipment, AnswerShortage, Choice
from contracts.values import FulfillmentStatus
from contracts.warehousing import CorrectStock
from services.inventory.tables import SHELVES
from services.orchestrator.tables import RUNS
from services.order.tables import ORDERS
from shared.relay import Parcel
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


def shipments(world: World) -> list[tuple[UUID, list[tuple[str, int]]]]:
    """As the warehouse knows them: what was ordered, as it was amended."""
    known: dict[UUID, list[tuple[str, int]]] = {}
    for said in world.said_to("warehouse.orders"):
        if isinstance(said, OrderShipment | AmendShipment):
            known[said.fulfillment_id] = [(pick.sku, pick.quantity) for pick in said.picks]
    return [(id_, picks) for id_, picks in known.items() if picks]


def withhold(monkeypatch: pytest.MonkeyPatch, world: World, what: type[Message]) -> None:
    """The broker takes no message of this type until `monkeypatch.undo`."""
    publish = world.publish

    async def withheld(parcels: Sequence[Parcel]) -> list[Parcel]:
        return await publish([one for one in parcels if all(row.head["type"] != what.full_type for _, row in one.rows)])

    monkeypatch.setattr(world, "publish", withheld)


def deliver(world: World, *skus: str) -> None:
    """All that is under way, or shipments that hold these."""
    for id_, picks in shipments(world):
        if skus and not any(sku in skus for sku, _ in picks):
            continue
        for status in (FulfillmentStatus.ACKNOWLEDGED, FulfillmentStatus.SHIPPED, FulfillmentStatus.DELIVERED):
            report = ReportShipment(
                report_id=f"{id_}/{status}", fulfillment_id=id_, status=status, occurred_at=world.now
            )
            world.hears(report, source="warehouse")


def paid_back(world: World) -> int:
    return sum(payment["refunded_minor"] for payment in world.provider.books()["payments"])


def ended(world: World) -> bool:
    runs_over = all(run.changing is None for run in world.store("orchestrator").rows(RUNS))
    shelves_whole = all(row.short == 0 for row in world.store("inventory").rows(SHELVES))
    return runs_over and shelves_whole and broken_now(world) == []

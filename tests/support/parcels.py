"""Shipments in a world, as the warehouse knows them; and a broker that keeps something back."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from contracts.fulfillment import OrderShipment, ReportShipment
from contracts.message import Message
from contracts.shortage import AmendShipment
from contracts.values import FulfillmentStatus
from shared.relay import Parcel
from tests.support.world import World


def shipments(world: World) -> list[tuple[UUID, list[tuple[str, int]]]]:
    """As the warehouse knows them: what was ordered, as it was amended."""
    known: dict[UUID, list[tuple[str, int]]] = {}
    for said in world.said_to("warehouse.orders"):
        if isinstance(said, OrderShipment | AmendShipment):
            known[said.fulfillment_id] = [(pick.sku, pick.quantity) for pick in said.picks]
    return [(id_, picks) for id_, picks in known.items() if picks]


def report(world: World, shipment: UUID, status: FulfillmentStatus) -> None:
    said = ReportShipment(
        report_id=f"{shipment}/{status}", fulfillment_id=shipment, status=status, occurred_at=world.now
    )
    world.hears(said, source="warehouse")


def deliver(world: World, *skus: str) -> None:
    """All that is under way, or shipments that hold these."""
    for id_, picks in shipments(world):
        if skus and not any(sku in skus for sku, _ in picks):
            continue
        for status in (FulfillmentStatus.ACKNOWLEDGED, FulfillmentStatus.SHIPPED, FulfillmentStatus.DELIVERED):
            report(world, id_, status)


def withhold(monkeypatch: pytest.MonkeyPatch, world: World, what: type[Message]) -> None:
    """The broker takes no message of this type until `monkeypatch.undo`."""
    publish = world.publish

    async def withheld(parcels: Sequence[Parcel]) -> list[Parcel]:
        return await publish([one for one in parcels if all(row.head["type"] != what.full_type for _, row in one.rows)])

    monkeypatch.setattr(world, "publish", withheld)

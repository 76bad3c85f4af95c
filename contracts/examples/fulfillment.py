"""Shipments: asked for, packed, stopped; and what warehouses are told and report."""

from typing import Final

from contracts.examples.facts import HOME, NOON, ORDER, PICKS, SHIPMENT, SHIPMENT_2, TRACKING
from contracts.fulfillment import (
    FulfillmentRequested,
    OrderShipment,
    ReportShipment,
    RequestFulfillment,
    ShipmentsStopped,
    StopShipments,
)
from contracts.message import Message
from contracts.values import FulfillmentStatus

MESSAGES: Final[tuple[Message, ...]] = (
    RequestFulfillment(order_id=ORDER, ship_to=HOME, picks=PICKS),
    FulfillmentRequested(order_id=ORDER, fulfillment_ids=(SHIPMENT, SHIPMENT_2)),
    StopShipments(order_id=ORDER),
    ShipmentsStopped(order_id=ORDER, kept=PICKS[:1]),
)

WAREHOUSES: Final[tuple[Message, ...]] = (
    OrderShipment(fulfillment_id=SHIPMENT, order_id=ORDER, warehouse="north", ship_to=HOME, picks=PICKS[:1]),
    ReportShipment(
        report_id=f"{SHIPMENT}/shipped",
        fulfillment_id=SHIPMENT,
        status=FulfillmentStatus.SHIPPED,
        carrier="Sandbox Parcel",
        tracking_number=TRACKING,
        occurred_at=NOON,
    ),
)

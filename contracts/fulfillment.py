"""Shipments: asked for by the saga, ordered from warehouses, reported by them."""

from uuid import UUID

from pydantic import Field

from contracts.message import Command, Fact, Reply, Request
from contracts.values import Address, FulfillmentStatus, Instant, Kits, Pick, Reference, Text, WarehouseCode

WAREHOUSE_REPORTS = "warehouse.reports"


class RequestFulfillment(Command, topic="fulfillment.request_fulfillment", heard_by="fulfillment"):
    """Create one fulfillment per warehouse of the picks and order it there."""

    order_id: UUID
    ship_to: Address
    picks: tuple[Pick, ...]
    kits: Kits = Field(default_factory=dict)


class FulfillmentRequested(Reply, topic="fulfillment.fulfillment_requested"):
    order_id: UUID
    fulfillment_ids: tuple[UUID, ...]


class StopShipments(Command, topic="fulfillment.stop_shipments", heard_by="fulfillment"):
    """Nothing more is to leave for this order: every shipment that is not packed up yet is called off."""

    order_id: UUID


class ShipmentsStopped(Reply, topic="fulfillment.shipments_stopped"):
    order_id: UUID
    kept: tuple[Pick, ...] = ()
    """What is in a labeled parcel or has left: it cannot be stopped."""


class OrderShipment(Command, topic="warehouse.order_shipment", heard_by="warehouse.orders"):
    """To a warehouse: pick, pack and ship this. `fulfillment_id` is the key: the same one twice is the same
    shipment."""

    fulfillment_id: UUID
    order_id: UUID
    warehouse: WarehouseCode
    ship_to: Address
    picks: tuple[Pick, ...]
    kits: Kits = Field(default_factory=dict)
    """Put these together before you pack them."""


class ReportShipment(Request, topic="warehouse.report_shipment", heard_by=WAREHOUSE_REPORTS):
    """From a warehouse: how one of its shipments stands. Repeated and late reports are recognised by the status."""

    report_id: Reference
    fulfillment_id: UUID
    status: FulfillmentStatus
    carrier: Text = ""
    tracking_number: Text = ""
    occurred_at: Instant


class FulfillmentProgressed(Fact, topic="fulfillment.progressed", heard_by="order"):
    """To the order's story: a shipment moved."""

    order_id: UUID
    fulfillment_id: UUID
    warehouse: WarehouseCode
    status: FulfillmentStatus
    picks: tuple[Pick, ...]
    carrier: Text = ""
    tracking_number: Text = ""
    occurred_at: Instant

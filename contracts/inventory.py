"""Stock: hold, commit, release, ship, receive."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.message import Command, Fact, Local, Reply
from contracts.values import MAX_LINES, Instant, Pick, Reference, Sku, SkuQuantity, Text, Value, WarehouseCode


class HoldStock(Command, topic="inventory.hold_stock", heard_by="inventory"):
    """Hold every line or none, until `hold_for_s` seconds from now."""

    order_id: UUID
    lines: Annotated[tuple[SkuQuantity, ...], Field(min_length=1, max_length=MAX_LINES)]
    hold_for_s: Annotated[float, Field(gt=0)]


class StockHeld(Reply, topic="inventory.stock_held"):
    order_id: UUID
    until: Instant
    picks: tuple[Pick, ...]
    """Which warehouse gives how many of what."""


class StockShort(Reply, topic="inventory.stock_short"):
    """Not enough, or a SKU nobody knows: nothing is held."""

    order_id: UUID
    missing: tuple[SkuQuantity, ...]
    unknown: tuple[Sku, ...] = ()


class ExtendHold(Command, topic="inventory.extend_hold", heard_by="inventory"):
    """The payment method needs longer: keep the hold `hold_for_s` seconds from now, if it still lives."""

    order_id: UUID
    hold_for_s: Annotated[float, Field(gt=0)]


class HoldExtended(Reply, topic="inventory.hold_extended"):
    order_id: UUID
    until: Instant


class ReleaseStock(Command, topic="inventory.release_stock", heard_by="inventory"):
    order_id: UUID
    reason: Reference


class StockReleased(Reply, topic="inventory.stock_released"):
    order_id: UUID


class CommitStock(Command, topic="inventory.commit_stock", heard_by="inventory"):
    """Turn the hold into an allocation. On an expired hold the stock is taken again if it is there."""

    order_id: UUID


class StockCommitted(Reply, topic="inventory.stock_committed"):
    order_id: UUID
    picks: tuple[Pick, ...]


class StockGone(Reply, topic="inventory.stock_gone"):
    """The hold had expired and the stock is sold: the order can't be kept."""

    order_id: UUID
    missing: tuple[SkuQuantity, ...]


class ReservationExpired(Reply, topic="inventory.reservation_expired", interim=True):
    """The hold's timer rang and the stock went back. Said to the run that asked for the hold, under the hold's key.

    Interim: the stored answer of that key stays what became of the hold (`StockHeld`)."""

    order_id: UUID


class HoldLapsed(Local, topic="inventory.hold_lapsed", heard_by="inventory"):
    """The timer of a hold rang."""

    order_id: UUID


class ShipStock(Fact, topic="inventory.ship_stock", heard_by="inventory"):
    """A shipment left the warehouse: what was allocated is no longer on hand."""

    order_id: UUID
    fulfillment_id: UUID
    picks: tuple[Pick, ...]


class StockReceipt(Value):
    """`safety_stock` raises what a shelf keeps back from new holds; a receipt never lowers it."""

    sku: Sku
    warehouse: WarehouseCode
    quantity: Annotated[int, Field(ge=1, le=10**9)]
    safety_stock: Annotated[int, Field(ge=0, le=10**9)] = 0


class ReceiveStock(Fact, topic="inventory.receive_stock", heard_by="inventory"):
    """Goods arrived. Each receipt makes its shelf, and its warehouse, if there is none yet.

    `reference` names the delivery: said twice, it counts once; with other content it is parked."""

    reference: Reference
    receipts: Annotated[tuple[StockReceipt, ...], Field(min_length=1, max_length=500)]


class DescribeWarehouse(Fact, topic="inventory.describe_warehouse", heard_by="inventory"):
    """What a warehouse is called and when its turn is: the lowest `priority` gives first. An older word
    changes nothing."""

    warehouse: WarehouseCode
    name: Text = ""
    priority: Annotated[int, Field(ge=0, le=1_000_000)]
    as_of: Instant


class StockArrived(Local, topic="inventory.stock_arrived", heard_by="inventory"):
    """Units of these SKUs became free: who waits for them may have them."""

    skus: Annotated[tuple[Sku, ...], Field(min_length=1, max_length=500)]

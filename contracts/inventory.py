"""Stock: hold, commit, release, ship, receive."""

from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import Field, model_validator

from contracts.message import Command, Fact, Local, Reply
from contracts.values import (
    MAX_LINES,
    Destination,
    Instant,
    Kits,
    Latitude,
    Longitude,
    Minor,
    Pick,
    Reference,
    Sku,
    SkuQuantity,
    Text,
    Value,
    Wait,
    WarehouseCode,
)

MAX_BANDS: Final = 20
MAX_SHIPMENT_MINOR: Final = 10**9
MAX_KG_MINOR: Final = 10**7
AROUND_THE_WORLD_KM: Final = 20_100
"""Nothing on Earth is farther."""


class HoldStock(Command, topic="inventory.hold_stock", heard_by="inventory"):
    """Hold every line or none, until `hold_for_s` seconds from now."""

    order_id: UUID
    lines: Annotated[tuple[SkuQuantity, ...], Field(min_length=1, max_length=MAX_LINES)]
    hold_for_s: Annotated[float, Field(gt=0)]
    ship_to: Destination | None = None
    customer_class: Text = ""
    prices_minor: Annotated[dict[Sku, Minor], Field(max_length=MAX_LINES)] = Field(default_factory=dict)
    """What a unit cost: a shortage may be asked to hit where the least money goes back."""


class StockHeld(Reply, topic="inventory.stock_held"):
    order_id: UUID
    until: Instant
    picks: tuple[Pick, ...]
    """Which warehouse gives how many of what."""
    waits: tuple[Wait, ...] = ()
    """What is promised for later: it is on its way, not released yet, or still to be made."""


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
    keep: tuple[Pick, ...] = ()
    """In parcels that leave all the same, or have left: allocated until they ship. Everything else is free again."""


class StockReleased(Reply, topic="inventory.stock_released"):
    order_id: UUID


class CommitStock(Command, topic="inventory.commit_stock", heard_by="inventory"):
    """Turn the hold into an allocation. On an expired hold the stock is taken again if it is there."""

    order_id: UUID
    ship_to: Destination | None = None


class StockCommitted(Reply, topic="inventory.stock_committed"):
    order_id: UUID
    picks: tuple[Pick, ...]
    waits: tuple[Wait, ...] = ()
    kits: Kits = Field(default_factory=dict)


class StockGone(Reply, topic="inventory.stock_gone"):
    """The hold had expired and the stock is sold: the order can't be kept."""

    order_id: UUID
    missing: tuple[SkuQuantity, ...]


class ReservationExpired(Reply, topic="inventory.reservation_expired", interim=True):
    """The hold is over, by its timer or because its units are not there (`reason`), and the stock went back. Said to
    the run that asked for the hold, under the hold's key.

    Interim: the stored answer of that key stays what became of the hold (`StockHeld`)."""

    order_id: UUID
    reason: Text = ""


class HoldLapsed(Local, topic="inventory.hold_lapsed", heard_by="inventory"):
    """The timer of a hold rang."""

    order_id: UUID


class StockArrived(Local, topic="inventory.stock_arrived", heard_by="inventory"):
    """Units of a SKU may have become free, or its release date has come: the oldest promises are served first."""

    sku: Sku


class WaitingServed(Fact, topic="inventory.waiting_served", heard_by="orchestrator"):
    """What a paid order waited for is allocated to it: it can be sent."""

    order_id: UUID
    serving_id: UUID
    picks: tuple[Pick, ...]


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


class DistanceBand(Value):
    """Carriage by weight, for destinations up to so far."""

    up_to_km: Annotated[int, Field(ge=1, le=AROUND_THE_WORLD_KM)]
    minor_per_kg: Annotated[int, Field(ge=0, le=MAX_KG_MINOR)]


class DescribeWarehouse(Fact, topic="inventory.describe_warehouse", heard_by="inventory"):
    """What a warehouse is called, when its turn is (the lowest `priority` gives first), where it stands and what its
    shipments cost. An older word changes nothing; what the latest leaves out, but for the name, is not so."""

    warehouse: WarehouseCode
    name: Text = ""
    priority: Annotated[int, Field(ge=0, le=1_000_000)]
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    shipment_minor: Annotated[int, Field(ge=0, le=MAX_SHIPMENT_MINOR)] = 0
    """What a shipment costs, whatever is in it, in minor units of the currency all warehouses are described in."""
    bands: Annotated[tuple[DistanceBand, ...], Field(max_length=MAX_BANDS)] = ()
    """What a kilogram costs by distance; beyond the last band, and where no distance is known, as in the last one."""
    daily_shipments: Annotated[int, Field(ge=0, le=10**9)] | None = None
    """Orders it can take on a day (UTC); none: as many as come."""
    as_of: Instant

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude come together")
        reaches = [band.up_to_km for band in self.bands]
        if reaches != sorted(set(reaches)):
            raise ValueError("each band reaches farther than the one before")
        return self


class ProposedPick(Value):
    """So many units of a SKU out of one warehouse, as a solver proposes them."""

    warehouse: WarehouseCode
    sku: Sku
    quantity: Annotated[int, Field(ge=1)]


class RouteProposed(Local, topic="inventory.route_proposed", heard_by="inventory"):
    """What the solver found for an order too large to be routed exactly in a decision."""

    order_id: UUID
    question_id: UUID
    hold: HoldStock
    outcome: Reference
    """optimal, feasible (with a gap), unknown"""
    picks: tuple[ProposedPick, ...] = ()
    gap_permille: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How much cheaper it might be at most, in thousandths of its cost; none: not known."""


class QuestionOverdue(Local, topic="inventory.question_overdue", heard_by="inventory"):
    """The timer of a question to the solver rang: whoever computed it may have died."""

    order_id: UUID
    question_id: UUID
    hold: HoldStock

"""Warehousing: what comes back, what a count finds, what travels between warehouses, what is kept back."""

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from contracts.message import Fact
from contracts.values import MAX_LINES, Instant, Reference, Sku, SkuQuantity, Text, Units, Value, WarehouseCode

MAX_UNITS = 10**9
MAX_COUNTS = 500
"""Lines of one count: each locks a shelf. A whole warehouse is counted in several."""

UnitsThere = Annotated[int, Field(ge=0, le=MAX_UNITS)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Verdict(StrEnum):
    """What inspection says of goods that came back."""

    RESTOCK = "restock"  # as good as new: on hand again
    DISPOSE = "dispose"  # not to be sold: never on hand again


class InspectedLine(Value):
    sku: Sku
    quantity: Units
    verdict: Verdict


class ReturnStock(Fact, topic="inventory.return_stock", heard_by="inventory"):
    """Goods of an order came back and were inspected. Counted once per `return_id`; never more than were shipped."""

    order_id: UUID
    return_id: Reference
    warehouse: WarehouseCode
    lines: Annotated[tuple[InspectedLine, ...], Field(min_length=1, max_length=MAX_LINES)]
    as_of: Instant


class CorrectStock(Fact, topic="inventory.correct_stock", heard_by="inventory"):
    """The books are wrong by `delta` units, and why. What is promised beyond what lies there then is short."""

    reference: Reference
    sku: Sku
    warehouse: WarehouseCode
    delta: Annotated[int, Field(ge=-MAX_UNITS, le=MAX_UNITS)]
    reason: Reason
    by: Reference

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.delta == 0:
            raise ValueError("a correction of nothing")
        return self


class CountedUnits(Value):
    """`expected`: what the books said when it was counted, where the counter was shown it. Then the difference is known
    whatever moved since; without it, a shelf that moved since is to be counted again."""

    sku: Sku
    counted: UnitsThere
    expected: UnitsThere | None = None


class CountStock(Fact, topic="inventory.count_stock", heard_by="inventory"):
    """A stock-take: what lay in a warehouse at `as_of`. Said twice under one reference, it counts once."""

    reference: Reference
    warehouse: WarehouseCode
    counts: Annotated[tuple[CountedUnits, ...], Field(min_length=1, max_length=MAX_COUNTS)]
    as_of: Instant
    by: Reference

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len({line.sku for line in self.counts}) < len(self.counts):
            raise ValueError("a SKU is counted twice")
        return self


class SetSafetyStock(Fact, topic="inventory.set_safety_stock", heard_by="inventory"):
    """How many units of a shelf are kept back from new holds. The latest `as_of` counts, an older word changes
    nothing."""

    sku: Sku
    warehouse: WarehouseCode
    units: UnitsThere
    as_of: Instant


class RequestTransfer(Fact, topic="inventory.request_transfer", heard_by="inventory"):
    """Units are to go from one warehouse to another. Nothing is held until they are sent."""

    transfer_id: Reference
    origin: WarehouseCode
    destination: WarehouseCode
    lines: Annotated[tuple[SkuQuantity, ...], Field(min_length=1, max_length=MAX_LINES)]
    by: Reference

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.origin == self.destination:
            raise ValueError("a transfer goes somewhere else")
        if len({line.sku for line in self.lines}) < len(self.lines):
            raise ValueError("a SKU is there twice")
        return self


class SendTransfer(Fact, topic="inventory.send_transfer", heard_by="inventory"):
    """It left its origin, as far as the units are promised to nobody there."""

    transfer_id: Reference


class ArrivedUnits(Value):
    sku: Sku
    quantity: UnitsThere


class ReceiveTransfer(Fact, topic="inventory.receive_transfer", heard_by="inventory"):
    """It came to its destination. `differing` names only what is not as it was sent; when nothing came, it is lost."""

    transfer_id: Reference
    differing: Annotated[tuple[ArrivedUnits, ...], Field(max_length=MAX_LINES)] = ()
    reason: Text = ""

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len({line.sku for line in self.differing}) < len(self.differing):
            raise ValueError("a SKU is there twice")
        return self


class CancelTransfer(Fact, topic="inventory.cancel_transfer", heard_by="inventory"):
    """It is not sent after all. What has left can only be received, or lost."""

    transfer_id: Reference
    reason: Reason

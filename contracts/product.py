"""Products: what is known of a SKU beyond how many there are. A SKU nobody described is plain stock."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.message import Fact
from contracts.values import MAX_QUANTITY, Instant, Sku, WarehouseCode

MAX_PARTS = 50
MAX_WEIGHT_G = 10_000_000


class Supply(StrEnum):
    """Where the units of an order come from."""

    STOCK = "stock"  # what lies there, and no more
    BACKORDER = "backorder"  # what lies there, then up to `limit` units that are on their way
    PREORDER = "preorder"  # up to `limit` units before `release_at`; after that plain stock
    MADE_TO_ORDER = "made_to_order"  # made for each order, `lead_days` long
    KIT = "kit"  # put together from `parts` in one warehouse


class DescribeProduct(Fact, topic="inventory.describe_product", heard_by="inventory"):
    """What a SKU is. The latest `as_of` counts, an older word changes nothing."""

    sku: Sku
    supply: Supply = Supply.STOCK
    weight_g: Annotated[int, Field(ge=0, le=MAX_WEIGHT_G)] = 0
    limit: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Backorder: units promised beyond stock, at most. Pre-order: units promised before release, at most."""
    lead_days: Annotated[int, Field(ge=0, le=3650)] = 0
    """Backorder and made to order: what is promised today is promised for so many days from now."""
    release_at: Instant | None = None
    parts: Annotated[dict[Sku, Annotated[int, Field(ge=1, le=MAX_QUANTITY)]], Field(max_length=MAX_PARTS)] = Field(
        default_factory=dict
    )
    """Units of each component in one kit."""
    substitutes: Annotated[tuple[Sku, ...], Field(max_length=10)] = ()
    """What a customer may be offered instead, best first."""
    not_from: Annotated[tuple[WarehouseCode, ...], Field(max_length=100)] = ()
    """Warehouses that cannot ship it."""
    as_of: Instant

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Each way of supply has what it needs, and no other's."""
        if (self.supply is Supply.PREORDER) != (self.release_at is not None):
            raise ValueError("a pre-order, and nothing else, has a release date")
        if (self.supply is Supply.KIT) != bool(self.parts):
            raise ValueError("a kit, and nothing else, has parts")
        if self.sku in self.parts or self.sku in self.substitutes:
            raise ValueError("nothing is a part of, or a substitute for, itself")
        return self

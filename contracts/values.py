"""Values that several messages share. Money is integer minor units and an ISO 4217 code, never a float."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_LINES = 100
"""Lines per order: bounds every per-order loop and row set."""
MAX_QUANTITY = 10_000
MAX_AMOUNT_MINOR = 10**12
"""Ten thousand million in a currency with two decimals: keeps every sum far inside 64 bits."""

Sku = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
WarehouseCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
Text = Annotated[str, StringConstraints(max_length=200)]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY, strict=True)]
Units = Annotated[int, Field(ge=1, le=MAX_LINES * MAX_QUANTITY, strict=True)]
"""Units of one SKU over all lines of an order, which may name it more than once."""
Minor = Annotated[int, Field(ge=0, le=MAX_AMOUNT_MINOR, strict=True)]
Instant = Annotated[datetime, AwareDatetime]
OrderId = UUID


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Money(Value):
    """An amount in minor units (cents, yen, fils) of one currency."""

    amount_minor: Minor
    currency: Currency


Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]


class Address(Value):
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    line1: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    line2: Text = ""
    city: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    postal_code: Annotated[str, StringConstraints(max_length=20)] = ""
    region: Annotated[str, StringConstraints(max_length=100)] = ""
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class Located(Value):
    """Degrees, where they are known."""

    latitude: Latitude | None = None
    longitude: Longitude | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude come together")
        return self


class ShippingAddress(Located, Address):
    """An address a storefront may have found on the map; further on it travels as an address and a destination."""


class Destination(Located):
    """Where to, as far as the choice of warehouses cares: nobody's name and no street."""

    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    region: Annotated[str, StringConstraints(max_length=100)] = ""
    city: Annotated[str, StringConstraints(max_length=100)] = ""
    postal_code: Annotated[str, StringConstraints(max_length=20)] = ""


class Customer(Value):
    reference: Reference
    email: Annotated[str, StringConstraints(max_length=254)] = ""


class SkuQuantity(Value):
    sku: Sku
    quantity: Units


class Pick(Value):
    """So many units of a SKU out of one warehouse."""

    warehouse: WarehouseCode
    sku: Sku
    quantity: Units


Kits = Annotated[dict[Sku, dict[Sku, Quantity]], Field(max_length=MAX_LINES)]
"""Which of the SKUs are kits, to be put together where they are picked: units of each component in one of it."""


class WaitKind(StrEnum):
    """Why units are promised that are not there."""

    BACKORDER = "backorder"
    PREORDER = "preorder"
    PRODUCTION = "production"


class Wait(Value):
    """So many units of a SKU that are promised for later."""

    sku: Sku
    quantity: Units
    kind: WaitKind
    promised_at: Instant


class FulfillmentStatus(StrEnum):
    """The life of a shipment (REQUIREMENTS F1)."""

    PENDING = "pending"
    ACKNOWLEDGED = "acknowledged"
    PICKING = "picking"
    PICKED = "picked"
    PACKING = "packing"
    PACKED = "packed"
    LABELED = "labeled"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    ON_HOLD = "on_hold"
    AWAITING_STOCK = "awaiting_stock"
    IN_PRODUCTION = "in_production"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    LOST = "lost"

"""What all examples are about: the same order, its customer, its goods and its ids."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from contracts.checkout import PaymentToken
from contracts.values import Address, Customer, Money, Pick, SkuQuantity

NOON: Final = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)
ORDER: Final = UUID("0195567a-2b00-7000-8000-000000000001")
REFUND: Final = UUID("0195567a-2b00-7000-8000-000000000002")
SHIPMENT: Final = UUID("0195567a-2b00-7000-8000-000000000003")
SHIPMENT_2: Final = UUID("0195567a-2b00-7000-8000-000000000004")
ATTEMPT: Final = UUID("0195567a-2b00-7000-8000-000000000005")
RUN: Final = UUID("0195567a-2b00-7000-8000-000000000006")
ENTRY: Final = UUID("5e0a9c60-7a4f-5d5c-9a53-2f2f6f0b1c11")
FEED: Final = UUID("0195567a-2b00-7000-8000-000000000007")
REQUEST_ID: Final = "7b1c3f0e-5a39-4c8e-9d0b-2f6f3d1a9e77"
CHECKOUT: Final = "cart-20260302-0815"
STOREFRONT: Final = "demo-shop"
TRACKING: Final = "SP000000004711"
ADA: Final = Customer(reference="customer-1815", email="ada@example.com")
HOME: Final = Address(
    name="Ada Lovelace", line1="12 Analytical Row", city="London", postal_code="N1 9GU", region="", country="GB"
)
TOKEN: Final = PaymentToken(method="card", token="tok_ok")
PICKS: Final = (
    Pick(warehouse="north", sku="TEA-EARL-GREY", quantity=2),
    Pick(warehouse="east", sku="CUP-BLUE", quantity=1),
)
LINES: Final = (SkuQuantity(sku="TEA-EARL-GREY", quantity=2), SkuQuantity(sku="CUP-BLUE", quantity=1))
SHORT: Final = (SkuQuantity(sku="CUP-BLUE", quantity=1),)


def eur(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="EUR")

"""Checkouts as storefronts place them, whole and adding up."""

from contracts.checkout import CheckoutLine, PaymentToken, PlaceCheckout
from contracts.values import Customer, Money, ShippingAddress

ADDRESS = ShippingAddress(name="Ada Byron", line1="1 Analytical Lane", city="London", postal_code="W1", country="GB")
CURRENCY = "EUR"


def money(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency=CURRENCY)


def a_checkout(
    checkout_id: str,
    lines: dict[str, int],
    *,
    token: str | None = "tok_ok",
    method: str = "card",
    unit_price_minor: int = 1_999,
    tax_minor: int = 380,
    shipping_minor: int = 490,
) -> PlaceCheckout:
    """`token` None: the payment follows."""
    goods = sum(quantity * unit_price_minor for quantity in lines.values())
    return PlaceCheckout(
        checkout_id=checkout_id,
        customer=Customer(reference=f"customer-of-{checkout_id}"),
        shipping_address=ADDRESS,
        lines=tuple(
            CheckoutLine(sku=sku, quantity=quantity, unit_price=money(unit_price_minor))
            for sku, quantity in lines.items()
        ),
        tax=money(tax_minor),
        shipping=money(shipping_minor),
        total=money(goods + tax_minor + shipping_minor),
        payment=None if token is None else PaymentToken(method=method, token=token),
    )

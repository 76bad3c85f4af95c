"""What a storefront says: one message places an order; a later one may bring the payment, ask a refund or a replay."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.message import Event, Request
from contracts.values import (
    MAX_LINES,
    Address,
    Customer,
    Money,
    Quantity,
    Reference,
    ShippingAddress,
    Sku,
    Text,
    Value,
)

STOREFRONT_REQUESTS = "storefront.requests"
"""The queue every storefront publishes to, through the exchange ``waybill.requests``."""


class CheckoutLine(Value):
    sku: Sku
    quantity: Quantity
    unit_price: Money


class PaymentToken(Value):
    """What the payment provider gave the storefront for the customer's instrument; never a card number."""

    method: Reference = "card"
    token: Reference


class PlaceCheckout(Request, topic="checkout.place", heard_by=STOREFRONT_REQUESTS):
    """Place an order. `checkout_id` is the idempotency key: the same id and content gets the same answer,
    the same id with other content is refused as ``key_reused``.

    ``total = sum(quantity x unit_price) - discount + tax + shipping + shipping_tax``, all in one currency.
    Answered at once by `CheckoutAccepted` or `CheckoutRefused`, later by the order's events.
    """

    checkout_id: Reference
    customer: Customer
    shipping_address: ShippingAddress
    billing_address: Address | None = None
    lines: Annotated[tuple[CheckoutLine, ...], Field(min_length=1, max_length=MAX_LINES)]
    discount: Money | None = None
    tax: Money | None = None
    shipping: Money | None = None
    shipping_tax: Money | None = None
    total: Money
    payment: PaymentToken | None = None
    """None: "payment follows" by `ProvidePayment`; silence lets the reservation expire."""
    customer_class: Text = ""
    """A name of yours, such as ``b-trade``: a shortage may be set to hit the class that comes first by name."""


class ProvidePayment(Request, topic="checkout.provide_payment", heard_by=STOREFRONT_REQUESTS):
    """Bring the payment for a checkout that was placed without one."""

    checkout_id: Reference
    payment: PaymentToken


class RequestRefund(Request, topic="checkout.request_refund", heard_by=STOREFRONT_REQUESTS):
    """Give back part or all of what was paid. `refund_id` is the idempotency key."""

    refund_id: Reference
    order_id: UUID
    amount: Money
    reason: Text = ""


class ReplayOrderEvents(Request, topic="checkout.replay_events", heard_by="order.requests"):
    """Say again the public events of an order after a sequence number (0 for all), same ids, same order."""

    order_id: UUID
    after_sequence: Annotated[int, Field(ge=0)] = 0


class CheckoutAccepted(Event, topic="checkout.accepted"):
    """The checkout is ours now: `order_id` is its order, and events about it follow."""

    checkout_id: Reference
    order_id: UUID


class CheckoutRefused(Event, topic="checkout.refused"):
    """Nothing was done. `reason` is a name a program can compare: key_reused, mixed_currencies, totals_do_not_add_up,
    unknown_checkout, payment_not_expected ..."""

    checkout_id: Reference
    reason: Reference
    detail: Annotated[str, Field(max_length=2000)] = ""


class RefundConcluded(Event, topic="checkout.refund_concluded"):
    """What became of a `RequestRefund`: `refunded`, or refused by name (unknown_order, above_refundable,
    key_reused ...)."""

    refund_id: Reference
    order_id: UUID
    refunded: bool
    amount: Money
    reason: Text = ""

"""What an order is, and what may be decided about it: pure, and answered by name where the answer is no."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from contracts.order import OpenRefund, OrderLine, PlaceOrder
from contracts.values import MAX_LINES
from services.order.lifecycle import (
    REFUND,
    REFUND_STANDING,
    WITH_MONEY,
    OrderState,
    RefundStanding,
    RefundState,
)
from shared.frozen import replace
from shared.machine import Already, Moved, Refused
from shared.money import decimals


@dataclass(frozen=True, slots=True)
class OrderPolicy:
    """What an operator may set about orders."""

    return_window_s: float = 30 * 24 * 3600.0
    """From delivery until the order counts as completed."""


@dataclass(frozen=True, slots=True)
class Order:
    """The header: who, where to, and the sums. Its lines are rows of their own."""

    id: UUID
    storefront: str
    checkout_id: str
    customer_reference: str
    email: str
    currency: str
    shipping_address: dict[str, Any]
    billing_address: dict[str, Any]
    goods_minor: int
    discount_minor: int
    tax_minor: int
    shipping_minor: int
    shipping_tax_minor: int
    total_minor: int
    refunded_minor: int = 0
    refund_reserved_minor: int = 0
    state: OrderState = OrderState.CREATED
    refund_standing: RefundStanding = RefundStanding.NOT_REFUNDED
    last_sequence: int = 0
    last_public_sequence: int = 0
    deleted_at: datetime | None = None
    quote: str = ""
    """What the customer of a transfer must quote, once it is known and told."""
    due_minor: int | None = None
    """Worth of what has left, as far as payment was told; None where the money was captured at once."""
    version: int = 0

    @property
    def refundable_minor(self) -> int:
        return self.total_minor - self.refunded_minor - self.refund_reserved_minor


@dataclass(frozen=True, slots=True)
class Refund:
    """Money of an order set aside to go back."""

    id: UUID
    order_id: UUID
    amount_minor: int
    reason: str
    state: RefundState = RefundState.OPENED
    version: int = 0


@dataclass(frozen=True, slots=True)
class No:
    """Refused, and the name a program can compare."""

    reason: str
    detail: str = ""


def new_order(command: PlaceOrder) -> Order | No:
    """The order as it begins, or what is wrong with it."""
    if refused := _contradiction(command):
        return refused
    shipping = command.shipping_address.model_dump(mode="json")
    billing = command.billing_address.model_dump(mode="json") if command.billing_address else shipping
    return Order(
        id=command.order_id,
        storefront=command.storefront,
        checkout_id=command.checkout_id,
        customer_reference=command.customer.reference,
        email=command.customer.email,
        currency=command.currency,
        shipping_address=shipping,
        billing_address=billing,
        goods_minor=goods_minor(command.lines),
        discount_minor=command.discount_minor,
        tax_minor=command.tax_minor,
        shipping_minor=command.shipping_minor,
        shipping_tax_minor=command.shipping_tax_minor,
        total_minor=command.total_minor,
    )


def goods_minor(lines: Sequence[OrderLine]) -> int:
    return sum(line.quantity * line.unit_price_minor for line in lines)


def _contradiction(command: PlaceOrder) -> No | None:
    if not 1 <= len(command.lines) <= MAX_LINES:
        return No("bad_line_count", f"{len(command.lines)} lines; 1 to {MAX_LINES} are possible")
    if decimals(command.currency) is None:
        return No("unknown_currency", f"{command.currency} is no currency of ISO 4217 that has minor units")
    goods = goods_minor(command.lines)
    if command.discount_minor > goods:
        return No("discount_above_goods", f"{command.discount_minor} off goods of {goods}")
    total = goods - command.discount_minor + command.tax_minor + command.shipping_minor + command.shipping_tax_minor
    if total != command.total_minor:
        return No("totals_do_not_add_up", f"the parts add up to {total}, the total says {command.total_minor}")
    return None


def set_aside(order: Order | None, command: OpenRefund) -> tuple[Order, Refund] | No:
    """Set the money aside, so that refunds at the same time can never together exceed what was paid."""
    if order is None or order.storefront != command.storefront:
        return No("unknown_order")  # whose order it is, is nobody else's business
    if order.state not in WITH_MONEY:
        return No("not_paid")
    if order.currency != command.currency:
        return No("wrong_currency")
    if command.amount_minor > order.refundable_minor:
        return No("above_refundable")
    refund = Refund(command.refund_id, command.order_id, command.amount_minor, command.reason)
    return replace(order, refund_reserved_minor=order.refund_reserved_minor + refund.amount_minor), refund


def same_refund(refund: Refund, command: OpenRefund) -> bool:
    return (refund.order_id, refund.amount_minor, refund.state) == (
        command.order_id,
        command.amount_minor,
        RefundState.OPENED,
    )


def settled(order: Order, refund: Refund) -> tuple[Order, Refund] | Already[RefundState] | No:
    """The money is gone: from set aside to refunded."""
    match REFUND.move(refund.state, "settle"):
        case Moved(to):
            refunded = order.refunded_minor + refund.amount_minor
            on = "refund the rest" if refunded == order.total_minor else "refund part"
            after = replace(
                order,
                refunded_minor=refunded,
                refund_reserved_minor=order.refund_reserved_minor - refund.amount_minor,
                refund_standing=REFUND_STANDING.to(order.refund_standing, on),
            )
            return after, replace(refund, state=to)
        case Already() as already:
            return already
        case Refused(at):
            return No(_ENDED[at])


def given_back(order: Order, refund: Refund) -> tuple[Order, Refund] | Already[RefundState] | No:
    """Nothing went back after all: what was set aside can be refunded again."""
    match REFUND.move(refund.state, "abandon"):
        case Moved(to):
            reserved = order.refund_reserved_minor - refund.amount_minor
            return replace(order, refund_reserved_minor=reserved), replace(refund, state=to)
        case Already() as already:
            return already
        case Refused(at):
            return No(_ENDED[at])


_ENDED: Final[Mapping[RefundState, str]] = {
    RefundState.SETTLED: "already_settled",
    RefundState.ABANDONED: "already_abandoned",
}

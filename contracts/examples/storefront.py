"""What storefronts say, and what they hear."""

from datetime import timedelta
from typing import Final

from contracts.checkout import (
    CheckoutAccepted,
    CheckoutLine,
    CheckoutRefused,
    PlaceCheckout,
    ProvidePayment,
    RefundConcluded,
    ReplayOrderEvents,
    RequestRefund,
)
from contracts.examples.facts import ADA, CHECKOUT, HOME, NOON, ORDER, REQUEST_ID, RUN, TOKEN, TRACKING, eur
from contracts.frame import MessageRefused
from contracts.message import Message
from contracts.order import (
    OrderCancelledEvent,
    OrderCompletedEvent,
    OrderConfirmedEvent,
    OrderDeliveredEvent,
    OrderEvent,
    OrderFulfilledEvent,
    OrderPartiallyFulfilledEvent,
    OrderPaymentFailedEvent,
    OrderPaymentPendingEvent,
    OrderProcessingEvent,
    OrderRefundedEvent,
    OrderReturnedEvent,
    OrderShippedEvent,
    OrderShortageEvent,
    OrderShortageSettledEvent,
    OrderStockArrivedEvent,
)
from contracts.values import ShippingAddress


def _event(
    type_: type[OrderEvent], sequence: int, state: str, *, refunded_minor: int = 0, reason: str = "", **detail: str
) -> OrderEvent:
    return type_(
        order_id=ORDER,
        checkout_id=CHECKOUT,
        sequence=sequence,
        state=state,
        refund_standing="partially_refunded" if refunded_minor else "not_refunded",
        occurred_at=NOON + timedelta(minutes=sequence),
        currency="EUR",
        total_minor=3390,
        refunded_minor=refunded_minor,
        reason=reason,
        detail=detail,
    )


SAID: Final[tuple[Message, ...]] = (
    PlaceCheckout(
        checkout_id=CHECKOUT,
        customer=ADA,
        shipping_address=ShippingAddress(**HOME.model_dump(), latitude=51.5362, longitude=-0.1033),
        lines=(
            CheckoutLine(sku="TEA-EARL-GREY", quantity=2, unit_price=eur(895)),
            CheckoutLine(sku="CUP-BLUE", quantity=1, unit_price=eur(1250)),
        ),
        discount=eur(200),
        tax=eur(0),
        shipping=eur(550),
        shipping_tax=eur(0),
        total=eur(3390),
        payment=TOKEN,
    ),
    ProvidePayment(checkout_id=CHECKOUT, payment=TOKEN),
    RequestRefund(refund_id="refund-0001", order_id=ORDER, amount=eur(1250), reason="the cup arrived broken"),
    ReplayOrderEvents(order_id=ORDER, after_sequence=2),
)

HEARD: Final[tuple[Message, ...]] = (
    CheckoutAccepted(checkout_id=CHECKOUT, order_id=ORDER),
    CheckoutRefused(
        checkout_id=CHECKOUT, reason="totals_do_not_add_up", detail="the parts add up to 3390, the total says 3400"
    ),
    RefundConcluded(refund_id="refund-0001", order_id=ORDER, refunded=True, amount=eur(1250)),
    MessageRefused(
        message_id=REQUEST_ID,
        message_type=PlaceCheckout.full_type,
        reason="wrong_schema",
        detail="lines.0.quantity: Input should be greater than or equal to 1",
    ),
    _event(OrderPaymentPendingEvent, 2, "payment_pending"),
    _event(OrderConfirmedEvent, 3, "paid"),
    _event(OrderCancelledEvent, 3, "cancelled", reason="payment_declined"),
    _event(OrderProcessingEvent, 4, "processing"),
    _event(
        OrderShortageEvent,
        5,
        "processing",
        shortage_id=str(RUN),
        sku="TEA-EARL-GREY",
        quantity="2",
        substitutes="TEA-ASSAM",
        later="2026-03-16T12:00:00+00:00",
        answer_by="2026-03-04T12:00:00+00:00",
    ),
    _event(
        OrderShortageSettledEvent,
        6,
        "processing",
        shortage_id=str(RUN),
        outcome="substitute",
        sku="TEA-EARL-GREY",
        quantity="2",
        substitute="TEA-ASSAM",
    ),
    _event(
        OrderPaymentFailedEvent,
        6,
        "partially_fulfilled",
        reason="transfer_returned",
        missing_minor="3390",
        currency="EUR",
        cancelled="CUP-BLUE: 1",
    ),
    _event(OrderStockArrivedEvent, 5, "processing", CUPS="1"),
    _event(OrderPartiallyFulfilledEvent, 5, "partially_fulfilled"),
    _event(OrderFulfilledEvent, 6, "fulfilled"),
    _event(OrderShippedEvent, 7, "shipped", carrier="Sandbox Parcel", tracking_number=TRACKING),
    _event(OrderDeliveredEvent, 8, "delivered"),
    _event(OrderCompletedEvent, 9, "completed"),
    _event(OrderReturnedEvent, 10, "returned"),
    _event(OrderRefundedEvent, 9, "delivered", refunded_minor=1250, reason="the cup arrived broken"),
)

"""What the order service is told, and answers."""

from typing import Final

from contracts.examples.facts import ADA, CHECKOUT, HOME, NOON, ORDER, PICKS, REFUND, SHIPMENT, STOREFRONT, TRACKING
from contracts.fulfillment import FulfillmentProgressed
from contracts.message import Message
from contracts.order import (
    AbandonRefund,
    CancelOrder,
    CancelRefused,
    CancelUnsent,
    ConfirmOrder,
    LinesReserved,
    OpenRefund,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    OrderRefused,
    PaymentAwaited,
    PlaceOrder,
    RefundAbandoned,
    RefundOpened,
    RefundRefused,
    RefundSettled,
    ReserveLines,
    ReturnWindowPassed,
    SettleRefund,
    UnsentCancelled,
)
from contracts.story import StoryFact
from contracts.values import FulfillmentStatus

MESSAGES: Final[tuple[Message, ...]] = (
    PlaceOrder(
        order_id=ORDER,
        storefront=STOREFRONT,
        checkout_id=CHECKOUT,
        customer=ADA,
        shipping_address=HOME,
        currency="EUR",
        lines=(
            OrderLine(sku="TEA-EARL-GREY", quantity=2, unit_price_minor=895),
            OrderLine(sku="CUP-BLUE", quantity=1, unit_price_minor=1250),
        ),
        discount_minor=200,
        shipping_minor=550,
        total_minor=3390,
    ),
    OrderPlaced(order_id=ORDER),
    OrderRefused(order_id=ORDER, reason="order_exists"),
    CancelOrder(order_id=ORDER, reason="stock_short"),
    OrderCancelled(order_id=ORDER),
    CancelRefused(order_id=ORDER, reason="too_late"),
    CancelUnsent(order_id=ORDER, reason="transfer_returned", missing_minor=3390, currency="EUR", kept=PICKS[:1]),
    UnsentCancelled(order_id=ORDER),
    ConfirmOrder(order_id=ORDER),
    OrderConfirmed(order_id=ORDER),
    ReserveLines(order_id=ORDER, picks=PICKS[1:]),
    LinesReserved(order_id=ORDER, ship_to=HOME),
    PaymentAwaited(order_id=ORDER),
    ReturnWindowPassed(order_id=ORDER),
    OpenRefund(
        order_id=ORDER,
        refund_id=REFUND,
        storefront=STOREFRONT,
        amount_minor=1250,
        currency="EUR",
        reason="the cup arrived broken",
    ),
    RefundOpened(order_id=ORDER, refund_id=REFUND),
    RefundRefused(order_id=ORDER, refund_id=REFUND, reason="above_refundable"),
    AbandonRefund(order_id=ORDER, refund_id=REFUND, reason="refused_by_provider"),
    RefundAbandoned(order_id=ORDER, refund_id=REFUND),
    SettleRefund(order_id=ORDER, refund_id=REFUND),
    RefundSettled(order_id=ORDER, refund_id=REFUND),
    StoryFact(
        order_id=ORDER,
        name="payment.captured",
        actor="payment",
        occurred_at=NOON,
        detail={"amount_minor": "3390", "currency": "EUR"},
    ),
    FulfillmentProgressed(
        order_id=ORDER,
        fulfillment_id=SHIPMENT,
        warehouse="north",
        status=FulfillmentStatus.SHIPPED,
        picks=PICKS[:1],
        carrier="Sandbox Parcel",
        tracking_number=TRACKING,
        occurred_at=NOON,
    ),
)

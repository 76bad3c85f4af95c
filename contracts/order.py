"""Orders: the commands of the sagas, their answers, and the public events a storefront follows."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.message import Command, Event, Fact, Local, Reply
from contracts.values import (
    Address,
    Currency,
    Customer,
    Instant,
    Minor,
    Pick,
    Quantity,
    Reference,
    Sku,
    Text,
    Value,
    Wait,
)


class OrderLine(Value):
    sku: Sku
    quantity: Quantity
    unit_price_minor: Minor


class PlaceOrder(Command, topic="order.place_order", heard_by="order"):
    """Record the order in state `created`, its discount and tax allocated to the lines by largest remainder."""

    order_id: UUID
    storefront: Reference
    checkout_id: Reference
    customer: Customer
    shipping_address: Address
    billing_address: Address | None = None
    currency: Currency
    lines: tuple[OrderLine, ...]
    discount_minor: Minor = 0
    tax_minor: Minor = 0
    shipping_minor: Minor = 0
    shipping_tax_minor: Minor = 0
    total_minor: Minor


class OrderPlaced(Reply, topic="order.order_placed"):
    order_id: UUID


class OrderRefused(Reply, topic="order.order_refused"):
    order_id: UUID
    reason: Reference
    detail: Text = ""


class CancelOrder(Command, topic="order.cancel_order", heard_by="order"):
    order_id: UUID
    reason: Reference


class OrderCancelled(Reply, topic="order.order_cancelled"):
    order_id: UUID


class CancelRefused(Reply, topic="order.cancel_refused"):
    """Too late: it has left, or come further (`reason` is ``too_late``). Nothing was changed."""

    order_id: UUID
    reason: Reference


class CancelUnsent(Command, topic="order.cancel_unsent", heard_by="order"):
    """The order's money is gone, and `reason` says how: whatever is not in `kept` will not come."""

    order_id: UUID
    reason: Reference
    missing_minor: Annotated[int, Field(ge=1)]
    currency: Currency
    kept: tuple[Pick, ...] = ()


class UnsentCancelled(Reply, topic="order.unsent_cancelled"):
    order_id: UUID


class ConfirmOrder(Command, topic="order.confirm_order", heard_by="order"):
    """The pivot is behind us: stock is allocated and the money is there."""

    order_id: UUID
    picks: tuple[Pick, ...] = ()
    """Which warehouse gives what, for the order's story."""
    waits: tuple[Wait, ...] = ()
    """What is promised for later: its lines wait, under their own names."""
    captured: bool = True
    """False: the money is held only, and captured as the parcels leave."""


class OrderConfirmed(Reply, topic="order.order_confirmed"):
    order_id: UUID


class ReserveLines(Command, topic="order.reserve_lines", heard_by="order"):
    """What these lines waited for is allocated to the order."""

    order_id: UUID
    picks: tuple[Pick, ...]


class LinesReserved(Reply, topic="order.lines_reserved"):
    order_id: UUID
    ship_to: Address
    """Where the order goes as it stands now."""


class PaymentAwaited(Fact, topic="order.payment_awaited", heard_by="order"):
    """The stock is held and the money will come later, or not at all."""

    order_id: UUID
    quote: Annotated[str, Field(max_length=35)] = ""
    """The reference a customer who pays by transfer must quote."""


class ReturnWindowPassed(Local, topic="order.return_window_passed", heard_by="order"):
    """The timer of a delivered order rang: it is completed."""

    order_id: UUID


class OpenRefund(Command, topic="order.open_refund", heard_by="order"):
    """Set `amount_minor` of the order's refundable money aside for one refund."""

    order_id: UUID
    refund_id: UUID
    storefront: Reference
    amount_minor: Annotated[int, Field(ge=1)]
    currency: Currency
    reason: Text = ""


class RefundOpened(Reply, topic="order.refund_opened"):
    order_id: UUID
    refund_id: UUID


class RefundRefused(Reply, topic="order.refund_refused"):
    order_id: UUID
    refund_id: UUID
    reason: Reference


class AbandonRefund(Command, topic="order.abandon_refund", heard_by="order"):
    order_id: UUID
    refund_id: UUID
    reason: Reference


class RefundAbandoned(Reply, topic="order.refund_abandoned"):
    order_id: UUID
    refund_id: UUID


class SettleRefund(Command, topic="order.settle_refund", heard_by="order"):
    order_id: UUID
    refund_id: UUID


class RefundSettled(Reply, topic="order.refund_settled"):
    order_id: UUID
    refund_id: UUID


class OrderEvent(Event):
    """What every public event of an order says. `sequence` is gapless per order, starting at 1."""

    order_id: UUID
    checkout_id: Reference
    sequence: Annotated[int, Field(ge=1)]
    state: Reference
    refund_standing: Reference
    occurred_at: Instant
    currency: Currency
    total_minor: Minor
    refunded_minor: Minor = 0
    reason: Text = ""
    detail: dict[str, str] = Field(default_factory=dict)


class OrderPaymentPendingEvent(OrderEvent, topic="order.payment_pending"):
    """The stock is held; the money is not there yet. Paid by transfer, `detail` has the reference to `quote`."""


class OrderConfirmedEvent(OrderEvent, topic="order.confirmed"):
    """Paid and promised: the order will be fulfilled. What comes later is in `detail`: by SKU, how many and by when."""


class OrderCancelledEvent(OrderEvent, topic="order.cancelled"):
    """Nothing will be delivered and no money is kept; `reason` says why (stock_short, payment_declined,
    expired, payment_failed ...)."""


class OrderProcessingEvent(OrderEvent, topic="order.processing"):
    """The warehouse has been asked."""


class OrderPartiallyFulfilledEvent(OrderEvent, topic="order.partially_fulfilled"):
    pass


class OrderFulfilledEvent(OrderEvent, topic="order.fulfilled"):
    """Every live line is packed and labeled."""


class OrderShortageEvent(OrderEvent, topic="order.shortage"):
    """Units of a confirmed order are not there after all. `detail`: shortage_id, sku, quantity, substitutes, later,
    answer_by. Answer with `AnswerShortage`; silence means the money back."""


class OrderShortageSettledEvent(OrderEvent, topic="order.shortage_settled"):
    """`detail`: shortage_id, outcome (substitute, wait, refund), sku, quantity, and what came of it."""


class OrderPaymentFailedEvent(OrderEvent, topic="order.payment_failed"):
    """The money of a confirmed order is gone, and `reason` says how (transfer_returned ...). Something of it leaves all
    the same; the rest will not come. `detail`: missing_minor, currency, and what is `cancelled`, as "SKU: units, SKU:
    units". Where nothing leaves, the order is cancelled instead (`order.cancelled`, `reason` payment_failed)."""


class OrderStockArrivedEvent(OrderEvent, topic="order.stock_arrived"):
    """What some lines waited for is there and will be sent; `detail` says what."""


class OrderShippedEvent(OrderEvent, topic="order.shipped"):
    """Everything has left; `detail` has carrier and tracking number."""


class OrderDeliveredEvent(OrderEvent, topic="order.delivered"):
    pass


class OrderCompletedEvent(OrderEvent, topic="order.completed"):
    """The return window has passed."""


class OrderReturnedEvent(OrderEvent, topic="order.returned"):
    pass


class OrderRefundedEvent(OrderEvent, topic="order.refunded"):
    """Money went back; `refunded_minor` is the sum so far."""

"""From the checkout to lines that are reserved, or an order that is called off."""

from collections import Counter
from typing import Annotated

from contracts.order import (
    CancelOrder,
    CancelRefused,
    ConfirmOrder,
    LinesReserved,
    OrderCancelled,
    OrderCancelledEvent,
    OrderConfirmed,
    OrderConfirmedEvent,
    OrderDeliveredEvent,
    OrderFulfilledEvent,
    OrderPartiallyFulfilledEvent,
    OrderPaymentPendingEvent,
    OrderPlaced,
    OrderProcessingEvent,
    OrderRefused,
    OrderShippedEvent,
    OrderStockArrivedEvent,
    PaymentAwaited,
    PlaceOrder,
    ReserveLines,
)
from contracts.payment import CaptureDue
from contracts.values import Address
from services.order.domain import No, OrderPolicy, new_order
from services.order.due import tell_due
from services.order.handlers.common import cause, follow, followed_by_shipments, known, statuses, written
from services.order.items import items_of, moved, promised
from services.order.lifecycle import PROGRESS, UNPAID, OrderState
from services.order.story import Actor, ActorKind, Story
from services.order.tables import ITEMS, ORDERS
from shared.consumer import Moment, NotYet, Said
from shared.frozen import replace
from shared.machine import Already, Moved, Refused
from shared.working_set import Rows


def place_order(command: PlaceOrder, rows: Rows, moment: Moment) -> Annotated[list[Said], OrderPlaced, OrderRefused]:
    """Record the order with its lines, or say what it contradicts."""
    if rows.get(ORDERS, command.order_id) is not None:
        return [OrderRefused(order_id=command.order_id, reason="order_exists")]
    if any(order.storefront == command.storefront for order in rows.where(ORDERS, "checkout_id", command.checkout_id)):
        return [OrderRefused(order_id=command.order_id, reason="checkout_has_an_order")]
    order = new_order(command)
    if isinstance(order, No):
        return [OrderRefused(order_id=command.order_id, reason=order.reason, detail=order.detail)]
    story = Story(order, cause(moment, actor=Actor(ActorKind.CUSTOMER, command.customer.reference)))
    story.tell("order.placed")  # the storefront knows since `CheckoutAccepted`
    said = written(story, rows)
    for item in items_of(command):
        rows.put(item)
    return [OrderPlaced(order_id=command.order_id), *said]


def payment_awaited(
    fact: PaymentAwaited, rows: Rows, moment: Moment
) -> Annotated[list[Said], OrderPaymentPendingEvent]:
    """The stock is held and the money will come later. Heard late, it is no news; but what is to be quoted may be known
    only now, when the customer has chosen to pay by transfer."""
    order = known(rows, fact.order_id)
    story = Story(replace(order, quote=fact.quote or order.quote), cause(moment))
    detail = {"quote": fact.quote} if fact.quote else {}
    if isinstance(PROGRESS.move(order.state, "await payment"), Moved):
        story.move("await payment", detail=detail)
    elif order.state is OrderState.PAYMENT_PENDING and fact.quote not in ("", order.quote):
        story.tell("order.payment_pending", detail=detail, public=OrderPaymentPendingEvent)
    return written(story, rows)


def confirm_order(
    command: ConfirmOrder, rows: Rows, moment: Moment, policy: OrderPolicy
) -> Annotated[
    list[Said],
    OrderConfirmed,
    CaptureDue,
    OrderConfirmedEvent,
    OrderProcessingEvent,
    OrderPartiallyFulfilledEvent,
    OrderFulfilledEvent,
    OrderShippedEvent,
    OrderDeliveredEvent,
]:
    """Paid and promised. A warehouse may have been quicker: what is known of shipments counts from here on."""
    order = known(rows, command.order_id)
    if order.state is not OrderState.CANCELLED and order.state not in UNPAID:
        return [OrderConfirmed(order_id=order.id)]
    story = Story(order if command.captured else replace(order, due_minor=0), cause(moment))
    if order.state is OrderState.CREATED:
        story.move("await payment", quietly=True)  # in passing: the money was there at once
    items = promised(rows.where(ITEMS, "order_id", order.id), command.waits)
    for item in items:
        rows.put(item)
    picks = [pick.model_dump() for pick in command.picks]
    waits = [wait.model_dump(mode="json") for wait in command.waits]
    story.move(
        "confirm",
        metadata={"items": statuses(items), "picks": picks} | ({"waits": waits} if waits else {}),
        detail={wait.sku: f"{wait.quantity} by {wait.promised_at:%Y-%m-%d}, {wait.kind}" for wait in command.waits},
    )  # raises on a cancelled order: kept, and seen as stuck
    follow(story, followed_by_shipments(rows, order.id), rows, policy, moment.now)
    return [OrderConfirmed(order_id=order.id), *tell_due(story, rows), *written(story, rows)]


def reserve_lines(
    command: ReserveLines, rows: Rows, moment: Moment
) -> Annotated[list[Said], LinesReserved, OrderStockArrivedEvent]:
    """What some lines waited for is there. A line of which a part went ahead is further than that already."""
    order = known(rows, command.order_id)
    if order.state in UNPAID:
        raise NotYet("not_confirmed: its lines wait for nothing yet")
    arrived = {pick.sku for pick in command.picks}
    items = moved((item for item in rows.where(ITEMS, "order_id", order.id) if item.sku in arrived), "reserve")
    for item in items:
        rows.put(item)
    units = Counter[str]()
    for pick in command.picks:
        units[pick.sku] += pick.quantity
    story = Story(order, cause(moment))
    story.tell(
        "order.stock_arrived",
        metadata={
            "items": statuses(items),
            "picks": [pick.model_dump() for pick in command.picks],
        },
        detail={sku: str(quantity) for sku, quantity in units.items()},
        public=OrderStockArrivedEvent,
    )
    ship_to = Address.model_validate(order.shipping_address)
    return [LinesReserved(order_id=order.id, ship_to=ship_to), *written(story, rows)]


def cancel_order(
    command: CancelOrder, rows: Rows, moment: Moment
) -> Annotated[list[Said], OrderCancelled, CancelRefused, OrderCancelledEvent]:
    """Call the order off with all its lines, unless it has left. What was never placed is called off already."""
    order = rows.get(ORDERS, command.order_id)
    if order is None:
        return [OrderCancelled(order_id=command.order_id)]
    story = Story(order, cause(moment))
    match PROGRESS.move(order.state, "cancel"):
        case Already():
            return [OrderCancelled(order_id=order.id)]
        case Refused(at):
            story.tell("order.cancel_refused", reason=command.reason, metadata={"state": at.value})
            return [CancelRefused(order_id=order.id, reason="too_late"), *written(story, rows)]
        case Moved():
            items = moved(rows.where(ITEMS, "order_id", order.id), "cancel")
            for item in items:
                rows.put(item)
            story.move("cancel", reason=command.reason, metadata={"items": statuses(items)})
            return [OrderCancelled(order_id=order.id), *written(story, rows)]

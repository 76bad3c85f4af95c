"""What the order service hears: the sagas' commands, the facts of all services, a storefront that wants to catch up.

Whatever an order hears ends as lines of its story, written with the change itself.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial, update_wrapper
from typing import Annotated, Any, Final
from uuid import UUID

from contracts.checkout import ReplayOrderEvents
from contracts.frame import MessageRefused
from contracts.fulfillment import FulfillmentProgressed
from contracts.order import (
    AbandonRefund,
    CancelOrder,
    CancelRefused,
    ConfirmOrder,
    LinesReserved,
    OpenRefund,
    OrderCancelled,
    OrderCancelledEvent,
    OrderCompletedEvent,
    OrderConfirmed,
    OrderConfirmedEvent,
    OrderDeliveredEvent,
    OrderEvent,
    OrderFulfilledEvent,
    OrderPartiallyFulfilledEvent,
    OrderPaymentPendingEvent,
    OrderPlaced,
    OrderProcessingEvent,
    OrderRefundedEvent,
    OrderRefused,
    OrderShippedEvent,
    OrderShortageEvent,
    OrderShortageSettledEvent,
    OrderStockArrivedEvent,
    PaymentAwaited,
    PlaceOrder,
    RefundAbandoned,
    RefundOpened,
    RefundRefused,
    RefundSettled,
    ReserveLines,
    ReturnWindowPassed,
    SettleRefund,
)
from contracts.shortage import AlternativesOffered, Choice, LinesSettled, OfferAlternatives, SettleLines
from contracts.story import StoryFact
from contracts.values import Address
from services.order.domain import No, Order, OrderPolicy, Refund, given_back, new_order, same_refund, set_aside
from services.order.domain import settled as refund_settled
from services.order.items import Item, followed, items_of, moved, progress, promised
from services.order.lifecycle import PROGRESS, TRACK, UNPAID, OrderState, way
from services.order.shipments import parcels, told
from services.order.shortage import settled
from services.order.story import Actor, ActorKind, Cause, Story, said_before
from services.order.tables import EVENTS, ITEMS, ORDERS, REFUNDS, SHIPMENTS
from shared.consumer import Consumer, Moment, NotYet, Publish, Said
from shared.frozen import replace
from shared.machine import Already, Moved, Refused
from shared.table import Need
from shared.working_set import Rows

REPLAYED_AT_ONCE: Final = 500
"""Events said again per request: many times a usual story; whoever needs more asks again after the last one."""
RETURN_WINDOW: Final = "return window"


# -- the checkout saga's commands --------------------------------------------------------------------------------


def place_order(command: PlaceOrder, rows: Rows, moment: Moment) -> Annotated[list[Said], OrderPlaced, OrderRefused]:
    """Record the order with its lines, or say what it contradicts."""
    if rows.get(ORDERS, command.order_id) is not None:
        return [OrderRefused(order_id=command.order_id, reason="order_exists")]
    if any(order.storefront == command.storefront for order in rows.where(ORDERS, "checkout_id", command.checkout_id)):
        return [OrderRefused(order_id=command.order_id, reason="checkout_has_an_order")]
    order = new_order(command)
    if isinstance(order, No):
        return [OrderRefused(order_id=command.order_id, reason=order.reason, detail=order.detail)]
    story = Story(order, _cause(moment, actor=Actor(ActorKind.CUSTOMER, command.customer.reference)))
    story.tell("order.placed")  # the storefront knows since `CheckoutAccepted`
    said = _written(story, rows)
    for item in items_of(command):
        rows.put(item)
    return [OrderPlaced(order_id=command.order_id), *said]


def payment_awaited(
    fact: PaymentAwaited, rows: Rows, moment: Moment
) -> Annotated[list[Said], OrderPaymentPendingEvent]:
    """The stock is held and the money will come later. Heard late, it is no news."""
    order = _known(rows, fact.order_id)
    if not isinstance(PROGRESS.move(order.state, "await payment"), Moved):
        return []
    story = Story(order, _cause(moment))
    story.move("await payment")
    return _written(story, rows)


def confirm_order(
    command: ConfirmOrder, rows: Rows, moment: Moment, policy: OrderPolicy
) -> Annotated[
    list[Said],
    OrderConfirmed,
    OrderConfirmedEvent,
    OrderProcessingEvent,
    OrderPartiallyFulfilledEvent,
    OrderFulfilledEvent,
    OrderShippedEvent,
    OrderDeliveredEvent,
]:
    """Paid and promised. A warehouse may have been quicker: what is known of shipments counts from here on."""
    order = _known(rows, command.order_id)
    if order.state is not OrderState.CANCELLED and order.state not in UNPAID:
        return [OrderConfirmed(order_id=order.id)]
    story = Story(order, _cause(moment))
    if order.state is OrderState.CREATED:
        story.move("await payment", quietly=True)  # in passing: the money was there at once
    items = promised(rows.where(ITEMS, "order_id", order.id), command.waits)
    for item in items:
        rows.put(item)
    picks = [pick.model_dump() for pick in command.picks]
    waits = [wait.model_dump(mode="json") for wait in command.waits]
    story.move(
        "confirm",
        metadata={"items": _statuses(items), "picks": picks} | ({"waits": waits} if waits else {}),
        detail={wait.sku: f"{wait.quantity} by {wait.promised_at:%Y-%m-%d}, {wait.kind}" for wait in command.waits},
    )  # raises on a cancelled order: kept, and seen as stuck
    _follow(story, _followed(rows, order.id), rows, policy, moment.now)
    return [OrderConfirmed(order_id=order.id), *_written(story, rows)]


def reserve_lines(
    command: ReserveLines, rows: Rows, moment: Moment
) -> Annotated[list[Said], LinesReserved, OrderStockArrivedEvent]:
    """What some lines waited for is there. A line of which a part went ahead is further than that already."""
    order = _known(rows, command.order_id)
    if order.state in UNPAID:
        raise NotYet("not_confirmed: its lines wait for nothing yet")
    arrived = {pick.sku for pick in command.picks}
    items = moved((item for item in rows.where(ITEMS, "order_id", order.id) if item.sku in arrived), "reserve")
    for item in items:
        rows.put(item)
    units = Counter[str]()
    for pick in command.picks:
        units[pick.sku] += pick.quantity
    story = Story(order, _cause(moment))
    story.tell(
        "order.stock_arrived",
        metadata={
            "items": _statuses(items),
            "picks": [pick.model_dump() for pick in command.picks],
        },
        detail={sku: str(quantity) for sku, quantity in units.items()},
        public=OrderStockArrivedEvent,
    )
    ship_to = Address.model_validate(order.shipping_address)
    return [LinesReserved(order_id=order.id, ship_to=ship_to), *_written(story, rows)]


def offer_alternatives(
    command: OfferAlternatives, rows: Rows, moment: Moment
) -> Annotated[list[Said], AlternativesOffered, OrderShortageEvent]:
    """Tell the customer what is short, what can be done, and until when they may say so."""
    order = _known(rows, command.order_id)
    story = Story(order, _cause(moment))
    detail = {
        "shortage_id": str(command.shortage_id),
        "sku": command.sku,
        "quantity": str(command.quantity),
        "substitutes": ", ".join(command.substitutes),
        "later": command.later.isoformat(),
        "answer_by": command.answer_by.isoformat(),
    }
    story.tell("order.shortage", metadata=detail, detail=detail, public=OrderShortageEvent)
    return [AlternativesOffered(order_id=order.id), *_written(story, rows)]


def settle_lines(
    command: SettleLines, rows: Rows, moment: Moment, policy: OrderPolicy
) -> Annotated[
    list[Said],
    LinesSettled,
    OrderShortageSettledEvent,
    OrderCancelledEvent,
    OrderFulfilledEvent,
    OrderShippedEvent,
    OrderDeliveredEvent,
]:
    """What became of the short units. When no line is left the order is off, and the rest of its money goes back."""
    order = _known(rows, command.order_id)
    items = rows.where(ITEMS, "order_id", order.id)
    done = settled(items, command)
    for moves in done.moves:
        for item in moves:
            rows.put(item)
    refund_minor = done.refund_minor
    off = command.outcome is Choice.REFUND and not any(item.live for item in rows.where(ITEMS, "order_id", order.id))
    refund_minor = order.refundable_minor if off else min(refund_minor, order.refundable_minor)
    if refund_minor:
        rows.put(Refund(command.shortage_id, order.id, refund_minor, "shortage"))
        order = replace(order, refund_reserved_minor=order.refund_reserved_minor + refund_minor)
    story = Story(order, _cause(moment))
    detail = {
        "shortage_id": str(command.shortage_id),
        "outcome": command.outcome.value,
        "sku": command.sku,
        "quantity": str(command.quantity),
    }
    match command.outcome:
        case Choice.SUBSTITUTE:
            detail["substitute"] = command.substitute or ""
        case Choice.WAIT:
            detail["promised_at"] = command.promised_at.isoformat()
        case Choice.REFUND:
            detail["refund_minor"] = str(refund_minor)
    changed = [moves[-1] for moves in done.moves]
    metadata = {**detail, "items": _statuses(changed)}
    story.tell("order.shortage_settled", metadata=metadata, detail=detail, public=OrderShortageSettledEvent)
    if off:
        story.move("cancel", reason="shortage")
    else:  # what is left may be further than the whole was
        for followed_by in _followed(rows, order.id):
            for item in followed_by:
                rows.put(item)
        _advance(story, rows, policy, moment.now)
    answer = LinesSettled(
        order_id=order.id,
        refund_minor=refund_minor,
        currency=order.currency,
        ship_to=Address.model_validate(order.shipping_address),
    )
    return [answer, *_written(story, rows)]


def cancel_order(
    command: CancelOrder, rows: Rows, moment: Moment
) -> Annotated[list[Said], OrderCancelled, CancelRefused, OrderCancelledEvent]:
    """Call the order off with all its lines, unless it has left. What was never placed is called off already."""
    order = rows.get(ORDERS, command.order_id)
    if order is None:
        return [OrderCancelled(order_id=command.order_id)]
    story = Story(order, _cause(moment))
    match PROGRESS.move(order.state, "cancel"):
        case Already():
            return [OrderCancelled(order_id=order.id)]
        case Refused(at):
            story.tell("order.cancel_refused", reason=command.reason, metadata={"state": at.value})
            return [CancelRefused(order_id=order.id, reason="too_late"), *_written(story, rows)]
        case Moved():
            items = moved(rows.where(ITEMS, "order_id", order.id), "cancel")
            for item in items:
                rows.put(item)
            story.move("cancel", reason=command.reason, metadata={"items": _statuses(items)})
            return [OrderCancelled(order_id=order.id), *_written(story, rows)]


# -- the refund saga's commands ----------------------------------------------------------------------------------


def open_refund(command: OpenRefund, rows: Rows, moment: Moment) -> Annotated[list[Said], RefundOpened, RefundRefused]:
    """Set the money of one refund aside, or say by name why not."""
    opened = RefundOpened(order_id=command.order_id, refund_id=command.refund_id)
    before = rows.get(REFUNDS, command.refund_id)
    if before is not None:
        return [opened if same_refund(before, command) else _refused(command, "refund_exists")]
    aside = set_aside(rows.get(ORDERS, command.order_id), command)
    if isinstance(aside, No):
        return [_refused(command, aside.reason)]
    order, refund = aside
    rows.put(refund)
    story = Story(order, _cause(moment))
    story.tell("order.refund_opened", reason=command.reason, metadata=_amount(command.refund_id, command.amount_minor))
    return [opened, *_written(story, rows)]


def abandon_refund(
    command: AbandonRefund, rows: Rows, moment: Moment
) -> Annotated[list[Said], RefundAbandoned, RefundRefused]:
    """Nothing went back: the money set aside can be refunded again. What was never opened is abandoned already."""
    abandoned = RefundAbandoned(order_id=command.order_id, refund_id=command.refund_id)
    refund = rows.get(REFUNDS, command.refund_id)
    if refund is None or refund.order_id != command.order_id:
        return [abandoned]
    back = given_back(_known(rows, refund.order_id), refund)
    match back:
        case No(reason):
            return [_refused(command, reason)]
        case Already():
            return [abandoned]
        case (order, after):
            rows.put(after)
            story = Story(order, _cause(moment))
            story.tell(
                "order.refund_abandoned", reason=command.reason, metadata=_amount(refund.id, refund.amount_minor)
            )
            return [abandoned, *_written(story, rows)]


def settle_refund(
    command: SettleRefund, rows: Rows, moment: Moment
) -> Annotated[list[Said], RefundSettled, RefundRefused, OrderRefundedEvent]:
    """The money went back: the order says so, and its standing follows from the sum."""
    done = RefundSettled(order_id=command.order_id, refund_id=command.refund_id)
    refund = rows.get(REFUNDS, command.refund_id)
    if refund is None or refund.order_id != command.order_id:
        return [_refused(command, "unknown_refund")]
    gone = refund_settled(_known(rows, refund.order_id), refund)
    match gone:
        case No(reason):
            return [_refused(command, reason)]
        case Already():
            return [done]
        case (order, after):
            rows.put(after)
            story = Story(order, _cause(moment))
            amount = _amount(refund.id, refund.amount_minor)
            detail = {name: str(value) for name, value in amount.items()}
            story.tell(
                "order.refunded", reason=refund.reason, metadata=amount, detail=detail, public=OrderRefundedEvent
            )
            return [done, *_written(story, rows)]


# -- facts -------------------------------------------------------------------------------------------------------


def fulfillment_progressed(
    fact: FulfillmentProgressed, rows: Rows, moment: Moment, policy: OrderPolicy
) -> Annotated[
    list[Said],
    OrderProcessingEvent,
    OrderPartiallyFulfilledEvent,
    OrderFulfilledEvent,
    OrderShippedEvent,
    OrderDeliveredEvent,
]:
    """A shipment moved. It is counted once, whenever it is heard; before the order is confirmed it is only kept."""
    order = _known(rows, fact.order_id)
    shipment = told(rows.get(SHIPMENTS, order.id, fact.fulfillment_id), fact)
    if shipment is None:
        return []
    rows.put(shipment)
    items = _followed(rows, order.id) if order.state in TRACK else []
    story = Story(order, _cause(moment, actor=Actor(ActorKind.PROVIDER, fact.warehouse), at=fact.occurred_at))
    story.tell(
        f"fulfillment.{fact.status}",
        metadata={
            "fulfillment_id": str(fact.fulfillment_id),
            "warehouse": fact.warehouse,
            "picks": [pick.model_dump(mode="json") for pick in fact.picks],
            "carrier": fact.carrier,
            "tracking_number": fact.tracking_number,
            "items": _statuses([moves[-1] for moves in items if moves]),
        },
    )
    _follow(story, items, rows, policy, moment.now)
    return _written(story, rows)


def story_fact(fact: StoryFact, rows: Rows, moment: Moment) -> None:
    """Something happened in another service: support reads it here."""
    order = _known(rows, fact.order_id)
    story = Story(order, _cause(moment, actor=Actor.of(fact.actor), at=fact.occurred_at))
    story.tell(fact.name, reason=fact.reason, metadata=fact.detail)
    _written(story, rows)


def return_window_passed(
    ring: ReturnWindowPassed, rows: Rows, moment: Moment
) -> Annotated[list[Said], OrderCompletedEvent]:
    """Nobody sent it back in time: completed. If it did not stay delivered, the ring is no news."""
    order = _known(rows, ring.order_id)
    if not isinstance(PROGRESS.move(order.state, "complete"), Moved):
        return []
    story = Story(order, _cause(moment))
    story.move("complete")
    return _written(story, rows)


# -- a storefront that wants to catch up -------------------------------------------------------------------------


def replay_order_events(
    request: ReplayOrderEvents, rows: Rows, moment: Moment
) -> Annotated[list[Said], OrderEvent, MessageRefused]:
    """Say the public events after a sequence again, word for word under their first ids; only to whose order it is."""
    order = rows.get(ORDERS, request.order_id)
    if order is None or order.storefront != moment.source:
        refusal = MessageRefused(
            message_id=moment.message_id[:200], message_type=request.full_type, reason="unknown_order"
        )
        return [Publish(moment.source, refusal)]
    lines = [
        line
        for line in rows.where(EVENTS, "order_id", order.id)
        if line.public_sequence is not None and line.public_sequence > request.after_sequence
    ]
    before = [said_before(line) for line in lines[:REPLAYED_AT_ONCE]]
    return [Publish(order.storefront, said.event, said.event.sequence, again=said.id) for said in before]


# -- what they have in common ------------------------------------------------------------------------------------


def _known(rows: Rows, order_id: UUID) -> Order:
    order = rows.get(ORDERS, order_id)
    if order is None:
        raise NotYet("unknown_order")
    return order


def _cause(moment: Moment, *, actor: Actor | None = None, at: datetime | None = None) -> Cause:
    who = actor or Actor(ActorKind.SERVICE, moment.source or "order")
    return Cause(at or moment.now, who, moment.message_id, moment.new_id)


def _followed(rows: Rows, order_id: UUID) -> list[list[Item]]:
    shipments = rows.where(SHIPMENTS, "order_id", order_id)
    return followed(rows.where(ITEMS, "order_id", order_id), shipments) if shipments else []


def _follow(story: Story, items: Sequence[Sequence[Item]], rows: Rows, policy: OrderPolicy, now: datetime) -> None:
    """Keep what the shipments did to the lines, and what follows for the order."""
    for moves in items:
        for item in moves:
            rows.put(item)
    if any(items):
        _advance(story, rows, policy, now)


def _advance(story: Story, rows: Rows, policy: OrderPolicy, now: datetime) -> None:
    """Take the order as far along its table as its lines are."""
    order_id = story.order.id
    reached = progress(rows.where(ITEMS, "order_id", order_id))
    for on in way(PROGRESS, story.state, reached, TRACK) or ():
        story.move(on, detail=parcels(rows.where(SHIPMENTS, "order_id", order_id)))
        if story.state is OrderState.DELIVERED:
            ends = now + timedelta(seconds=policy.return_window_s)
            rows.set_timer(RETURN_WINDOW, order_id, ends, ReturnWindowPassed(order_id=order_id))


def _written(story: Story, rows: Rows) -> list[Said]:
    """Keep the story's rows; what a storefront hears of it."""
    story.end()
    for order in story.rows:
        rows.put(order)
    for line in story.lines:
        rows.put(line)
    return [Publish(story.order.storefront, said.event, said.event.sequence, again=said.id) for said in story.said]


def _statuses(items: Iterable[Item]) -> dict[str, str]:
    return {str(item.line_no): item.status.value for item in items}


def _amount(refund_id: UUID, amount_minor: int) -> dict[str, Any]:
    return {"refund_id": str(refund_id), "amount_minor": amount_minor}


def _refused(command: OpenRefund | AbandonRefund | SettleRefund, reason: str) -> RefundRefused:
    return RefundRefused(order_id=command.order_id, refund_id=command.refund_id, reason=reason)


# -- who hears what, and by which rows it decides ----------------------------------------------------------------


def _header(message: Any) -> list[Need]:
    return [Need.of(ORDERS, "id", message.order_id)]


def _lines(message: Any) -> list[Need]:
    return [*_header(message), Need.of(ITEMS, "order_id", message.order_id)]


def _whole(message: Any) -> list[Need]:
    return [*_lines(message), Need.of(SHIPMENTS, "order_id", message.order_id)]


def _new(command: PlaceOrder) -> list[Need]:
    return [*_lines(command), Need.of(ORDERS, "checkout_id", command.checkout_id)]


def _refund(command: Any) -> list[Need]:
    return [*_header(command), Need.of(REFUNDS, "id", command.refund_id)]


def _story(request: Any, rows: Rows) -> list[Need]:
    order = rows.get(ORDERS, request.order_id)
    return [] if order is None else [Need.of(EVENTS, "order_id", order.id)]


def _under(policy: OrderPolicy, decide: Callable[..., Any]) -> Callable[..., Any]:
    return update_wrapper(partial(decide, policy=policy), decide)


def make_consumer(policy: OrderPolicy) -> Consumer:
    """The order service's ears, under an operator's settings."""
    order = Consumer("order", queues=("order", "order.requests"), outside=frozenset({"order.requests"}))
    order.hears(PlaceOrder, needs=_new)(place_order)
    order.hears(PaymentAwaited, needs=_header)(payment_awaited)
    order.hears(ConfirmOrder, needs=_whole)(_under(policy, confirm_order))
    order.hears(ReserveLines, needs=_lines)(reserve_lines)
    order.hears(OfferAlternatives, needs=_header)(offer_alternatives)
    order.hears(SettleLines, needs=_whole)(_under(policy, settle_lines))
    order.hears(CancelOrder, needs=_lines)(cancel_order)
    order.hears(OpenRefund, needs=_refund)(open_refund)
    order.hears(AbandonRefund, needs=_refund)(abandon_refund)
    order.hears(SettleRefund, needs=_refund)(settle_refund)
    order.hears(FulfillmentProgressed, needs=_whole)(_under(policy, fulfillment_progressed))
    order.hears(StoryFact, needs=_header)(story_fact)
    order.hears(ReturnWindowPassed, needs=_header)(return_window_passed)
    order.hears(ReplayOrderEvents, needs=_header, then=_story)(replay_order_events)
    return order


consumer = make_consumer(OrderPolicy())

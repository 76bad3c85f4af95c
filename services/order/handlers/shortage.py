"""Promised units that are not there: the customer is told what can be done, and the lines say what came of it."""

from typing import Annotated

from contracts.order import (
    OrderCancelledEvent,
    OrderDeliveredEvent,
    OrderFulfilledEvent,
    OrderShippedEvent,
    OrderShortageEvent,
    OrderShortageSettledEvent,
)
from contracts.payment import CaptureDue
from contracts.shortage import AlternativesOffered, Choice, LinesSettled, OfferAlternatives, SettleLines
from contracts.values import Address
from services.order.domain import OrderPolicy, Refund
from services.order.due import tell_due
from services.order.handlers.common import cause, follow_up, keep, known, statuses, written
from services.order.shortage import settled
from services.order.story import Story
from services.order.tables import ITEMS
from shared.consumer import Moment, Said
from shared.frozen import replace
from shared.working_set import Rows


def offer_alternatives(
    command: OfferAlternatives, rows: Rows, moment: Moment
) -> Annotated[list[Said], AlternativesOffered, OrderShortageEvent]:
    """Tell the customer what is short, what can be done, and until when they may say so."""
    order = known(rows, command.order_id)
    story = Story(order, cause(moment))
    detail = {
        "shortage_id": str(command.shortage_id),
        "sku": command.sku,
        "quantity": str(command.quantity),
        "substitutes": ", ".join(command.substitutes),
        "later": command.later.isoformat(),
        "answer_by": command.answer_by.isoformat(),
    }
    story.tell("order.shortage", metadata=detail, detail=detail, public=OrderShortageEvent)
    return [AlternativesOffered(order_id=order.id), *written(story, rows)]


def settle_lines(
    command: SettleLines, rows: Rows, moment: Moment, policy: OrderPolicy
) -> Annotated[
    list[Said],
    LinesSettled,
    CaptureDue,
    OrderShortageSettledEvent,
    OrderCancelledEvent,
    OrderFulfilledEvent,
    OrderShippedEvent,
    OrderDeliveredEvent,
]:
    """What became of the short units. When no line is left the order is off, and the rest of its money goes back."""
    order = known(rows, command.order_id)
    items = rows.where(ITEMS, "order_id", order.id)
    done = settled(items, command)
    keep(rows, done.moves)
    refund_minor = done.refund_minor
    off = command.outcome is Choice.REFUND and not any(item.live for item in rows.where(ITEMS, "order_id", order.id))
    refund_minor = order.refundable_minor if off else min(refund_minor, order.refundable_minor)
    if refund_minor:
        rows.put(Refund(command.shortage_id, order.id, refund_minor, "shortage"))
        order = replace(order, refund_reserved_minor=order.refund_reserved_minor + refund_minor)
    story = Story(order, cause(moment))
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
    metadata = {**detail, "items": statuses(changed)}
    story.tell("order.shortage_settled", metadata=metadata, detail=detail, public=OrderShortageSettledEvent)
    if off:
        story.move("cancel", reason="shortage")
    else:
        follow_up(story, rows, policy, moment.now)
    answer = LinesSettled(
        order_id=order.id,
        refund_minor=refund_minor,
        currency=order.currency,
        ship_to=Address.model_validate(order.shipping_address),
    )
    return [answer, *tell_due(story, rows), *written(story, rows)]

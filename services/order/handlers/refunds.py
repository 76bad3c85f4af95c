"""Money that goes back: set aside, then settled or abandoned."""

from typing import Annotated, Any
from uuid import UUID

from contracts.order import (
    AbandonRefund,
    OpenRefund,
    OrderRefundedEvent,
    RefundAbandoned,
    RefundOpened,
    RefundRefused,
    RefundSettled,
    SettleRefund,
)
from services.order.domain import No, given_back, same_refund, set_aside
from services.order.domain import settled as refund_settled
from services.order.handlers.common import cause, known, written
from services.order.story import Story
from services.order.tables import ORDERS, REFUNDS
from shared.consumer import Moment, Said
from shared.machine import Already
from shared.working_set import Rows


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
    story = Story(order, cause(moment))
    story.tell("order.refund_opened", reason=command.reason, metadata=_amount(command.refund_id, command.amount_minor))
    return [opened, *written(story, rows)]


def abandon_refund(
    command: AbandonRefund, rows: Rows, moment: Moment
) -> Annotated[list[Said], RefundAbandoned, RefundRefused]:
    """Nothing went back: the money set aside can be refunded again. What was never opened is abandoned already."""
    abandoned = RefundAbandoned(order_id=command.order_id, refund_id=command.refund_id)
    refund = rows.get(REFUNDS, command.refund_id)
    if refund is None or refund.order_id != command.order_id:
        return [abandoned]
    back = given_back(known(rows, refund.order_id), refund)
    match back:
        case No(reason):
            return [_refused(command, reason)]
        case Already():
            return [abandoned]
        case (order, after):
            rows.put(after)
            story = Story(order, cause(moment))
            story.tell(
                "order.refund_abandoned", reason=command.reason, metadata=_amount(refund.id, refund.amount_minor)
            )
            return [abandoned, *written(story, rows)]


def settle_refund(
    command: SettleRefund, rows: Rows, moment: Moment
) -> Annotated[list[Said], RefundSettled, RefundRefused, OrderRefundedEvent]:
    """The money went back: the order says so, and its standing follows from the sum."""
    done = RefundSettled(order_id=command.order_id, refund_id=command.refund_id)
    refund = rows.get(REFUNDS, command.refund_id)
    if refund is None or refund.order_id != command.order_id:
        return [_refused(command, "unknown_refund")]
    gone = refund_settled(known(rows, refund.order_id), refund)
    match gone:
        case No(reason):
            return [_refused(command, reason)]
        case Already():
            return [done]
        case (order, after):
            rows.put(after)
            story = Story(order, cause(moment))
            amount = _amount(refund.id, refund.amount_minor)
            detail = {name: str(value) for name, value in amount.items()}
            story.tell(
                "order.refunded", reason=refund.reason, metadata=amount, detail=detail, public=OrderRefundedEvent
            )
            return [done, *written(story, rows)]


def _amount(refund_id: UUID, amount_minor: int) -> dict[str, Any]:
    return {"refund_id": str(refund_id), "amount_minor": amount_minor}


def _refused(command: OpenRefund | AbandonRefund | SettleRefund, reason: str) -> RefundRefused:
    return RefundRefused(order_id=command.order_id, refund_id=command.refund_id, reason=reason)

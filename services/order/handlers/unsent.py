"""An order whose money is gone: what has not left will not come, and the customer is told."""

from typing import Annotated

from contracts.order import (
    CancelUnsent,
    OrderCancelledEvent,
    OrderDeliveredEvent,
    OrderFulfilledEvent,
    OrderPaymentFailedEvent,
    OrderShippedEvent,
    UnsentCancelled,
)
from services.order.domain import OrderPolicy
from services.order.handlers.common import cause, follow_up, keep, known, statuses, written
from services.order.lifecycle import PROGRESS
from services.order.story import Story
from services.order.tables import ITEMS
from services.order.unsent import without_unsent
from shared.consumer import Moment, Said
from shared.machine import Already
from shared.working_set import Rows


def cancel_unsent(
    command: CancelUnsent, rows: Rows, moment: Moment, policy: OrderPolicy
) -> Annotated[
    list[Said],
    UnsentCancelled,
    OrderPaymentFailedEvent,
    OrderCancelledEvent,
    OrderFulfilledEvent,
    OrderShippedEvent,
    OrderDeliveredEvent,
]:
    """Cancel what does not leave; when that is everything, the order is off. One that is off already owes nothing."""
    order = known(rows, command.order_id)
    answer = UnsentCancelled(order_id=order.id)
    if isinstance(PROGRESS.move(order.state, "cancel"), Already):
        return [answer]
    rest = without_unsent(rows.where(ITEMS, "order_id", order.id), command.kept)
    keep(rows, [(item,) for item in rest.items])
    detail = {"missing_minor": str(command.missing_minor), "currency": command.currency}
    if rest.units:
        detail["cancelled"] = ", ".join(f"{sku}: {units}" for sku, units in sorted(rest.units.items()))
    metadata = {**detail, "items": statuses(rest.items)}
    story = Story(order, cause(moment))
    if rest.items and not any(item.live for item in rows.where(ITEMS, "order_id", order.id)):
        story.move("cancel", reason="payment_failed", metadata={**metadata, "why": command.reason}, detail=detail)
    else:
        story.tell(
            "order.payment_failed",
            reason=command.reason,
            metadata=metadata,
            detail=detail,
            public=OrderPaymentFailedEvent,
        )
        follow_up(story, rows, policy, moment.now)
    return [answer, *written(story, rows)]

"""A storefront that wants to catch up."""

from typing import Annotated, Final

from contracts.checkout import ReplayOrderEvents
from contracts.frame import MessageRefused
from contracts.order import OrderEvent
from services.order.story import said_before
from services.order.tables import EVENTS, ORDERS
from shared.consumer import Moment, Publish, Said
from shared.working_set import Rows

REPLAYED_AT_ONCE: Final = 500
"""Events said again per request: many times a usual story; whoever needs more asks again after the last one."""


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

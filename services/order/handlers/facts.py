"""What happened elsewhere and belongs to the story: shipments, facts of other services, time that passed."""

from typing import Annotated

from contracts.fulfillment import FulfillmentProgressed
from contracts.order import (
    OrderCompletedEvent,
    OrderDeliveredEvent,
    OrderFulfilledEvent,
    OrderPartiallyFulfilledEvent,
    OrderProcessingEvent,
    OrderShippedEvent,
    ReturnWindowPassed,
)
from contracts.payment import CaptureDue
from contracts.story import StoryFact
from services.order.domain import OrderPolicy
from services.order.due import tell_due
from services.order.handlers.common import cause, follow, followed_by_shipments, known, statuses, written
from services.order.lifecycle import PROGRESS, TRACK
from services.order.shipments import told
from services.order.story import Actor, ActorKind, Story
from services.order.tables import SHIPMENTS
from shared.consumer import Moment, Said
from shared.machine import Moved
from shared.working_set import Rows


def fulfillment_progressed(
    fact: FulfillmentProgressed, rows: Rows, moment: Moment, policy: OrderPolicy
) -> Annotated[
    list[Said],
    CaptureDue,
    OrderProcessingEvent,
    OrderPartiallyFulfilledEvent,
    OrderFulfilledEvent,
    OrderShippedEvent,
    OrderDeliveredEvent,
]:
    """A shipment moved. It is counted once, whenever it is heard; before the order is confirmed it is only kept."""
    order = known(rows, fact.order_id)
    shipment = told(rows.get(SHIPMENTS, order.id, fact.fulfillment_id), fact)
    if shipment is None:
        return []
    rows.put(shipment)
    items = followed_by_shipments(rows, order.id) if order.state in TRACK else []
    story = Story(order, cause(moment, actor=Actor(ActorKind.PROVIDER, fact.warehouse), at=fact.occurred_at))
    story.tell(
        f"fulfillment.{fact.status}",
        metadata={
            "fulfillment_id": str(fact.fulfillment_id),
            "warehouse": fact.warehouse,
            "picks": [pick.model_dump(mode="json") for pick in fact.picks],
            "carrier": fact.carrier,
            "tracking_number": fact.tracking_number,
            "items": statuses([moves[-1] for moves in items if moves]),
        },
    )
    follow(story, items, rows, policy, moment.now)
    return [*tell_due(story, rows), *written(story, rows)]


def story_fact(fact: StoryFact, rows: Rows, moment: Moment) -> None:
    """Something happened in another service: support reads it here."""
    order = known(rows, fact.order_id)
    story = Story(order, cause(moment, actor=Actor.of(fact.actor), at=fact.occurred_at))
    story.tell(fact.name, reason=fact.reason, metadata=fact.detail)
    written(story, rows)


def return_window_passed(
    ring: ReturnWindowPassed, rows: Rows, moment: Moment
) -> Annotated[list[Said], OrderCompletedEvent]:
    """Nobody sent it back in time: completed. If it did not stay delivered, the ring is no news."""
    order = known(rows, ring.order_id)
    if not isinstance(PROGRESS.move(order.state, "complete"), Moved):
        return []
    story = Story(order, cause(moment))
    story.move("complete")
    return written(story, rows)

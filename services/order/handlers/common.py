"""What the decisions share: finding the order, following its shipments, and writing its story down."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from contracts.order import ReturnWindowPassed
from services.order.domain import Order, OrderPolicy
from services.order.items import Item, followed, progress
from services.order.lifecycle import PROGRESS, TRACK, OrderState, way
from services.order.shipments import parcels
from services.order.story import Actor, ActorKind, Cause, Story
from services.order.tables import ITEMS, ORDERS, SHIPMENTS
from shared.consumer import Moment, NotYet, Publish, Said
from shared.working_set import Rows

RETURN_WINDOW: Final = "return window"


def known(rows: Rows, order_id: UUID) -> Order:
    order = rows.get(ORDERS, order_id)
    if order is None:
        raise NotYet("unknown_order")
    return order


def cause(moment: Moment, *, actor: Actor | None = None, at: datetime | None = None) -> Cause:
    who = actor or Actor(ActorKind.SERVICE, moment.source or "order")
    return Cause(at or moment.now, who, moment.message_id, moment.new_id)


def followed_by_shipments(rows: Rows, order_id: UUID) -> list[list[Item]]:
    shipments = rows.where(SHIPMENTS, "order_id", order_id)
    return followed(rows.where(ITEMS, "order_id", order_id), shipments) if shipments else []


def keep(rows: Rows, items: Iterable[Sequence[Item]]) -> None:
    """Of each line its rows, one per move."""
    for moves in items:
        for item in moves:
            rows.put(item)


def follow(story: Story, items: Sequence[Sequence[Item]], rows: Rows, policy: OrderPolicy, now: datetime) -> None:
    """Keep what the shipments did to the lines, and what follows for the order."""
    keep(rows, items)
    if any(items):
        advance(story, rows, policy, now)


def follow_up(story: Story, rows: Rows, policy: OrderPolicy, now: datetime) -> None:
    """Some lines have fewer units: what is left may be further than the whole was."""
    keep(rows, followed_by_shipments(rows, story.order.id))
    advance(story, rows, policy, now)


def advance(story: Story, rows: Rows, policy: OrderPolicy, now: datetime) -> None:
    """Take the order as far along its table as its lines are."""
    order_id = story.order.id
    reached = progress(rows.where(ITEMS, "order_id", order_id))
    for on in way(PROGRESS, story.state, reached, TRACK) or ():
        story.move(on, detail=parcels(rows.where(SHIPMENTS, "order_id", order_id)))
        if story.state is OrderState.DELIVERED:
            ends = now + timedelta(seconds=policy.return_window_s)
            rows.set_timer(RETURN_WINDOW, order_id, ends, ReturnWindowPassed(order_id=order_id))


def written(story: Story, rows: Rows) -> list[Said]:
    """Keep the story's rows; what a storefront hears of it."""
    story.end()
    for order in story.rows:
        rows.put(order)
    for line in story.lines:
        rows.put(line)
    return [Publish(story.order.storefront, said.event, said.event.sequence, again=said.id) for said in story.said]


def statuses(items: Iterable[Item]) -> dict[str, str]:
    return {str(item.line_no): item.status.value for item in items}

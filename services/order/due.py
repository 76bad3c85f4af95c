"""Paid per shipment: what has left of an order is to be captured. A sum, so that any one message of it is enough."""

from collections.abc import Iterable

from contracts.payment import CaptureDue
from services.order.domain import Order
from services.order.items import Item
from services.order.shortage import worth
from services.order.story import Story
from services.order.tables import ITEMS
from shared.consumer import Said
from shared.frozen import replace
from shared.working_set import Rows


def due_minor(order: Order, items: Iterable[Item]) -> int:
    """All shipping with the first parcel, and with the last whatever is left: to the cent, it adds up to the total."""
    listed = list(items)
    if not any(item.shipped_quantity for item in listed):
        return 0
    if all(item.shipped_quantity == item.wanted for item in listed if item.live):
        return order.total_minor
    sent_minor = sum(worth(item, item.shipped_quantity) for item in listed)
    return min(order.total_minor, sent_minor + order.shipping_minor + order.shipping_tax_minor)


def tell_due(story: Story, rows: Rows) -> list[Said]:
    """Tell payment, if parcels have left since it was told."""
    order = story.order
    if order.due_minor is None:
        return []
    due = due_minor(order, rows.where(ITEMS, "order_id", order.id))
    if due <= order.due_minor:
        return []
    story.order = replace(order, due_minor=due)
    return [CaptureDue(order_id=order.id, due_minor=due, currency=order.currency)]

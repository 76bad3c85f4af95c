"""What of an order's lines will not come when its money is gone, line by line."""

from typing import Any
from uuid import UUID

import pytest

from contracts.order import CancelUnsent, OrderCancelledEvent, OrderPaymentFailedEvent, UnsentCancelled
from contracts.values import FulfillmentStatus, Pick
from services.order.items import Item
from services.order.lifecycle import ItemStatus, OrderState
from services.order.unsent import without_unsent
from shared.frozen import replace
from tests.support.orders import ORDER, OrderDesk, progressed

RESERVED, IN_FULFILLMENT, CANCELLED = ItemStatus.RESERVED, ItemStatus.IN_FULFILLMENT, ItemStatus.CANCELLED


def line(number: int, sku: str, quantity: int, **more: Any) -> Item:
    return Item(UUID(int=1), number, sku, quantity, 100, 0, 0, 100 * quantity, **{"status": IN_FULFILLMENT} | more)


def kept(**units: int) -> tuple[Pick, ...]:
    return tuple(Pick(warehouse="north", sku=sku, quantity=quantity) for sku, quantity in units.items())


def left(items: list[Item], *picks: Pick) -> dict[int, tuple[ItemStatus, int, dict[str, int]]]:
    return {item.line_no: (item.status, item.wanted, item.substitutes) for item in without_unsent(items, picks).items}


def test_a_line_of_which_nothing_leaves_is_off() -> None:
    rest = without_unsent([line(1, "tea", 2), line(2, "cup", 1, status=ItemStatus.BACKORDERED)], ())
    assert [(item.status, item.cancelled_quantity) for item in rest.items] == [(CANCELLED, 2), (CANCELLED, 1)]
    assert rest.units == {"tea": 2, "cup": 1}


def test_what_leaves_is_dealt_to_the_lines_in_their_order() -> None:
    lines = [line(2, "tea", 2), line(1, "tea", 2)]
    assert left(lines, *kept(tea=3)) == {2: (IN_FULFILLMENT, 1, {})}
    assert left(lines, *kept(tea=1)) == {1: (IN_FULFILLMENT, 1, {}), 2: (CANCELLED, 0, {})}
    assert left(lines, *kept(tea=4)) == {}


def test_units_of_two_warehouses_are_one_sku() -> None:
    picks = (*kept(tea=1), Pick(warehouse="south", sku="tea", quantity=1))
    assert left([line(1, "tea", 3)], *picks) == {1: (IN_FULFILLMENT, 2, {})}


def test_a_substitute_leaves_for_the_line_it_is_sent_for() -> None:
    lines = [line(1, "tea", 3, substitutes={"assam": 2})]
    assert left(lines, *kept(assam=1)) == {1: (IN_FULFILLMENT, 1, {"assam": 1})}
    assert left(lines, *kept(tea=1)) == {1: (IN_FULFILLMENT, 1, {})}
    rest = without_unsent(lines, kept(assam=1))
    assert rest.units == {"tea": 1, "assam": 1}


def test_units_that_were_cancelled_before_are_not_cancelled_again() -> None:
    [item] = without_unsent([line(1, "tea", 3, cancelled_quantity=1)], kept(tea=1)).items
    assert (item.cancelled_quantity, item.wanted) == (2, 1)
    assert left([line(1, "tea", 1, status=CANCELLED), line(2, "cup", 1, status=ItemStatus.RETURNED)]) == {}


def test_what_was_labeled_and_put_aside_since_does_not_come() -> None:
    """The order heard of the label and not yet that the shipment is called off."""
    [item] = without_unsent([line(1, "tea", 3, labeled_quantity=3)], kept(tea=1)).items
    assert (item.wanted, item.labeled_quantity) == (1, 1)


# -- the order -------------------------------------------------------------------------------------------------------


def failed(**units: int) -> CancelUnsent:
    return CancelUnsent(order_id=ORDER, reason="gone", missing_minor=700, currency="EUR", kept=kept(**units))


def test_an_order_with_nothing_left_is_cancelled_and_says_so() -> None:
    desk = OrderDesk().paid()
    assert desk.asks(failed()) == UnsentCancelled(order_id=ORDER)
    event = desk.told()[-1]
    assert isinstance(event, OrderCancelledEvent) and event.reason == "payment_failed"
    assert event.detail == {"missing_minor": "700", "currency": "EUR", "cancelled": "cup: 3, pot: 1"}
    assert desk.story()[-1].metadata["why"] == "gone" and desk.statuses() == ["cancelled", "cancelled"]
    assert (desk.order().refunded_minor, desk.order().refund_standing) == (0, "not_refunded")


def test_again_it_says_nothing() -> None:
    desk = OrderDesk().paid()
    desk.asks(failed())
    told = len(desk.told())
    assert desk.asks(failed()) == UnsentCancelled(order_id=ORDER) and len(desk.told()) == told


def test_the_rest_of_an_order_may_be_further_than_the_whole_was() -> None:
    desk = OrderDesk().paid()
    desk.hears(progressed(FulfillmentStatus.SHIPPED, [("cup", 2)]))
    assert desk.order().state is OrderState.PARTIALLY_FULFILLED
    desk.asks(failed(cup=2))
    assert [event.topic for event in desk.told()][-2:] == ["order.fulfilled", "order.shipped"]
    [event] = [event for event in desk.told() if isinstance(event, OrderPaymentFailedEvent)]
    assert (event.reason, event.detail["cancelled"]) == ("gone", "cup: 1, pot: 1")


@pytest.mark.parametrize("status", [FulfillmentStatus.SHIPPED, FulfillmentStatus.DELIVERED])
def test_when_everything_has_left_it_is_only_told(status: FulfillmentStatus) -> None:
    desk = OrderDesk().paid()
    desk.hears(progressed(status))
    before = desk.order().state, desk.items()
    desk.asks(failed(cup=3, pot=1))
    assert isinstance(desk.told()[-1], OrderPaymentFailedEvent) and (desk.order().state, desk.items()) == before


def test_an_order_that_came_back_is_not_cancelled() -> None:
    desk = OrderDesk().paid()
    desk.hears(progressed(FulfillmentStatus.DELIVERED))
    came_back = (replace(item, status=ItemStatus.RETURNED) for item in desk.items())
    desk.world.store("order").keep(replace(desk.order(), state=OrderState.RETURNED), *came_back)
    desk.asks(failed(cup=3, pot=1))
    assert isinstance(desk.told()[-1], OrderPaymentFailedEvent) and desk.order().state is OrderState.RETURNED


def test_what_leaves_and_was_not_heard_of_yet_is_counted_when_it_is() -> None:
    desk = OrderDesk().paid()
    desk.asks(failed(pot=1))
    assert desk.order().state is OrderState.PAID
    desk.hears(progressed(FulfillmentStatus.DELIVERED, [("pot", 1)]))
    assert desk.order().state is OrderState.DELIVERED and desk.statuses() == ["cancelled", "delivered"]

"""What the tables of an order allow, and what they refuse by name."""

import pytest

from services.order.lifecycle import (
    ITEM,
    ITEM_TRACK,
    PROGRESS,
    REFUND_STANDING,
    TRACK,
    ItemStatus,
    OrderState,
    RefundStanding,
    way,
)
from shared.machine import Already, Moved, Refused


@pytest.mark.parametrize(
    ("at", "on"),
    [
        (OrderState.CREATED, "ship"),
        (OrderState.CREATED, "confirm"),
        (OrderState.FULFILLED, "process"),
        (OrderState.SHIPPED, "cancel"),
        (OrderState.DELIVERED, "cancel"),
        (OrderState.CANCELLED, "confirm"),
        (OrderState.RETURNED, "complete"),
        (OrderState.PAID, "return"),
    ],
)
def test_what_is_not_in_the_table_is_refused_by_name(at: OrderState, on: str) -> None:
    assert PROGRESS.move(at, on) == Refused(at, on)
    assert str(PROGRESS.move(at, on)) == f"{on} is not possible in state {at}"


def test_created_to_shipped_and_fulfilled_to_processing_are_no_pairs_of_the_table() -> None:
    assert (OrderState.CREATED, OrderState.SHIPPED) not in PROGRESS.pairs
    assert (OrderState.FULFILLED, OrderState.PROCESSING) not in PROGRESS.pairs


def test_cancelled_and_returned_are_final_and_a_completed_order_can_come_back() -> None:
    assert PROGRESS.final == {OrderState.CANCELLED, OrderState.RETURNED}
    assert PROGRESS.move(OrderState.COMPLETED, "return") == Moved(OrderState.RETURNED)


def test_asked_twice_is_already() -> None:
    assert PROGRESS.move(OrderState.CANCELLED, "cancel") == Already(OrderState.CANCELLED)


def test_a_refund_never_comes_back() -> None:
    assert REFUND_STANDING.final == {RefundStanding.REFUNDED}


def test_the_way_goes_through_every_state_between() -> None:
    assert way(PROGRESS, OrderState.PAID, OrderState.DELIVERED, TRACK) == ("process", "label all", "ship", "deliver")
    assert way(PROGRESS, OrderState.PARTIALLY_FULFILLED, OrderState.SHIPPED, TRACK) == ("label all", "ship")
    assert way(ITEM, ItemStatus.BACKORDERED, ItemStatus.SHIPPED, ITEM_TRACK) == ("reserve", "fulfill", "ship")


def test_there_is_no_way_back_nor_out_of_an_end() -> None:
    assert way(PROGRESS, OrderState.SHIPPED, OrderState.PROCESSING, TRACK) is None
    assert way(PROGRESS, OrderState.CANCELLED, OrderState.SHIPPED, TRACK) is None
    assert way(PROGRESS, OrderState.COMPLETED, OrderState.DELIVERED, TRACK) is None
    assert way(PROGRESS, OrderState.CREATED, OrderState.PROCESSING, TRACK) is None, "not past the payment"

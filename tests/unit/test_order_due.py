"""Paid per shipment: due is what the parcels are worth that have left, and in the end the whole, to the cent."""

import pytest

from contracts.order import ConfirmOrder
from contracts.payment import CaptureDue
from contracts.shortage import Choice, SettleLines
from contracts.values import FulfillmentStatus
from tests.support.orders import ORDER, OrderDesk, place, progressed
from tests.support.world import START

F = FulfillmentStatus
CUPS, POT, SHIPPING, TOTAL = 3488, 2910, 490 + 93, 6981


def desk(captured: bool = False) -> OrderDesk:
    found = OrderDesk()
    found.asks(place())
    found.asks(ConfirmOrder(order_id=ORDER, captured=captured))
    return found


def due(of: OrderDesk) -> list[int]:
    return [said.due_minor for said in of.world.said_to("payment") if isinstance(said, CaptureDue)]


def test_nothing_is_due_before_a_parcel_has_left() -> None:
    order = desk()
    order.hears(progressed(F.LABELED, [("cup", 3)]))
    assert due(order) == []


def test_all_shipping_with_the_first_parcel_and_all_the_rest_with_the_last() -> None:
    order = desk()
    order.hears(progressed(F.SHIPPED, [("cup", 3)]))
    order.hears(progressed(F.SHIPPED, [("pot", 1)], shipment=2))
    order.hears(progressed(F.DELIVERED, [("pot", 1)], shipment=2))
    assert due(order) == [CUPS + SHIPPING, TOTAL]
    assert order.order().due_minor == TOTAL


def test_a_part_of_a_line_is_due_in_proportion() -> None:
    order = desk()
    order.hears(progressed(F.SHIPPED, [("cup", 1)]))
    order.hears(progressed(F.SHIPPED, [("cup", 2)], shipment=2))
    assert due(order) == [CUPS // 3 + SHIPPING, CUPS + SHIPPING]


def test_what_was_captured_at_once_is_never_due() -> None:
    order = desk(captured=True)
    order.hears(progressed(F.SHIPPED))
    assert due(order) == []
    assert order.order().due_minor is None


def test_a_parcel_that_left_before_the_order_was_confirmed_is_due_with_it() -> None:
    order = OrderDesk()
    order.asks(place())
    order.hears(progressed(F.SHIPPED))
    assert due(order) == []
    order.asks(ConfirmOrder(order_id=ORDER, captured=False))
    assert due(order) == [TOTAL]


def test_units_that_will_not_come_make_the_last_parcel_of_what_has_left() -> None:
    """Their money goes back by a refund of its own, which payment counts."""
    order = desk()
    order.hears(progressed(F.SHIPPED, [("pot", 1)]))
    order.asks(
        SettleLines(
            order_id=ORDER,
            shortage_id=ORDER,
            sku="cup",
            quantity=3,
            outcome=Choice.REFUND,
            substitute=None,
            promised_at=START,
        )
    )
    assert due(order) == [POT + SHIPPING, TOTAL]


@pytest.mark.parametrize("again", [F.SHIPPED, F.DELIVERED])
def test_a_parcel_heard_of_again_is_due_once(again: FulfillmentStatus) -> None:
    order = desk()
    order.hears(progressed(F.SHIPPED, [("cup", 3)]))
    order.hears(progressed(again, [("cup", 3)], tracking_number="1"))
    assert due(order) == [CUPS + SHIPPING]

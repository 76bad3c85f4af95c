"""Stock that arrives, and the order in which warehouses give it."""

from datetime import timedelta

import pytest

from contracts.inventory import (
    DescribeWarehouse,
    ReceiveStock,
    StockHeld,
    StockReceipt,
)
from services.inventory.tables import WAREHOUSES
from tests.support.said import answer
from tests.support.stock_room import StockRoom, hold, release


@pytest.fixture
def room() -> StockRoom:
    return StockRoom().stocked(("tea", "berlin", 10), ("pot", "berlin", 3))


def test_a_delivery_said_twice_counts_once(room: StockRoom) -> None:
    delivery = ReceiveStock(reference="d-1", receipts=(StockReceipt(sku="tea", warehouse="berlin", quantity=5),))
    room.hears(delivery, delivery)
    room.hears(delivery)
    assert room.counts() == (15, 0, 0)
    room.check_the_books()


def test_a_deliverys_reference_with_other_content_is_set_aside(room: StockRoom) -> None:
    for quantity in (5, 6):
        receipts = (StockReceipt(sku="tea", warehouse="berlin", quantity=quantity),)
        room.hears(ReceiveStock(reference="d-1", receipts=receipts))
    assert "ReferenceReused" in room.trouble()[0]
    assert room.counts() == (15, 0, 0)


def test_one_delivery_may_name_a_shelf_twice(room: StockRoom) -> None:
    room.stocked(("cup", "bremen", 2), ("cup", "bremen", 3), ("cup", "berlin", 1))
    assert (room.counts("cup", "bremen"), room.counts("cup", "berlin")) == ((5, 0, 0), (1, 0, 0))
    room.check_the_books()


def test_safety_stock_is_raised_and_never_lowered_by_a_delivery() -> None:
    room = StockRoom().stocked(("tea", "berlin", 5), safety_stock=2).stocked(("tea", "berlin", 5), safety_stock=1)
    assert room.shelf().safety_stock == 2


def test_warehouses_give_in_order_of_their_priority() -> None:
    room = StockRoom().stocked(("tea", "berlin", 2)).stocked(("tea", "aachen", 2))
    assert [(row.code, row.priority) for row in room.store.rows(WAREHOUSES)] == [("aachen", 2), ("berlin", 1)]
    held = answer(room.hears(hold(1, ("tea", 3))))
    assert isinstance(held, StockHeld)
    assert [(pick.warehouse, pick.quantity) for pick in held.picks] == [("berlin", 2), ("aachen", 1)]
    room.hears(release(1))
    described = DescribeWarehouse(warehouse="aachen", name="Aachen West", priority=0, as_of=room.now)
    room.hears(described)
    older = DescribeWarehouse(warehouse="aachen", priority=9, as_of=room.now - timedelta(hours=1))
    room.hears(older, described)
    held = answer(room.hears(hold(2, ("tea", 3))))
    assert isinstance(held, StockHeld)
    assert [(pick.warehouse, pick.quantity) for pick in held.picks] == [("aachen", 2), ("berlin", 1)]
    assert room.store.row(WAREHOUSES, "aachen").name == "Aachen West"

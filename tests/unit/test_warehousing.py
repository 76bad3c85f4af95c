"""Returned goods, corrections, stock-takes and safety stock: what stands on the shelves afterwards."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.story import StoryFact
from contracts.warehousing import CountStock
from services.inventory.counting import BelowZero, counted
from services.inventory.domain import Movement, Shelf
from services.inventory.tables import CORRECTIONS, MOVEMENTS, RETURNS, SHELVES, STOCK_TAKES, WAREHOUSES
from tests.support.stock_room import StockRoom, commit, hold, order, release, ship
from tests.support.warehousing import (
    correct,
    count,
    give_back,
    safety,
)


@pytest.fixture
def room() -> StockRoom:
    """Ten tea and three pots in Berlin; order 1 had four tea, all shipped."""
    room = StockRoom().stocked(("tea", "berlin", 14), ("pot", "berlin", 3))
    room.hears(hold(1, ("tea", 4)), commit(1), ship(1, ("tea", "berlin", 4)))
    room.now += timedelta(minutes=1)
    return room


def last(room: StockRoom, kind: str) -> Movement:
    found: Movement = next(row for row in reversed(room.store.rows(MOVEMENTS)) if row.kind == kind)
    return found


# -- returned goods ----------------------------------------------------------------------------------------------------


def test_what_is_as_good_as_new_lies_there_again_and_the_order_is_told(room: StockRoom) -> None:
    (said,) = room.hears(give_back(1, "r-1", ("tea", 2, "restock"), ("tea", 1, "dispose")))
    assert isinstance(said, StoryFact)
    assert (said.order_id, said.name, said.reason) == (order(1), "inventory.goods_returned", "r-1")
    assert said.detail == {"restock": "2 x tea", "dispose": "1 x tea", "warehouse": "berlin"}
    assert room.counts() == (12, 0, 0)
    restocked, disposed = last(room, "restock"), last(room, "dispose")
    assert (restocked.quantity, restocked.on_hand_delta, restocked.order_id) == (2, 2, order(1))
    assert (disposed.quantity, disposed.on_hand_delta, disposed.reference) == (1, 0, "r-1")
    room.check_the_books()


def test_a_return_counts_once(room: StockRoom) -> None:
    again = give_back(1, "r-1", ("tea", 2, "restock"))
    assert len(room.hears(again, again)) == 1
    assert room.hears(again) == []
    assert room.counts() == (12, 0, 0)
    assert room.trouble() == []


@pytest.mark.parametrize(
    "other",
    [
        give_back(1, "r-1", ("tea", 1, "restock")),
        give_back(1, "r-1", ("tea", 2, "dispose")),
        give_back(1, "r-1", ("tea", 2, "restock"), warehouse="hamburg"),
        give_back(2, "r-1", ("tea", 2, "restock")),
    ],
)
def test_a_returns_id_with_other_content_is_set_aside(room: StockRoom, other: Any) -> None:
    room.hears(give_back(1, "r-1", ("tea", 2, "restock")))
    assert room.hears(other) == []
    assert room.trouble() == ["ReferenceReused: r-1"]
    assert room.counts() == (12, 0, 0)


def test_no_more_comes_back_than_was_shipped(room: StockRoom) -> None:
    room.hears(give_back(1, "r-1", ("tea", 3, "restock")))
    assert room.hears(give_back(1, "r-2", ("tea", 1, "dispose"), ("tea", 1, "restock"))) == []
    assert room.trouble() == [f"more_than_shipped: 1 tea too many came back of order {order(1)}"]
    room.hears(give_back(2, "r-3", ("tea", 1, "restock")))
    assert len(room.trouble()) == 2
    assert room.counts() == (13, 0, 0)
    room.passes(700)
    for _ in range(20):
        room.passes(100)
    assert {row.reason for row in room.store.parked.values()} == {"more_than_shipped"}
    assert [row.return_id for row in room.store.rows(RETURNS)] == ["r-1"]


def test_goods_that_left_although_their_order_had_let_go_come_back_too() -> None:
    room = StockRoom().stocked(("tea", "berlin", 10))
    room.hears(hold(1, ("tea", 4)), commit(1), release(1), ship(1, ("tea", "berlin", 4)))
    room.hears(give_back(1, "r-1", ("tea", 4, "restock")))
    assert room.counts() == (10, 0, 0)
    assert room.trouble() == []


def test_a_return_that_overtook_its_shipment_waits_for_it() -> None:
    room = StockRoom().stocked(("tea", "berlin", 10))
    room.hears(hold(1, ("tea", 4)), commit(1))
    room.hears(give_back(1, "r-1", ("tea", 4, "restock")))
    assert room.counts() == (10, 0, 4)
    room.hears(ship(1, ("tea", "berlin", 4)))
    assert [message.topic for message in room.passes(5)] == [StoryFact.topic]
    assert room.counts() == (10, 0, 0)


def test_goods_may_come_back_to_a_warehouse_that_never_had_them(room: StockRoom) -> None:
    room.hears(give_back(1, "r-1", ("tea", 1, "restock"), ("tea", 1, "dispose"), warehouse="returns"))
    assert room.counts("tea", "returns") == (1, 0, 0)
    assert room.store.row(WAREHOUSES, "returns").priority == 2
    room.check_the_books()


# -- corrections -------------------------------------------------------------------------------------------------------


def test_a_correction_moves_the_books_with_its_reason(room: StockRoom) -> None:
    room.hears(correct("c-1", -3), correct("c-2", 1, reason="found behind the rack"))
    assert room.counts() == (8, 0, 0)
    assert last(room, "correction").on_hand_delta == 1
    made = room.store.row(CORRECTIONS, "c-2")
    assert (made.delta, made.reason, made.corrected_by) == (1, "found behind the rack", "grace")
    room.check_the_books()


def test_a_correction_counts_once_and_its_reference_means_one_thing(room: StockRoom) -> None:
    room.hears(correct("c-1", -3), correct("c-1", -3))
    room.hears(correct("c-1", -3))
    assert room.counts() == (7, 0, 0)
    room.hears(correct("c-1", -3, reason="stolen"))
    assert room.trouble() == ["ReferenceReused: c-1"]


def test_a_correction_below_what_is_promised_stands_and_the_shelf_is_short(room: StockRoom) -> None:
    room.hears(hold(2, ("tea", 5)), hold(3, ("tea", 4)), commit(3))
    room.hears(correct("c-1", -8))
    assert room.counts() == (2, 5, 4)
    assert room.shelf().short == 7
    room.hears(correct("c-2", 3))
    assert room.shelf().short == 4
    room.hears(release(2))
    assert (room.counts(), room.shelf().short) == ((5, 0, 4), 0)
    room.check_the_books()


def test_a_correction_below_zero_is_set_aside(room: StockRoom) -> None:
    room.hears(correct("c-1", -11))
    assert room.trouble() == ["BelowZero: tea in berlin: -1 on hand is not possible, it has 10"]
    assert room.counts() == (10, 0, 0)


def test_a_slip_of_the_pen_makes_no_shelf(room: StockRoom) -> None:
    room.hears(correct("c-1", 5, sku="tae"), safety(5, room.now, warehouse="bonn"))
    assert sorted(room.trouble()) == [
        "unknown_shelf: berlin has never stored tae",
        "unknown_shelf: bonn has never stored tea",
    ]
    assert len(room.store.rows(SHELVES)) == 2


def test_counted_is_pure_and_short_is_what_is_promised_and_not_there() -> None:
    shelf = Shelf("tea", "berlin", on_hand=10, held=4, allocated=3)
    assert counted(shelf, 10) == (shelf, 0)
    after, delta = counted(shelf, 5)
    assert (after.on_hand, after.short, delta) == (5, 2, -5)
    assert counted(after, 7) == (Shelf("tea", "berlin", on_hand=7, held=4, allocated=3), 2)
    with pytest.raises(BelowZero):
        counted(shelf, -1)


# -- stock-takes -------------------------------------------------------------------------------------------------------


def takes(room: StockRoom) -> list[tuple[str, int, int, int, str]]:
    return [
        (row.sku, row.expected, row.counted, row.difference, str(row.outcome)) for row in room.store.rows(STOCK_TAKES)
    ]


def test_a_stock_take_says_what_differed_and_the_books_follow(room: StockRoom) -> None:
    room.hears(count("s-1", ("tea", 9), ("pot", 3), ("cup", 2), ("jar", 0), as_of=room.now))
    assert takes(room) == [
        ("cup", 0, 2, 2, "corrected"),
        ("jar", 0, 0, 0, "agreed"),
        ("pot", 3, 3, 0, "agreed"),
        ("tea", 10, 9, -1, "corrected"),
    ]
    assert (room.counts("tea"), room.counts("pot"), room.counts("cup")) == ((9, 0, 0), (3, 0, 0), (2, 0, 0))
    assert room.store.row(SHELVES, "jar", "berlin") is None
    assert [row.sku for row in room.store.rows(MOVEMENTS) if row.kind == "correction"] == ["tea", "cup"]
    room.check_the_books()


def test_a_stock_take_counts_once(room: StockRoom) -> None:
    sheet = count("s-1", ("tea", 9), as_of=room.now)
    room.hears(sheet, sheet)
    room.hears(sheet)
    assert room.counts() == (9, 0, 0)
    assert len(takes(room)) == 1
    room.hears(count("s-1", ("tea", 8), as_of=room.now))
    assert room.trouble() == ["ReferenceReused: s-1"]


def test_units_that_moved_since_the_count_are_not_counted_away(room: StockRoom) -> None:
    """Counted nine of ten; then five came and two left."""
    as_of = room.now
    room.now += timedelta(minutes=5)
    room.stocked(("tea", "berlin", 5))
    room.hears(hold(2, ("tea", 2)), commit(2), ship(2, ("tea", "berlin", 2)))
    assert room.counts() == (13, 0, 0)
    room.hears(count("s-1", ("tea", 9, 10), as_of=as_of))
    assert room.counts() == (12, 0, 0)
    assert takes(room) == [("tea", 10, 9, -1, "corrected")]
    room.check_the_books()


def test_a_shelf_that_moved_since_is_to_be_counted_again_when_nobody_knows_what_it_had(room: StockRoom) -> None:
    as_of = room.now
    room.now += timedelta(minutes=5)
    room.stocked(("tea", "berlin", 5))
    room.hears(count("s-1", ("tea", 9), ("pot", 2), as_of=as_of))
    assert takes(room) == [("pot", 3, 2, -1, "corrected"), ("tea", 15, 9, -6, "moved_since")]
    assert (room.counts("tea"), room.counts("pot")) == ((15, 0, 0), (2, 0, 0))


def test_holds_do_not_disturb_a_count(room: StockRoom) -> None:
    as_of = room.now
    room.now += timedelta(minutes=5)
    room.hears(hold(2, ("tea", 2)), commit(2))
    room.hears(count("s-1", ("tea", 9), as_of=as_of))
    assert room.counts() == (9, 0, 2)


def test_a_count_that_would_leave_less_than_nothing_changes_nothing(room: StockRoom) -> None:
    """Two counted of ten, and five left since: three more than were there."""
    as_of = room.now
    room.now += timedelta(minutes=5)
    room.hears(hold(2, ("tea", 5)), commit(2), ship(2, ("tea", "berlin", 5)))
    room.hears(count("s-1", ("tea", 2, 10), ("pot", 1), as_of=as_of))
    assert takes(room) == [("pot", 3, 1, -2, "corrected"), ("tea", 10, 2, -8, "below_zero")]
    assert room.counts() == (5, 0, 0)


def test_a_count_below_what_is_promised_is_short(room: StockRoom) -> None:
    room.hears(hold(2, ("tea", 5)))
    room.hears(count("s-1", ("tea", 2), as_of=room.now))
    assert (room.counts(), room.shelf().short) == ((2, 5, 0), 3)
    room.check_the_books()


def test_a_count_of_an_unknown_warehouse_waits(room: StockRoom) -> None:
    room.hears(count("s-1", ("tea", 2), warehouse="bonn", as_of=room.now))
    assert room.trouble() == ["unknown_warehouse: bonn"]


def test_a_sku_is_counted_once_on_a_sheet() -> None:
    with pytest.raises(ValidationError, match="counted twice"):
        count("s-1", ("tea", 1), ("tea", 2))
    with pytest.raises(ValidationError):
        CountStock.model_validate(count("s-1", *((f"sku-{n}", n) for n in range(501))).model_dump())


# -- safety stock ------------------------------------------------------------------------------------------------------


def test_the_latest_word_about_safety_stock_counts_and_may_lower_it(room: StockRoom) -> None:
    later = room.now + timedelta(hours=1)
    room.hears(safety(8, room.now))
    assert room.shelf().safety_stock == 8
    room.hears(safety(2, later), safety(9, later - timedelta(minutes=1)))
    assert room.shelf().safety_stock == 2
    assert room.counts() == (10, 0, 0)

"""What was paid is allocated, given back or shipped, and counts once whatever is said twice."""

from datetime import timedelta

import pytest

from contracts.frame import CommandWithdrawn
from contracts.inventory import (
    CommitStock,
    HoldLapsed,
    StockCommitted,
    StockGone,
    StockReleased,
)
from contracts.values import Pick, SkuQuantity
from services.inventory.domain import ReservationStatus
from services.inventory.tables import MOVEMENTS
from tests.support.said import answer, story
from tests.support.stock_room import StockRoom, commit, hold, order, release, ship


@pytest.fixture
def room() -> StockRoom:
    return StockRoom().stocked(("tea", "berlin", 10), ("pot", "berlin", 3))


# -- committing --------------------------------------------------------------------------------------------------------


def test_a_commit_allocates_what_was_held_and_stops_the_timer(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)))
    said = room.hears(commit(1))
    assert said == [StockCommitted(order_id=order(1), picks=(Pick(warehouse="berlin", sku="tea", quantity=4),))]
    assert room.counts() == (10, 0, 4)
    assert room.store.due == {}
    assert room.passes(10_000) == []
    room.check_the_books()


def test_a_commit_past_the_time_but_before_the_timer_keeps_the_hold(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 10)))
    room.now += timedelta(seconds=1000)
    assert isinstance(answer(room.hears(commit(1))), StockCommitted)
    assert room.passes(1) == []
    assert room.counts() == (10, 0, 10)


def test_a_commit_after_expiry_takes_the_stock_again(room: StockRoom) -> None:
    room.stocked(("tea", "hamburg", 10))
    room.hears(hold(1, ("tea", 4)))
    room.passes(901)
    room.hears(hold(2, ("tea", 8)))
    said = room.hears(commit(1))
    assert answer(said) == StockCommitted(
        order_id=order(1),
        picks=(
            Pick(warehouse="berlin", sku="tea", quantity=2),
            Pick(warehouse="hamburg", sku="tea", quantity=2),
        ),
    )
    assert story(said) == ["inventory.stock_taken_again"]
    assert room.counts() == (10, 8, 2)
    room.check_the_books()


def test_a_commit_after_expiry_and_sale_is_refused(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)))
    room.passes(901)
    room.hears(hold(2, ("tea", 8)))
    said = room.hears(commit(1))
    assert answer(said) == StockGone(order_id=order(1), missing=(SkuQuantity(sku="tea", quantity=2),))
    assert story(said) == ["inventory.stock_gone"]
    assert room.counts() == (10, 8, 0)
    room.check_the_books()


def test_a_commit_of_what_was_released_is_refused(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)), release(1))
    room.said()
    assert answer(room.hears(commit(1))) == StockGone(order_id=order(1), missing=(SkuQuantity(sku="tea", quantity=4),))


def test_hold_lapse_and_commit_of_one_batch_agree(room: StockRoom) -> None:
    """The timer's row and the commit wake in the same batch: messages first, the row decides."""
    room.hears(hold(1, ("tea", 10)))
    room.now += timedelta(seconds=901)
    room.batch([room.envelope(commit(1))], due=True)
    assert [type(message) for message in room.said()] == [StockCommitted]
    assert room.counts() == (10, 0, 10)


def test_a_commit_of_an_unknown_order_waits(room: StockRoom) -> None:
    assert room.hears(CommitStock(order_id=order(9))) == []
    assert "unknown_order" in room.trouble()[0]


def test_a_commit_meets_a_hold_that_expired_earlier_in_its_own_batch() -> None:
    """What a commit needs is loaded before the batch decides anything: the hold was still standing then."""
    room = StockRoom().stocked(("tea", "berlin", 5))
    room.hears(hold(1, ("tea", 2), for_s=60.0))
    room.now += timedelta(seconds=61)
    said = room.hears(HoldLapsed(order_id=order(1)), commit(1))
    assert room.store.due == {}, "nothing had to be set aside"
    assert any(isinstance(message, StockCommitted) for message in said)
    assert room.counts() == (5, 0, 2)
    room.check_the_books()


# -- releasing ---------------------------------------------------------------------------------------------------------


def test_a_release_gives_a_hold_back(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)))
    said = room.hears(release(1))
    assert answer(said) == StockReleased(order_id=order(1))
    assert story(said) == ["inventory.stock_released"]
    assert room.counts() == (10, 0, 0)
    assert room.store.due == {}
    room.check_the_books()


def test_a_release_gives_an_allocation_back(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)), commit(1), release(1))
    assert room.counts() == (10, 0, 0)
    room.check_the_books()


def test_a_release_after_expiry_answers_and_moves_nothing(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)))
    room.passes(901)
    movements = len(room.store.rows(MOVEMENTS))
    assert room.hears(release(1)) == [StockReleased(order_id=order(1))]
    assert len(room.store.rows(MOVEMENTS)) == movements
    assert room.reservation(order(1)).status is ReservationStatus.RELEASED


def test_a_release_before_its_hold_answers_and_the_hold_is_refused_for_ever(room: StockRoom) -> None:
    assert room.hears(release(1)) == [StockReleased(order_id=order(1))]
    assert room.hears(hold(1, ("tea", 4))) == [CommandWithdrawn()]
    assert room.counts() == (10, 0, 0)


# -- released, but for what leaves all the same ------------------------------------------------------------------------


def test_what_is_in_a_parcel_stays_allocated_until_it_ships(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4), ("pot", 1)), commit(1))
    said = room.hears(release(1, ("tea", "berlin", 3)))
    assert answer(said) == StockReleased(order_id=order(1)) and story(said) == ["inventory.stock_released"]
    assert (room.counts("tea"), room.counts("pot")) == ((10, 0, 3), (3, 0, 0))
    assert room.reservation(order(1)).status is ReservationStatus.COMMITTED
    room.check_the_books()
    room.hears(ship(1, ("tea", "berlin", 3)))
    assert room.counts("tea") == (7, 0, 0) and room.reservation(order(1)).status is ReservationStatus.SHIPPED
    room.check_the_books()


def test_what_has_shipped_already_is_among_what_is_kept(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)), commit(1), ship(1, ("tea", "berlin", 1)))
    room.hears(release(1, ("tea", "berlin", 3)))
    assert room.counts() == (9, 0, 2)
    room.hears(ship(1, ("tea", "berlin", 2), fulfillment=2))
    assert room.counts() == (7, 0, 0) and room.reservation(order(1)).status is ReservationStatus.SHIPPED
    room.check_the_books()


def test_when_all_that_is_kept_has_shipped_the_promise_is_over(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)), commit(1), ship(1, ("tea", "berlin", 3)))
    room.hears(release(1, ("tea", "berlin", 3)))
    assert room.counts() == (7, 0, 0) and room.reservation(order(1)).status is ReservationStatus.SHIPPED
    room.check_the_books()


def test_keeping_everything_moves_nothing(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)), commit(1))
    assert room.hears(release(1, ("tea", "berlin", 4))) == [StockReleased(order_id=order(1))]
    assert room.counts() == (10, 0, 4)
    room.check_the_books()


def test_what_is_kept_of_a_hold_is_nothing(room: StockRoom) -> None:
    """Nothing is in a parcel that is not paid for."""
    room.hears(hold(1, ("tea", 4)), release(1, ("tea", "berlin", 4)))
    assert room.counts() == (10, 0, 0) and room.reservation(order(1)).status is ReservationStatus.RELEASED


# -- shipping ----------------------------------------------------------------------------------------------------------


def test_what_ships_is_no_longer_on_hand(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4), ("pot", 1)), commit(1))
    room.hears(ship(1, ("tea", "berlin", 4), ("pot", "berlin", 1)))
    assert (room.counts("tea"), room.counts("pot")) == ((6, 0, 0), (2, 0, 0))
    assert room.reservation(order(1)).status is ReservationStatus.SHIPPED
    room.check_the_books()


def test_a_shipment_said_twice_counts_once(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)), commit(1))
    room.hears(ship(1, ("tea", "berlin", 2)), ship(1, ("tea", "berlin", 2)))
    room.hears(ship(1, ("tea", "berlin", 2)))
    assert room.counts() == (8, 0, 2)
    room.hears(ship(1, ("tea", "berlin", 2), fulfillment=2))
    assert room.counts() == (6, 0, 0)
    assert room.reservation(order(1)).status is ReservationStatus.SHIPPED
    room.check_the_books()


def test_a_release_keeps_what_has_shipped_gone(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)), commit(1), ship(1, ("tea", "berlin", 3)), release(1))
    assert room.counts() == (7, 0, 0)
    room.check_the_books()


def test_a_shipment_that_left_after_its_release_comes_out_of_what_is_free(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)), commit(1), release(1), ship(1, ("tea", "berlin", 4)))
    assert room.counts() == (6, 0, 0)
    room.check_the_books()


def test_a_shipment_of_what_is_promised_to_others_is_set_aside(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)), commit(1), release(1), hold(2, ("tea", 10)))
    room.hears(ship(1, ("tea", "berlin", 4)))
    assert "Oversold" in room.trouble()[0]
    assert room.counts() == (10, 10, 0)


def test_a_shipment_of_an_expired_hold_waits_and_says_for_what() -> None:
    room = StockRoom().stocked(("tea", "berlin", 5))
    room.hears(hold(1, ("tea", 2), for_s=60.0))
    room.passes(61)
    room.hears(ship(1, ("tea", "berlin", 2)))
    assert [row.error for row in room.store.due.values()] == ["reservation expired: nothing was committed to ship"]

"""What inventory answers, and what stands on its shelves afterwards."""

from datetime import timedelta

import pytest

from contracts.frame import CommandWithdrawn, KeyReused
from contracts.inventory import (
    CommitStock,
    DescribeWarehouse,
    HoldExtended,
    HoldLapsed,
    ReceiveStock,
    ReservationExpired,
    StockCommitted,
    StockGone,
    StockHeld,
    StockReceipt,
    StockReleased,
    StockShort,
)
from contracts.message import Message
from contracts.story import StoryFact
from contracts.values import Pick, SkuQuantity
from services.inventory.domain import ReservationStatus
from services.inventory.tables import MOVEMENTS, RESERVATIONS, SHELVES, WAREHOUSES
from shared.store import DueRow
from tests.support.stock_room import StockRoom, commit, extend, hold, key_of, order, release, ship


@pytest.fixture
def room() -> StockRoom:
    return StockRoom().stocked(("tea", "berlin", 10), ("pot", "berlin", 3))


def story(said: list[Message]) -> list[str]:
    return [message.name for message in said if isinstance(message, StoryFact)]


def answer(said: list[Message]) -> Message:
    """The one thing said that is not for the story."""
    (found,) = [message for message in said if not isinstance(message, StoryFact)]
    return found


# -- holding -----------------------------------------------------------------------------------------------------------


def test_every_line_is_held(room: StockRoom) -> None:
    said = room.hears(hold(1, ("tea", 4), ("pot", 1)))
    assert answer(said) == StockHeld(
        order_id=order(1),
        until=room.now + timedelta(seconds=900),
        picks=(
            Pick(warehouse="berlin", sku="tea", quantity=4),
            Pick(warehouse="berlin", sku="pot", quantity=1),
        ),
    )
    assert story(said) == []
    assert (room.counts("tea"), room.counts("pot")) == ((10, 4, 0), (3, 1, 0))
    room.check_the_books()


def test_one_line_short_holds_nothing(room: StockRoom) -> None:
    said = room.hears(hold(1, ("tea", 4), ("pot", 5), ("moon", 1)))
    assert said == [
        StockShort(order_id=order(1), missing=(SkuQuantity(sku="pot", quantity=2),), unknown=("moon",)),
    ]
    assert (room.counts("tea"), room.counts("pot")) == ((10, 0, 0), (3, 0, 0))
    assert room.store.rows(RESERVATIONS) == []


def test_two_lines_of_one_sku_are_one_wish(room: StockRoom) -> None:
    short = answer(room.hears(hold(1, ("tea", 6), ("tea", 6))))
    assert short == StockShort(order_id=order(1), missing=(SkuQuantity(sku="tea", quantity=2),))
    held = answer(room.hears(hold(2, ("tea", 6), ("tea", 4))))
    assert isinstance(held, StockHeld)
    assert held.picks == (Pick(warehouse="berlin", sku="tea", quantity=10),)


def test_a_batch_sees_what_its_earlier_messages_took(room: StockRoom) -> None:
    said = room.hears(*(hold(number, ("pot", 2)) for number in (1, 2)))
    assert [message.topic for message in said] == [StockHeld.topic, StockShort.topic]
    room.check_the_books()


def test_safety_stock_is_kept_from_new_holds() -> None:
    room = StockRoom().stocked(("tea", "berlin", 5), safety_stock=2)
    assert isinstance(answer(room.hears(hold(1, ("tea", 4)))), StockShort)
    assert isinstance(answer(room.hears(hold(2, ("tea", 3)))), StockHeld)


def test_the_same_command_gets_the_same_answer_and_nothing_is_held_twice(room: StockRoom) -> None:
    first = answer(room.hears(hold(1, ("tea", 4))))
    room.now += timedelta(seconds=60)
    assert room.hears(hold(1, ("tea", 4))) == [first]
    assert room.hears(hold(1, ("tea", 5))) == [KeyReused()]
    assert room.counts() == (10, 4, 0)


def test_another_run_that_asks_for_the_same_hold_is_told_of_it(room: StockRoom) -> None:
    first = answer(room.hears(hold(1, ("tea", 4))))
    assert room.hears(hold(1, ("tea", 4)), key="orchestrator/other/hold/do") == [first]
    assert room.counts() == (10, 4, 0)


def test_another_run_that_asks_for_something_else_is_set_aside(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)))
    assert room.hears(hold(1, ("tea", 5)), key="orchestrator/other/hold/do") == []
    assert "AlreadyReserved" in waiting(room)[0].error
    assert room.counts() == (10, 4, 0)


def waiting(room: StockRoom) -> list[DueRow]:
    return [row for row in room.store.due.values() if row.error]


# -- expiry ------------------------------------------------------------------------------------------------------------


def test_a_hold_expires_by_its_timer_and_its_run_is_told_under_the_holds_key(room: StockRoom) -> None:
    asked = hold(1, ("tea", 4))
    held = answer(room.hears(asked))
    said = room.passes(901)
    assert answer(said) == ReservationExpired(order_id=order(1))
    assert story(said) == ["inventory.hold_expired"]
    told = next(row for row in room.store.said() if row.head["type"].endswith("reservation_expired.v1"))
    assert (told.destination, told.head["commandkey"]) == ("orchestrator", key_of(asked))
    assert room.counts() == (10, 0, 0)
    assert room.reservation(order(1)).status is ReservationStatus.EXPIRED
    assert room.hears(asked) == [held]  # the hold's own answer is what it was
    room.check_the_books()


def test_a_hold_does_not_expire_early(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)))
    assert room.passes(899) == []
    assert room.counts() == (10, 4, 0)


def test_a_timer_that_rings_early_or_for_nothing_does_nothing(room: StockRoom) -> None:
    """Two replicas may have claimed a timer before it was set anew: the row decides, not the bell."""
    assert room.hears(HoldLapsed(order_id=order(1))) == []
    room.hears(hold(1, ("tea", 4)))
    assert room.hears(HoldLapsed(order_id=order(1))) == []
    room.hears(commit(1))
    room.now += timedelta(seconds=901)
    assert room.hears(HoldLapsed(order_id=order(1))) == []
    assert room.counts() == (10, 0, 4)
    assert waiting(room) == []


def test_an_extended_hold_lives_longer(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)))
    assert room.hears(extend(1, 3600)) == [HoldExtended(order_id=order(1), until=room.now + timedelta(seconds=3600))]
    assert room.passes(3599) == []
    assert answer(room.passes(2)) == ReservationExpired(order_id=order(1))


def test_extending_never_shortens(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)))
    assert room.hears(extend(1, 5)) == [HoldExtended(order_id=order(1), until=room.now + timedelta(seconds=900))]
    assert room.passes(100) == []


def test_a_hold_that_is_over_is_not_extended(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 4)))
    until = room.now + timedelta(seconds=900)
    room.passes(901)
    assert room.hears(extend(1, 3600)) == [HoldExtended(order_id=order(1), until=until)]
    assert room.counts() == (10, 0, 0)


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
    assert "unknown_order" in waiting(room)[0].error


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
    assert "Oversold" in waiting(room)[0].error
    assert room.counts() == (10, 10, 0)


# -- receiving and the priority list -----------------------------------------------------------------------------------


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
    assert "ReferenceReused" in waiting(room)[0].error
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


# -- the flash sale ----------------------------------------------------------------------------------------------------


def test_ten_thousand_buyers_of_five_hundred_units_buy_exactly_five_hundred() -> None:
    room = StockRoom().stocked(("console", "berlin", 300), ("console", "hamburg", 200))
    for start in range(0, 10_000, 100):
        room.batch([room.envelope(hold(number, ("console", 1))) for number in range(start, start + 100)])
    said = room.said()
    assert sum(isinstance(message, StockHeld) for message in said) == 500
    assert sum(isinstance(message, StockShort) for message in said) == 9_500
    for start in range(0, 500, 100):
        room.batch([room.envelope(commit(number)) for number in range(start, start + 100)])
    assert sum(isinstance(message, StockCommitted) for message in room.said()) == 500
    assert sum(shelf.allocated for shelf in room.store.rows(SHELVES)) == 500
    room.check_the_books()


def test_a_shipment_of_an_expired_hold_waits_and_says_for_what() -> None:
    room = StockRoom().stocked(("tea", "berlin", 5))
    room.hears(hold(1, ("tea", 2), for_s=60.0))
    room.passes(61)
    room.hears(ship(1, ("tea", "berlin", 2)))
    assert [row.error for row in room.store.due.values()] == ["reservation expired: nothing was committed to ship"]


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

"""Stock held for an order, until it is paid, expires or is sold to somebody else."""

from datetime import timedelta

import pytest

from contracts.frame import KeyReused
from contracts.inventory import (
    HoldExtended,
    HoldLapsed,
    ReservationExpired,
    StockCommitted,
    StockHeld,
    StockShort,
)
from contracts.values import Pick, SkuQuantity
from services.inventory.domain import ReservationStatus
from services.inventory.tables import RESERVATIONS, SHELVES
from tests.support.said import answer, story
from tests.support.stock_room import StockRoom, commit, extend, hold, key_of, order


@pytest.fixture
def room() -> StockRoom:
    return StockRoom().stocked(("tea", "berlin", 10), ("pot", "berlin", 3))


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
    assert "AlreadyReserved" in room.trouble()[0]
    assert room.counts() == (10, 4, 0)


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
    assert room.trouble() == []


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

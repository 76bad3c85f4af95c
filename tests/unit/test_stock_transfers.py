"""Units that go from one warehouse to another: on no shelf meanwhile, and nowhere twice."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from services.inventory.tables import MOVEMENTS, TRANSFERS, WAREHOUSES
from services.inventory.transfers import Transfer
from tests.support.stock_room import StockRoom, commit, hold, release, ship
from tests.support.warehousing import (
    cancel,
    correct,
    receive,
    request,
    safety,
    send,
)


@pytest.fixture
def room() -> StockRoom:
    """Ten tea and three pots in Berlin; order 1 had four tea, all shipped."""
    room = StockRoom().stocked(("tea", "berlin", 14), ("pot", "berlin", 3))
    room.hears(hold(1, ("tea", 4)), commit(1), ship(1, ("tea", "berlin", 4)))
    room.now += timedelta(minutes=1)
    return room


def transfer(room: StockRoom, id_: str = "t-1") -> Transfer:
    found = room.store.row(TRANSFERS, id_)
    assert isinstance(found, Transfer)
    return found


def test_a_transfer_takes_units_from_one_warehouse_to_another(room: StockRoom) -> None:
    room.hears(request("t-1", ("tea", 4), ("pot", 1)))
    assert (transfer(room).state, room.counts()) == ("requested", (10, 0, 0))
    room.hears(send("t-1"))
    assert (transfer(room).state, room.counts(), room.counts("pot")) == ("sent", (6, 0, 0), (2, 0, 0))
    room.hears(receive("t-1"))
    done = transfer(room)
    assert (done.state, done.arrived) == ("received", {"tea": 4, "pot": 1})
    assert done.requested_at and done.sent_at and done.ended_at
    assert (room.counts("tea", "hamburg"), room.counts("pot", "hamburg")) == ((4, 0, 0), (1, 0, 0))
    assert room.store.row(WAREHOUSES, "hamburg").priority == 2
    room.check_the_books()


def test_everything_about_a_transfer_may_be_said_twice_and_counts_once(room: StockRoom) -> None:
    for message in (request("t-1", ("tea", 4)), send("t-1"), receive("t-1", ("tea", 3))):
        room.hears(message, message)
        room.hears(message)
    assert (room.counts(), room.counts("tea", "hamburg")) == ((6, 0, 0), (3, 0, 0))
    assert room.trouble() == []


def test_what_is_promised_cannot_be_sent_and_what_is_missing_is_named(room: StockRoom) -> None:
    room.hears(hold(2, ("tea", 8)))
    room.hears(request("t-1", ("tea", 4), ("jar", 1)), send("t-1"))
    assert transfer(room).state == "requested"
    assert transfer(room).refusal == "not_free: 1 jar, 2 tea too few in berlin"
    assert room.counts() == (10, 8, 0)
    room.hears(release(2))
    room.stocked(("jar", "berlin", 1))
    room.hears(send("t-1"))
    assert (transfer(room).state, transfer(room).refusal) == ("sent", "")


def test_safety_stock_does_not_keep_a_transfer_back(room: StockRoom) -> None:
    """It limits new holds, and nothing else."""
    room.hears(safety(10, room.now), request("t-1", ("tea", 10)), send("t-1"))
    assert room.counts() == (0, 0, 0)


def test_what_did_not_come_is_a_correction_at_the_destination(room: StockRoom) -> None:
    room.hears(request("t-1", ("tea", 4), ("pot", 2)), send("t-1"))
    room.hears(receive("t-1", ("tea", 3), ("pot", 3), reason="fell off the truck"))
    done = transfer(room)
    assert (done.state, done.reason, done.arrived) == ("received", "fell off the truck", {"tea": 3, "pot": 3})
    assert (room.counts("tea", "hamburg"), room.counts("pot", "hamburg")) == ((3, 0, 0), (3, 0, 0))
    moved = [(row.sku, row.kind, row.on_hand_delta) for row in room.store.rows(MOVEMENTS) if row.reference == "t-1"]
    assert sorted(moved) == [
        ("pot", "correction", 1),
        ("pot", "transfer_in", 2),
        ("pot", "transfer_out", -2),
        ("tea", "correction", -1),
        ("tea", "transfer_in", 4),
        ("tea", "transfer_out", -4),
    ]
    room.check_the_books()


def test_a_transfer_of_which_nothing_came_is_lost(room: StockRoom) -> None:
    room.hears(request("t-1", ("tea", 4)), send("t-1"), receive("t-1", ("tea", 0), reason="burnt"))
    assert transfer(room).state == "lost"
    assert (room.counts(), room.counts("tea", "hamburg")) == ((6, 0, 0), (0, 0, 0))
    room.hears(receive("t-1"))
    assert room.trouble() == ["ReferenceReused: t-1 was lost with other quantities"]
    room.check_the_books()


def test_units_that_come_settle_what_was_short() -> None:
    room = StockRoom().stocked(("tea", "hamburg", 5)).stocked(("tea", "berlin", 5))
    room.hears(hold(1, ("tea", 5)), correct("c-1", -4, warehouse="hamburg"))
    assert room.shelf("tea", "hamburg").short == 4
    room.hears(request("t-1", ("tea", 3)), send("t-1"), receive("t-1", ("tea", 2)))
    assert (room.counts("tea", "hamburg"), room.shelf("tea", "hamburg").short) == ((3, 5, 0), 2)
    room.check_the_books()


def test_only_what_was_sent_can_arrive(room: StockRoom) -> None:
    room.hears(request("t-1", ("tea", 4)), send("t-1"), receive("t-1", ("pot", 1)))
    assert room.trouble() == ["NotOfThisTransfer: pot was not sent with t-1"]
    assert transfer(room).state == "sent"


def test_a_transfer_is_cancelled_before_it_is_sent_and_not_after(room: StockRoom) -> None:
    room.hears(request("t-1", ("tea", 4)), cancel("t-1"), cancel("t-1"))
    assert (transfer(room).state, transfer(room).reason) == ("cancelled", "not needed")
    room.hears(send("t-1"), receive("t-1"))
    assert [error.partition(":")[0] for error in room.trouble()] == ["TransferIsOver", "TransferIsOver"]
    room.hears(request("t-2", ("tea", 4)), send("t-2"), cancel("t-2"))
    assert transfer(room, "t-2").state == "sent"
    assert transfer(room, "t-2").refusal == "already_sent: it cannot be cancelled any more"
    assert room.counts() == (6, 0, 0)


def test_a_transfer_heard_backwards_ends_the_same() -> None:
    room = StockRoom().stocked(("tea", "berlin", 10))
    for message in (receive("t-1"), send("t-1"), request("t-1", ("tea", 4))):
        room.hears(message)
    for _ in range(6):
        room.passes(60)
    assert transfer(room).state == "received"
    assert (room.counts(), room.counts("tea", "hamburg")) == ((6, 0, 0), (4, 0, 0))
    room.check_the_books()


def test_a_transfers_id_means_one_thing(room: StockRoom) -> None:
    room.hears(request("t-1", ("tea", 4)), request("t-1", ("tea", 5)))
    assert room.trouble() == ["ReferenceReused: t-1"]


@pytest.mark.parametrize("bad", [{"to": "berlin"}, {}])
def test_a_transfer_makes_sense(bad: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        request("t-1", *([("tea", 1)] if bad else [("tea", 1), ("tea", 2)]), **bad)

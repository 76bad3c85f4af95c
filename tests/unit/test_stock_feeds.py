"""What sources say: counts, changes, repeats, gaps, silence; and feeds that are applied page by page."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from contracts.feeds import ApplyFeedRows, FeedMode, FeedPulled, PullDue, Pulled, ReportStock, SourceMode, StockLine
from contracts.frame import MessageRefused
from contracts.inventory import StockArrived, StockHeld, StockShort
from contracts.message import Message
from contracts.product import DescribeProduct, Supply
from contracts.shortage import ShelfCameShort
from services.inventory.counting import counted
from services.inventory.domain import Shelf
from services.inventory.feed_tables import FEEDS, PULLS
from services.inventory.feeds import Pull, PullState
from services.inventory.tables import MOVEMENTS, SHELVES
from shared.envelope import Envelope, open_envelope
from tests.support.feed_room import ERP, FeedRoom, report
from tests.support.stock_room import at_once, commit, hold, release, ship

DELTA = FeedMode.DELTA


@pytest.fixture
def room() -> FeedRoom:
    return FeedRoom().described()


def due(room: FeedRoom, kind: type[Message]) -> list[Message]:
    """What is said to ourselves and not heard yet."""
    found = [open_envelope(Envelope(row.head, row.body.encode())) for row in room.store.due.values()]
    return [message for message in found if isinstance(message, kind)]


def refusals(said: list[Message]) -> list[str]:
    return [message.reason for message in said if isinstance(message, MessageRefused)]


# -- counting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_hand", "promised", "count", "short"), [(5, 3, 9, 0), (5, 3, 3, 0), (5, 3, 1, 2), (5, 3, 0, 3), (5, 0, 0, 0)]
)
def test_a_count_says_what_lies_there_whatever_was_promised(
    on_hand: int, promised: int, count: int, short: int
) -> None:
    after, difference = counted(Shelf("tea", "berlin", on_hand=on_hand, allocated=promised), count)
    assert (after.on_hand, after.allocated, after.short) == (count, promised, short)
    assert difference == count - on_hand


def test_the_same_count_is_no_movement() -> None:
    shelf = Shelf("tea", "berlin", on_hand=5, held=7, short=2)
    assert counted(shelf, 5) == (shelf, 0)


def test_a_report_sets_counts_and_opens_shelves(room: FeedRoom) -> None:
    room.stocked(("tea", "berlin", 5))
    room.reports(report(1, ("tea", "berlin", 8), ("pot", "hamburg", 2), ("cup", "berlin", 0), room=room))
    assert (room.counts(), room.counts("pot", "hamburg")) == ((8, 0, 0), (2, 0, 0))
    assert room.counts("cup") == (0, 0, 0)
    movements = [row for row in room.store.rows(MOVEMENTS) if row.kind == "correction"]
    assert sorted((row.sku, row.quantity, row.on_hand_delta) for row in movements) == [("pot", 2, 2), ("tea", 3, 3)]
    feed = room.store.rows(FEEDS)[0]
    assert {row.reference for row in movements} == {str(feed.id)}
    assert (feed.state.value, feed.raised, feed.lowered, feed.opened) == ("applied", 2, 0, 2)
    room.check_the_books()


def test_a_delta_adds_and_takes_and_never_below_nothing() -> None:
    room = FeedRoom().described(SourceMode.DELTA).stocked(("tea", "berlin", 5), ("pot", "berlin", 5))
    assert isinstance(room, FeedRoom)
    room.reports(report(1, ("tea", "berlin", -2), ("pot", "berlin", -9), mode=DELTA, room=room))
    assert (room.counts(), room.counts("pot")) == ((3, 0, 0), (0, 0, 0))
    assert room.store.rows(FEEDS)[0].clamped == 1
    room.check_the_books()


def test_fewer_than_promised_is_a_shortage_that_is_kept(room: FeedRoom) -> None:
    room.stocked(("tea", "berlin", 5))
    room.hears(hold(1, ("tea", 2)), commit(1), hold(2, ("tea", 2)))
    room.reports(report(1, ("tea", "berlin", 1), room=room))
    assert room.counts() == (1, 2, 2)
    assert room.shelf().short == 3
    assert due(room, ShelfCameShort) == [
        ShelfCameShort(sku="tea", warehouse="berlin", units=3, reference=str(room.store.rows(FEEDS)[0].id))
    ]
    room.settles()
    assert room.shortages() == [("tea", "berlin", 3, "open")]
    assert room.store.rows(FEEDS)[0].short_units == 3
    room.check_the_books()


def test_only_what_is_newly_short_is_said(room: FeedRoom) -> None:
    room.stocked(("tea", "berlin", 5))
    room.hears(hold(1, ("tea", 4)), commit(1))
    for sequence, count in enumerate((2, 2, 3, 1), 1):
        room.reports(report(sequence, ("tea", "berlin", count), room=room))
    room.settles()
    assert [units for _, _, units, _ in room.shortages()] == [2, 2]
    assert room.shelf().short == 3
    room.hears(release(1))
    assert (room.counts(), room.shelf().short) == ((1, 0, 0), 0)
    room.check_the_books()


def test_what_is_short_can_still_ship_what_is_there(room: FeedRoom) -> None:
    room.stocked(("tea", "berlin", 5))
    room.hears(hold(1, ("tea", 4)), commit(1))
    room.reports(report(1, ("tea", "berlin", 3), room=room))
    room.hears(ship(1, ("tea", "berlin", 3)))
    assert (room.counts(), room.shelf().short) == ((0, 0, 1), 1)
    room.check_the_books()


def test_an_arrival_is_said_where_somebody_waits_for_it(room: FeedRoom) -> None:
    room.stocked(("tea", "berlin", 5), ("pot", "berlin", 5))
    for sku in ("tea", "pot"):
        supply = {"supply": Supply.BACKORDER, "limit": 9}
        room.hears(DescribeProduct.model_validate({"sku": sku, "as_of": room.now, **supply}))
    room.hears(hold(1, ("tea", 7)), commit(1))
    room.reports(report(1, ("pot", "berlin", 9), ("tea", "berlin", 4), room=room))
    assert due(room, StockArrived) == [], "nobody waits for pots, and tea is short"
    room.reports(report(2, ("tea", "berlin", 8), room=room))
    assert due(room, StockArrived) == [StockArrived(sku="tea")]
    room.passes(0.0)
    assert room.counts() == (8, 0, 7)
    room.check_the_books()


# -- sequences ---------------------------------------------------------------------------------------------------------


def test_a_repeat_changes_nothing(room: FeedRoom) -> None:
    said = report(1, ("tea", "berlin", 8), room=room)
    room.reports(said, said)
    room.hears(hold(1, ("tea", 1)), commit(1))
    room.hears(ship(1, ("tea", "berlin", 1)))
    assert room.reports(said) == []
    assert room.counts() == (7, 0, 0)
    assert room.feeds() == [(1, "applied", "")]


def test_an_older_count_is_recognised_and_skipped(room: FeedRoom) -> None:
    room.reports(report(1, ("tea", "berlin", 1), room=room))
    room.reports(report(5, ("tea", "berlin", 5), room=room), report(3, ("tea", "berlin", 3), room=room))
    room.reports(report(3, ("tea", "berlin", 3), room=room))
    assert room.counts() == (5, 0, 0)
    assert room.feeds() == [(1, "applied", ""), (3, "skipped", "older_sequence"), (5, "applied", "")]
    assert (room.source().last_sequence, room.source().missing) == (5, [[2, 4]])


def test_a_missed_delta_still_counts_and_closes_its_gap() -> None:
    room = FeedRoom().described(SourceMode.DELTA)
    for sequence in (1, 6, 3, 3, 6, 1):
        room.reports(report(sequence, ("tea", "berlin", 10**sequence), mode=DELTA, room=room))
    assert room.counts() == (1_001_010, 0, 0)
    assert room.source().missing == [[2, 2], [4, 5]]


def test_other_content_under_a_sequence_is_refused_by_name_and_kept_once(room: FeedRoom) -> None:
    room.reports(report(1, ("tea", "berlin", 8), room=room))
    other = report(1, ("tea", "berlin", 9), room=room)
    assert refusals(room.reports(other)) == ["sequence_reused"]
    assert refusals(room.reports(other)) == ["sequence_reused"]
    assert room.counts() == (8, 0, 0)
    assert room.feeds() == [(1, "applied", ""), (1, "rejected", "sequence_reused")]


def test_what_a_source_may_not_say_is_refused_and_may_be_said_right(room: FeedRoom) -> None:
    assert refusals(room.reports(report(1, ("tea", "berlin", 8), mode=DELTA, room=room))) == ["wrong_mode"]
    assert refusals(room.reports(report(1, ("tea", "lyon", 8), room=room))) == ["foreign_warehouse"]
    assert room.reports(report(1, ("tea", "berlin", 8), room=room)) == []
    assert [state for _, state, _ in room.feeds()] == ["applied", "rejected", "rejected"]
    assert room.source().last_sequence == 1


def test_a_source_nobody_described_is_waited_for_then_refused(room: FeedRoom) -> None:
    said = report(1, ("tea", "berlin", 8), room=room)
    assert room.reports(said, source="wms") == []
    assert refusals(room.passes(700)) == ["unknown_source"]
    room.reports(said, source="wms")
    room.described(source="wms")
    room.passes(2)
    assert room.counts() == (8, 0, 0)


def test_a_report_names_a_shelf_once_and_counts_no_less_than_nothing(room: FeedRoom) -> None:
    for lines in ([("tea", "berlin", 1), ("tea", "berlin", 2)], [("tea", "berlin", -1)], []):
        with pytest.raises(ValidationError):
            report(1, *lines, room=room)
    line = StockLine(sku="tea", warehouse="berlin", quantity=-1)
    ReportStock(sequence=1, mode=DELTA, lines=(line,), as_of=room.now)


# -- feeds -------------------------------------------------------------------------------------------------------------

PAGES = ([("cup", "berlin", 1), ("pot", "berlin", 2)], [("pot", "hamburg", 3), ("tea", "berlin", 4)])


def test_a_feed_is_applied_page_by_page(room: FeedRoom) -> None:
    room.stocked(("tea", "berlin", 9))
    feed = room.staged(1, *PAGES)
    assert (room.feed(feed).state.value, room.feed(feed).rows_done) == ("applying", 2)
    assert room.source().applying == feed
    room.settles()
    after = room.feed(feed)
    assert (after.state.value, after.rows_done, after.raised, after.lowered, after.opened) == ("applied", 4, 3, 1, 3)
    assert after.ended_at == room.now
    assert (room.source().applying, room.source().last_sequence) == (None, 1)
    assert [room.counts(sku, at)[0] for page in PAGES for sku, at, _ in page] == [1, 2, 3, 4]
    room.check_the_books()


def test_a_page_said_again_or_too_early_changes_nothing(room: FeedRoom) -> None:
    feed = room.staged(1, *PAGES)
    moved = len(room.store.rows(MOVEMENTS))
    room.hears(ApplyFeedRows(feed_id=feed, page=0), ApplyFeedRows(feed_id=feed, page=7))
    assert len(room.store.rows(MOVEMENTS)) == moved
    room.settles()
    room.hears(*(ApplyFeedRows(feed_id=feed, page=page) for page in (0, 1, 2)))
    assert room.feed(feed).rows_done == 4
    room.check_the_books()


def test_what_the_source_says_meanwhile_waits_its_turn(room: FeedRoom) -> None:
    room.staged(1, *PAGES)
    room.reports(report(2, ("tea", "berlin", 40), room=room))
    second = room.staged(3, [("pot", "berlin", 30)])
    room.settles()
    assert room.counts()[0] == 4, "the report waits"
    room.passes(2)
    room.settles()
    assert (room.counts()[0], room.counts("pot")[0]) == (40, 30)
    assert room.feed(second).state.value == "applied"


def test_a_feed_that_was_overtaken_is_skipped(room: FeedRoom) -> None:
    room.reports(report(5, ("tea", "berlin", 8), room=room))
    feed = room.staged(4, *PAGES)
    room.settles()
    assert (room.feed(feed).state.value, room.feed(feed).reason) == ("skipped", "older_sequence")
    assert room.counts() == (8, 0, 0)


def test_a_feed_whose_source_may_not_say_it_any_more_is_rejected(room: FeedRoom) -> None:
    room.described(SourceMode.DELTA)
    feed = room.staged(1, *PAGES)
    assert (room.feed(feed).state.value, room.feed(feed).reason) == ("rejected", "wrong_mode")
    assert room.store.rows(SHELVES) == []


# -- silence -----------------------------------------------------------------------------------------------------------


def test_a_silent_source_is_stale_and_its_warehouses_keep_units_back() -> None:
    room = FeedRoom().described(stale_after_s=60, buffer=3)
    room.reports(report(1, ("tea", "berlin", 5), room=room))
    room.passes(59)
    assert (room.source().state.value, room.kept_back()) == ("fresh", 0)
    room.passes(2)
    assert (room.source().state.value, room.kept_back(), room.kept_back("hamburg")) == ("stale", 3, 3)
    assert isinstance(room.hears(hold(1, ("tea", 3)))[0], StockShort)
    assert isinstance(room.hears(hold(2, ("tea", 2)))[0], StockHeld)
    room.reports(report(2, ("tea", "berlin", 5), room=room))
    assert (room.source().state.value, room.kept_back()) == ("fresh", 0)
    assert isinstance(room.hears(hold(3, ("tea", 3)))[0], StockHeld)
    room.passes(61)
    assert room.source().state.value == "stale"
    room.check_the_books()


def test_being_heard_winds_the_timer_anew() -> None:
    room = FeedRoom().described(stale_after_s=60)
    for sequence in (1, 2, 2, 1):  # a repeat says nothing new; a late one says that the source lives
        room.passes(40)
        room.reports(report(sequence, ("tea", "berlin", sequence), room=room))
    assert room.source().state.value == "stale", "repeats are no sign of life: the broker may say them"
    room.reports(report(3, ("tea", "berlin", 1), room=room))
    assert room.source().state.value == "fresh"


def test_the_larger_buffer_counts_while_two_are_silent() -> None:
    room = FeedRoom().described(stale_after_s=60, buffer=3)
    room.described(source="wms", warehouses=("berlin",), stale_after_s=60, buffer=5)
    room.passes(61)
    assert (room.kept_back(), room.kept_back("hamburg")) == (5, 3)
    room.reports(report(1, ("tea", "berlin", 5), room=room), source="wms")
    assert (room.kept_back(), room.kept_back("hamburg")) == (3, 3)
    room.described(stale_after_s=60, buffer=7)
    assert room.kept_back() == 7


def test_an_older_description_changes_nothing(room: FeedRoom) -> None:
    later = room.now
    room.described(buffer=1)
    room.now = later - timedelta(hours=1)
    room.described(buffer=9)
    assert room.source().buffer == 1


# -- pulls -------------------------------------------------------------------------------------------------------------

HOURLY = Pulled(url="https://erp.example.com/stock.csv", every_s=3600, timeout_s=10)


def pull(room: FeedRoom) -> Pull:
    found = room.store.row(PULLS, ERP)
    assert isinstance(found, Pull)
    return found


def taken(room: FeedRoom) -> Pull:
    """As a worker takes it."""
    (found,) = at_once(room.store.take_open(PULLS, 1))
    assert isinstance(found, Pull)
    return found


def test_a_pull_is_asked_for_in_its_time_and_under_the_next_sequence() -> None:
    room = FeedRoom().described(pull=HOURLY)
    room.reports(report(7, ("tea", "berlin", 1), room=room))
    room.settles()
    assert (pull(room).state, pull(room).sequence) == (PullState.OPEN, 8)
    calling = taken(room)
    room.hears(FeedPulled(source=ERP, asked=calling.asked, problem="timeout"))
    assert (pull(room).state, pull(room).problem) == (PullState.IDLE, "timeout")
    room.passes(3599)
    assert pull(room).state is PullState.IDLE
    room.passes(2)
    assert (pull(room).state, pull(room).asked) == (PullState.OPEN, 2)


def test_a_pull_whose_caller_died_is_asked_again_and_the_dead_is_not_heard() -> None:
    room = FeedRoom().described(pull=HOURLY)
    room.settles()
    calling = taken(room)
    room.passes(20)
    assert pull(room).state is PullState.CALLING
    room.passes(3600)
    assert (pull(room).state, pull(room).asked, pull(room).sequence) == (PullState.OPEN, 2, calling.sequence)
    again = taken(room)
    room.hears(FeedPulled(source=ERP, asked=calling.asked, problem="late"))
    assert pull(room).state is PullState.CALLING
    room.hears(FeedPulled(source=ERP, asked=again.asked))
    assert (pull(room).state, pull(room).problem) == (PullState.IDLE, "")


def test_no_pull_while_its_last_feed_is_under_way_and_none_when_it_was_called_off() -> None:
    room = FeedRoom().described(pull=HOURLY)
    room.settles()
    room.hears(FeedPulled(source=ERP, asked=taken(room).asked))
    room.staged(1, *PAGES)
    room.hears(PullDue(source=ERP))
    assert pull(room).state is PullState.IDLE
    room.settles()
    room.passes(1)
    room.described()
    room.hears(PullDue(source=ERP))
    room.passes(10_000)
    assert pull(room).state is PullState.OPEN or pull(room).every_s == 0
    assert pull(room).every_s == 0

"""Reports in any order, however often, among orders and feeds: the highest sequence stands, and the books add up."""

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.feeds import FeedMode, SourceMode
from services.inventory.counting import counted
from services.inventory.domain import Shelf
from services.inventory.sources import without
from tests.support.feed_room import FeedRoom, Line, report
from tests.support.stock_room import commit, hold, release

SHELVES = (("tea", "berlin"), ("pot", "berlin"), ("tea", "hamburg"))
counts = st.lists(st.integers(0, 9), min_size=3, max_size=3)
said = st.dictionaries(st.integers(2, 9), counts, min_size=1, max_size=6)


def lines(quantities: list[int]) -> list[Line]:
    return [(sku, warehouse, quantity) for (sku, warehouse), quantity in zip(SHELVES, quantities, strict=True)]


@settings(max_examples=150, deadline=None)
@given(st.data(), said, counts)
def test_counts_end_as_the_highest_sequence_says(
    data: st.DataObject, later: dict[int, list[int]], first: list[int]
) -> None:
    room = FeedRoom().described()
    everything = {1: first, **later}
    order = [1, *data.draw(st.permutations([*later, *data.draw(st.lists(st.sampled_from(sorted(everything))))]))]
    for sequence in order:
        if data.draw(st.booleans()) and sequence not in {number for number, _, _ in room.feeds()}:
            room.staged(sequence, lines(everything[sequence])[:2], lines(everything[sequence])[2:])
            room.settles()
        else:
            stood = [feed for feed in room.feeds() if feed[0] == sequence]
            room.reports(report(sequence, *lines(everything[sequence]), room=room))
            if not stood:
                room.settles()
    highest = everything[max(everything)]
    assert [room.counts(sku, warehouse)[0] for sku, warehouse in SHELVES] == highest
    room.check_the_books()


@settings(max_examples=150, deadline=None)
@given(st.data(), st.dictionaries(st.integers(2, 12), counts, min_size=1, max_size=8))
def test_deltas_add_up_in_any_order(data: st.DataObject, later: dict[int, list[int]]) -> None:
    room = FeedRoom().described(SourceMode.DELTA)
    everything = {1: [0, 0, 0], **later}
    order = [1, *data.draw(st.permutations([*later, *data.draw(st.lists(st.sampled_from(sorted(everything))))]))]
    for sequence in order:
        room.reports(report(sequence, *lines(everything[sequence]), mode=FeedMode.DELTA, room=room))
    sums = [sum(column) for column in zip(*everything.values(), strict=True)]
    assert [room.counts(sku, warehouse)[0] for sku, warehouse in SHELVES] == sums
    never = set(range(1, max(everything) + 1)) - everything.keys()
    assert {number for low, high in room.source().missing for number in range(low, high + 1)} == never
    room.check_the_books()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(0, 8)),
        st.tuples(st.just("hold"), st.integers(1, 5)),
        st.tuples(st.just("commit"), st.integers(1, 5)),
        st.tuples(st.just("release"), st.integers(1, 5)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_counts_among_orders_keep_the_books(steps: list[tuple[str, int]]) -> None:
    """What is short is exactly what is promised and not there, at every step."""
    room = FeedRoom().described()
    sequence = 0
    for what, number in steps:
        match what:
            case "count":
                sequence += 1
                room.reports(report(sequence, ("tea", "berlin", number), room=room))
            case "hold":
                room.hears(hold(number, ("tea", number), for_s=1e6))
            case "commit":
                room.hears(commit(number))
            case "release":
                room.hears(release(number))
        room.check_the_books()
    room.settles()


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 40))
def test_a_count_always_fits_the_shelf(on_hand: int, held: int, allocated: int, count: int) -> None:
    shelf = Shelf("tea", "berlin", on_hand, held, allocated, short=max(0, held + allocated - on_hand))
    after, _ = counted(shelf, count)
    assert after.on_hand == count
    assert after.short == max(0, held + allocated - count)


@given(st.lists(st.integers(1, 30), max_size=20))
def test_gaps_lose_exactly_what_came(came: list[int]) -> None:
    missing: list[list[int]] = [[1, 30]]
    for sequence in came:
        missing = without(missing, sequence)
    assert {n for low, high in missing for n in range(low, high + 1)} == set(range(1, 31)) - set(came)

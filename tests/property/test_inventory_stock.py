"""Whatever comes, in whatever order, however often: no unit is lost, made up, or promised twice."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.inventory import ReservationExpired, ShipStock, StockCommitted, StockGone, StockHeld
from contracts.message import Message
from contracts.product import DescribeProduct, Supply
from services.inventory.domain import Shelf, Shortage, Warehouse, wanted
from services.inventory.handlers.promises import HOLD_TIMER
from services.inventory.routing.strategy import Demand, PriorityList, Route
from services.inventory.tables import MOVEMENTS, RESERVATIONS, SHELVES
from tests.support.stock_room import StockRoom, commit, extend, hold, order, release, ship

ORDERS, SKUS, WAREHOUSES = 4, ("pot", "tea"), ("berlin", "hamburg")

numbers = st.integers(1, ORDERS)
quantities = st.integers(1, 5)
lines = st.lists(st.tuples(st.sampled_from(SKUS), quantities), min_size=1, max_size=3)
stock = st.lists(
    st.tuples(st.sampled_from(SKUS), st.sampled_from(WAREHOUSES), st.integers(1, 8)), min_size=1, max_size=4
)

Does = Callable[[StockRoom], Message | None]


def shipment(room: StockRoom, number: int, part: int) -> Message | None:
    """What a warehouse may really send: a committed order in two shipments, each with half of every pick."""
    reservation = room.store.row(RESERVATIONS, order(number))
    if reservation is None or reservation.status not in ("committed", "shipped"):
        return None
    halves = [(pick["sku"], pick["warehouse"], (pick["quantity"] + part) // 2) for pick in reservation.picks]
    picks = [half for half in halves if half[2]]
    return ship(number, *picks, fulfillment=part) if picks else None


def check_the_shipments(room: StockRoom, sent: dict[str, ShipStock]) -> None:
    """A shipment is counted whole and once, or (it waits) not at all."""
    counted: dict[str, Counter[tuple[str, str]]] = {}
    for movement in room.store.rows(MOVEMENTS):
        if movement.kind == "ship":
            counted.setdefault(movement.reference, Counter())[movement.sku, movement.warehouse] += movement.quantity
    for reference, units in counted.items():
        assert units == {(pick.sku, pick.warehouse): pick.quantity for pick in sent[reference].picks}


def check_what_waits(room: StockRoom) -> None:
    """Nothing was set aside but what came too early, and goods that left although they were promised to others."""
    for row in room.store.due.values():
        assert row.name or row.error.startswith(("unknown_order", "reservation", "Oversold: ship")), row.error


messages: st.SearchStrategy[Does] = st.one_of(
    # one content per order, as a saga asks: the key is the same, so is what it says
    st.builds(lambda n: lambda room: hold(n, ("tea", n), ("pot", 3), for_s=60.0), numbers),
    st.builds(lambda n: lambda room: commit(n), numbers),
    st.builds(lambda n: lambda room: release(n), numbers),
    st.builds(lambda n: lambda room: extend(n, 120.0), numbers),
    st.builds(lambda n, part: lambda room: shipment(room, n, part), numbers, st.integers(0, 1)),
)
batches = st.lists(
    st.tuples(st.lists(messages, max_size=6), st.sampled_from((0.0, 1.0, 61.0)), st.booleans()), max_size=12
)


@settings(max_examples=150, deadline=None)
@given(stock=stock, steps=batches, repeat=st.booleans())
def test_units_are_conserved_under_any_sequence(
    stock: list[tuple[str, str, int]], steps: list[tuple[list[Does], float, bool]], repeat: bool
) -> None:
    room = StockRoom().stocked(*stock)
    sent: dict[str, ShipStock] = {}
    for does, seconds, due in steps:
        room.now += timedelta(seconds=seconds)
        made = [message for message in (do(room) for do in does) if message is not None]
        sent |= {str(message.fulfillment_id): message for message in made if isinstance(message, ShipStock)}
        heard = [room.envelope(message) for message in made]
        room.batch(heard, due=due)
        if repeat:
            room.batch([*reversed(heard), *(room.envelope(message) for message in made)])
        room.check_the_books()
        check_the_shipments(room, sent)
        check_what_waits(room)
    for reservation in room.store.rows(RESERVATIONS):
        owner = (HOLD_TIMER, str(reservation.order_id))
        timer = any((row.name, row.owner) == owner for row in room.store.due.values())
        assert timer == (reservation.status == "held"), "a hold has its timer, and nothing else has one"


@settings(max_examples=150, deadline=None)
@given(stock=stock, steps=st.lists(messages, min_size=1, max_size=10))
def test_batched_or_one_by_one_is_the_same(stock: list[tuple[str, str, int]], steps: list[Does]) -> None:
    """What a batch decides is what its messages would have decided alone, in its order."""
    together, alone = StockRoom().stocked(*stock), StockRoom().stocked(*stock)
    made = [message for message in (do(together) for do in steps) if message is not None]
    together.batch([together.envelope(message) for message in made])
    for message in made:
        alone.batch([alone.envelope(message)])
    assert together.said() == alone.said()
    for sku, warehouse, _ in stock:
        assert together.counts(sku, warehouse) == alone.counts(sku, warehouse)


OPEN, LABELED, SHIPPED = range(3)
parcels = st.lists(st.tuples(st.sampled_from((OPEN, LABELED, SHIPPED)), st.integers(1, 4)), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(stock=stock, tea=quantities, pot=quantities, parcels=parcels, mugs=st.integers(0, 3), repeat=st.booleans())
def test_what_leaves_after_all_is_kept_until_it_ships(
    stock: list[tuple[str, str, int]], tea: int, pot: int, parcels: list[tuple[int, int]], mugs: int, repeat: bool
) -> None:
    """An order in parcels, some labeled and some gone; the rest of it, and what it waits for, is let go of."""
    room = StockRoom().stocked(*stock, ("tea", "berlin", 5), ("pot", "berlin", 5))
    room.hears(DescribeProduct(sku="mug", supply=Supply.BACKORDER, limit=9, as_of=room.now))
    lay = Counter({(shelf.sku, shelf.warehouse): shelf.on_hand for shelf in room.store.rows(SHELVES)})
    wish = [("tea", tea), ("pot", pot), *([("mug", mugs)] if mugs else [])]
    room.hears(hold(1, *wish), commit(1))
    taken = room.reservation(order(1)).taken
    units = [(pick.sku, pick.warehouse) for pick in taken for _ in range(pick.quantity)]
    boxes: list[tuple[int, ShipStock]] = []
    for number, (state, many) in enumerate(parcels):
        inside, units = Counter(units[:many]), units[many:]
        if inside and state is not OPEN:
            picks = [(sku, where, quantity) for (sku, where), quantity in inside.items()]
            boxes.append((state, ship(1, *picks, fulfillment=number)))
    room.hears(*(box for state, box in boxes if state == SHIPPED))
    kept = Counter[tuple[str, str]]()
    for _, box in boxes:
        kept.update({(pick.sku, pick.warehouse): pick.quantity for pick in box.picks})
    released = release(1, *((sku, where, quantity) for (sku, where), quantity in kept.items()))
    for _ in range(1 + repeat):
        room.hears(released)
        room.check_the_books()
    for state, box in boxes:
        if state == LABELED:
            assert room.reservation(order(1)).status == "committed"
            room.hears(box)
            room.check_the_books()
    assert room.reservation(order(1)).status == ("shipped" if kept else "released")
    for (sku, warehouse), units_there in lay.items():
        assert room.counts(sku, warehouse) == (units_there - kept[sku, warehouse], 0, 0)


@settings(max_examples=120, deadline=None)
@given(
    rivals=st.integers(0, 3),
    events=st.permutations(["commit", "lapse", "commit again", "release", "rival"]),
    together=st.booleans(),
)
def test_expiry_against_payment_has_one_outcome(rivals: int, events: list[str], together: bool) -> None:
    """Three units, one order that holds them all, past its time: commit, timer and release in any order."""
    room = StockRoom().stocked(("tea", "berlin", 3))
    held = room.hears(hold(1, ("tea", 3), for_s=60.0))
    assert isinstance(held[0], StockHeld)
    room.now += timedelta(seconds=61)
    said: list[Message] = []
    for event in events:
        match event:
            case "commit" | "commit again":
                room.batch([room.envelope(commit(1))], due=together)
            case "lapse":
                room.batch([], due=True)
            case "release":
                room.batch([room.envelope(release(1))], due=together)
            case "rival":
                room.batch([room.envelope(hold(2 + n, ("tea", 3))) for n in range(rivals)])
        said += room.said()
        room.check_the_books()
    committed = [message for message in said if isinstance(message, StockCommitted)]
    gone = [message for message in said if isinstance(message, StockGone)]
    expired = [message for message in said if isinstance(message, ReservationExpired)]
    # the key decides once: both commits are told the same
    assert (len(committed), len(gone)) in ((2, 0), (0, 2))
    assert len(expired) <= 1
    if events.index("release") < min(events.index("commit"), events.index("commit again")):
        assert gone
    assert room.reservation(order(1)).status == "released"
    assert room.counts()[2] == 0


@given(
    units=st.lists(st.tuples(st.sampled_from(("cup", *SKUS)), quantities), min_size=1, max_size=4),
    shelves=st.dictionaries(
        st.tuples(st.sampled_from(SKUS), st.sampled_from(("a", "b", "c"))),
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3)),
    ),
    priorities=st.permutations([1, 2, 3]),
)
def test_the_priority_list_gives_all_or_nothing_and_never_above_what_is_available(
    units: list[tuple[str, int]], shelves: dict[tuple[str, str], tuple[int, int, int]], priorities: list[int]
) -> None:
    rows = [
        Shelf(sku, warehouse, on_hand=on_hand, held=min(held, on_hand), safety_stock=safety)
        for (sku, warehouse), (on_hand, held, safety) in shelves.items()
    ]
    of_sku = {sku: [shelf for shelf in rows if shelf.sku == sku] for sku in SKUS}
    warehouses = {
        code: Warehouse(code, code, priority) for code, priority in zip(("a", "b", "c"), priorities, strict=True)
    }
    wish = wanted(units)
    there = {sku: sum(max(shelf.available, 0) for shelf in of_sku.get(sku, [])) for sku in wish}
    chosen = PriorityList().choose(Demand(wish, of_sku, warehouses))
    if isinstance(chosen, Shortage):
        assert set(chosen.unknown) == {sku for sku in wish if not of_sku.get(sku)}
        short = {sku: wish[sku] - there[sku] for sku in wish if wish[sku] > there[sku] and sku not in chosen.unknown}
        assert chosen.missing == short
        assert chosen.missing or chosen.unknown
        return
    assert isinstance(chosen, Route)
    assert wanted((pick.sku, pick.quantity) for pick in chosen.picks) == wish
    for sku in wish:
        left = wish[sku]
        for shelf in sorted(of_sku[sku], key=lambda shelf: warehouses[shelf.warehouse].priority):
            taken = sum(pick.quantity for pick in chosen.picks if (pick.sku, pick.warehouse) == (sku, shelf.warehouse))
            assert taken == min(left, max(shelf.available, 0)), "the first of the list gives all it can"
            left -= taken

"""Whatever a warehouse does between orders, in whatever order, however often: no unit is lost, made up, sold twice."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.inventory import ReceiveStock, ShipStock, StockReceipt
from contracts.message import Message
from services.inventory.counting import APPLIED, counted
from services.inventory.domain import Shelf
from services.inventory.tables import (
    CORRECTIONS,
    MOVEMENTS,
    RECEIPTS,
    RESERVATIONS,
    RETURNS,
    SHELVES,
    STOCK_TAKES,
    TRANSFERS,
)
from tests.support.stock_room import StockRoom, commit, hold, order, release, ship
from tests.support.warehousing import cancel, correct, count, give_back, receive, request, safety, send

ORDERS, SKUS, WAREHOUSES = 3, ("pot", "tea"), ("berlin", "hamburg")
SOLD, PICKS = ORDERS + 1, (("tea", "berlin", 4), ("pot", "berlin", 2))
"""An order that has its goods from the start: something can come back."""
EXPECTED = (
    "unknown_", "reservation", "more_than_shipped", "not_sent", "Oversold: ship", "BelowZero", "TransferIsOver",
    "ReferenceReused: t-",
)  # fmt: skip
"""Why a message may wait or be parked here: it came too early, or says what cannot be. Nothing else is forgiven."""

Does = Callable[[StockRoom, str], Message | None]
"""Makes a message out of what stands, under a reference of its own."""

numbers = st.integers(1, ORDERS)
skus = st.sampled_from(SKUS)
places = st.sampled_from(WAREHOUSES)
few = st.integers(0, 6)


def shipment(room: StockRoom, number: int, part: int) -> Message | None:
    """Half of every pick of a committed order, also when it has let go of them meanwhile."""
    reservation = room.store.row(RESERVATIONS, order(number))
    if reservation is None or reservation.status == "held":
        return None
    halves = [(pick["sku"], pick["warehouse"], (pick["quantity"] + part) // 2) for pick in reservation.picks]
    picks = [half for half in halves if half[2]]
    return ship(number, *picks, fulfillment=part) if picks else None


def take(room: StockRoom, reference: str, sku: str, warehouse: str, off: int, minutes: int, told: bool) -> Message:
    """A count that is `off` by so many units from what the books say now."""
    shelf = room.store.row(SHELVES, sku, warehouse)
    on_hand = 0 if shelf is None else shelf.on_hand
    line = (sku, max(0, on_hand + off), on_hand) if told else (sku, max(0, on_hand + off))
    return count(reference, line, warehouse=warehouse, as_of=room.now - timedelta(minutes=minutes))


def arrival(room: StockRoom, id_: str, sku: str, units: int) -> Message:
    transfer = room.store.row(TRANSFERS, id_)
    return receive(id_, (sku, units)) if transfer is not None and sku in transfer.units else receive(id_)


transfer_ids = st.sampled_from(("t-1", "t-2"))
wishes: st.SearchStrategy[Does] = st.one_of(
    st.builds(lambda n: lambda room, _: hold(n, ("tea", n), ("pot", 2), for_s=60.0), numbers),
    st.builds(lambda n: lambda room, _: commit(n), numbers),
    st.builds(lambda n: lambda room, _: release(n), numbers),
    st.builds(lambda n, part: lambda room, _: shipment(room, n, part), numbers, st.integers(0, 1)),
    st.builds(
        lambda sku, where, units: (
            lambda room, ref: ReceiveStock(
                reference=ref, receipts=(StockReceipt(sku=sku, warehouse=where, quantity=units),)
            )
        ),
        skus,
        places,
        st.integers(1, 6),
    ),
    st.builds(
        lambda n, sku, units, verdict, where: (
            lambda room, ref: give_back(n, ref, (sku, units, verdict), warehouse=where)
        ),
        st.one_of(st.just(SOLD), numbers),
        skus,
        st.integers(1, 3),
        st.sampled_from(("restock", "dispose")),
        places,
    ),
    st.builds(
        lambda sku, where, delta: lambda room, ref: correct(ref, delta, sku=sku, warehouse=where),
        skus,
        places,
        st.integers(-6, 6).filter(bool),
    ),
    st.builds(
        lambda sku, where, off, minutes, told: lambda room, ref: take(room, ref, sku, where, off, minutes, told),
        skus,
        places,
        st.integers(-4, 4),
        st.integers(0, 2),
        st.booleans(),
    ),
    st.builds(
        lambda sku, where, units: lambda room, _: safety(units, room.now, sku=sku, warehouse=where), skus, places, few
    ),
    # one content per id, as one sender says it
    st.just(lambda room, _: request("t-1", ("tea", 3), ("pot", 1))),
    st.just(lambda room, _: request("t-2", ("tea", 2), origin="hamburg", to="berlin")),
    st.builds(lambda id_: lambda room, _: send(id_), transfer_ids),
    st.builds(lambda id_, sku, units: lambda room, _: arrival(room, id_, sku, units), transfer_ids, skus, few),
    st.builds(lambda id_: lambda room, _: cancel(id_), transfer_ids),
)
days = st.lists(st.tuples(st.lists(wishes, max_size=6), st.sampled_from((0, 1, 61)), st.booleans()), max_size=10)


def units_there(room: StockRoom) -> Counter[str]:
    """On shelves and on their way, by SKU."""
    there: Counter[str] = Counter()
    for shelf in room.store.rows(SHELVES):
        there[shelf.sku] += shelf.on_hand
    for transfer in room.store.rows(TRANSFERS):
        if transfer.state == "sent":
            there.update(transfer.units)
    return there


def units_accounted_for(room: StockRoom, shipments: dict[str, ShipStock]) -> Counter[str]:
    """By what was said and counted; movements are not asked."""
    due: Counter[str] = Counter()
    for receipt in room.store.rows(RECEIPTS):
        for line in receipt.lines:
            due[line["sku"]] += line["quantity"]
    for returned in room.store.rows(RETURNS):
        for line in returned.lines:
            due[line["sku"]] += line["quantity"] if line["verdict"] == "restock" else 0
    for correction in room.store.rows(CORRECTIONS):
        due[correction.sku] += correction.delta
    for counted_line in room.store.rows(STOCK_TAKES):
        due[counted_line.sku] += counted_line.difference if counted_line.outcome in APPLIED else 0
    for transfer in room.store.rows(TRANSFERS):
        for sku, came in transfer.arrived.items():
            due[sku] += came - transfer.units[sku]
    for reservation in room.store.rows(RESERVATIONS):
        for fulfillment in reservation.fulfillments:
            for pick in shipments[fulfillment].picks:
                due[pick.sku] -= pick.quantity
    return due


def check_what_waits(room: StockRoom) -> None:
    errors = [row.error for row in room.store.due.values() if row.error]
    for error in errors + [row.error for row in room.store.parked.values()]:
        assert error.startswith(EXPECTED), error


def check_what_came_back(room: StockRoom) -> None:
    """Of no order more comes back than left."""
    out: Counter[tuple[Any, str]] = Counter()
    for movement in room.store.rows(MOVEMENTS):
        if movement.kind in ("ship", "restock", "dispose"):
            out[movement.order_id, movement.sku] += movement.quantity * (1 if movement.kind == "ship" else -1)
    assert min(out.values(), default=0) >= 0


@settings(max_examples=200, deadline=None)
@given(days=days, repeat=st.booleans())
def test_units_are_conserved_whatever_a_warehouse_does(days: list[tuple[list[Does], int, bool]], repeat: bool) -> None:
    room = StockRoom().stocked(("tea", "berlin", 12), ("pot", "berlin", 7), ("tea", "hamburg", 3))
    room.hears(hold(SOLD, ("tea", 4), ("pot", 2)), commit(SOLD), sold := ship(SOLD, *PICKS))
    shipments = {str(sold.fulfillment_id): sold}
    for day, (does, seconds, due) in enumerate(days):
        room.now += timedelta(seconds=seconds)
        made = [message for n, do in enumerate(does) if (message := do(room, f"{day}-{n}")) is not None]
        shipments |= {str(message.fulfillment_id): message for message in made if isinstance(message, ShipStock)}
        heard = [room.envelope(message) for message in made]
        room.batch(heard, due=due)
        if repeat:
            room.batch([*reversed(heard), *(room.envelope(message) for message in made)])
        room.check_the_counters()
        there, accounted = units_there(room), units_accounted_for(room, shipments)
        assert {sku: there[sku] for sku in SKUS} == {sku: accounted[sku] for sku in SKUS}
        check_what_came_back(room)
        check_what_waits(room)


@given(
    on_hand=st.integers(0, 50),
    held=st.integers(0, 20),
    allocated=st.integers(0, 20),
    found=st.lists(st.integers(0, 60), max_size=5),
)
def test_a_shelf_is_short_of_exactly_what_is_promised_and_not_there(
    on_hand: int, held: int, allocated: int, found: list[int]
) -> None:
    shelf = Shelf("tea", "berlin", on_hand=held + allocated + on_hand, held=held, allocated=allocated)
    moved = shelf.on_hand
    for units in found:
        shelf, delta = counted(shelf, units)
        moved += delta
        assert shelf.on_hand == units == moved
        assert shelf.short == max(0, held + allocated - units)
        assert shelf.free + shelf.short >= 0
        assert (shelf.held, shelf.allocated) == (held, allocated)

"""Inventory over a store in memory, with a clock a test turns, and its books checked by sums."""

from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from contracts.inventory import CommitStock, ExtendHold, HoldStock, ReceiveStock, ReleaseStock, ShipStock, StockReceipt
from contracts.message import Kind, Message
from contracts.values import Destination, Pick, SkuQuantity
from services.inventory.domain import Reservation, Shelf
from services.inventory.handlers import consumer
from services.inventory.tables import (
    BACKLOGS,
    MACHINES,
    MOVEMENTS,
    RESERVATIONS,
    SHELVES,
    TABLES,
    WAITING_LINES,
)
from shared.batch import Batches
from shared.consumer import Consumer
from shared.envelope import Envelope, head_of, open_envelope
from shared.heard import Done, Heard
from tests.support.memory import MemoryStore

T = TypeVar("T")
HOLD_FOR_S = 900.0


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run what never waits: the store in memory."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("it waited for something")


class StockRoom:
    def __init__(self, consumer: Consumer = consumer) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.store = MemoryStore(lambda: self.now, tables=TABLES, machines=MACHINES)
        self._ids = 0
        self.batches = Batches(consumer, self.store, self.new_id)
        self._read = 0

    def new_id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)

    # -- what happens --------------------------------------------------------------------------------------------

    def stocked(self, *lines: tuple[str, str, int], safety_stock: int = 0) -> "StockRoom":
        """Goods as (sku, warehouse, quantity) arrive."""
        receipts = tuple(
            StockReceipt(sku=sku, warehouse=warehouse, quantity=quantity, safety_stock=safety_stock)
            for sku, warehouse, quantity in lines
        )
        self.hears(ReceiveStock(reference=f"delivery-{self._ids}", receipts=receipts))
        self.passes(0)  # that stock arrived is heard
        return self

    def envelope(self, message: Message, key: str | None = None) -> Heard:
        """A message on its way; a command's key is the same for the same order and kind."""
        if key is None and message.kind is Kind.COMMAND:
            key = key_of(message)
        id_ = self.new_id()
        subject = str(getattr(message, "order_id", ""))
        head = head_of(message, id_=id_, source="test", subject=subject, now=self.now, cause={}, command_key=key)
        return Heard("inventory", Envelope(head, message.model_dump_json().encode()), id_)

    def batch(self, heard: Sequence[Heard], *, due: bool = False) -> Done:
        return at_once(self.batches.run(heard, due=due))

    def hears(self, *messages: Message, key: str | None = None) -> list[Message]:
        """One batch; what it said."""
        self.batch([self.envelope(message, key) for message in messages])
        return self.said()

    def passes(self, seconds: float) -> list[Message]:
        """Time passes and what fell due is done."""
        self.now += timedelta(seconds=seconds)
        self.batch([], due=True)
        return self.said()

    def said(self) -> list[Message]:
        """What was said since last asked."""
        rows = [row for position, row in sorted(self.store.outbox.items()) if position > self._read]
        self._read = max(self.store.outbox, default=0)
        return [open_envelope(Envelope(row.head, row.body.encode())) for row in rows]

    # -- what stands ---------------------------------------------------------------------------------------------

    def trouble(self) -> list[str]:
        """Why messages were set aside, and timers that rang."""
        return [row.error for row in self.store.due.values() if row.error or not row.name]

    def shelf(self, sku: str = "tea", warehouse: str = "berlin") -> Shelf:
        shelf = self.store.row(SHELVES, sku, warehouse)
        assert isinstance(shelf, Shelf)
        return shelf

    def counts(self, sku: str = "tea", warehouse: str = "berlin") -> tuple[int, int, int]:
        """on hand, held, allocated"""
        shelf = self.shelf(sku, warehouse)
        return shelf.on_hand, shelf.held, shelf.allocated

    def reservation(self, order_id: UUID) -> Reservation:
        reservation = self.store.row(RESERVATIONS, order_id)
        assert isinstance(reservation, Reservation)
        return reservation

    def check_the_books(self) -> None:
        """The counters are right, and no message was given up."""
        self.check_the_counters()
        assert not self.store.parked

    def check_the_counters(self) -> None:
        """Movements add up to counters, reservations add up to holds and allocations, nothing is sold twice."""
        moved: dict[tuple[str, str], list[int]] = {}
        for movement in self.store.rows(MOVEMENTS):
            sums = moved.setdefault((movement.sku, movement.warehouse), [0, 0, 0])
            sums[0] += movement.on_hand_delta
            sums[1] += movement.held_delta
            sums[2] += movement.allocated_delta
        held: Counter[tuple[str, str]] = Counter()
        allocated: Counter[tuple[str, str]] = Counter()
        for reservation in self.store.rows(RESERVATIONS):
            promises = {"held": held, "committed": allocated}.get(reservation.status)
            for pick in reservation.taken if promises is not None else ():
                assert promises is not None
                for sku, units in pick.units(pick.left):
                    promises[sku, pick.warehouse] += units
        for shelf in self.store.rows(SHELVES):
            at = (shelf.sku, shelf.warehouse)
            assert [shelf.on_hand, shelf.held, shelf.allocated] == moved.get(at, [0, 0, 0]), at
            assert (shelf.held, shelf.allocated) == (held[at], allocated[at]), at
            assert shelf.short == max(0, shelf.held + shelf.allocated - shelf.on_hand), at
            assert min(shelf.on_hand, shelf.held, shelf.allocated) >= 0, at
        check_the_queues(self.store)


def check_the_queues(store: MemoryStore) -> None:
    """Who waits stands in a queue as its reservation says, and the books add them up."""
    promised: Counter[tuple[UUID, str]] = Counter()
    for reservation in store.rows(RESERVATIONS):
        if reservation.status in ("held", "committed"):
            promised.update({(reservation.order_id, wish.sku): wish.quantity for wish in reservation.later})
    waiting = Counter({(line.order_id, line.sku): line.quantity for line in store.rows(WAITING_LINES) if line.queue})
    assert waiting == promised
    booked: Counter[str] = Counter()
    for (_, sku), units in waiting.items():
        booked[sku] += units
    assert {book.sku: book.units for book in store.rows(BACKLOGS) if book.units} == dict(booked)


# -- messages --------------------------------------------------------------------------------------------------------

_STEPS = {
    "hold_stock": "hold/do",
    "release_stock": "hold/undo",
    "commit_stock": "commit/do",
    "extend_hold": "extend/do",
}


def key_of(command: Message) -> str:
    """As the orchestrator makes them: queue/run/step/direction."""
    if getattr(command, "keep", ()):
        return f"orchestrator/failure-of-{getattr(command, 'order_id', '')}/release/do"
    return f"orchestrator/{getattr(command, 'order_id', '')}/{_STEPS[command.topic.partition('.')[2]]}"


def order(number: int) -> UUID:
    return UUID(int=number << 64)


def hold(
    number: int, *lines: tuple[str, int], for_s: float = HOLD_FOR_S, ship_to: Destination | None = None
) -> HoldStock:
    wanted = lines or (("tea", 1),)
    return HoldStock(
        order_id=order(number),
        lines=tuple(SkuQuantity(sku=sku, quantity=quantity) for sku, quantity in wanted),
        hold_for_s=for_s,
        ship_to=ship_to,
    )


def commit(number: int) -> CommitStock:
    return CommitStock(order_id=order(number))


def extend(number: int, for_s: float) -> ExtendHold:
    return ExtendHold(order_id=order(number), hold_for_s=for_s)


def release(number: int, *keep: tuple[str, str, int]) -> ReleaseStock:
    """All of it, or all but what is in parcels."""
    return ReleaseStock(order_id=order(number), reason="test", keep=_picks(keep))


def ship(number: int, *picks: tuple[str, str, int], fulfillment: int = 1) -> ShipStock:
    fulfillment_id = UUID(int=(number << 64) + fulfillment)
    return ShipStock(order_id=order(number), fulfillment_id=fulfillment_id, picks=_picks(picks))


def _picks(picks: Iterable[tuple[str, str, int]]) -> tuple[Pick, ...]:
    """From (sku, warehouse, quantity)."""
    return tuple(Pick(sku=sku, warehouse=warehouse, quantity=quantity) for sku, warehouse, quantity in picks)

"""What the decisions share: units take turns on shelves, and what is said of it."""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from contracts.message import Message
from contracts.story import StoryFact
from contracts.values import Pick, SkuQuantity, Wait
from services.inventory import domain
from services.inventory.counting import counted
from services.inventory.domain import NETWORK, Movement, Reservation, Shelf, Shortage, Taken, Turn, UnitsTurn, Warehouse
from services.inventory.tables import RESERVATIONS, SHELVES, WAREHOUSES
from shared.consumer import Moment, NotYet
from shared.frozen import replace
from shared.working_set import Rows

PICKS_TOLD: Final = 5
"""Picks named in the order's story; the reservation has them all."""


def known(rows: Rows, order_id: UUID) -> Reservation:
    reservation = rows.get(RESERVATIONS, order_id)
    if reservation is None:
        raise NotYet(f"unknown_order: nothing was ever held for {order_id}")
    return reservation


def shelf_of(rows: Rows, sku: str, warehouse: str) -> Shelf:
    """The shelf as it stands, or an empty one that is put there by whatever changes it."""
    return rows.get(SHELVES, sku, warehouse) or Shelf(sku, warehouse)


def open_warehouse(rows: Rows, code: str) -> None:
    """A warehouse nobody described is last in the list when it appears."""
    known = warehouses(rows)
    if code not in known:
        last = max((warehouse.priority for warehouse in known.values()), default=0)
        rows.put(Warehouse(code, code, last + 1))


def warehouses(rows: Rows) -> dict[str, Warehouse]:
    return {warehouse.code: warehouse for warehouse in rows.where(WAREHOUSES, "network", NETWORK)}


def takeable(shelves: Iterable[Shelf], known: Mapping[str, Warehouse]) -> list[Shelf]:
    """The shelves as a new hold may take from them: what a warehouse keeps back is safety stock too, for the time."""
    return [
        replace(shelf, safety_stock=shelf.safety_stock + known[shelf.warehouse].kept_back)
        if shelf.warehouse in known and known[shelf.warehouse].kept_back
        else shelf
        for shelf in shelves
    ]


def take_turns(
    rows: Rows, moment: Moment, turns: Iterable[UnitsTurn], *, order_id: UUID | None, reference: str = ""
) -> None:
    """Every change of a counter is written with its movement, here and nowhere else."""
    for turn, sku, warehouse, quantity in turns:
        shelf = rows.get(SHELVES, sku, warehouse)
        if shelf is None:
            raise domain.Oversold(f"{turn.kind} of {quantity} {sku}: {warehouse} has no shelf for it")
        _write(rows, moment, domain.turned(shelf, turn, quantity), turn, quantity, order_id, reference)


def correct(rows: Rows, moment: Moment, shelf: Shelf, on_hand: int, *, reference: str) -> Shelf:
    """What was counted lies there, whatever was promised of it; the movement is as large as the difference."""
    after, delta = counted(shelf, on_hand)
    if delta:
        turn = domain.FOUND if delta > 0 else domain.MISSED
        after = _write(rows, moment, after, turn, abs(delta), None, reference)
    return after


def _write(
    rows: Rows, moment: Moment, shelf: Shelf, turn: Turn, quantity: int, order_id: UUID | None, reference: str
) -> Shelf:
    """A shelf as units left it, with the movement that did."""
    if turn.on_hand:  # never back: a batch that waited for the lock reads its clock before those it waited for
        shelf = replace(shelf, moved_at=max(shelf.moved_at or moment.now, moment.now))
    rows.put(shelf)
    rows.put(
        Movement(
            id=moment.new_id(),
            sku=shelf.sku,
            warehouse=shelf.warehouse,
            kind=turn.kind,
            quantity=quantity,
            on_hand_delta=turn.on_hand * quantity,
            held_delta=turn.held * quantity,
            allocated_delta=turn.allocated * quantity,
            order_id=order_id,
            reference=reference,
            occurred_at=moment.now,
            message_id=moment.message_id,
        )
    )
    return shelf


def picks(reservation: Reservation) -> tuple[Pick, ...]:
    return told_as_picks(reservation.taken)


def told_as_picks(taken: Iterable[Taken]) -> tuple[Pick, ...]:
    return tuple(Pick(warehouse=pick.warehouse, sku=pick.sku, quantity=pick.quantity) for pick in taken)


def kits(reservation: Reservation) -> dict[str, dict[str, int]]:
    return {pick.sku: dict(pick.parts) for pick in reservation.taken if pick.parts}


def waits(reservation: Reservation) -> tuple[Wait, ...]:
    return tuple(Wait(**wish._asdict()) for wish in reservation.later)


def missing(shortage: Shortage) -> tuple[SkuQuantity, ...]:
    return tuple(SkuQuantity(sku=sku, quantity=units) for sku, units in shortage.missing.items())


def told(picks: tuple[Taken, ...]) -> str:
    told = [f"{pick.quantity} x {pick.sku} from {pick.warehouse}" for pick in picks[:PICKS_TOLD]]
    more = len(picks) - PICKS_TOLD
    return "; ".join([*told, f"and {more} more"] if more > 0 else told)


def story(
    moment: Moment, order_id: UUID, name: str, *, reason: str = "", detail: Mapping[str, str] | None = None
) -> Message:
    return StoryFact(
        order_id=order_id,
        name=name,
        actor="inventory",
        occurred_at=moment.now,
        reason=reason,
        detail=dict(detail or {}),
    )

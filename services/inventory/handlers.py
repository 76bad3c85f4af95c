"""What inventory hears. Shelves are named in `then` only: one locking query per batch, in key order, so that two
batches wait for each other and never deadlock.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from contracts.inventory import (
    CommitStock,
    DescribeWarehouse,
    ExtendHold,
    HoldExtended,
    HoldLapsed,
    HoldStock,
    ReceiveStock,
    ReleaseStock,
    ReservationExpired,
    ShipStock,
    StockCommitted,
    StockGone,
    StockHeld,
    StockReleased,
    StockShort,
)
from contracts.message import Message
from contracts.story import StoryFact
from contracts.values import Pick, SkuQuantity
from services.inventory import domain
from services.inventory.domain import (
    NETWORK,
    Movement,
    Receipt,
    Reservation,
    ReservationStatus,
    Shelf,
    Shortage,
    Taken,
    UnitsTurn,
    Warehouse,
)
from services.inventory.strategy import Demand, PriorityList, Strategy
from services.inventory.tables import RECEIPTS, RESERVATIONS, SHELVES, WAREHOUSES
from shared.consumer import Answer, Consumer, Moment, NotYet, Said
from shared.table import Need
from shared.working_set import Rows

consumer = Consumer("inventory")

STRATEGY: Final[Strategy] = PriorityList()
HOLD_TIMER: Final = "hold"
PICKS_TOLD: Final = 5
"""Picks named in the order's story; the reservation has them all."""


class AlreadyReserved(Exception):
    """An order that was promised stock asks anew, under another key, for something else: no saga of ours does."""


class ReferenceReused(Exception):
    """A delivery's reference came back with other content: counting it or not would both be a guess."""


@consumer.hears(
    HoldStock,
    needs=lambda command: [
        Need.of(RESERVATIONS, "order_id", command.order_id),
        Need.of(WAREHOUSES, "network", NETWORK),
    ],
    then=lambda command, rows: [Need.of(SHELVES, "sku", *(line.sku for line in command.lines))],
)
def hold_stock(command: HoldStock, rows: Rows, moment: Moment) -> Annotated[list[Said], StockHeld, StockShort]:
    """Hold every line of an order, or none of them."""
    units = domain.wanted((line.sku, line.quantity) for line in command.lines)
    standing = rows.get(RESERVATIONS, command.order_id)
    if standing is not None:
        if standing.status is not ReservationStatus.HELD or domain.promised(standing) != units:
            raise AlreadyReserved(f"order {command.order_id} has a {standing.status} reservation")
        return [StockHeld(order_id=command.order_id, until=standing.held_until, picks=_picks(standing))]
    until = moment.now + timedelta(seconds=command.hold_for_s)
    key = moment.command_key or ""
    held = domain.hold(command.order_id, units, lambda units: _take(rows, units), until, key)
    if isinstance(held, Shortage):
        return [StockShort(order_id=command.order_id, missing=_missing(held), unknown=held.unknown)]
    rows.put(held.reservation)
    _turn(rows, moment, held.turns, order_id=command.order_id)
    rows.set_timer(HOLD_TIMER, command.order_id, until, HoldLapsed(order_id=command.order_id))
    # not told to the order's story: the order hears of its stock when it is confirmed, awaits payment or is cancelled
    return [StockHeld(order_id=command.order_id, until=until, picks=_picks(held.reservation))]


@consumer.hears(ExtendHold, needs=lambda command: [Need.of(RESERVATIONS, "order_id", command.order_id)])
def extend_hold(command: ExtendHold, rows: Rows, moment: Moment) -> HoldExtended:
    """Keep a living hold longer. One that is over answers the instant it had: its run hears the expiry on its own."""
    reservation = _known(rows, command.order_id)
    longer = domain.extend(reservation, moment.now + timedelta(seconds=command.hold_for_s))
    if longer is not reservation:
        rows.put(longer)
        rows.set_timer(HOLD_TIMER, command.order_id, longer.held_until, HoldLapsed(order_id=command.order_id))
    return HoldExtended(order_id=command.order_id, until=longer.held_until)


@consumer.hears(
    HoldLapsed,
    needs=lambda lapsed: [Need.of(RESERVATIONS, "order_id", lapsed.order_id)],
    then=lambda lapsed, rows: _its_shelves(rows, lapsed.order_id),
)
def hold_lapsed(
    lapsed: HoldLapsed, rows: Rows, moment: Moment
) -> Annotated[list[Said], Answer, ReservationExpired, StoryFact]:
    """The timer rang: unless the hold became something else or longer, its stock goes back and its run is told."""
    reservation = rows.get(RESERVATIONS, lapsed.order_id)
    expired = domain.lapse(reservation, moment.now) if reservation is not None else None
    if expired is None:
        return []
    rows.put(expired.reservation)
    _turn(rows, moment, expired.turns, order_id=lapsed.order_id, reference="expired")
    return [
        Answer(expired.reservation.hold_key, ReservationExpired(order_id=lapsed.order_id)),
        _story(moment, lapsed.order_id, "inventory.hold_expired"),
    ]


@consumer.hears(
    CommitStock,
    needs=lambda command: [
        Need.of(RESERVATIONS, "order_id", command.order_id),
        Need.of(WAREHOUSES, "network", NETWORK),  # an expired hold is taken again, from anywhere
    ],
    then=lambda command, rows: _its_shelves(rows, command.order_id),
)
def commit_stock(
    command: CommitStock, rows: Rows, moment: Moment
) -> Annotated[list[Said], StockCommitted, StockGone, StoryFact]:
    """Turn the hold into an allocation; the race with its expiry ends on the reservation row."""
    reservation = _known(rows, command.order_id)
    committed = domain.commit(reservation, lambda units: _take(rows, units))
    if isinstance(committed, Shortage):
        return [
            StockGone(order_id=command.order_id, missing=_missing(committed)),
            _story(moment, command.order_id, "inventory.stock_gone", reason=f"reservation {reservation.status}"),
        ]
    said: list[Said] = [StockCommitted(order_id=command.order_id, picks=_picks(committed.reservation))]
    if committed.turns:
        rows.put(committed.reservation)
        rows.clear_timer(HOLD_TIMER, command.order_id)
        _turn(rows, moment, committed.turns, order_id=command.order_id)
    if committed.turns and reservation.status is ReservationStatus.EXPIRED:
        detail = {"picks": _told(committed.reservation.taken)}
        said.append(_story(moment, command.order_id, "inventory.stock_taken_again", detail=detail))
    return said


@consumer.hears(
    ReleaseStock,
    needs=lambda command: [Need.of(RESERVATIONS, "order_id", command.order_id)],
    then=lambda command, rows: _its_shelves(rows, command.order_id),
)
def release_stock(command: ReleaseStock, rows: Rows, moment: Moment) -> Annotated[list[Said], StockReleased, StoryFact]:
    """Give back what has not shipped. Nothing to give back, or nothing known, is released as well."""
    said: list[Said] = [StockReleased(order_id=command.order_id)]
    reservation = rows.get(RESERVATIONS, command.order_id)
    if reservation is None:
        return said
    released = domain.release(reservation)
    if released.reservation is not reservation:
        rows.put(released.reservation)
        rows.clear_timer(HOLD_TIMER, command.order_id)
    if released.turns:
        _turn(rows, moment, released.turns, order_id=command.order_id, reference=command.reason)
        said.append(_story(moment, command.order_id, "inventory.stock_released", reason=command.reason))
    return said


@consumer.hears(
    ShipStock,
    needs=lambda fact: [Need.of(RESERVATIONS, "order_id", fact.order_id)],
    then=lambda fact, rows: [Need.of(SHELVES, "sku", *(pick.sku for pick in fact.picks))],
)
def ship_stock(fact: ShipStock, rows: Rows, moment: Moment) -> None:
    """A shipment left. Said twice, also under another message id, it counts once."""
    reservation = _known(rows, fact.order_id)
    if reservation.status in (ReservationStatus.HELD, ReservationStatus.EXPIRED):
        raise NotYet(f"reservation {reservation.status}: nothing was committed to ship")
    shipped = ((pick.warehouse, pick.sku, pick.quantity) for pick in fact.picks)
    left = domain.ship(reservation, fact.fulfillment_id, shipped)
    if left.turns:
        rows.put(left.reservation)
        _turn(rows, moment, left.turns, order_id=fact.order_id, reference=str(fact.fulfillment_id))


@consumer.hears(
    ReceiveStock,
    needs=lambda fact: [Need.of(RECEIPTS, "reference", fact.reference), Need.of(WAREHOUSES, "network", NETWORK)],
    then=lambda fact, rows: [Need.of(SHELVES, "sku", *(receipt.sku for receipt in fact.receipts))],
)
def receive_stock(fact: ReceiveStock, rows: Rows, moment: Moment) -> None:
    """Goods arrived, on shelves that are made where there are none."""
    lines = [receipt.model_dump(mode="json") for receipt in fact.receipts]
    counted = rows.get(RECEIPTS, fact.reference)
    if counted is not None:
        if counted.lines != lines:
            raise ReferenceReused(fact.reference)
        return
    rows.put(Receipt(fact.reference, lines))
    for receipt in fact.receipts:
        _open_warehouse(rows, receipt.warehouse)
        shelf = rows.get(SHELVES, receipt.sku, receipt.warehouse) or Shelf(receipt.sku, receipt.warehouse)
        rows.put(domain.kept_back(shelf, receipt.safety_stock))
        arrived = UnitsTurn(domain.RECEIVE, receipt.sku, receipt.warehouse, receipt.quantity)
        _turn(rows, moment, [arrived], order_id=None, reference=fact.reference)


@consumer.hears(DescribeWarehouse, needs=lambda fact: [Need.of(WAREHOUSES, "network", NETWORK)])
def describe_warehouse(fact: DescribeWarehouse, rows: Rows, moment: Moment) -> None:
    """Name a warehouse and give it its place in the priority list; the latest word counts, whenever it is heard."""
    standing = _warehouses(rows).get(fact.warehouse)
    described = domain.described(standing, fact.warehouse, fact.name, fact.priority, fact.as_of)
    if described is not None:
        rows.put(described)


# -- what the decisions share ----------------------------------------------------------------------------------------


def _known(rows: Rows, order_id: UUID) -> Reservation:
    reservation = rows.get(RESERVATIONS, order_id)
    if reservation is None:
        raise NotYet(f"unknown_order: nothing was ever held for {order_id}")
    return reservation


def _its_shelves(rows: Rows, order_id: UUID) -> list[Need]:
    """The shelves a reservation took from, and those it could take from again."""
    reservation = rows.get(RESERVATIONS, order_id)
    return [] if reservation is None else [Need.of(SHELVES, "sku", *(pick["sku"] for pick in reservation.picks))]


def _warehouses(rows: Rows) -> dict[str, Warehouse]:
    return {warehouse.code: warehouse for warehouse in rows.where(WAREHOUSES, "network", NETWORK)}


def _take(rows: Rows, units: Mapping[str, int]) -> tuple[Taken, ...] | Shortage:
    shelves = {sku: rows.where(SHELVES, "sku", sku) for sku in units}
    return STRATEGY.choose(Demand(units, shelves, _warehouses(rows)))


def _open_warehouse(rows: Rows, code: str) -> None:
    """A warehouse nobody described is last in the list when it appears."""
    known = _warehouses(rows)
    if code not in known:
        last = max((warehouse.priority for warehouse in known.values()), default=0)
        rows.put(Warehouse(code, code, last + 1))


def _turn(
    rows: Rows, moment: Moment, turns: Iterable[UnitsTurn], *, order_id: UUID | None, reference: str = ""
) -> None:
    """Every change of a counter is written with its movement, here and nowhere else."""
    for turn, sku, warehouse, quantity in turns:
        shelf = rows.get(SHELVES, sku, warehouse)
        if shelf is None:
            raise domain.Oversold(f"{turn.kind} of {quantity} {sku}: {warehouse} has no shelf for it")
        rows.put(domain.turned(shelf, turn, quantity))
        rows.put(
            Movement(
                id=moment.new_id(),
                sku=sku,
                warehouse=warehouse,
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


def _picks(reservation: Reservation) -> tuple[Pick, ...]:
    return tuple(Pick(warehouse=pick.warehouse, sku=pick.sku, quantity=pick.quantity) for pick in reservation.taken)


def _missing(shortage: Shortage) -> tuple[SkuQuantity, ...]:
    return tuple(SkuQuantity(sku=sku, quantity=units) for sku, units in shortage.missing.items())


def _told(picks: tuple[Taken, ...]) -> str:
    told = [f"{pick.quantity} x {pick.sku} from {pick.warehouse}" for pick in picks[:PICKS_TOLD]]
    more = len(picks) - PICKS_TOLD
    return "; ".join([*told, f"and {more} more"] if more > 0 else told)


def _story(
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

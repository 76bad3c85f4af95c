"""A shelf that came short: whose promises it breaks, and what becomes of each of them.

Units that are being asked back still count as promised; so a shelf is short by what nobody is asked for yet, and every
decision about it is taken under its lock.
"""

from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from contracts.inventory import ReservationExpired, StockArrived
from contracts.shortage import (
    Choice,
    PromisesFound,
    SearchOverdue,
    SettleShortage,
    ShelfCameShort,
    ShortageSettled,
    StockTakenBack,
    TakeBackStock,
    UnitsKept,
    UnitsShort,
)
from contracts.story import StoryFact
from contracts.values import WaitKind
from services.inventory import reservations, shortages
from services.inventory.domain import NETWORK, Reservation, ReservationStatus, Shortage
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.planning import its_shelves, somebody_waits
from services.inventory.handlers.promises import HOLD_TIMER
from services.inventory.handlers.queues import change_queues, freed
from services.inventory.handlers.routing import BY_PRIORITY, Routing, counted
from services.inventory.handlers.turns import known, story, take_turns, told, told_as_picks
from services.inventory.products import Product
from services.inventory.routing.strategy import RoutingPolicy
from services.inventory.shortages import (
    DEFAULT_LEAD_DAYS,
    FOUND_AT_ONCE,
    SEARCH_OVERDUE_S,
    SHORT_LINE,
    SHORTAGE,
    Hit,
    LineState,
    ShelfShortage,
    ShortageState,
    ShortLine,
    shelf_key,
)
from services.inventory.tables import (
    BACKLOGS,
    BOOKINGS,
    PRODUCTS,
    RESERVATIONS,
    SHELVES,
    SHORT_LINES,
    SHORTAGES,
    WAITING_LINES,
    WAREHOUSES,
)
from services.inventory.waiting import Later
from shared.consumer import Answer, Moment, Said
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows

SEARCH_TIMER: Final = "search"


# -- whose promises it breaks ----------------------------------------------------------------------------------------


@consumer.hears(ShelfCameShort, needs=lambda short: [])
def shelf_came_short(short: ShelfCameShort, rows: Rows, moment: Moment) -> None:
    """Written down, and searched for whom it hits."""
    _search(rows, moment, short.sku, short.warehouse, short.units, short.reference)


@consumer.hears(SearchOverdue, needs=lambda rang: [Need.of(SHORTAGES, "id", rang.shortage_id)])
def search_overdue(rang: SearchOverdue, rows: Rows, moment: Moment) -> None:
    """Whoever searched may have died."""
    shortage = rows.get(SHORTAGES, rang.shortage_id)
    if shortage is None or shortage.state is ShortageState.SETTLED:
        return
    if shortage.state is ShortageState.CALLING:
        rows.put(replace(shortage, state=SHORTAGE.to(shortage.state, "search again")))
    _guard(rows, moment, shortage.id)


def shelves_of_hits(found: PromisesFound, rows: Rows) -> list[Need]:
    """The short shelf, who is asked already, and all that a hold given up lets go of."""
    shortage = rows.get(SHORTAGES, found.shortage_id)
    if shortage is None:
        return []
    key = shelf_key(shortage.warehouse, shortage.sku)
    needs = [Need.of(SHELVES, "sku", shortage.sku), Need.of(SHORT_LINES, "shelf", key)]
    for order_id in found.order_ids:
        reservation = rows.get(RESERVATIONS, order_id)
        if reservation is not None and reservation.status is ReservationStatus.HELD:
            needs += its_shelves(rows, order_id, frees=True)
    skus = {pick.sku for id_ in found.order_ids if (row := rows.get(RESERVATIONS, id_)) for pick in row.taken}
    return [*needs, Need.of(PRODUCTS, "sku", *skus)]


@consumer.hears(
    PromisesFound,
    needs=lambda found: [
        Need.of(SHORTAGES, "id", found.shortage_id),
        Need.of(RESERVATIONS, "order_id", *found.order_ids),
        Need.of(SHORT_LINES, "order_id", *found.order_ids),
    ],
    then=shelves_of_hits,
)
def promises_found(
    found: PromisesFound, rows: Rows, moment: Moment
) -> Annotated[list[Said], UnitsShort, ReservationExpired, StoryFact, StockArrived, ShelfCameShort, Answer]:
    """Ask as many of them back as are missing; a hold is simply over. What they do not cover is searched for again."""
    shortage = rows.get(SHORTAGES, found.shortage_id)
    if shortage is None or shortage.state is ShortageState.SETTLED:
        return []
    rows.put(replace(shortage, state=SHORTAGE.to(shortage.state, "settle")))
    rows.clear_timer(SEARCH_TIMER, shortage.id)
    said: list[Said] = []
    for order_id in found.order_ids:
        missing = _missing(rows, shortage.warehouse, shortage.sku)
        reservation = rows.get(RESERVATIONS, order_id)
        if missing <= 0 or reservation is None:
            continue
        for hit in shortages.hits(reservation, shortage.warehouse, shortage.sku, missing):
            if reservation.status is ReservationStatus.HELD:
                said += _give_up(rows, moment, reservation)
                break
            if not _is_asked(rows, hit):
                said += _ask(rows, moment, shortage, hit)
    left = _missing(rows, shortage.warehouse, shortage.sku)
    if left > 0 and len(found.order_ids) == FOUND_AT_ONCE:
        _search(rows, moment, shortage.sku, shortage.warehouse, left, shortage.reference)
    return said


@consumer.hears(
    UnitsKept,
    needs=lambda kept: [Need.of(table, "order_id", kept.order_id) for table in (RESERVATIONS, SHORT_LINES)],
    then=lambda kept, rows: [Need.of(SHELVES, "sku", kept.sku)],
)
def units_kept(kept: UnitsKept, rows: Rows, moment: Moment) -> None:
    """They had left, so they were there: somebody else is short."""
    line = rows.get(SHORT_LINES, kept.order_id, kept.sku, kept.warehouse)
    if line is None or line.state is not LineState.ASKED:
        return
    _, _, sku = (line.shelf or "").partition("/")
    rows.put(replace(line, state=SHORT_LINE.to(line.state, "keep"), shelf=None))
    _search(rows, moment, sku, kept.warehouse, line.covers, f"kept by {kept.order_id}")
    _close(rows, known(rows, kept.order_id))


# -- what becomes of them --------------------------------------------------------------------------------------------


@consumer.hears(
    TakeBackStock,
    needs=lambda command: [
        Need.of(table, "order_id", command.order_id) for table in (RESERVATIONS, SHORT_LINES, BOOKINGS)
    ],
    then=lambda command, rows: its_shelves(rows, command.order_id, frees=True),
)
def take_back_stock(
    command: TakeBackStock, rows: Rows, moment: Moment
) -> Annotated[list[Said], StockTakenBack, StockArrived, StoryFact]:
    """The warehouse was told: these units are not promised to the order any more."""
    reservation = known(rows, command.order_id)
    line = rows.get(SHORT_LINES, command.order_id, command.sku, command.warehouse)
    said: list[Said] = [StockTakenBack(order_id=command.order_id)]
    if line is None or line.state is not LineState.ASKED:
        return said
    rows.put(replace(line, state=SHORT_LINE.to(line.state, "take back"), shelf=None))
    taken = reservations.take_back(reservation, command.warehouse, command.sku, command.quantity)
    rows.put(taken.reservation)
    take_turns(rows, moment, taken.turns, order_id=command.order_id, reference="short")
    detail = {"sku": command.sku, "warehouse": command.warehouse, "quantity": str(command.quantity)}
    return [*said, *freed(rows, taken.turns), story(moment, command.order_id, "inventory.units_short", detail=detail)]


@consumer.hears(
    SettleShortage,
    needs=lambda command: [
        *(
            Need.of(table, "order_id", command.order_id)
            for table in (RESERVATIONS, SHORT_LINES, WAITING_LINES, BOOKINGS)
        ),
        Need.of(WAREHOUSES, "network", NETWORK),
        Need.of(PRODUCTS, "sku", command.sku, command.substitute),
    ],
    then=lambda command, rows: [
        Need.of(SHELVES, "sku", command.sku, command.substitute),
        Need.of(BACKLOGS, "sku", command.sku, command.substitute),
        *counted(rows),
    ],
)
def settle_shortage(
    command: SettleShortage, rows: Rows, moment: Moment, policy: RoutingPolicy = BY_PRIORITY
) -> Annotated[list[Said], ShortageSettled, StockArrived]:
    """Do what was chosen, or what is still possible: a substitute that is gone, or a kit to wait for, is money back."""
    reservation = known(rows, command.order_id)
    short = rows.get(SHORT_LINES, command.order_id, command.sku, command.warehouse)
    if short is not None and short.state is LineState.TAKEN_BACK:
        rows.put(replace(short, state=SHORT_LINE.to(short.state, "settle")))
    match command.choice:
        case Choice.SUBSTITUTE if command.substitute is not None:
            routing = Routing(rows, moment, policy)
            taken = routing.take({command.substitute: command.quantity}, ask=False)
            if not isinstance(taken, Shortage):
                given = reservations.give_instead(reservation, taken)
                rows.put(given.reservation)
                take_turns(rows, moment, given.turns, order_id=command.order_id, reference="substitute")
                routing.keep(command.order_id)
                picks = told_as_picks(taken)
                return [ShortageSettled(order_id=command.order_id, outcome=Choice.SUBSTITUTE, picks=picks)]
        case Choice.WAIT if not _is_kit(rows, command.sku):
            if rows.get(PRODUCTS, command.sku) is None:
                rows.put(Product(command.sku))  # described as plain stock: whoever holds it looks at its queue now
            wish = Later(command.sku, command.quantity, WaitKind.BACKORDER, command.promised_at)
            waits = reservations.wait_instead(reservation, wish)
            rows.put(waits.reservation)
            change_queues(rows, waits)
            said: list[Said] = [ShortageSettled(order_id=command.order_id, outcome=Choice.WAIT)]
            return [*said, StockArrived(sku=command.sku)] if somebody_waits(rows, command.sku) else said
    _close(rows, reservation)
    return [ShortageSettled(order_id=command.order_id, outcome=Choice.REFUND)]


# -- what they share -------------------------------------------------------------------------------------------------


def _close(rows: Rows, reservation: Reservation) -> None:
    """The promise is over when nothing is left to send, and nobody is asked about any of it any more."""
    under_way = (LineState.ASKED, LineState.TAKEN_BACK)
    if any(line.state in under_way for line in rows.where(SHORT_LINES, "order_id", reservation.order_id)):
        return
    closed = reservations.close(reservation)
    if closed.reservation is not reservation:
        rows.put(closed.reservation)


def _search(rows: Rows, moment: Moment, sku: str, warehouse: str, units: int, reference: str) -> None:
    shortage = ShelfShortage(moment.new_id(), sku, warehouse, units, reference, moment.now)
    rows.put(shortage)
    _guard(rows, moment, shortage.id)


def _guard(rows: Rows, moment: Moment, shortage_id: UUID) -> None:
    at = moment.now + timedelta(seconds=SEARCH_OVERDUE_S)
    rows.set_timer(SEARCH_TIMER, shortage_id, at, SearchOverdue(shortage_id=shortage_id))


def _missing(rows: Rows, warehouse: str, sku: str) -> int:
    """Units a shelf is short of that nobody is asked for yet."""
    shelf = rows.get(SHELVES, sku, warehouse)
    asked = sum(line.covers for line in rows.where(SHORT_LINES, "shelf", shelf_key(warehouse, sku)))
    return 0 if shelf is None else shelf.short - asked


def _is_asked(rows: Rows, hit: Hit) -> bool:
    line = rows.get(SHORT_LINES, hit.reservation.order_id, hit.pick.sku, hit.pick.warehouse)
    return line is not None and line.state in (LineState.ASKED, LineState.TAKEN_BACK, LineState.KEPT)


def _ask(rows: Rows, moment: Moment, shortage: ShelfShortage, hit: Hit) -> list[Said]:
    order_id, pick = hit.reservation.order_id, hit.pick
    standing = rows.get(SHORT_LINES, order_id, pick.sku, pick.warehouse)
    line = ShortLine(
        order_id=order_id,
        sku=pick.sku,
        warehouse=pick.warehouse,
        shortage_id=shortage.id,
        quantity=hit.quantity,
        covers=hit.covers,
        state=LineState.ASKED if standing is None else SHORT_LINE.to(standing.state, "ask"),
        shelf=shelf_key(shortage.warehouse, shortage.sku),
        version=0 if standing is None else standing.version,
    )
    rows.put(line)
    product = rows.get(PRODUCTS, pick.sku)
    days = (product.lead_days if product is not None else 0) or DEFAULT_LEAD_DAYS
    return [
        UnitsShort(
            order_id=order_id,
            shortage_id=shortage.id,
            sku=pick.sku,
            warehouse=pick.warehouse,
            quantity=hit.quantity,
            substitutes=tuple(product.substitutes) if product is not None else (),
            later=moment.now + timedelta(days=days),
        )
    ]


def _give_up(rows: Rows, moment: Moment, reservation: Reservation) -> list[Said]:
    """Nobody has paid yet: the checkout hears that its units are gone."""
    over = reservations.give_up(reservation)
    order_id = reservation.order_id
    rows.put(over.reservation)
    rows.clear_timer(HOLD_TIMER, order_id)
    take_turns(rows, moment, over.turns, order_id=order_id, reference="short")
    change_queues(rows, over)
    return [
        *freed(rows, over.turns),
        Answer(over.reservation.hold_key, ReservationExpired(order_id=order_id, reason="stock_gone")),
        story(moment, order_id, "inventory.hold_short", detail={"picks": told(reservation.taken)}),
    ]


def _is_kit(rows: Rows, sku: str) -> bool:
    product = rows.get(PRODUCTS, sku)
    return product is not None and bool(product.parts)

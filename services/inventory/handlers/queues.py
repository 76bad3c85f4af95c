"""Queues of what is promised and not there: orders join and leave them, and what arrives serves the oldest promise."""

from collections.abc import Iterable
from typing import Annotated, Final

from contracts.inventory import StockArrived, WaitingServed
from contracts.message import Message
from contracts.story import StoryFact
from services.inventory import domain, reservations, waiting
from services.inventory.domain import NETWORK, Decided, ReservationStatus, Shortage, UnitsTurn
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.planning import somebody_waits
from services.inventory.handlers.routing import BY_PRIORITY, Routing, counted, tomorrow
from services.inventory.handlers.turns import story, take_turns, told, told_as_picks
from services.inventory.routing.strategy import RoutingPolicy
from services.inventory.tables import (
    BACKLOGS,
    BOOKINGS,
    PRODUCTS,
    RESERVATIONS,
    SHELVES,
    WAITING_LINES,
    WAREHOUSES,
)
from services.inventory.waiting import SERVED_AT_ONCE, Backlog, Later
from shared.consumer import Moment, Said
from shared.table import Need
from shared.working_set import Rows

RELEASE_TIMER: Final = "release"
CAPACITY_TIMER: Final = "capacity"


@consumer.hears(
    StockArrived,
    needs=lambda arrived: [
        Need.of(PRODUCTS, "sku", arrived.sku),
        Need.of(WAREHOUSES, "network", NETWORK),
        Need.first(SERVED_AT_ONCE, WAITING_LINES, "queue", arrived.sku, order="promised_at"),
    ],
    then=lambda arrived, rows: [
        Need.of(SHELVES, "sku", arrived.sku),
        Need.of(BACKLOGS, "sku", arrived.sku),
        *(
            Need.of(table, "order_id", *(line.order_id for line in rows.where(WAITING_LINES, "queue", arrived.sku)))
            for table in (RESERVATIONS, BOOKINGS)
        ),
        *counted(rows),
    ],
)
def stock_arrived(
    arrived: StockArrived, rows: Rows, moment: Moment, policy: RoutingPolicy = BY_PRIORITY
) -> Annotated[list[Said], WaitingServed, StoryFact, StockArrived]:
    """Serve the queue from its front as far as the free units go. What is not released yet waits for its date."""
    product = rows.get(PRODUCTS, arrived.sku)
    if product is not None and waiting.unreleased(product, moment.now):
        return []
    lines = rows.where(WAITING_LINES, "queue", arrived.sku)
    free = Routing(rows, moment, policy).available([arrived.sku])[arrived.sku]
    served = waiting.next_served(lines, free)
    said: list[Said] = []
    for line in served:
        reservation = rows.get(RESERVATIONS, line.order_id)
        routing = Routing(rows, moment, policy)
        taken = routing.take({line.sku: line.quantity}, ask=False)
        if reservation is None or isinstance(taken, Shortage):
            raise domain.Oversold(f"{line.quantity} {line.sku} for {line.order_id}: counted as free, and not to be had")
        decided = reservations.serve(reservation, line.sku, taken)
        rows.put(decided.reservation)
        routing.keep(line.order_id)
        take_turns(rows, moment, decided.turns, order_id=line.order_id, reference="served")
        change_queues(rows, decided, "serve")
        if reservation.status is ReservationStatus.COMMITTED:
            picks = told_as_picks(taken)
            said.append(WaitingServed(order_id=line.order_id, serving_id=moment.new_id(), picks=picks))
        detail = {"picks": told(taken), "promised_at": line.promised_at.isoformat(), "kind": line.kind.value}
        said.append(story(moment, line.order_id, "inventory.waiting_served", detail=detail))
    if len(served) == len(lines) == SERVED_AT_ONCE:
        said.append(arrived)  # there may be more behind them
    lying = sum(max(0, shelf.available) for shelf in rows.where(SHELVES, "sku", arrived.sku))
    if len(served) < len(lines) and lying > free:  # in a warehouse that takes no more orders today
        rows.set_timer(CAPACITY_TIMER, arrived.sku, tomorrow(moment), arrived)
    return said


# -- what other decisions do to queues -------------------------------------------------------------------------------


def change_queues(rows: Rows, decided: Decided, leaves: str = "withdraw") -> None:
    """Lines leave or join, and the books with them. One that waits for more leaves first, and joins again."""
    order_id = decided.reservation.order_id
    for wish in decided.unqueues:
        line = rows.get(WAITING_LINES, order_id, wish.sku)
        assert line is not None, f"{order_id} waits for {wish.sku}, and is in no queue"
        rows.put(waiting.left_queue(line, leaves))
        _book(rows, wish, -wish.quantity)
    for wish in decided.queues:
        before = rows.looked_for(WAITING_LINES, (order_id, wish.sku))  # not of a first hold: it has no lines yet
        standing = rows.get(WAITING_LINES, order_id, wish.sku) if before else None
        rows.put(waiting.queued(standing, order_id, wish))
        _book(rows, wish, wish.quantity)


def freed(rows: Rows, turns: Iterable[UnitsTurn]) -> list[Message]:
    """Somebody may wait for what these turns let go of."""
    skus = dict.fromkeys(sku for turn, sku, _, _ in turns if turn.on_hand - turn.held - turn.allocated > 0)
    return [StockArrived(sku=sku) for sku in skus if somebody_waits(rows, sku)]


def _book(rows: Rows, wish: Later, units: int) -> None:
    book = rows.get(BACKLOGS, wish.sku) or Backlog(wish.sku)
    rows.put(Backlog(wish.sku, book.units + units))

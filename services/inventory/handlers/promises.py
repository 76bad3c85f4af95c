"""What orders are promised: held at checkout, committed when paid, given back or shipped."""

from datetime import timedelta
from typing import Annotated, Final

from contracts.frame import CommandWithdrawn
from contracts.inventory import (
    CommitStock,
    ExtendHold,
    HoldExtended,
    HoldLapsed,
    HoldStock,
    ReleaseStock,
    ReservationExpired,
    ShipStock,
    StockArrived,
    StockCommitted,
    StockGone,
    StockHeld,
    StockReleased,
    StockShort,
)
from contracts.story import StoryFact
from services.inventory import domain, reservations
from services.inventory.domain import NETWORK, Decided, Reservation, ReservationStatus, Shortage
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.planning import its_shelves, plan, plan_again, shelves_of
from services.inventory.handlers.queues import change_queues, freed
from services.inventory.handlers.routing import (
    BY_PRIORITY,
    Routing,
    booked,
    give_back,
    needed_by_hold,
    withdraw_questions,
)
from services.inventory.handlers.turns import correct, kits, known, missing, picks, story, take_turns, told, waits
from services.inventory.routing.strategy import RoutingPolicy
from services.inventory.tables import BOOKINGS, QUESTIONS, RESERVATIONS, SHELVES, WAREHOUSES
from shared.consumer import Answer, Moment, NotYet, Said
from shared.table import Need
from shared.working_set import Rows

HOLD_TIMER: Final = "hold"


class AlreadyReserved(Exception):
    """An order that was promised stock asks anew, under another key, for something else: no saga of ours does."""


@consumer.hears(
    HoldStock,
    needs=lambda command: [Need.of(RESERVATIONS, "order_id", command.order_id), *needed_by_hold(command)],
    then=lambda command, rows: shelves_of(rows, (line.sku for line in command.lines)),
)
def hold_stock(
    command: HoldStock, rows: Rows, moment: Moment, policy: RoutingPolicy = BY_PRIORITY
) -> Annotated[list[Said], StockHeld, StockShort]:
    """Hold every line of an order, or none of them. An order too large to be routed here waits for the solver."""
    return hold_routed(command, Routing(rows, moment, policy, command.ship_to))


def hold_routed(command: HoldStock, routing: Routing) -> list[Said]:
    """The same, of a routing that may know what the solver proposed."""
    rows, moment = routing.rows, routing.moment
    units = domain.wanted((line.sku, line.quantity) for line in command.lines)
    standing = rows.get(RESERVATIONS, command.order_id)
    if standing is not None:
        if standing.status is not ReservationStatus.HELD or domain.promised(standing) != units:
            raise AlreadyReserved(f"order {command.order_id} has a {standing.status} reservation")
        return [_held(standing)]
    until = moment.now + timedelta(seconds=command.hold_for_s)
    key = moment.command_key or ""
    terms = {"customer_class": command.customer_class, "prices_minor": command.prices_minor}
    terms = {name: value for name, value in terms.items() if value}
    held = reservations.hold(command.order_id, units, lambda units: plan(routing, units), until, key, terms)
    if routing.larger is not None:
        routing.ask(command)
        return []
    if isinstance(held, Shortage):
        return [StockShort(order_id=command.order_id, missing=missing(held), unknown=held.unknown)]
    _keep(rows, moment, held)
    routing.keep(command.order_id)
    rows.set_timer(HOLD_TIMER, command.order_id, until, HoldLapsed(order_id=command.order_id))
    # not told to the order's story: the order hears of its stock when it is confirmed, awaits payment or is cancelled
    return [_held(held.reservation)]


@consumer.hears(ExtendHold, needs=lambda command: [Need.of(RESERVATIONS, "order_id", command.order_id)])
def extend_hold(command: ExtendHold, rows: Rows, moment: Moment) -> HoldExtended:
    """Keep a living hold longer. One that is over answers the instant it had: its run hears the expiry on its own."""
    reservation = known(rows, command.order_id)
    longer = reservations.extend(reservation, moment.now + timedelta(seconds=command.hold_for_s))
    if longer is not reservation:
        rows.put(longer)
        rows.set_timer(HOLD_TIMER, command.order_id, longer.held_until, HoldLapsed(order_id=command.order_id))
    return HoldExtended(order_id=command.order_id, until=longer.held_until)


@consumer.hears(
    HoldLapsed,
    needs=lambda lapsed: [Need.of(table, "order_id", lapsed.order_id) for table in (RESERVATIONS, BOOKINGS)],
    then=lambda lapsed, rows: [*its_shelves(rows, lapsed.order_id, frees=True), *booked(rows, lapsed.order_id)],
)
def hold_lapsed(
    lapsed: HoldLapsed, rows: Rows, moment: Moment
) -> Annotated[list[Said], Answer, ReservationExpired, StoryFact, StockArrived]:
    """The timer rang: unless the hold became something else or longer, its stock goes back and its run is told."""
    reservation = rows.get(RESERVATIONS, lapsed.order_id)
    expired = reservations.lapse(reservation, moment.now) if reservation is not None else None
    if expired is None:
        return []
    _keep(rows, moment, expired, reference="expired")
    give_back(rows, expired.reservation)
    return [
        *freed(rows, expired.turns),
        Answer(expired.reservation.hold_key, ReservationExpired(order_id=lapsed.order_id)),
        story(moment, lapsed.order_id, "inventory.hold_expired"),
    ]


@consumer.hears(
    CommitStock,
    needs=lambda command: [
        Need.of(RESERVATIONS, "order_id", command.order_id),
        Need.of(WAREHOUSES, "network", NETWORK),  # an expired hold is taken again, from anywhere
        Need.of(BOOKINGS, "order_id", command.order_id),
    ],
    then=lambda command, rows: its_shelves(rows, command.order_id, plans=True),
)
def commit_stock(
    command: CommitStock, rows: Rows, moment: Moment, policy: RoutingPolicy = BY_PRIORITY
) -> Annotated[list[Said], StockCommitted, StockGone, StoryFact]:
    """Turn the hold into an allocation; the race with its expiry ends on the reservation row."""
    reservation = known(rows, command.order_id)
    routing = Routing(rows, moment, policy, command.ship_to)
    committed = reservations.commit(reservation, lambda units: plan_again(routing, reservation, units))
    if isinstance(committed, Shortage):
        return [
            StockGone(order_id=command.order_id, missing=missing(committed)),
            story(moment, command.order_id, "inventory.stock_gone", reason=f"reservation {reservation.status}"),
        ]
    said: list[Said] = [
        StockCommitted(
            order_id=command.order_id,
            picks=picks(committed.reservation),
            waits=waits(committed.reservation),
            kits=kits(committed.reservation),
        )
    ]
    if committed.reservation is not reservation:
        _keep(rows, moment, committed)
        routing.keep(command.order_id)
        rows.clear_timer(HOLD_TIMER, command.order_id)
        if reservation.status is not ReservationStatus.EXPIRED:
            return said
        detail = {"picks": told(committed.reservation.taken)}
        said.append(story(moment, command.order_id, "inventory.stock_taken_again", detail=detail))
    return said


@consumer.hears(
    ReleaseStock,
    needs=lambda command: [
        Need.of(table, "order_id", command.order_id) for table in (RESERVATIONS, BOOKINGS, QUESTIONS)
    ],
    then=lambda command, rows: [*its_shelves(rows, command.order_id, frees=True), *booked(rows, command.order_id)],
)
def release_stock(
    command: ReleaseStock, rows: Rows, moment: Moment
) -> Annotated[list[Said], StockReleased, StoryFact, StockArrived, Answer, CommandWithdrawn]:
    """Give back what has not shipped, but for what leaves all the same. Nothing to give back is released as well."""
    said: list[Said] = [StockReleased(order_id=command.order_id), *withdraw_questions(rows, command.order_id)]
    reservation = rows.get(RESERVATIONS, command.order_id)
    if reservation is None:
        return said
    released = reservations.release(reservation, command.keep)
    if released.reservation is not reservation:
        _keep(rows, moment, released, reference=command.reason)
        rows.clear_timer(HOLD_TIMER, command.order_id)
    if released.turns or released.unqueues:
        give_back(rows, reservation, {pick.warehouse for pick in command.keep})
        said += freed(rows, released.turns)
        said.append(story(moment, command.order_id, "inventory.stock_released", reason=command.reason))
    return said


@consumer.hears(
    ShipStock,
    needs=lambda fact: [Need.of(RESERVATIONS, "order_id", fact.order_id)],
    then=lambda fact, rows: [
        Need.of(SHELVES, "sku", *(pick.sku for pick in fact.picks)),
        *its_shelves(rows, fact.order_id),
    ],
)
def ship_stock(fact: ShipStock, rows: Rows, moment: Moment) -> None:
    """A shipment left. Said twice, also under another message id, it counts once."""
    reservation = known(rows, fact.order_id)
    if reservation.status in (ReservationStatus.HELD, ReservationStatus.EXPIRED):
        raise NotYet(f"reservation {reservation.status}: nothing was committed to ship")
    left = reservations.ship(reservation, fact.fulfillment_id, fact.picks)
    if left.turns:
        rows.put(left.reservation)
        for turn in left.turns:
            shelf = rows.get(SHELVES, turn.sku, turn.warehouse)
            if turn.turn is domain.SHIP_ALLOCATED and shelf is not None and shelf.on_hand < turn.quantity:
                # a count said that it did not lie there; what left was there
                correct(rows, moment, shelf, turn.quantity, reference=str(fact.fulfillment_id))
        take_turns(rows, moment, left.turns, order_id=fact.order_id, reference=str(fact.fulfillment_id))


def _keep(rows: Rows, moment: Moment, decided: Decided, *, reference: str = "") -> None:
    """The reservation, what its units do, and its places in the queues: one decision, written together."""
    rows.put(decided.reservation)
    order_id = decided.reservation.order_id
    take_turns(rows, moment, decided.turns, order_id=order_id, reference=reference)
    change_queues(rows, decided)


def _held(reservation: Reservation) -> StockHeld:
    return StockHeld(
        order_id=reservation.order_id,
        until=reservation.held_until,
        picks=picks(reservation),
        waits=waits(reservation),
    )

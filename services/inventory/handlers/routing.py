"""One order looking for its warehouses: `take` is asked for units, `keep` writes down what was found, and why.

A strategy sees the rows as the messages before this one left them. What it cannot settle within its bound becomes a
question to the solver, asked outside of any lock; the answer is a message, and is looked at again here.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from contracts.frame import CommandWithdrawn
from contracts.inventory import HoldStock, QuestionOverdue, RouteProposed
from contracts.values import Destination
from services.inventory.domain import NETWORK, Reservation, Shortage, Taken
from services.inventory.handlers.turns import takeable, warehouses
from services.inventory.routing.cheapest import Cheapest, route_of, to_minor
from services.inventory.routing.kits import Parts, choose
from services.inventory.routing.nearest import Nearest
from services.inventory.routing.places import locate
from services.inventory.routing.rows import QUESTION, Booking, Dispatch, Question, RouteTaken
from services.inventory.routing.strategy import (
    Demand,
    PriorityList,
    Route,
    RoutingPolicy,
    Strategy,
    StrategyName,
    TooLarge,
)
from services.inventory.tables import (
    BOOKINGS,
    DISPATCHES,
    PRODUCTS,
    QUESTIONS,
    SHELVES,
    WAREHOUSES,
)
from shared.consumer import Answer, Moment, Said
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows

BY_PRIORITY: Final = RoutingPolicy()
QUESTION_TIMER: Final = "question"
NO_KITS: Final[Parts] = {}
FITS_NOT: Final = "what was proposed does not fit any more"


@dataclass(slots=True)
class Routing:
    """`proposed` is the solver's answer to question `number` about this order, when there is one."""

    rows: Rows
    moment: Moment
    policy: RoutingPolicy = BY_PRIORITY
    to: Destination | None = None
    proposed: RouteProposed | None = None
    number: int = 0
    found: Route | None = field(default=None, init=False)
    larger: TooLarge | None = field(default=None, init=False)
    """Set when the solver is to be asked: nothing may be held then."""

    def take(
        self, units: Mapping[str, int], parts: Parts = NO_KITS, *, ask: bool = True
    ) -> tuple[Taken, ...] | Shortage:
        """Units per SKU, from wherever the strategy says; kits by their parts. `ask`: whether the answer may wait for
        the solver."""
        if not units:
            return ()
        demand = self._demand(units, parts)
        route = self._as_proposed(demand)
        if route is None:
            chosen = choose(_strategy(self.policy), demand, parts)
            if isinstance(chosen, Shortage):
                return chosen
            route = self._settle(chosen, ask) if isinstance(chosen, TooLarge) else chosen
        self.found = route
        return route.picks

    def available(self, skus: Iterable[str]) -> dict[str, int]:
        """What a new order could have of each, wherever it may be shipped from today."""
        skus = tuple(skus)
        demand = self._demand(dict.fromkeys(skus, 1), NO_KITS)
        return {sku: sum(shelf.available for shelf in demand.usable(sku)) for sku in skus}

    def keep(self, order_id: UUID) -> None:
        """The decision with its reasons; and the shipments of today, where they are counted."""
        route = self.found
        if route is None:
            return  # nothing was chosen: what was held stays where it is
        self.rows.put(
            RouteTaken(
                id=self.moment.new_id(),
                order_id=order_id,
                strategy=route.strategy,
                chosen=[[pick.warehouse, pick.sku, pick.quantity] for pick in route.picks],
                cost_minor=None if route.cost is None else to_minor(route.cost),
                gap_permille=route.gap_permille,
                candidates=[candidate.as_json() for candidate in route.candidates],
                note=route.note,
                decided_at=self.moment.now,
                message_id=self.moment.message_id,
            )
        )
        book(self.rows, self.moment, order_id, route.picks)

    def ask(self, hold: HoldStock) -> None:
        """Write down the question; a worker computes the answer, and a timer guards the worker."""
        assert self.larger is not None
        question = Question.about(
            self.larger.problem,
            id=self.moment.new_id(),
            order_id=hold.order_id,
            command_key=self.moment.command_key or "",
            number=self.number + 1,
            hold=hold.model_dump(mode="json"),
            next_at=self.moment.now + timedelta(seconds=self.policy.question_overdue_s),
        )
        self.rows.put(question)
        ring(self.rows, question)

    def _demand(self, units: Mapping[str, int], parts: Parts) -> Demand:
        rows = self.rows
        on_shelves = dict.fromkeys(sku for wanted in units for sku in (parts.get(wanted) or (wanted,)))
        known = warehouses(rows)
        by_place = self.policy.strategy is not StrategyName.PRIORITY
        return Demand(
            units=units,
            shelves={sku: takeable(rows.where(SHELVES, "sku", sku), known) for sku in on_shelves},
            warehouses=known,
            products={sku: product for sku in units if (product := rows.get(PRODUCTS, sku)) is not None},
            shipments={
                code: _dispatch(rows, code, today(self.moment)).shipments
                for code, warehouse in known.items()
                if warehouse.daily_shipments is not None
            },
            to=locate(self.to) if by_place else None,
        )

    def _as_proposed(self, demand: Demand) -> Route | None:
        """The proposal, if every pick of it can still be taken."""
        told = self.proposed
        if told is None or not told.picks:
            return None
        there = {(shelf.sku, shelf.warehouse): shelf.available for sku in demand.units for shelf in demand.usable(sku)}
        proposed: Counter[str] = Counter()
        for pick in told.picks:
            if there.get((pick.sku, pick.warehouse), 0) < pick.quantity:
                return None
            proposed[pick.sku] += pick.quantity
        if proposed != dict(demand.units):
            return None
        picks = tuple(Taken(pick.warehouse, pick.sku, pick.quantity) for pick in told.picks)
        return route_of(demand, picks, told.gap_permille, f"proposed by the solver: {told.outcome}")

    def _settle(self, chosen: TooLarge, ask: bool) -> Route:
        """Ask, or take the best that was found: when nobody may wait, the solver knew nothing, or it was asked often
        enough."""
        if not ask:
            why = "the order cannot wait for the solver"
        elif self.proposed is not None and not self.proposed.picks:
            why = "the solver found nothing in its time"
        elif self.number >= self.policy.questions:
            why = f"{FITS_NOT}, {self.number} times"
        else:
            self.larger = chosen
            return chosen.route
        return replace(chosen.route, note=f"{why}: the best of a bounded search")


def _strategy(policy: RoutingPolicy) -> Strategy:
    match policy.strategy:
        case StrategyName.PRIORITY:
            return PriorityList()
        case StrategyName.NEAREST:
            return Nearest()
        case StrategyName.CHEAPEST:
            return Cheapest(policy.work)


# -- questions to the solver -----------------------------------------------------------------------------------------


def ring(rows: Rows, question: Question) -> None:
    """The guard of whoever computes it."""
    hold = HoldStock.model_validate(question.hold)
    message = QuestionOverdue(order_id=question.order_id, question_id=question.id, hold=hold)
    rows.set_timer(QUESTION_TIMER, question.id, question.next_at, message)


def end(rows: Rows, question: Question, on: str) -> None:
    rows.put(replace(question, state=QUESTION.to(question.state, on)))
    rows.clear_timer(QUESTION_TIMER, question.id)


def withdraw_questions(rows: Rows, order_id: UUID) -> list[Said]:
    """The order is released before it was routed: what the solver says later finds nobody who waits."""
    said: list[Said] = []
    for question in rows.where(QUESTIONS, "order_id", order_id):
        if question.waits:
            end(rows, question, "withdraw")
            said.append(Answer(question.command_key, CommandWithdrawn()))
    return said


# -- the rows that holding needs -------------------------------------------------------------------------------------


def needed_by_hold(command: HoldStock) -> list[Need]:
    return [
        Need.of(WAREHOUSES, "network", NETWORK),
        Need.of(PRODUCTS, "sku", *(line.sku for line in command.lines)),
    ]


def counted(rows: Rows) -> list[Need]:
    """The counters of warehouses with a daily capacity; locked, for every order of such a day moves them."""
    codes = [code for code, warehouse in warehouses(rows).items() if warehouse.daily_shipments is not None]
    return [Need.of(DISPATCHES, "warehouse", *codes)] if codes else []


# -- the shipments of a day ------------------------------------------------------------------------------------------


def today(moment: Moment) -> date:
    return moment.now.astimezone(UTC).date()


def tomorrow(moment: Moment) -> datetime:
    """When the counters of the day begin anew."""
    return datetime.combine(today(moment) + timedelta(days=1), time(), UTC)


def booked(rows: Rows, order_id: UUID) -> list[Need]:
    """The counters an order's shipments stand in."""
    booking = rows.get(BOOKINGS, order_id)
    return [Need.of(DISPATCHES, "warehouse", *booking.warehouses)] if booking and booking.warehouses else []


def book(rows: Rows, moment: Moment, order_id: UUID, picks: tuple[Taken, ...]) -> None:
    """One shipment more in each warehouse with a daily capacity that gives something."""
    known = warehouses(rows)
    day = today(moment)
    codes = []
    for code in sorted({pick.warehouse for pick in picks}):
        warehouse = known.get(code)
        if warehouse is not None and warehouse.daily_shipments is not None:
            dispatch = _dispatch(rows, code, day)
            rows.put(replace(dispatch, shipments=dispatch.shipments + 1))
            codes.append(code)
            day = dispatch.day
    if not codes:
        return
    standing = rows.get(BOOKINGS, order_id) if rows.looked_for(BOOKINGS, (order_id,)) else None
    if standing is None:
        rows.put(Booking(order_id, day, codes))
    else:  # sent in parts: what was booked on an earlier day can't be given back any more
        before = standing.warehouses if standing.day == day else []
        rows.put(replace(standing, day=day, warehouses=[*before, *codes]))


def give_back(rows: Rows, reservation: Reservation, leaves: Collection[str] = ()) -> None:
    """The order ships nothing, or nothing more than what `leaves` these warehouses: its place is another's, while its
    day lasts."""
    booking = rows.get(BOOKINGS, reservation.order_id)
    if booking is None or not booking.warehouses:
        return
    left = {*leaves, *(pick.warehouse for pick in reservation.taken if pick.shipped)}
    for code in booking.warehouses:
        dispatch = rows.get(DISPATCHES, code)
        if dispatch is not None and dispatch.day == booking.day and code not in left:
            rows.put(replace(dispatch, shipments=dispatch.shipments - 1))
    rows.put(replace(booking, warehouses=[]))


def _dispatch(rows: Rows, code: str, day: date) -> Dispatch:
    return (rows.get(DISPATCHES, code) or Dispatch(code, day)).on(day)

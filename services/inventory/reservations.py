"""What becomes of a reservation: held, committed, expired, released, shipped, or short and promised anew.

Every race is decided on the reservation's row. A decision returns the row as it will stand and the turns its units
take; counters and movements are both made from the same turns, so they cannot disagree.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.values import Pick
from services.inventory import waiting
from services.inventory.domain import (
    ALLOCATE_FREE,
    ALLOCATE_HELD,
    COMMITTED,
    HELD,
    HOLD,
    LET_GO_OF_ALLOCATED,
    LET_GO_OF_HOLD,
    RESERVATION,
    SHIP_ALLOCATED,
    SHIP_FREE,
    SHIPPED,
    Decided,
    Reservation,
    ReservationStatus,
    Shortage,
    Take,
    Taken,
    Turn,
    UnitsTurn,
    as_json,
    promised,
    wanted,
)
from services.inventory.waiting import Later
from shared.frozen import replace


def hold(
    order_id: UUID,
    units: Mapping[str, int],
    take: Take,
    until: datetime,
    hold_key: str,
    terms: Mapping[str, Any] | None = None,
) -> Decided | Shortage:
    """Every line or none."""
    plan = take(units)
    if isinstance(plan, Shortage):
        return plan
    waits = waiting.as_json(plan.later)
    reservation = Reservation(order_id, HELD, until, hold_key, as_json(plan.taken), [], waits, dict(terms or {}))
    return Decided(reservation, _all(HOLD, plan.taken), queues=plan.later)


def extend(reservation: Reservation, until: datetime) -> Reservation:
    """Longer, never shorter; a hold that is over stays as it was."""
    if reservation.status is not HELD or until <= reservation.held_until:
        return reservation
    return replace(reservation, held_until=until)


def lapse(reservation: Reservation, now: datetime) -> Decided | None:
    """The timer rang: the stock goes back. None when it was committed, released or extended before."""
    if reservation.status is not HELD or reservation.held_until > now:
        return None
    return Decided(_moved(reservation, "expire"), _all(LET_GO_OF_HOLD, reservation.taken), unqueues=reservation.later)


def commit(reservation: Reservation, take: Take) -> Decided | Shortage:
    """Held units become allocated, also past `held_until` while the timer was not heard: the row decides, no clock.

    An expired hold takes its units again, from whatever warehouse has them.
    """
    match reservation.status:
        case ReservationStatus.HELD:
            return Decided(_moved(reservation, "commit"), _all(ALLOCATE_HELD, reservation.taken))
        case ReservationStatus.EXPIRED:
            plan = take(promised(reservation))
            if isinstance(plan, Shortage):
                return plan
            again = replace(_moved(reservation, "commit"), picks=as_json(plan.taken), waits=waiting.as_json(plan.later))
            return Decided(again, _all(ALLOCATE_FREE, plan.taken), queues=plan.later)
        case ReservationStatus.COMMITTED | ReservationStatus.SHIPPED:
            return Decided(reservation)
        case ReservationStatus.RELEASED:
            return Shortage(promised(reservation))


def release(reservation: Reservation, keep: Iterable[Pick] = ()) -> Decided:
    """What was promised and has not left is free again, but for what of a paid order leaves all the same."""
    in_parcels = wanted(((pick.warehouse, pick.sku), pick.quantity) for pick in keep)
    if in_parcels and reservation.status is COMMITTED:
        return _all_but(reservation, in_parcels)
    match reservation.status:
        case ReservationStatus.HELD:
            turn = LET_GO_OF_HOLD
        case ReservationStatus.COMMITTED:
            turn = LET_GO_OF_ALLOCATED
        case ReservationStatus.EXPIRED:
            return Decided(_moved(reservation, "release"))
        case ReservationStatus.RELEASED | ReservationStatus.SHIPPED:
            return Decided(reservation)
    return Decided(_moved(reservation, "release"), _all(turn, reservation.taken), unqueues=reservation.later)


def give_up(reservation: Reservation) -> Decided:
    """The units of a hold are not there: it is over before its time."""
    return Decided(_moved(reservation, "expire"), _all(LET_GO_OF_HOLD, reservation.taken), unqueues=reservation.later)


def take_back(reservation: Reservation, warehouse: str, sku: str, quantity: int) -> Decided:
    """So many units, as far as they have not left, are promised no more; the rest of the promise stands."""
    return _without(reservation, {(warehouse, sku): quantity})


def _without(reservation: Reservation, gone: Mapping[tuple[str, str], int]) -> Decided:
    """The reservation less so many units of its picks, as far as they have not left."""
    picks: list[Taken] = []
    let_go: list[Taken] = []
    for pick in reservation.taken:
        units = min(gone.get((pick.warehouse, pick.sku), 0), pick.left)
        picks.append(replace(pick, quantity=pick.quantity - units))
        let_go.append(replace(pick, quantity=units, shipped=0))
    rest = replace(reservation, picks=as_json(pick for pick in picks if pick.quantity))
    return Decided(rest, _all(LET_GO_OF_ALLOCATED, let_go))


def _all_but(reservation: Reservation, keep: Mapping[tuple[str, str], int]) -> Decided:
    """Only what is in parcels stays promised, until it ships; where all of that has shipped, the promise is over."""
    gone = {
        (pick.warehouse, pick.sku): max(0, pick.quantity - keep.get((pick.warehouse, pick.sku), 0))
        for pick in reservation.taken
    }
    rest = _without(replace(reservation, waits=[]), gone)
    return replace(rest, reservation=close(rest.reservation).reservation, unqueues=reservation.later)


def give_instead(reservation: Reservation, taken: tuple[Taken, ...]) -> Decided:
    """Other units for those that were not there."""
    again = _promised_again(reservation)
    return Decided(replace(again, picks=as_json(_together((*again.taken, *taken)))), _all(ALLOCATE_FREE, taken))


def wait_instead(reservation: Reservation, wish: Later) -> Decided:
    """The same units, later. Who waits for some of it already waits for all of it, in the place they have."""
    again = _promised_again(reservation)
    standing = [one for one in again.later if one.sku == wish.sku]
    more = wish._replace(
        quantity=wish.quantity + sum(one.quantity for one in standing),
        promised_at=min(one.promised_at for one in (wish, *standing)),
    )
    later = (*(one for one in again.later if one.sku != wish.sku), more)
    return Decided(replace(again, waits=waiting.as_json(later)), queues=(more,), unqueues=tuple(standing))


def close(reservation: Reservation) -> Decided:
    """Nothing is found instead: when nothing else is left to send, the promise is over."""
    if reservation.status is not COMMITTED or reservation.waits or any(pick.left for pick in reservation.taken):
        return Decided(reservation)
    return Decided(_moved(reservation, "ship" if reservation.picks else "release"))


def _promised_again(reservation: Reservation) -> Reservation:
    return _moved(reservation, "promise again") if reservation.status is SHIPPED else reservation


def serve(reservation: Reservation, sku: str, taken: tuple[Taken, ...]) -> Decided:
    """What the order waited for is there: held, or allocated if it is paid."""
    turn = HOLD if reservation.status is HELD else ALLOCATE_FREE
    served = tuple(wish for wish in reservation.later if wish.sku == sku)
    waits = waiting.as_json(wish for wish in reservation.later if wish.sku != sku)
    picks = as_json(_together((*reservation.taken, *taken)))
    return Decided(replace(reservation, picks=picks, waits=waits), _all(turn, taken), unqueues=served)


def _together(picks: Iterable[Taken]) -> list[Taken]:
    """At most one pick per SKU and warehouse."""
    found: dict[tuple[str, str], Taken] = {}
    for pick in picks:
        known = found.get((pick.warehouse, pick.sku))
        found[pick.warehouse, pick.sku] = (
            pick if known is None else replace(known, quantity=known.quantity + pick.quantity)
        )
    return list(found.values())


def ship(reservation: Reservation, fulfillment_id: UUID, shipped: Iterable[Pick]) -> Decided:
    """Units left with a shipment; a shipment counts once.

    What the order no longer has allocated left all the same: it comes out of what is free, and when nothing is, the
    message is parked, for then a promise to somebody else is broken and a person must know.
    """
    if str(fulfillment_id) in reservation.fulfillments:
        return Decided(reservation)
    picks = {(pick.warehouse, pick.sku): pick for pick in reservation.taken}
    turns: Counter[tuple[Turn, str, str]] = Counter()
    for gone in shipped:
        warehouse, sku, quantity = gone.warehouse, gone.sku, gone.quantity
        pick = picks.get((warehouse, sku))
        own = min(quantity, pick.left) if pick is not None and reservation.status is COMMITTED else 0
        if pick is not None and own:
            picks[warehouse, sku] = replace(pick, shipped=pick.shipped + own)
            turns.update({(SHIP_ALLOCATED, part, warehouse): units for part, units in pick.units(own)})
        if quantity > own:
            left = pick or Taken(warehouse, sku, quantity)
            turns.update({(SHIP_FREE, part, warehouse): units for part, units in left.units(quantity - own)})
    counted = replace(
        reservation, picks=as_json(picks.values()), fulfillments=[*reservation.fulfillments, str(fulfillment_id)]
    )
    if counted.status is COMMITTED and not counted.waits and not any(pick.left for pick in picks.values()):
        counted = _moved(counted, "ship")
    return Decided(counted, _each(turns))


def _moved(reservation: Reservation, on: str) -> Reservation:
    return replace(reservation, status=RESERVATION.to(reservation.status, on))


def _all(turn: Turn, taken: Iterable[Taken]) -> tuple[UnitsTurn, ...]:
    """Every unit that has not shipped takes the turn; two picks of one shelf take it together."""
    turns: Counter[tuple[Turn, str, str]] = Counter()
    for pick in taken:
        turns.update({(turn, sku, pick.warehouse): units for sku, units in pick.units(pick.left)})
    return _each(turns)


def _each(turns: Counter[tuple[Turn, str, str]]) -> tuple[UnitsTurn, ...]:
    return tuple(UnitsTurn(*which, units) for which, units in turns.items() if units)

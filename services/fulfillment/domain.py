"""A shipment ends in the same state whatever order its reports come in, and however often.

Three things make it so: progress along the line only grows (`reached`), standing aside is decided by the warehouse's
own clock (`reported_at`), and a report id is heard once (`heard`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import Any, Final
from uuid import UUID

from contracts.fulfillment import ReportShipment
from contracts.values import FulfillmentStatus, Pick
from shared.frozen import replace
from shared.machine import Machine

PENDING, ACKNOWLEDGED = FulfillmentStatus.PENDING, FulfillmentStatus.ACKNOWLEDGED
PICKING, PICKED = FulfillmentStatus.PICKING, FulfillmentStatus.PICKED
PACKING, PACKED = FulfillmentStatus.PACKING, FulfillmentStatus.PACKED
LABELED, SHIPPED, DELIVERED = FulfillmentStatus.LABELED, FulfillmentStatus.SHIPPED, FulfillmentStatus.DELIVERED
ON_HOLD, AWAITING_STOCK = FulfillmentStatus.ON_HOLD, FulfillmentStatus.AWAITING_STOCK
IN_PRODUCTION = FulfillmentStatus.IN_PRODUCTION
CANCELLED, REJECTED, LOST = FulfillmentStatus.CANCELLED, FulfillmentStatus.REJECTED, FulfillmentStatus.LOST

IN_HOUSE: Final = (PENDING, ACKNOWLEDGED, PICKING, PICKED, PACKING, PACKED, LABELED)
"""Still in the warehouse: may stand aside, be cancelled or be given back."""
LINE: Final = (*IN_HOUSE, SHIPPED, DELIVERED)
ASIDE: Final = (ON_HOLD, AWAITING_STOCK, IN_PRODUCTION)
CALLED_OFF: Final = (CANCELLED, REJECTED)
RANK: Final[Mapping[FulfillmentStatus, int]] = dict(zip((*IN_HOUSE, SHIPPED, LOST, DELIVERED), count()))
"""How far along a status is. Lost comes before delivered: a parcel that was given up may still arrive."""

FULFILLMENT: Final = Machine(
    "fulfillment",
    FulfillmentStatus,
    PENDING,
    [
        (PENDING, "acknowledge", ACKNOWLEDGED),
        (ACKNOWLEDGED, "start picking", PICKING),
        (PICKING, "finish picking", PICKED),
        (PICKED, "start packing", PACKING),
        (PACKING, "finish packing", PACKED),
        (PACKED, "label", LABELED),
        (LABELED, "ship", SHIPPED),
        (SHIPPED, "deliver", DELIVERED),
        (SHIPPED, "lose", LOST),
        (LOST, "find", DELIVERED),
        # a warehouse may put a shipment aside at any step, and takes it up again where it was
        *((step, "hold", ON_HOLD) for step in IN_HOUSE),
        *((ON_HOLD, f"resume {step}", step) for step in IN_HOUSE),
        # goods can be missing until they are picked
        *((step, "await stock", AWAITING_STOCK) for step in (PENDING, ACKNOWLEDGED, PICKING)),
        *((AWAITING_STOCK, f"resume {step}", step) for step in (PENDING, ACKNOWLEDGED, PICKING)),
        # made to order: before picking
        *((step, "produce", IN_PRODUCTION) for step in (PENDING, ACKNOWLEDGED)),
        *((IN_PRODUCTION, f"resume {step}", step) for step in (PENDING, ACKNOWLEDGED)),
        # what has left the house can no longer be called off
        *((step, "cancel", CANCELLED) for step in (*IN_HOUSE, *ASIDE)),
        *((step, "reject", REJECTED) for step in (*IN_HOUSE, *ASIDE)),
    ],
)


class Effect(StrEnum):
    """What a move says to others."""

    TELL_ORDER = "tell order"
    SHIP_STOCK = "ship stock"


EFFECTS: Final[Mapping[FulfillmentStatus, frozenset[Effect]]] = {
    PENDING: frozenset(),  # the order is confirmed in the same breath; it is in process once the warehouse says so
    ACKNOWLEDGED: frozenset({Effect.TELL_ORDER}),
    PICKING: frozenset({Effect.TELL_ORDER}),
    PICKED: frozenset(),  # steps inside the house: kept here, of no interest outside
    PACKING: frozenset(),
    PACKED: frozenset(),
    LABELED: frozenset({Effect.TELL_ORDER}),
    SHIPPED: frozenset({Effect.TELL_ORDER, Effect.SHIP_STOCK}),
    DELIVERED: frozenset({Effect.TELL_ORDER}),
    ON_HOLD: frozenset({Effect.TELL_ORDER}),
    AWAITING_STOCK: frozenset({Effect.TELL_ORDER}),
    IN_PRODUCTION: frozenset({Effect.TELL_ORDER}),
    CANCELLED: frozenset({Effect.TELL_ORDER}),
    REJECTED: frozenset({Effect.TELL_ORDER}),
    LOST: frozenset({Effect.TELL_ORDER}),
}
"""Move to -> effects. A report that passes several states has the effects of each, and tells the order once."""

HEARD_KEPT: Final = 40
"""Report ids remembered per shipment: the line has nine, so this is every step four times over."""


@dataclass(frozen=True, slots=True)
class Fulfillment:
    """A shipment out of one warehouse, to the address it uses itself. `reached` is its furthest step on the line:
    where it takes up again after standing aside."""

    id: UUID
    order_id: UUID
    warehouse: str
    ship_to: dict[str, Any]
    picks: list[Any]
    state: FulfillmentStatus = PENDING
    reached: FulfillmentStatus = PENDING
    reported_at: datetime | None = None
    carrier: str = ""
    tracking_number: str = ""
    heard: list[Any] = field(default_factory=list)
    version: int = 0


class Verdict(StrEnum):
    """What a report was to the shipment it is about."""

    MOVED = "moved"
    LATE = "late"  # already passed or repeated: kept, nothing happens
    CONTRADICTED = "contradicted"  # cannot be true with what is known: kept, and support reads it in the story
    AMENDED = "amended"  # not a report: units were taken out of it


@dataclass(frozen=True, slots=True)
class FulfillmentEvent:
    """One per version of a fulfillment: its whole history, gapless."""

    fulfillment_id: UUID
    version: int
    verdict: Verdict
    origin: str
    state: FulfillmentStatus
    reported: FulfillmentStatus
    report_id: str
    source: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Followed:
    """What a report did: `steps` are the rows to keep, one per move (or one that only remembers the report)."""

    verdict: Verdict
    steps: tuple[Fulfillment, ...]
    effects: frozenset[Effect] = frozenset()


OPEN_STILL: Final = frozenset({*IN_HOUSE, *ASIDE}) - {LABELED}
"""Not closed and labeled yet: something may be taken out of the box."""


def without(shipments: Iterable[Fulfillment], warehouse: str, sku: str, quantity: int) -> list[Fulfillment] | None:
    """The shipments that have so many units less, the latest first; None when not all of them can be taken out. One
    that has nothing left is called off."""
    changed: list[Fulfillment] = []
    for shipment in sorted(shipments, key=lambda row: row.id, reverse=True):
        if not quantity:
            break
        if shipment.warehouse != warehouse or shipment.state not in OPEN_STILL:
            continue
        picks = []
        for pick in shipment.picks:
            gone = min(quantity, pick["quantity"]) if pick["sku"] == sku else 0
            quantity -= gone
            if pick["quantity"] > gone:
                picks.append({**pick, "quantity": pick["quantity"] - gone})
        if picks != shipment.picks:
            state = shipment.state if picks else FULFILLMENT.to(shipment.state, "cancel")
            changed.append(replace(shipment, picks=picks or shipment.picks, state=state))
    return None if quantity else changed


def called_off(shipments: Iterable[Fulfillment]) -> tuple[list[Fulfillment], tuple[Pick, ...]]:
    """Every shipment that is still open, cancelled; and what leaves all the same, or has left."""
    listed = list(shipments)
    stopped = [replace(row, state=FULFILLMENT.to(row.state, "cancel")) for row in listed if row.state in OPEN_STILL]
    kept: Counter[tuple[str, str]] = Counter()
    for row in listed:
        for pick in () if row.state in OPEN_STILL or row.state in CALLED_OFF else row.picks:
            kept[pick["warehouse"], pick["sku"]] += pick["quantity"]
    units = sorted(kept.items())
    return stopped, tuple(Pick(warehouse=where, sku=sku, quantity=many) for (where, sku), many in units)


def by_warehouse(picks: Iterable[Pick]) -> dict[str, tuple[Pick, ...]]:
    """The picks of each warehouse, in warehouse order: one shipment each."""
    found: dict[str, list[Pick]] = {}
    for pick in picks:
        found.setdefault(pick.warehouse, []).append(pick)
    return {warehouse: tuple(found[warehouse]) for warehouse in sorted(found)}


def follow(at: Fulfillment, report: ReportShipment) -> Followed | None:
    """Move a shipment along its machine to where its warehouse says it is; None for a report heard before."""
    if report.report_id in at.heard:
        return None
    verdict, path, reached = _where_to(at, report)
    newer = _is_newer(at, report)
    tracked_late = bool(report.tracking_number) and not at.tracking_number and verdict is Verdict.LATE
    known = replace(
        at,
        reached=reached,
        reported_at=report.occurred_at if newer else at.reported_at,
        carrier=(report.carrier if newer or not at.carrier else "") or at.carrier,
        tracking_number=(report.tracking_number if newer or not at.tracking_number else "") or at.tracking_number,
        heard=[*at.heard, report.report_id][-HEARD_KEPT:],
    )
    if verdict is Verdict.CONTRADICTED:  # nothing it says is believed
        known = replace(at, heard=known.heard)
    steps = tuple(
        replace(known, state=state, version=at.version + number) for number, state in enumerate(path or (at.state,), 1)
    )
    effects = frozenset(effect for state in path for effect in EFFECTS[state])
    if tracked_late:
        effects |= EFFECTS[at.state]  # "shipped" overtook "labeled": the order learns the tracking number after all
        effects -= {Effect.SHIP_STOCK}
    return Followed(verdict, steps, effects)


def _is_newer(at: Fulfillment, report: ReportShipment) -> bool:
    return at.reported_at is None or report.occurred_at > at.reported_at


Course = tuple[Verdict, tuple[FulfillmentStatus, ...], FulfillmentStatus]


def _where_to(at: Fulfillment, report: ReportShipment) -> Course:
    """(verdict, states to pass, furthest step of the line)"""
    status, newer = report.status, _is_newer(at, report)
    if at.state in CALLED_OFF:
        expected = status is at.state or (not newer and status in (*IN_HOUSE, *ASIDE))
        return (Verdict.LATE if expected else Verdict.CONTRADICTED), (), _further(at, status)
    if status in CALLED_OFF:
        return _called_off(at, status)
    if status in ASIDE:
        return _aside(at, status, newer)
    return _along(at, status, newer)


def _called_off(at: Fulfillment, status: FulfillmentStatus) -> Course:
    if (at.state, status) in FULFILLMENT.pairs:
        return Verdict.MOVED, (status,), at.reached
    return Verdict.CONTRADICTED, (), at.reached


def _aside(at: Fulfillment, status: FulfillmentStatus, newer: bool) -> Course:
    """Only the newest word of the warehouse puts a shipment aside; from one side to another by way of the line."""
    if not newer or status is at.state:
        return Verdict.LATE, (), at.reached
    if (at.reached, status) not in FULFILLMENT.pairs:
        return Verdict.CONTRADICTED, (), at.reached
    back = (at.reached,) if at.state in ASIDE else ()
    return Verdict.MOVED, (*back, status), at.reached


def _along(at: Fulfillment, status: FulfillmentStatus, newer: bool) -> Course:
    """Forward over every step between; a step already passed only ends standing aside, if it is newer than that."""
    reached = _further(at, status)
    if at.state in ASIDE and not newer and (reached, at.state) in FULFILLMENT.pairs:
        return Verdict.LATE, (), reached  # it came this far before it was put aside
    back = (at.reached,) if at.state in ASIDE else ()
    path = (*back, *_between(at.reached, reached))
    return (Verdict.MOVED if path else Verdict.LATE), path, reached


def _further(at: Fulfillment, status: FulfillmentStatus) -> FulfillmentStatus:
    return status if RANK.get(status, -1) > RANK[at.reached] else at.reached


def _between(origin: FulfillmentStatus, to: FulfillmentStatus) -> tuple[FulfillmentStatus, ...]:
    """The steps of the line after `origin` up to and including `to`."""
    passed = tuple(step for step in LINE if RANK[origin] < RANK[step] < RANK[to])
    return (*passed, to) if RANK[origin] < RANK[to] else ()

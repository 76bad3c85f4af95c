"""A shortage: units of a shelf that were promised and are not there. Whom it hits is searched for outside of any lock,
and decided again on the rows; what is found for an order is one line, from the day it is short until it is settled.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from services.inventory.domain import COMMITTED, HELD, Reservation, Taken
from shared.machine import Machine

FOUND_AT_ONCE: Final = 200
"""Orders looked at in one decision; what they do not cover is searched for again."""
SEARCH_OVERDUE_S: Final = 30.0
"""A search this old is made again: whoever had it may have died."""
DEFAULT_LEAD_DAYS: Final = 14
"""What a customer is told who waits for a SKU of which nobody said how long it takes."""


# -- what is short ---------------------------------------------------------------------------------------------------


class ShortageState(StrEnum):
    OPEN = "open"
    CALLING = "calling"
    SETTLED = "settled"


SHORTAGE: Final = Machine(
    "shortage",
    ShortageState,
    start=ShortageState.OPEN,
    moves=[
        (ShortageState.OPEN, "search", ShortageState.CALLING),
        (ShortageState.CALLING, "search again", ShortageState.OPEN),  # whoever searched has died
        (ShortageState.OPEN, "settle", ShortageState.SETTLED),
        (ShortageState.CALLING, "settle", ShortageState.SETTLED),  # the orders it hits are known, or nobody is short
    ],
)


@dataclass(frozen=True, slots=True)
class ShelfShortage:
    """So many units of a shelf were promised and are not there, by the count of `reference`."""

    id: UUID
    sku: str
    warehouse: str
    units: int
    reference: str
    opened_at: datetime
    state: ShortageState = ShortageState.OPEN
    version: int = 0


class LineState(StrEnum):
    ASKED = "asked"
    TAKEN_BACK = "taken_back"
    SETTLED = "settled"
    KEPT = "kept"


SHORT_LINE: Final = Machine(
    "short line",
    LineState,
    start=LineState.ASKED,
    moves=[
        (LineState.ASKED, "take back", LineState.TAKEN_BACK),
        (LineState.ASKED, "keep", LineState.KEPT),  # it had left: it was there after all
        (LineState.TAKEN_BACK, "settle", LineState.SETTLED),
        (LineState.SETTLED, "ask", LineState.ASKED),  # short again, of what was promised anew
        (LineState.KEPT, "ask", LineState.ASKED),
    ],
)


@dataclass(frozen=True, slots=True)
class ShortLine:
    """An order's units of one shelf that are not there. `shelf` is set as long as they still count as promised;
    `covers` units of the short SKU (of a kit's part, more than one for each)."""

    order_id: UUID
    sku: str
    warehouse: str
    shortage_id: UUID
    quantity: int
    covers: int
    state: LineState
    shelf: str | None
    version: int = 0


def shelf_key(warehouse: str, sku: str) -> str:
    return f"{warehouse}/{sku}"


# -- whom it hits ----------------------------------------------------------------------------------------------------


class Rule(StrEnum):
    """Whose promise is broken first."""

    LATEST = "latest"  # who was promised last
    CUSTOMER_CLASS = "customer_class"  # the class that comes first by name, then who was promised last
    SMALLEST_REFUND = "smallest_refund"  # where the least money goes back, then who was promised last


class Hit(NamedTuple):
    """`quantity` of the pick's SKU would be short for this order, which is `covers` units of the shelf's."""

    reservation: Reservation
    pick: Taken
    quantity: int
    covers: int


RANKS: Final[Mapping[Rule, Callable[[Reservation, str], Any]]] = {
    Rule.LATEST: lambda reservation, sku: 0,
    Rule.CUSTOMER_CLASS: lambda reservation, sku: reservation.terms.get("customer_class", ""),
    Rule.SMALLEST_REFUND: lambda reservation, sku: reservation.terms.get("prices_minor", {}).get(sku, 0),
}


def in_turn(rule: Rule, reservations: Iterable[Reservation], sku: str) -> list[Reservation]:
    """Whom the rule takes first. Order ids are made in the order of time."""
    latest = sorted(reservations, key=lambda row: row.order_id, reverse=True)
    return sorted(latest, key=lambda row: RANKS[rule](row, sku))


def hits(reservation: Reservation, warehouse: str, sku: str, units: int) -> list[Hit]:
    """What of this order's picks is short, until so many units are covered, and no more than is needed."""
    found: list[Hit] = []
    for pick in reservation.taken if reservation.status in (HELD, COMMITTED) else ():
        each = dict(pick.units(1)).get(sku, 0)
        if pick.warehouse != warehouse or not each or not pick.left or units <= 0:
            continue
        quantity = min(pick.left, -(-units // each))
        found.append(Hit(reservation, pick, quantity, quantity * each))
        units -= quantity * each
    return found

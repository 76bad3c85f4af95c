"""Units promised that are not there: a queue for each SKU, oldest promise first, and a book of how many wait in it.

The book is a hot row: whoever promises for later and whoever serves the queue hold its lock, so neither promises above
the limit nor gives a waiting unit to somebody who came later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from contracts.product import Supply
from contracts.values import WaitKind
from services.inventory.products import Product
from shared.frozen import replace
from shared.machine import Machine

SERVED_AT_ONCE: Final = 100
"""Waiting lines looked at in one decision; a message to ourselves sees to the rest."""


class WaitingStatus(StrEnum):
    WAITING = "waiting"
    SERVED = "served"
    WITHDRAWN = "withdrawn"


WAITING, SERVED, WITHDRAWN = WaitingStatus

WAITING_LINE: Final = Machine(
    "waiting line",
    WaitingStatus,
    start=WAITING,
    moves=[
        # from      on          to
        (WAITING, "serve", SERVED),
        (WAITING, "withdraw", WITHDRAWN),  # the order was released, or its hold expired
        (WITHDRAWN, "wait", WAITING),  # paid a second too late, and promised again
        (SERVED, "wait", WAITING),  # what it was given is not there after all
    ],
)


@dataclass(frozen=True, slots=True)
class WaitingLine:
    """One SKU an order waits for. `queue` is the SKU as long as it waits, so that a queue is found without the past."""

    order_id: UUID
    sku: str
    quantity: int
    kind: WaitKind
    promised_at: datetime
    status: WaitingStatus
    queue: str | None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many units of a SKU are promised to lines that wait."""

    sku: str
    units: int = 0


class Later(NamedTuple):
    """Units of one SKU to be promised for later."""

    sku: str
    quantity: int
    kind: WaitKind
    promised_at: datetime


@dataclass(frozen=True, slots=True)
class Split:
    """What is taken from the shelves now, what is promised for later, and what neither can be."""

    now: Mapping[str, int]
    later: tuple[Later, ...]
    missing: Mapping[str, int]


KINDS: Final[Mapping[Supply, WaitKind]] = {
    Supply.BACKORDER: WaitKind.BACKORDER,
    Supply.PREORDER: WaitKind.PREORDER,
    Supply.MADE_TO_ORDER: WaitKind.PRODUCTION,
}
"""Ways of supply that may promise what is not there. Stock and kits never do."""


def may_wait(product: Product | None) -> bool:
    return product is not None and product.supply in KINDS


def split(
    units: Mapping[str, int],
    products: Mapping[str, Product],
    backlogs: Mapping[str, Backlog],
    available: Mapping[str, int],
    now: datetime,
) -> Split:
    """Units that lie there go to those who wait already, then to this order; the rest is promised within the limit."""
    at_once: dict[str, int] = {}
    later: list[Later] = []
    missing: dict[str, int] = {}
    for sku, wanted in units.items():
        product = products.get(sku)
        if product is None or sku not in backlogs:
            at_once[sku] = wanted
            continue
        waiting = backlogs[sku].units
        here = 0 if unreleased(product, now) else min(wanted, max(0, available[sku] - waiting))
        rest = wanted - here
        if rest and not (may_wait(product) and _may_promise(product, waiting + rest, now)):
            missing[sku] = rest
            continue
        if here:
            at_once[sku] = here
        if rest:
            later.append(Later(sku, rest, KINDS[product.supply], promised_at(product, now)))
    return Split(at_once, tuple(later), missing)


def unreleased(product: Product, now: datetime) -> bool:
    """Nothing of it leaves before its date, whatever lies on the shelves."""
    return product.release_at is not None and now < product.release_at


def _may_promise(product: Product, waiting: int, now: datetime) -> bool:
    """Whether so many units in all may wait. What is made for each order has no limit unless one was given."""
    match product.supply:
        case Supply.MADE_TO_ORDER:
            return product.limit_units == 0 or waiting <= product.limit_units
        case Supply.PREORDER:
            return unreleased(product, now) and waiting <= product.limit_units
        case _:
            return waiting <= product.limit_units


def promised_at(product: Product, now: datetime) -> datetime:
    """The date the customer is told."""
    return product.release_at or now + timedelta(days=product.lead_days)


# -- the queue -------------------------------------------------------------------------------------------------------


def queued(standing: WaitingLine | None, order_id: UUID, wish: Later) -> WaitingLine:
    """A line at its place in the queue, which is the place of its promise."""
    if standing is None:
        return WaitingLine(order_id, wish.sku, wish.quantity, wish.kind, wish.promised_at, WAITING, wish.sku)
    return replace(
        standing,
        quantity=wish.quantity,
        kind=wish.kind,
        promised_at=wish.promised_at,
        status=WAITING_LINE.to(standing.status, "wait"),
        queue=wish.sku,
    )


def left_queue(line: WaitingLine, on: str) -> WaitingLine:
    """Served or withdrawn."""
    return replace(line, status=WAITING_LINE.to(line.status, on), queue=None)


def next_served(lines: Iterable[WaitingLine], free: int) -> list[WaitingLine]:
    """Whom so many free units serve: in the order of their promises, each whole, and nobody overtakes."""
    served: list[WaitingLine] = []
    for line in sorted(lines, key=lambda line: (line.promised_at, line.order_id)):
        if line.quantity > free:
            break
        free -= line.quantity
        served.append(line)
    return served


def as_json(later: Iterable[Later]) -> list[dict[str, Any]]:
    """As a reservation keeps them."""
    return [
        {
            "sku": wish.sku,
            "quantity": wish.quantity,
            "kind": wish.kind.value,
            "promised_at": wish.promised_at.isoformat(),
        }
        for wish in later
    ]


def from_json(waits: Iterable[Mapping[str, Any]]) -> tuple[Later, ...]:
    return tuple(
        Later(
            str(wait["sku"]),
            int(wait["quantity"]),
            WaitKind(wait["kind"]),
            datetime.fromisoformat(str(wait["promised_at"])),
        )
        for wait in waits
    )

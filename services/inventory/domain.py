"""Units are counted on shelves; what an order was promised is one reservation row: what they are, and what may become
of a shelf. What may become of a reservation is decided in reservations.py.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from contracts.inventory import DescribeWarehouse
from services.inventory import waiting
from services.inventory.waiting import Later
from shared.frozen import replace
from shared.machine import Machine

What = TypeVar("What", bound=Hashable)


class ReservationStatus(StrEnum):
    HELD = "held"
    COMMITTED = "committed"
    EXPIRED = "expired"
    RELEASED = "released"
    SHIPPED = "shipped"


HELD, COMMITTED, EXPIRED, RELEASED, SHIPPED = ReservationStatus

RESERVATION: Final = Machine(
    "reservation",
    ReservationStatus,
    start=HELD,
    moves=[
        # from      on         to
        (HELD, "commit", COMMITTED),
        (HELD, "expire", EXPIRED),
        (HELD, "release", RELEASED),
        (EXPIRED, "commit", COMMITTED),  # paid a second too late, and the stock is still there
        (EXPIRED, "release", RELEASED),  # a late undo, after the timer: nothing is held
        (COMMITTED, "release", RELEASED),  # cancelled before all of it shipped
        (COMMITTED, "ship", SHIPPED),  # the last unit left
        (SHIPPED, "promise again", COMMITTED),  # something else was found for units that were not there
    ],
)


class MovementKind(StrEnum):
    RECEIPT = "receipt"
    HOLD = "hold"
    RELEASE = "release"
    ALLOCATE = "allocate"
    SHIP = "ship"
    RESTOCK = "restock"
    DISPOSE = "dispose"
    CORRECTION = "correction"
    TRANSFER_OUT = "transfer_out"
    TRANSFER_IN = "transfer_in"


class Turn(NamedTuple):
    """What one unit's turn does to the counters of its shelf."""

    kind: MovementKind
    on_hand: int
    held: int
    allocated: int


#                                                      on hand, held, allocated
RECEIVE: Final = Turn(MovementKind.RECEIPT, +1, 0, 0)
HOLD: Final = Turn(MovementKind.HOLD, 0, +1, 0)
LET_GO_OF_HOLD: Final = Turn(MovementKind.RELEASE, 0, -1, 0)
ALLOCATE_HELD: Final = Turn(MovementKind.ALLOCATE, 0, -1, +1)
ALLOCATE_FREE: Final = Turn(MovementKind.ALLOCATE, 0, 0, +1)  # the hold had expired
LET_GO_OF_ALLOCATED: Final = Turn(MovementKind.RELEASE, 0, 0, -1)
SHIP_ALLOCATED: Final = Turn(MovementKind.SHIP, -1, 0, -1)
SHIP_FREE: Final = Turn(MovementKind.SHIP, -1, 0, 0)  # it left although its order had let go of it
RESTOCK: Final = Turn(MovementKind.RESTOCK, +1, 0, 0)
DISPOSE: Final = Turn(MovementKind.DISPOSE, 0, 0, 0)  # it had shipped: it comes back, and never lies here again
FOUND: Final = Turn(MovementKind.CORRECTION, +1, 0, 0)
MISSED: Final = Turn(MovementKind.CORRECTION, -1, 0, 0)
TRANSFER_OUT: Final = Turn(MovementKind.TRANSFER_OUT, -1, 0, 0)
TRANSFER_IN: Final = Turn(MovementKind.TRANSFER_IN, +1, 0, 0)


# -- rows ------------------------------------------------------------------------------------------------------------


NETWORK: Final = "main"
"""The warehouses that serve together. One network until storefronts have their own."""


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The lowest `priority` gives first; equals by code. `described_at`: the word about it we go by. `bands` are
    [up to so many km, minor units per kg], the nearest first; for the other columns see `DescribeWarehouse`.
    `kept_back` units of each shelf are no new hold's while who counts them is silent."""

    code: str
    name: str
    priority: int
    network: str = NETWORK
    latitude: float | None = None
    longitude: float | None = None
    shipment_minor: int = 0
    bands: list[Any] = field(default_factory=list)
    daily_shipments: int | None = None
    described_at: datetime | None = None
    kept_back: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Shelf:
    """One SKU in one warehouse. `held` is promised for minutes, `allocated` until it ships. `short` of the promised
    units do not lie here after all: a count said so, and a shortage is being settled. `moved_at`: when `on_hand` last
    changed; `safety_stock_at`: the word about it we go by."""

    sku: str
    warehouse: str
    on_hand: int = 0
    held: int = 0
    allocated: int = 0
    safety_stock: int = 0
    short: int = 0
    moved_at: datetime | None = None
    safety_stock_at: datetime | None = None

    @property
    def free(self) -> int:
        """Promised to nobody; negative by what is short, and never more."""
        return self.on_hand - self.held - self.allocated

    @property
    def available(self) -> int:
        """What a new hold may take. Safety stock limits new holds only, so this may be negative."""
        return self.free - self.safety_stock


@dataclass(frozen=True, slots=True)
class Movement:
    """The deltas of all movements of a shelf add up to its counters."""

    id: UUID
    sku: str
    warehouse: str
    kind: MovementKind
    quantity: int
    on_hand_delta: int
    held_delta: int
    allocated_delta: int
    order_id: UUID | None
    reference: str
    occurred_at: datetime
    message_id: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A delivery that was counted: the same reference is not counted again."""

    reference: str
    lines: list[Any]
    version: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """So many units of a SKU out of one warehouse, of which `shipped` have left. Of a kit no unit lies anywhere:
    `parts` are the units of each component in one of it, and those are what is taken."""

    warehouse: str
    sku: str
    quantity: int
    shipped: int = 0
    parts: Mapping[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return self.quantity - self.shipped

    def units(self, quantity: int) -> Iterable[tuple[str, int]]:
        """(sku, units) that `quantity` of this are on the shelf."""
        return ((part, each * quantity) for part, each in self.parts.items()) if self.parts else ((self.sku, quantity),)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an order was promised: one row per order, kept for ever.

    `hold_key` is the key of the command that asked for the hold: its run hears of the expiry under it.
    `picks` are `Taken` as JSON; `waits` what is promised for later; `fulfillments` are the shipments already counted;
    `terms` what a shortage's rule asks of the customer and the prices.
    """

    order_id: UUID
    status: ReservationStatus
    held_until: datetime
    hold_key: str
    picks: list[dict[str, Any]]
    fulfillments: list[str]
    waits: list[dict[str, Any]] = field(default_factory=list)
    terms: dict[str, Any] = field(default_factory=dict)
    version: int = 0

    @property
    def taken(self) -> tuple[Taken, ...]:
        return tuple(Taken(**pick) for pick in self.picks)

    @property
    def later(self) -> tuple[Later, ...]:
        return waiting.from_json(self.waits)


def as_json(picks: Iterable[Taken]) -> list[dict[str, Any]]:
    return [
        {"warehouse": pick.warehouse, "sku": pick.sku, "quantity": pick.quantity, "shipped": pick.shipped}
        | ({"parts": dict(pick.parts)} if pick.parts else {})
        for pick in picks
    ]


# -- decisions -------------------------------------------------------------------------------------------------------


class Oversold(Exception):
    """More units would be promised, or leave, than lie there. No decision here does it; a fact from outside may."""


class UnitsTurn(NamedTuple):
    """`quantity` units of a shelf take a turn."""

    turn: Turn
    sku: str
    warehouse: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Decided:
    """The reservation as it will stand, what its units do, and what joins or leaves the queues of what is not there."""

    reservation: Reservation
    turns: tuple[UnitsTurn, ...] = ()
    queues: tuple[Later, ...] = ()
    unqueues: tuple[Later, ...] = ()


@dataclass(frozen=True, slots=True)
class Shortage:
    """How many units of which SKU are not there, and which SKUs nobody has ever stored."""

    missing: Mapping[str, int]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Where every unit of an order comes from: taken now, or promised for later."""

    taken: tuple[Taken, ...]
    later: tuple[Later, ...] = ()


Take = Callable[[Mapping[str, int]], Plan | Shortage]
"""Asks for units per SKU, against shelves and queues as they stand now."""


def wanted(lines: Iterable[tuple[What, int]]) -> dict[What, int]:
    """Units per SKU, or per shelf: two lines of one SKU are one wish."""
    units: Counter[What] = Counter()
    for what, quantity in lines:
        units[what] += quantity
    return dict(units)


def promised(reservation: Reservation) -> dict[str, int]:
    """Units per SKU the order was promised."""
    taken = ((pick.sku, pick.quantity) for pick in reservation.taken)
    return wanted((*taken, *((wish.sku, wish.quantity) for wish in reservation.later)))


def turned(shelf: Shelf, turn: Turn, quantity: int) -> Shelf:
    """The shelf after `quantity` units took a turn. The CHECKs of the table say the same."""
    after = replace(
        shelf,
        on_hand=shelf.on_hand + turn.on_hand * quantity,
        held=shelf.held + turn.held * quantity,
        allocated=shelf.allocated + turn.allocated * quantity,
    )
    if min(after.on_hand, after.held, after.allocated, after.free + shelf.short) < 0:
        raise Oversold(
            f"{turn.kind} of {quantity} {shelf.sku} in {shelf.warehouse}: {shelf.free} of {shelf.on_hand} free"
        )
    return replace(after, short=min(shelf.short, max(0, -after.free))) if shelf.short else after


def kept_back(shelf: Shelf, safety_stock: int) -> Shelf:
    """Raised, never lowered: so the order in which deliveries are heard does not matter."""
    return replace(shelf, safety_stock=max(shelf.safety_stock, safety_stock))


def described(standing: Warehouse | None, word: DescribeWarehouse) -> Warehouse | None:
    """What a warehouse is from now on; None when we know a later word."""
    if standing is not None and standing.described_at is not None and standing.described_at >= word.as_of:
        return None
    return Warehouse(
        code=word.warehouse,
        name=word.name or (standing.name if standing is not None else word.warehouse),
        priority=word.priority,
        network=NETWORK if standing is None else standing.network,
        latitude=word.latitude,
        longitude=word.longitude,
        shipment_minor=word.shipment_minor,
        bands=[[band.up_to_km, band.minor_per_kg] for band in word.bands],
        daily_shipments=word.daily_shipments,
        described_at=word.as_of,
        version=0 if standing is None else standing.version,
    )

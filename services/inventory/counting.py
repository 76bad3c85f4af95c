"""A count says what lies on a shelf, whatever was promised from it: what is promised and not there is `short`.

Only here does `short` rise. It falls by itself: with every unit that comes, is let go of or ships (`domain.turned`).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from services.inventory.domain import MovementKind, Shelf, Turn, UnitsTurn
from shared.frozen import replace
from shared.machine import Machine

#                                                             on hand, held, allocated
COUNT_UP: Final = Turn(MovementKind.CORRECTION, +1, 0, 0)
COUNT_DOWN: Final = Turn(MovementKind.CORRECTION, -1, 0, 0)


def counted(shelf: Shelf, on_hand: int) -> tuple[Shelf, UnitsTurn | None]:
    """The shelf as it may now be short, and the turn its units take; None when there were as many before.

    Put the shelf, then let the turn be taken.
    """
    difference = on_hand - shelf.on_hand
    if not difference:
        return shelf, None
    missing = shelf.held + shelf.allocated - on_hand
    if missing > shelf.short:
        shelf = replace(shelf, short=missing)
    return shelf, UnitsTurn(COUNT_UP if difference > 0 else COUNT_DOWN, shelf.sku, shelf.warehouse, abs(difference))


class ShortageState(StrEnum):
    OPEN = "open"
    SETTLED = "settled"


SHORTAGE: Final = Machine(
    "shortage",
    ShortageState,
    start=ShortageState.OPEN,
    moves=[(ShortageState.OPEN, "settle", ShortageState.SETTLED)],
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

"""A shortage: units of a shelf that were promised and are not there, by a count."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.machine import Machine


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

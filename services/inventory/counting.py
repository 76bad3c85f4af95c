"""What is counted is what lies there: the books follow, and what they promised beyond it is short."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from contracts.warehousing import CountedUnits, SetSafetyStock
from services.inventory.domain import Shelf
from shared.frozen import replace


class BelowZero(Exception):
    """Fewer than no units would lie on a shelf: whoever says so means another shelf, or has not heard of a move."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction that was made, by its reference, and why."""

    reference: str
    sku: str
    warehouse: str
    delta: int
    reason: str
    corrected_by: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class CountSheet:
    """A count that was heard, by its reference: the same sheet is not counted again."""

    reference: str
    warehouse: str
    counts: list[Any]
    as_of: datetime
    counted_by: str
    version: int = 0


class Outcome(StrEnum):
    """What became of one line of a stock-take."""

    AGREED = "agreed"
    CORRECTED = "corrected"
    MOVED_SINCE = "moved_since"  # it is not known what the books said when it was counted: count it again
    BELOW_ZERO = "below_zero"  # more has left since than was counted: one of the two is wrong, count it again


APPLIED: Final = frozenset({Outcome.AGREED, Outcome.CORRECTED})


@dataclass(frozen=True, slots=True)
class StockTake:
    """One line of a stock-take: what the books said, what was counted, and what became of the difference."""

    reference: str
    sku: str
    warehouse: str
    expected: int
    counted: int
    difference: int
    outcome: Outcome
    as_of: datetime
    counted_by: str


def counted(shelf: Shelf, on_hand: int) -> tuple[Shelf, int]:
    """The shelf with `on_hand` units on it, and by how many that differs from what the books said."""
    if on_hand < 0:
        raise BelowZero(f"{shelf.sku} in {shelf.warehouse}: {on_hand} on hand is not possible, it has {shelf.on_hand}")
    after = replace(shelf, on_hand=on_hand)
    return replace(after, short=max(0, -after.free)), on_hand - shelf.on_hand


def taken(shelf: Shelf, line: CountedUnits, sheet: CountSheet) -> StockTake:
    """What one counted line says of its shelf.

    Units that moved after the count are not counted away: the difference is that of the books at `as_of`, and it is
    added to whatever lies there now. What the books said then is known from the counter who was shown it, or because
    nothing moved since; otherwise the line changes nothing.
    """
    moved = shelf.moved_at is not None and shelf.moved_at > sheet.as_of
    expected = shelf.on_hand if line.expected is None else line.expected
    difference = line.counted - expected
    if line.expected is None and moved:
        outcome = Outcome.MOVED_SINCE
    elif shelf.on_hand + difference < 0:
        outcome = Outcome.BELOW_ZERO
    else:
        outcome = Outcome.CORRECTED if difference else Outcome.AGREED
    return StockTake(
        reference=sheet.reference,
        sku=line.sku,
        warehouse=sheet.warehouse,
        expected=expected,
        counted=line.counted,
        difference=difference,
        outcome=outcome,
        as_of=sheet.as_of,
        counted_by=sheet.counted_by,
    )


def kept(shelf: Shelf, word: SetSafetyStock) -> Shelf | None:
    """What the shelf keeps back from now on; None when we know a later word."""
    if shelf.safety_stock_at is not None and shelf.safety_stock_at >= word.as_of:
        return None
    return replace(shelf, safety_stock=word.units, safety_stock_at=word.as_of)

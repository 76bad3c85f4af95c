"""Goods that come back were shipped before: never more units return than left, over all returns of an order."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.inventory.domain import Movement, MovementKind


@dataclass(frozen=True, slots=True)
class Returned:
    """Goods of an order that came back and were counted, by the return's id. `lines` are SKU, quantity, verdict;
    `as_of`: when they were inspected."""

    return_id: str
    order_id: UUID
    warehouse: str
    lines: list[dict[str, Any]]
    as_of: datetime
    version: int = 0


def too_many(lines: Iterable[tuple[str, int]], moved: Iterable[Movement], before: Iterable[Returned]) -> dict[str, int]:
    """By how many units each SKU of `lines` exceeds what was shipped and has not come back yet."""
    out: Counter[str] = Counter()
    for movement in moved:
        if movement.kind is MovementKind.SHIP:
            out[movement.sku] += movement.quantity
    for earlier in before:
        for line in earlier.lines:
            out[line["sku"]] -= line["quantity"]
    asked: Counter[str] = Counter()
    for sku, quantity in lines:
        asked[sku] += quantity
    return {sku: units - out[sku] for sku, units in asked.items() if units > out[sku]}

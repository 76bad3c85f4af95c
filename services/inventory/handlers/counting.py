"""Shelves are counted: the one way from a count to counters, movements, and what is said of either."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.feeds import FeedMode
from contracts.inventory import StockArrived
from contracts.message import Message
from contracts.shortage import ShelfCameShort
from services.inventory.domain import Shelf
from services.inventory.feeds import Tally
from services.inventory.handlers.planning import somebody_waits
from services.inventory.handlers.turns import correct
from services.inventory.tables import BACKLOGS, SHELVES
from shared.consumer import Moment, Said
from shared.table import Need
from shared.working_set import Rows


@dataclass(slots=True)
class Counted:
    """What a count did to shelves, and what is to be said of it."""

    tally: Tally = field(default_factory=Tally)
    said: list[Said] = field(default_factory=list)


def count(
    rows: Rows, moment: Moment, mode: FeedMode, lines: Iterable[tuple[str, str, int]], *, reference: str
) -> Counted:
    """Each line's shelf holds so many units, or so many more. Shelves are made where there are none, in warehouses that
    must be known; each is named once. Fewer than none is none, and counted as `clamped`."""
    done = Counted()
    tally = done.tally
    for sku, warehouse, quantity in lines:
        before = rows.get(SHELVES, sku, warehouse)
        shelf = before or Shelf(sku, warehouse)
        on_hand = quantity if mode is FeedMode.ABSOLUTE else shelf.on_hand + quantity
        if on_hand < 0:
            tally.clamped += 1
            on_hand = 0
        if before is None:
            tally.opened += 1
            rows.put(shelf)
        after = correct(rows, moment, shelf, on_hand, reference=reference)
        tally.raised += after.on_hand > shelf.on_hand
        tally.lowered += after.on_hand < shelf.on_hand
        tally.short_units += max(0, after.short - shelf.short)
        done.said += consequences(rows, shelf, after, reference)
    return done


def consequences(rows: Rows, before: Shelf, after: Shelf, reference: str) -> list[Message]:
    """What is to be said when a shelf changed without its orders: what was promised is short; who waits is served."""
    if after.short > before.short:
        units = after.short - before.short
        return [ShelfCameShort(sku=after.sku, warehouse=after.warehouse, units=units, reference=reference)]
    freed = max(0, after.available) > max(0, before.available)
    return [StockArrived(sku=after.sku)] if freed and somebody_waits(rows, after.sku) else []


def shelves(skus: Iterable[str]) -> list[Need]:
    """For `then`: the shelves of these SKUs, and who waits for them."""
    skus = tuple(skus)
    return [Need.of(SHELVES, "sku", *skus), Need.of(BACKLOGS, "sku", *skus)]

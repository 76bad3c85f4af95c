"""Shelves are counted: the one way from a count to counters, movements, and what is said of either."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from contracts.feeds import FeedMode
from contracts.inventory import StockArrived
from contracts.shortage import ShelfCameShort
from services.inventory.counting import ShelfShortage, counted
from services.inventory.domain import Shelf, UnitsTurn
from services.inventory.feeds import Tally
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.turns import take_turns
from services.inventory.tables import SHELVES
from shared.consumer import Moment, Said
from shared.table import Need
from shared.working_set import Rows

SKUS_SAID: Final = 500
"""SKUs in one `StockArrived`, the most it takes."""


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
    turns: list[UnitsTurn] = []
    free: list[str] = []
    for sku, warehouse, quantity in lines:
        before = rows.get(SHELVES, sku, warehouse)
        shelf = before or Shelf(sku, warehouse)
        on_hand = quantity if mode is FeedMode.ABSOLUTE else shelf.on_hand + quantity
        if on_hand < 0:
            tally.clamped += 1
            on_hand = 0
        after, turn = counted(shelf, on_hand)
        if after is not before:
            rows.put(after)
        tally.opened += before is None
        if turn is None:
            continue
        turns.append(turn)
        if on_hand > shelf.on_hand:
            tally.raised += 1
            if on_hand > shelf.held + shelf.allocated:
                free.append(sku)
        else:
            tally.lowered += 1
            tally.short_units += after.short - shelf.short
            done.said += came_short(shelf, after, reference)
    take_turns(rows, moment, turns, order_id=None, reference=reference)
    done.said += arrived(free)
    return done


def came_short(before: Shelf, after: Shelf, reference: str) -> list[Said]:
    """To be said whenever `short` may have risen."""
    more = after.short - before.short
    if more <= 0:
        return []
    return [ShelfCameShort(sku=after.sku, warehouse=after.warehouse, units=more, reference=reference)]


def arrived(skus: Iterable[str]) -> list[Said]:
    """To be said whenever free units rose: in bounded messages, each SKU once."""
    once = list(dict.fromkeys(skus))
    return [StockArrived(skus=tuple(once[at : at + SKUS_SAID])) for at in range(0, len(once), SKUS_SAID)]


@consumer.hears(ShelfCameShort, needs=lambda short: [])
def shelf_came_short(short: ShelfCameShort, rows: Rows, moment: Moment) -> None:
    """A shortage is kept until it is settled."""
    rows.put(
        ShelfShortage(moment.new_id(), short.sku, short.warehouse, short.units, short.reference, opened_at=moment.now)
    )


@consumer.hears(StockArrived, needs=lambda stock: [])
def stock_arrived(stock: StockArrived, rows: Rows, moment: Moment) -> None:
    """Nobody waits for stock yet: an order is promised what lies there, or refused."""


def shelves_of(skus: Iterable[str]) -> list[Need]:
    """What counting these needs, for `then`."""
    return [Need.of(SHELVES, "sku", *skus)]

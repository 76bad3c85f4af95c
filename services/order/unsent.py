"""Lines of an order whose money is gone: what is in a parcel comes, everything else is cancelled.

What leaves is known from the shipments themselves. What the order has heard of them may be older, so that it may count
units as labeled that were put aside since: those do not come either.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.values import Pick
from services.order.items import Item, dealt
from services.order.shortage import cancelled
from shared.frozen import replace


@dataclass(frozen=True, slots=True)
class Rest:
    """The lines of which something will not come, and by SKU how many units."""

    items: tuple[Item, ...]
    units: dict[str, int]


def without_unsent(items: Sequence[Item], kept: Iterable[Pick]) -> Rest:
    """Dealt out as labels are: to the lines in their order, a line's own SKU first."""
    listed = sorted(items, key=lambda item: item.line_no)
    leaves: Counter[str] = Counter()
    for pick in kept:
        leaves[pick.sku] += pick.quantity
    shares = dealt(leaves, listed)
    found: list[Item] = []
    units: Counter[str] = Counter()
    for item in listed:
        after = item
        for sku, share in shares.get(item.line_no, {}).items():
            if gone := (item.own if sku == item.sku else item.substitutes[sku]) - share:
                after = cancelled(after, sku, gone)
                units[sku] += gone
        if after is not item:
            found.append(replace(after, labeled_quantity=min(after.labeled_quantity, after.wanted)))
    return Rest(tuple(found), dict(units))

"""What follows when a shelf changes without its orders: who waits is served, and what was promised may be short."""

from collections.abc import Iterable

from contracts.inventory import StockArrived
from contracts.message import Message
from services.inventory.domain import Shelf
from services.inventory.handlers.queues import somebody_waits
from services.inventory.tables import BACKLOGS, SHELVES
from shared.table import Need
from shared.working_set import Rows


def shelves(skus: Iterable[str]) -> list[Need]:
    """For `then`: the shelves of these SKUs, and who waits for them."""
    skus = tuple(skus)
    return [Need.of(SHELVES, "sku", *skus), Need.of(BACKLOGS, "sku", *skus)]


def consequences(rows: Rows, before: Shelf, after: Shelf) -> list[Message]:
    """Units became available, and somebody waits for them."""
    freed = max(0, after.available) > max(0, before.available)
    return [StockArrived(sku=after.sku)] if freed and somebody_waits(rows, after.sku) else []

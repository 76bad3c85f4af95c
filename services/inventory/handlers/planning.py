"""Where the units of an order come from: those who wait already go first, what may wait is promised, and the rest is
routed; all against shelves and queues as the messages before left them.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from services.inventory import waiting
from services.inventory.domain import Plan, Reservation, ReservationStatus, Shortage
from services.inventory.handlers.routing import Routing, counted
from services.inventory.products import Product
from services.inventory.tables import BACKLOGS, PRODUCTS, RESERVATIONS, SHELVES, WAITING_LINES
from services.inventory.waiting import Backlog
from shared.table import Need
from shared.working_set import Rows

# -- the rows a plan looks at ----------------------------------------------------------------------------------------


def shelves_of(rows: Rows, skus: Iterable[str]) -> list[Need]:
    """The shelves of these SKUs, of a kit those of its parts; the queues of what may wait; the counters of the day.
    Products and warehouses are loaded."""
    on_shelves: set[str] = set()
    queues: set[str] = set()
    for sku in skus:
        product = rows.get(PRODUCTS, sku)
        parts = set(product.parts) if product is not None else set[str]()
        on_shelves |= parts or {sku}
        queues |= parts or ({sku} if product is not None else set())  # also of plain stock somebody may be short
    return [Need.of(SHELVES, "sku", *on_shelves), Need.of(BACKLOGS, "sku", *queues), *counted(rows)]


def its_shelves(rows: Rows, order_id: UUID, *, frees: bool = False, plans: bool = False) -> list[Need]:
    """The shelves a reservation took from, and the queues it stands in. `frees`: units may become free, so it matters
    who waits for them. `plans`: an expired one is planned anew, so warehouses are loaded; of a hold too, for it
    may expire earlier in the same batch."""
    reservation = rows.get(RESERVATIONS, order_id)
    if reservation is None:
        return []
    on_shelves = {sku for pick in reservation.taken for sku, _ in pick.units(1)}
    promised = {pick.sku for pick in reservation.taken} | {wish.sku for wish in reservation.later}
    needs = [Need.of(SHELVES, "sku", *on_shelves, *(wish.sku for wish in reservation.later))]
    expired = reservation.status is ReservationStatus.EXPIRED or (
        plans and reservation.status is ReservationStatus.HELD
    )
    if reservation.later or expired:
        needs.append(Need.of(WAITING_LINES, "order_id", order_id))
    if expired and plans:
        needs += [Need.of(PRODUCTS, "sku", *promised), *counted(rows)]
    if reservation.later or expired or frees:
        needs.append(Need.of(BACKLOGS, "sku", *on_shelves, *promised))
    return needs


# -- the plan --------------------------------------------------------------------------------------------------------


def plan(routing: Routing, units: Mapping[str, int]) -> Plan | Shortage:
    """For a new hold: kits as their products are described now."""
    products = _described(routing.rows, units)
    parts = {sku: product.parts for sku, product in products.items() if product.parts}
    return _plan(routing, units, products, parts, ask=True)


def plan_again(routing: Routing, reservation: Reservation, units: Mapping[str, int]) -> Plan | Shortage:
    """For a hold that had expired: the kits are the ones it was promised, and nobody is asked any more."""
    parts = {pick.sku: pick.parts for pick in reservation.taken if pick.parts}
    products = {sku: product for sku, product in _described(routing.rows, units).items() if sku not in parts}
    return _plan(routing, units, products, parts, ask=False)


def _plan(
    routing: Routing,
    units: Mapping[str, int],
    products: Mapping[str, Product],
    parts: Mapping[str, Mapping[str, int]],
    *,
    ask: bool,
) -> Plan | Shortage:
    waits = {sku for sku in units if sku in products and sku not in parts and _queues(routing.rows, products[sku])}
    if not waits:
        taken = routing.take(units, parts, ask=ask)
        return taken if isinstance(taken, Shortage) else Plan(taken)
    rows = routing.rows
    backlogs = {sku: rows.get(BACKLOGS, sku) or Backlog(sku) for sku in waits}
    split = waiting.split(units, products, backlogs, routing.available(waits), routing.moment.now)
    if split.missing:
        return Shortage(split.missing)
    taken = routing.take(split.now, parts, ask=ask)
    return taken if isinstance(taken, Shortage) else Plan(taken, split.later)


def _queues(rows: Rows, product: Product) -> bool:
    """Whether its queue matters: it may be promised for later, or somebody waits for it already."""
    return waiting.may_wait(product) or somebody_waits(rows, product.sku)


def somebody_waits(rows: Rows, sku: str) -> bool:
    """By the book; what was held earlier in this batch has its product loaded, and a book only where it may wait."""
    if not rows.looked_for(BACKLOGS, (sku,)) and rows.get(PRODUCTS, sku) is None:
        return False
    book = rows.get(BACKLOGS, sku)
    return book is not None and book.units > 0


def _described(rows: Rows, skus: Iterable[str]) -> dict[str, Product]:
    found = ((sku, rows.get(PRODUCTS, sku)) for sku in skus)
    return {sku: product for sku, product in found if product is not None}

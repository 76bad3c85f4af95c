"""Where the units of an order come from: those who wait already go first, kits are put together, a strategy chooses.

All of it against shelves and queues as the messages before left them.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from services.inventory import waiting
from services.inventory.domain import NETWORK, Plan, Reservation, ReservationStatus, Shelf, Shortage, Taken, Warehouse
from services.inventory.kits import choose
from services.inventory.products import Product
from services.inventory.strategy import Demand, PriorityList, Strategy
from services.inventory.tables import BACKLOGS, PRODUCTS, RESERVATIONS, SHELVES, WAITING_LINES, WAREHOUSES
from services.inventory.waiting import Backlog
from shared.table import Need
from shared.working_set import Rows

STRATEGY: Final[Strategy] = PriorityList()


# -- the rows a plan looks at ----------------------------------------------------------------------------------------


def shelves_of(rows: Rows, skus: Iterable[str]) -> list[Need]:
    """The shelves of these SKUs, of a kit those of its parts; and the queues of what may wait. Products are loaded."""
    on_shelves: set[str] = set()
    queues: set[str] = set()
    for sku in skus:
        product = rows.get(PRODUCTS, sku)
        parts = set(product.parts) if product is not None else set[str]()
        on_shelves |= parts or {sku}
        queues |= {sku} if waiting.may_wait(product) else parts  # a part may be waited for on its own
    return [Need.of(SHELVES, "sku", *on_shelves), Need.of(BACKLOGS, "sku", *queues)]


def its_shelves(rows: Rows, order_id: UUID, *, frees: bool = False) -> list[Need]:
    """The shelves a reservation took from, the queues it stands in, and what it takes to plan an expired one anew.
    `frees`: units may become free, so it matters who waits for them."""
    reservation = rows.get(RESERVATIONS, order_id)
    if reservation is None:
        return []
    on_shelves = {sku for pick in reservation.taken for sku, _ in pick.units(1)}
    promised = {pick.sku for pick in reservation.taken} | {wish.sku for wish in reservation.later}
    needs = [Need.of(SHELVES, "sku", *on_shelves, *(wish.sku for wish in reservation.later))]
    expired = reservation.status is ReservationStatus.EXPIRED
    if reservation.later or expired:
        needs.append(Need.of(WAITING_LINES, "order_id", order_id))
    if expired:
        needs.append(Need.of(PRODUCTS, "sku", *promised))
    if reservation.later or expired or frees:
        needs.append(Need.of(BACKLOGS, "sku", *on_shelves, *promised))
    return needs


# -- the plan --------------------------------------------------------------------------------------------------------


def plan(rows: Rows, units: Mapping[str, int], now: datetime) -> Plan | Shortage:
    """For a new hold: kits as their products are described now."""
    products = _described(rows, units)
    parts = {sku: product.parts for sku, product in products.items() if product.parts}
    return _plan(rows, units, products, parts, now)


def plan_again(rows: Rows, reservation: Reservation, units: Mapping[str, int], now: datetime) -> Plan | Shortage:
    """For a hold that had expired: the kits are the ones it was promised."""
    parts = {pick.sku: pick.parts for pick in reservation.taken if pick.parts}
    products = {sku: product for sku, product in _described(rows, units).items() if sku not in parts}
    return _plan(rows, units, products, parts, now)


def _plan(
    rows: Rows,
    units: Mapping[str, int],
    products: Mapping[str, Product],
    parts: Mapping[str, Mapping[str, int]],
    now: datetime,
) -> Plan | Shortage:
    waits = {sku for sku in units if waiting.may_wait(products.get(sku))}
    if not waits:
        taken = take(rows, units, parts)
        return taken if isinstance(taken, Shortage) else Plan(taken)
    backlogs = {sku: rows.get(BACKLOGS, sku) or Backlog(sku) for sku in waits}
    available = {sku: sum(max(0, shelf.available) for shelf in rows.where(SHELVES, "sku", sku)) for sku in waits}
    split = waiting.split(units, products, backlogs, available, now)
    if split.missing:
        return Shortage(split.missing)
    taken = take(rows, split.now, parts)
    return taken if isinstance(taken, Shortage) else Plan(taken, split.later)


def take(
    rows: Rows, units: Mapping[str, int], parts: Mapping[str, Mapping[str, int]] | None = None
) -> tuple[Taken, ...] | Shortage:
    """Every unit from a shelf, or what is missing."""
    if not units:
        return ()
    on_shelves = {sku for wanted in units for sku in ((parts or {}).get(wanted) or (wanted,))}
    shelves: dict[str, list[Shelf]] = {sku: rows.where(SHELVES, "sku", sku) for sku in on_shelves}
    return choose(STRATEGY, Demand(units, shelves, warehouses(rows)), parts or {})


def warehouses(rows: Rows) -> dict[str, Warehouse]:
    return {warehouse.code: warehouse for warehouse in rows.where(WAREHOUSES, "network", NETWORK)}


def _described(rows: Rows, skus: Iterable[str]) -> dict[str, Product]:
    found = ((sku, rows.get(PRODUCTS, sku)) for sku in skus)
    return {sku: product for sku, product in found if product is not None}

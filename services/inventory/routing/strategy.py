"""Which warehouse gives what is one question with many answers: a strategy answers it purely, from what it is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Any, Final, Protocol

from services.inventory.domain import Shelf, Shortage, Taken, Warehouse
from services.inventory.products import Product
from services.inventory.routing.places import Place, distance_km
from services.inventory.routing.search import WORK, Problem

CANDIDATES_TOLD: Final = 40
"""Warehouses whose reasons are kept with a decision, best first."""


class StrategyName(StrEnum):
    PRIORITY = "priority"
    NEAREST = "nearest"
    CHEAPEST = "cheapest"


@dataclass(frozen=True)
class RoutingPolicy:
    """What the owner of a deployment may set."""

    strategy: StrategyName = StrategyName.PRIORITY
    work: int = WORK
    """How much of the exact search may happen inside a decision; what takes more is proposed by the solver."""
    questions: int = 3
    """How often the solver is asked about one order; then the best that was found is taken."""
    question_overdue_s: float = 30.0
    """A question this old is asked again: whoever had it may have died."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Units per SKU, the shelves that store each SKU, and the warehouses they stand in; what is known of the SKUs, how
    many shipments each warehouse with a daily capacity has today, and where they go."""

    units: Mapping[str, int]
    shelves: Mapping[str, Sequence[Shelf]]
    warehouses: Mapping[str, Warehouse]
    products: Mapping[str, Product] = field(default_factory=dict)
    shipments: Mapping[str, int] = field(default_factory=dict)
    to: Place | None = None

    def at_capacity(self, code: str) -> bool:
        """Whether it can take no more orders today."""
        warehouse = self.warehouses.get(code)
        limit = None if warehouse is None else warehouse.daily_shipments
        return limit is not None and self.shipments.get(code, 0) >= limit

    def can_ship(self, sku: str, code: str) -> bool:
        product = self.products.get(sku)
        return product is None or code not in product.not_from

    def distance_km(self, code: str) -> int | None:
        """None when either end is not known."""
        warehouse = self.warehouses.get(code)
        if warehouse is None or warehouse.latitude is None or warehouse.longitude is None or self.to is None:
            return None
        return distance_km(warehouse.latitude, warehouse.longitude, self.to.latitude, self.to.longitude)

    def turn_of(self, code: str) -> tuple[float, str]:
        """Its place in the priority list; one that appeared since the list was read is last."""
        warehouse = self.warehouses.get(code)
        return (inf if warehouse is None else warehouse.priority, code)

    def usable(self, sku: str) -> list[Shelf]:
        """The shelves that may give this SKU now."""
        return [
            shelf
            for shelf in self.shelves.get(sku, ())
            if shelf.available > 0 and self.can_ship(sku, shelf.warehouse) and not self.at_capacity(shelf.warehouse)
        ]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A warehouse that was looked at. `cost_minor`: of its part when it was chosen, of the whole order otherwise;
    `why` it cannot ship the whole order: "lacks 1 x A-12", "at capacity", "cannot ship A-12"."""

    warehouse: str
    chosen: bool = False
    km: int | None = None
    cost_minor: int | None = None
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """What is not said is left out: these rows are many."""
        made: dict[str, Any] = {"warehouse": self.warehouse}
        for name, value, empty in (
            ("chosen", self.chosen, False),
            ("km", self.km, None),
            ("cost_minor", self.cost_minor, None),
            ("why", self.why, ""),
        ):
            if value != empty:
                made[name] = value
        return made


@dataclass(frozen=True, slots=True)
class Route:
    """What was chosen, and why. `cost` is in thousandths of a minor unit; `gap_permille` by how much it may be too
    dear at most: 0 is exact, None is not known."""

    picks: tuple[Taken, ...]
    strategy: StrategyName
    cost: int | None = None
    gap_permille: int | None = None
    candidates: tuple[Candidate, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Not proven within the bound of a decision: the best route found so far, and the question for a solver."""

    route: Route
    problem: Problem


class Strategy(Protocol):
    """Every unit or none. At most one pick per SKU and warehouse, none above what is available there, none from a
    warehouse at capacity or one that cannot ship the SKU."""

    def choose(self, demand: Demand) -> Route | Shortage | TooLarge: ...


class PriorityList:
    """Each SKU from the first warehouse of the list that has some, the rest from the next. Its reasons are the list."""

    def choose(self, demand: Demand) -> Route | Shortage:
        picks = fill_in_turn(demand, demand.turn_of)
        return picks if isinstance(picks, Shortage) else Route(picks, StrategyName.PRIORITY)


def fill_in_turn(demand: Demand, turn_of: Callable[[str], Any]) -> tuple[Taken, ...] | Shortage:
    """Each SKU from the warehouse whose turn is first, the rest from the next."""
    picks: list[Taken] = []
    missing: dict[str, int] = {}
    for sku, units in demand.units.items():
        left = units
        for shelf in sorted(demand.usable(sku), key=lambda shelf: turn_of(shelf.warehouse)):
            give = min(left, shelf.available)
            picks.append(Taken(shelf.warehouse, sku, give))
            left -= give
            if not left:
                break
        if left:
            missing[sku] = left
    return shortage(demand, missing) if missing else tuple(picks)


def shortage(demand: Demand, missing: Mapping[str, int]) -> Shortage:
    """What is missing; a SKU without any shelf is one nobody has ever stored."""
    unknown = tuple(sku for sku in missing if not demand.shelves.get(sku))
    return Shortage({sku: units for sku, units in missing.items() if sku not in unknown}, unknown)


def why_not_alone(demand: Demand, code: str) -> str:
    """Why a warehouse cannot ship the whole order; empty when it can."""
    if demand.at_capacity(code):
        return "at capacity"
    lacks = ""
    for sku, units in demand.units.items():
        if not demand.can_ship(sku, code):
            return f"cannot ship {sku}"
        if not lacks:
            there = next((shelf.available for shelf in demand.shelves.get(sku, ()) if shelf.warehouse == code), 0)
            if there < units:
                lacks = f"lacks {units - max(0, there)} x {sku}"
    return lacks

"""Which warehouse gives what is one question with many answers: a strategy answers it purely, from what it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from services.inventory.domain import Shelf, Shortage, Taken, Warehouse


@dataclass(frozen=True, slots=True)
class Demand:
    """Units per SKU, the shelves that store each SKU, and the warehouses they stand in."""

    units: Mapping[str, int]
    shelves: Mapping[str, Sequence[Shelf]]
    warehouses: Mapping[str, Warehouse]


class Strategy(Protocol):
    """Every unit or none. At most one pick per SKU and warehouse, none above what is available there."""

    def choose(self, demand: Demand) -> tuple[Taken, ...] | Shortage: ...


class PriorityList:
    """Each SKU from the first warehouse of the list that has some, the rest from the next."""

    def choose(self, demand: Demand) -> tuple[Taken, ...] | Shortage:
        picks: list[Taken] = []
        missing: dict[str, int] = {}
        unknown: list[str] = []
        for sku, units in demand.units.items():
            shelves = demand.shelves.get(sku, ())
            if not shelves:
                unknown.append(sku)
                continue
            left = units
            for shelf in sorted(shelves, key=lambda shelf: _turn_of(shelf, demand.warehouses)):
                give = min(left, shelf.available)
                if give > 0:
                    picks.append(Taken(shelf.warehouse, sku, give))
                    left -= give
                if not left:
                    break
            if left:
                missing[sku] = left
        return Shortage(missing, tuple(unknown)) if missing or unknown else tuple(picks)


def _turn_of(shelf: Shelf, warehouses: Mapping[str, Warehouse]) -> tuple[float, str]:
    """A warehouse that appeared since the list was read is last in it."""
    warehouse = warehouses.get(shelf.warehouse)
    return (inf if warehouse is None else warehouse.priority, shelf.warehouse)

"""A kit lies on no shelf: a warehouse has as many as its parts make, and to a strategy it looks like any other SKU.

Kits and loose units of one order may want the same parts. A choice that takes too much of a shelf that way is made
again one SKU after the other: kits first, then the rest from what they leave.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from services.inventory.domain import Shelf, Shortage, Taken
from services.inventory.strategy import Demand, Strategy
from shared.frozen import replace

Parts = Mapping[str, Mapping[str, int]]
"""Kit -> units of each component in one of it."""


def choose(strategy: Strategy, demand: Demand, parts: Parts) -> tuple[Taken, ...] | Shortage:
    """Every unit or none. Kits come whole out of one warehouse each; an order of several may use several."""
    kits = {sku: units for sku, units in demand.units.items() if sku in parts}
    if not kits:
        return strategy.choose(demand)
    chosen = _chosen(strategy, demand, demand.units, demand.shelves, parts)
    if isinstance(chosen, tuple) and not _fits(chosen, demand.shelves):
        chosen = _in_turn(strategy, demand, kits, parts)
    return chosen


def _in_turn(strategy: Strategy, demand: Demand, kits: Mapping[str, int], parts: Parts) -> tuple[Taken, ...] | Shortage:
    """One SKU after the other, kits first, each from what is left."""
    shelves: Mapping[str, Sequence[Shelf]] = demand.shelves
    taken: list[Taken] = []
    for sku in (*kits, *(loose for loose in demand.units if loose not in kits)):
        chosen = _chosen(strategy, demand, {sku: demand.units[sku]}, shelves, parts)
        if isinstance(chosen, Shortage):
            return chosen
        taken += chosen
        shelves = _less(shelves, chosen)
    return tuple(taken)


def _chosen(
    strategy: Strategy,
    demand: Demand,
    units: Mapping[str, int],
    shelves: Mapping[str, Sequence[Shelf]],
    parts: Parts,
) -> tuple[Taken, ...] | Shortage:
    seen = {sku: _as_shelves(sku, shelves, parts[sku]) if sku in parts else shelves[sku] for sku in units}
    chosen = strategy.choose(replace(demand, units=units, shelves=seen))
    if isinstance(chosen, Shortage):
        return chosen
    return tuple(replace(pick, parts=dict(parts[pick.sku])) if pick.sku in parts else pick for pick in chosen)


def _as_shelves(kit: str, shelves: Mapping[str, Sequence[Shelf]], parts: Mapping[str, int]) -> list[Shelf]:
    """What each warehouse could put together, as if it lay there. A part nobody ever stored makes the kit unknown."""
    by_warehouse: dict[str, dict[str, int]] = {}
    for part in parts:
        if not shelves[part]:
            return []
        for shelf in shelves[part]:
            by_warehouse.setdefault(shelf.warehouse, {})[part] = max(0, shelf.available)
    return [
        Shelf(kit, warehouse, on_hand=min(there.get(part, 0) // each for part, each in parts.items()))
        for warehouse, there in sorted(by_warehouse.items())
    ]


def _fits(taken: Sequence[Taken], shelves: Mapping[str, Sequence[Shelf]]) -> bool:
    units = _on_shelves(taken)
    return all(
        units[shelf.sku, shelf.warehouse] <= max(0, shelf.available) for row in shelves.values() for shelf in row
    )


def _less(shelves: Mapping[str, Sequence[Shelf]], taken: Sequence[Taken]) -> dict[str, list[Shelf]]:
    units = _on_shelves(taken)
    return {
        sku: [replace(shelf, held=shelf.held + units[sku, shelf.warehouse]) for shelf in row]
        for sku, row in shelves.items()
    }


def _on_shelves(taken: Sequence[Taken]) -> Counter[tuple[str, str]]:
    units: Counter[tuple[str, str]] = Counter()
    for pick in taken:
        for sku, quantity in pick.units(pick.quantity):
            units[sku, pick.warehouse] += quantity
    return units

"""A kit lies on no shelf: a warehouse has as many as its parts make, and to a strategy it looks like any other SKU.

Kits and loose units of one order may want the same parts. A choice that takes too much of a shelf that way is made
again one SKU after the other: kits first, then the rest from what they leave.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from services.inventory.domain import Shelf, Shortage, Taken
from services.inventory.routing.strategy import Demand, Route, Strategy, TooLarge
from shared.frozen import replace

Parts = Mapping[str, Mapping[str, int]]
"""Kit -> units of each component in one of it."""
IN_TURN: Final = "kits and loose units want the same parts: one after the other, kits first"
NOT_ASKED: Final = "an order with kits does not wait for the solver: the best of a bounded search"


def choose(strategy: Strategy, demand: Demand, parts: Parts) -> Route | Shortage | TooLarge:
    """Every unit or none. A kit comes whole out of one warehouse; an order of several kits may use several."""
    if not any(sku in parts for sku in demand.units):
        return strategy.choose(demand)
    chosen = _chosen(strategy, demand, demand.units, demand.shelves, parts)
    if isinstance(chosen, Route) and not _fits(chosen.picks, demand.shelves):
        return _in_turn(strategy, demand, parts)
    return chosen


def _in_turn(strategy: Strategy, demand: Demand, parts: Parts) -> Route | Shortage:
    """One SKU after the other, kits first, each from what is left. A warehouse is paid for once for each SKU then."""
    shelves: Mapping[str, Sequence[Shelf]] = demand.shelves
    found: list[Route] = []
    for sku in sorted(demand.units, key=lambda sku: sku not in parts):
        chosen = _chosen(strategy, demand, {sku: demand.units[sku]}, shelves, parts)
        if isinstance(chosen, Shortage):
            return chosen
        found.append(chosen)
        shelves = _less(shelves, chosen.picks)
    picks = tuple(pick for route in found for pick in route.picks)
    return replace(found[0], picks=picks, cost=None, gap_permille=None, candidates=(), note=IN_TURN)


def _chosen(
    strategy: Strategy,
    demand: Demand,
    units: Mapping[str, int],
    shelves: Mapping[str, Sequence[Shelf]],
    parts: Parts,
) -> Route | Shortage:
    seen = {sku: _as_shelves(sku, shelves, parts[sku]) if sku in parts else shelves[sku] for sku in units}
    chosen = strategy.choose(replace(demand, units=units, shelves=seen))
    if isinstance(chosen, Shortage):
        return chosen
    route = replace(chosen.route, note=NOT_ASKED) if isinstance(chosen, TooLarge) else chosen
    picks = (replace(pick, parts=dict(parts[pick.sku])) if pick.sku in parts else pick for pick in route.picks)
    return replace(route, picks=tuple(picks))


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

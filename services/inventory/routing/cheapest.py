"""The cheapest way to ship an order, proven: fixed cost per shipment, and carriage by distance band and weight.

Costs are integers, in thousandths of a minor unit, for a gram at so many minor units a kilogram is exactly that; they
are rounded once, half up, where a whole cost is told. What cannot be proven within the bound is `TooLarge`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from services.inventory.domain import Shortage, Taken, Warehouse
from services.inventory.routing.nearest import UNKNOWN_PLACE
from services.inventory.routing.search import WORK, Found, Problem, fill, search
from services.inventory.routing.strategy import (
    CANDIDATES_TOLD,
    Candidate,
    Demand,
    PriorityList,
    Route,
    StrategyName,
    TooLarge,
    shortage,
    why_not_alone,
)
from shared.frozen import replace

THOUSANDTHS: Final = 1000
Priced = dict[str, tuple[int, int, int | None]]
"""Warehouse -> its fixed cost in thousandths, its rate per gram in thousandths, its distance."""


class Cheapest:
    def __init__(self, work: int = WORK) -> None:
        self.work = work

    def choose(self, demand: Demand) -> Route | Shortage | TooLarge:
        if demand.to is None:
            chosen = PriorityList().choose(demand)
            return chosen if isinstance(chosen, Shortage) else replace(chosen, note=UNKNOWN_PLACE)
        prices = priced(demand)
        problem = problem_of(demand, prices)
        found = search(problem, self.work)
        if found is None:
            there = [sum(row) for row in problem.there]
            short = zip(problem.skus, problem.need, there, strict=True)
            return shortage(demand, {sku: need - sum_ for sku, need, sum_ in short if sum_ < need})
        route = _route(demand, prices, problem, found)
        return route if found.exact else TooLarge(route, problem)


def priced(demand: Demand) -> Priced:
    """What each warehouse asks, by how far it is; one that appeared since the list was read asks nothing yet."""
    prices: Priced = {}
    for code, warehouse in demand.warehouses.items():
        km = demand.distance_km(code)
        prices[code] = (warehouse.shipment_minor * THOUSANDTHS, rate_at(warehouse, km), km)
    return prices


def rate_at(warehouse: Warehouse, km: int | None) -> int:
    """Minor units per kilogram: of the first band that reaches so far; of the last, when none does or nobody knows."""
    for up_to_km, minor_per_kg in warehouse.bands:
        if km is not None and km <= up_to_km:
            return int(minor_per_kg)
    return int(warehouse.bands[-1][1]) if warehouse.bands else 0


def problem_of(demand: Demand, prices: Priced) -> Problem:
    """Shelves and prices as plain numbers; warehouses in the order of the priority list."""
    there = {
        sku: {shelf.warehouse: min(units, shelf.available) for shelf in demand.usable(sku)}
        for sku, units in demand.units.items()
    }
    codes = sorted({code for shelves in there.values() for code in shelves}, key=demand.turn_of)
    asked = [prices.get(code, (0, 0, None)) for code in codes]
    grams = [demand.products[sku].weight_g if sku in demand.products else 0 for sku in demand.units]
    return Problem(
        skus=tuple(demand.units),
        warehouses=tuple(codes),
        need=tuple(demand.units.values()),
        fixed=tuple(fixed for fixed, _, _ in asked),
        each=tuple(tuple(weight * rate for _, rate, _ in asked) for weight in grams),
        there=tuple(tuple(shelves.get(code, 0) for code in codes) for shelves in there.values()),
    )


def cost_of(demand: Demand, picks: Iterable[Taken], prices: Priced | None = None) -> int:
    """What these picks cost, in thousandths of a minor unit."""
    prices = priced(demand) if prices is None else prices
    return sum(_parts(demand, picks, prices).values())


def to_minor(thousandths: int) -> int:
    """Rounded half up."""
    return (thousandths + THOUSANDTHS // 2) // THOUSANDTHS


def reasons(demand: Demand, picks: Sequence[Taken], prices: Priced) -> tuple[Candidate, ...]:
    """What each warehouse would have cost alone, or why it cannot; of the chosen ones, their parts."""
    parts = _parts(demand, picks, prices)
    weight = sum(units * _grams(demand, sku) for sku, units in demand.units.items())
    found = []
    for code in {**prices, **parts}:
        fixed, rate, km = prices.get(code, (0, 0, None))
        why = "" if code in parts else why_not_alone(demand, code)
        cost = parts[code] if code in parts else None if why else fixed + weight * rate
        found.append((code not in parts, bool(why), cost or 0, demand.turn_of(code), code, km, cost, why))
    found.sort()
    return tuple(
        Candidate(code, not other, km, None if cost is None else to_minor(cost), why)
        for other, _, _, _, code, km, cost, why in found[:CANDIDATES_TOLD]
    )


def route_of(demand: Demand, picks: tuple[Taken, ...], gap_permille: int | None, note: str) -> Route:
    """Picks that were found elsewhere, with their cost and reasons as things stand now."""
    prices = priced(demand)
    cost = cost_of(demand, picks, prices)
    told = reasons(demand, picks, prices)
    return Route(picks, StrategyName.CHEAPEST, cost, gap_permille, told, note)


def _route(demand: Demand, prices: Priced, problem: Problem, found: Found) -> Route:
    filled = fill(problem, found.used)
    assert filled is not None  # the search found it so
    picks = tuple(Taken(problem.warehouses[j], problem.skus[i], units) for i, j, units in filled)
    gap = 0 if found.exact else permille(found.cost, found.bound)
    note = f"to {demand.to.known_by}" if demand.to is not None else ""
    return Route(picks, StrategyName.CHEAPEST, found.cost, gap, reasons(demand, picks, prices), note)


def permille(cost: int, bound: int) -> int:
    """How much of the cost is not proven to be needed, rounded up."""
    return min(1000, -(-1000 * (cost - bound) // cost)) if cost else 0


def _parts(demand: Demand, picks: Iterable[Taken], prices: Priced) -> dict[str, int]:
    parts: dict[str, int] = {}
    for pick in picks:
        fixed, rate, _ = prices.get(pick.warehouse, (0, 0, None))
        carriage = pick.quantity * _grams(demand, pick.sku) * rate
        parts[pick.warehouse] = parts.get(pick.warehouse, fixed) + carriage
    return parts


def _grams(demand: Demand, sku: str) -> int:
    product = demand.products.get(sku)
    return 0 if product is None else product.weight_g

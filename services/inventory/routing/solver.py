"""What is too large for a decision is proposed by CP-SAT: one worker, a fixed seed, a limit that counts work and not
time, so that the same question has the same answer; and how far from the optimum it may be is told.

OR-tools is imported when the first question comes.
"""

from dataclasses import dataclass
from math import gcd
from typing import Any, Final

from services.inventory.routing.cheapest import permille
from services.inventory.routing.search import Problem

SEED: Final = 1815
LARGEST: Final = 2**60
"""The solver counts in 64 bits."""
PATIENCE: Final = 10.0
"""Seconds of the clock per second of work, at most: only a machine that hardly runs gets there."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """`outcome`: optimal, feasible or unknown. Picks are (SKU, warehouse, units) by number."""

    outcome: str
    picks: tuple[tuple[int, int, int], ...] = ()
    gap_permille: int | None = None


UNKNOWN: Final = Proposal("unknown")


def solve(problem: Problem, seconds: float) -> Proposal:
    """`seconds` of work as CP-SAT counts it."""
    from ortools.sat.python import cp_model

    scale = gcd(*problem.fixed, *(each for row in problem.each for each in row)) or 1
    dearest = sum(problem.fixed) + sum(
        need * max(row, default=0) for need, row in zip(problem.need, problem.each, strict=True)
    )
    if dearest // scale > LARGEST:
        return UNKNOWN
    model = cp_model.CpModel()
    opened = [model.new_bool_var(code) for code in problem.warehouses]
    costs: list[Any] = [fixed // scale * used for fixed, used in zip(problem.fixed, opened, strict=True)]
    taken: dict[tuple[int, int], Any] = {}
    for i, need in enumerate(problem.need):
        for j, there in enumerate(problem.there[i]):
            if there > 0:
                units = taken[i, j] = model.new_int_var(0, min(need, there), "")
                model.add(units <= min(need, there) * opened[j])
                costs.append(problem.each[i][j] // scale * units)
        model.add(sum(units for (sku, _), units in taken.items() if sku == i) == need)
    model.minimize(sum(costs))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = SEED
    solver.parameters.max_deterministic_time = seconds
    solver.parameters.max_time_in_seconds = seconds * PATIENCE
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return UNKNOWN
    picks = tuple((i, j, int(solver.value(units))) for (i, j), units in taken.items() if solver.value(units))
    if status == cp_model.OPTIMAL:
        return Proposal("optimal", picks, 0)
    cost, bound = int(solver.objective_value), int(solver.best_objective_bound)
    return Proposal("feasible", picks, permille(cost, min(cost, bound)))

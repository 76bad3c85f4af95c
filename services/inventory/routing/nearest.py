"""The nearest warehouse gives first, by great-circle distance to the customer; what it lacks comes from the next."""

from math import inf

from services.inventory.domain import Shortage
from services.inventory.routing.strategy import (
    CANDIDATES_TOLD,
    Candidate,
    Demand,
    PriorityList,
    Route,
    StrategyName,
    fill_in_turn,
    why_not_alone,
)
from shared.frozen import replace


class Nearest:
    """A warehouse nobody has placed on the map comes after those that are; two as near come by the priority list."""

    def choose(self, demand: Demand) -> Route | Shortage:
        if demand.to is None:
            chosen = PriorityList().choose(demand)
            return chosen if isinstance(chosen, Shortage) else replace(chosen, note=UNKNOWN_PLACE)
        km = {code: demand.distance_km(code) for code in demand.warehouses}

        def turn_of(code: str) -> tuple[float, tuple[float, str]]:
            far = km.get(code)
            return (inf if far is None else far, demand.turn_of(code))

        picks = fill_in_turn(demand, turn_of)
        if isinstance(picks, Shortage):
            return picks
        giving = {pick.warehouse for pick in picks}
        looked_at = sorted(km.keys() | giving, key=turn_of)
        candidates = tuple(
            Candidate(code, code in giving, km.get(code), why="" if code in giving else why_not_alone(demand, code))
            for code in sorted(looked_at, key=lambda code: code not in giving)[:CANDIDATES_TOLD]
        )
        return Route(picks, StrategyName.NEAREST, candidates=candidates, note=f"to {demand.to.known_by}")


UNKNOWN_PLACE = "nobody knows where it goes: by the priority list"

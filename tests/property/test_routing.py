"""The cheapest route is the cheapest there is, and every strategy gives all or nothing and never what it must not."""

from random import Random

import pytest

from services.inventory.domain import Shortage
from services.inventory.routing.cheapest import Cheapest, cost_of, priced, problem_of
from services.inventory.routing.nearest import Nearest
from services.inventory.routing.search import fill, search
from services.inventory.routing.solver import solve
from services.inventory.routing.strategy import Demand, PriorityList, Route
from shared.frozen import replace
from tests.support.routes import a_demand, brute, check

WITHOUT_END = 10**9


@pytest.mark.parametrize("seed", range(20))
def test_cheapest_is_brute_force_on_two_thousand_orders(seed: int) -> None:
    """And never dearer than the other strategies, by the same cost; 100 orders a seed."""
    random = Random(seed)
    short = 0
    for _ in range(100):
        demand = a_demand(random, random.randint(1, 5), random.randint(1, 7))
        least = brute(problem_of(demand, priced(demand)))
        chosen = Cheapest(WITHOUT_END).choose(demand)
        others = [strategy.choose(demand) for strategy in (PriorityList(), Nearest())]
        if least is None:
            assert chosen == others[0] == others[1]
            assert isinstance(chosen, Shortage)
            short += 1
            continue
        assert isinstance(chosen, Route)
        assert (chosen.cost, chosen.gap_permille) == (least, 0)
        assert cost_of(demand, chosen.picks) == least
        check(demand, chosen.picks)
        for other in others:
            assert isinstance(other, Route)
            check(demand, other.picks)
            assert least <= cost_of(demand, other.picks)
    assert 0 < short < 100, "some orders can be filled and some cannot"


@pytest.mark.parametrize("seed", range(5))
def test_the_answer_does_not_depend_on_the_order_of_rows(seed: int) -> None:
    random = Random(1_000 + seed)
    for _ in range(40):
        demand = a_demand(random, 4, 6, tight=0.2)
        shuffled = Demand(
            units=demand.units,
            shelves={sku: random.sample(shelves, len(shelves)) for sku, shelves in demand.shelves.items()},
            warehouses=dict(random.sample(sorted(demand.warehouses.items()), len(demand.warehouses))),
            products=demand.products,
            shipments=demand.shipments,
            to=demand.to,
        )
        for strategy in (PriorityList(), Nearest(), Cheapest()):
            assert strategy.choose(demand) == strategy.choose(shuffled)


@pytest.mark.parametrize("seed", range(3))
def test_the_solver_and_the_search_agree(seed: int) -> None:
    random = Random(2_000 + seed)
    agreed = 0
    for _ in range(15):
        demand = a_demand(random, random.randint(2, 8), random.randint(2, 10), tight=0.3)
        problem = problem_of(demand, priced(demand))
        found = search(problem, WITHOUT_END)
        proposed = solve(problem, 20.0)
        if found is None:
            assert proposed.outcome == "unknown"
            continue
        assert (proposed.outcome, proposed.gap_permille) == ("optimal", 0)
        fixed = sum(problem.fixed[j] for j in {j for _, j, _ in proposed.picks})
        assert fixed + sum(units * problem.each[i][j] for i, j, units in proposed.picks) == found.cost
        agreed += 1
    assert agreed > 5


@pytest.mark.parametrize("seed", range(5))
def test_a_search_that_is_cut_short_says_how_far_it_may_be_off(seed: int) -> None:
    """Its route can be shipped, its cost is the cost of that, and the optimum is within what it tells."""
    random = Random(3_000 + seed)
    cut = 0
    for _ in range(60):
        problem = problem_of(demand := a_demand(random, 6, 9, tight=0.3), priced(demand))
        little, much = search(problem, 1), search(problem, WITHOUT_END)
        if little is None or much is None:
            assert little is much
            continue
        assert fill(problem, little.used) is not None
        assert little.bound <= much.cost <= little.cost
        assert much.exact
        cut += not little.exact
    assert cut, "none was cut short: the bound of work does nothing"


def test_what_weighs_nothing_and_costs_nothing_travels_in_one_shipment() -> None:
    random = Random(7)
    for _ in range(20):
        demand = a_demand(random, 4, 6, tight=0.0)
        free = {
            code: replace(warehouse, shipment_minor=0, bands=[], daily_shipments=None)
            for code, warehouse in demand.warehouses.items()
        }
        products = {sku: replace(product, not_from=[]) for sku, product in demand.products.items()}
        chosen = Cheapest().choose(replace(demand, warehouses=free, products=products))
        assert isinstance(chosen, Route)
        assert len({pick.warehouse for pick in chosen.picks}) == 1

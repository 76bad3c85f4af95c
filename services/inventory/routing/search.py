"""The exact search: which warehouses to open so that fixed costs and the cheapest filling from them are least.

For a given set of open warehouses every SKU is filled from the cheapest on, for SKUs share nothing but the warehouses;
so only sets are searched. A price per unit of each SKU (a dual solution) bounds from below what any set can cost, and
says for each warehouse how much dearer every set with it, or without it, is: most are settled at the root. All numbers
are integers, every order is fixed: the same question has the same answer everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FREE: Final = 0
OPEN: Final = 1
CLOSED: Final = 2
WORK: Final = 40_000
"""Node limit: nodes times cells (SKUs x warehouses), about 50 ms at most. An order of 10 lines over 20 warehouses may
take 200 nodes and rarely needs ten."""
ROOT_ROUNDS: Final = 24
NODE_ROUNDS: Final = 6
EXCHANGED: Final = 3
"""Sets of so many warehouses or fewer are improved by exchanging one, too."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`need[i]` units of SKU i; from warehouse j each costs `each[i][j]`, and `there[i][j]` may be taken.

    `fixed[j]` is paid once if anything comes from j. Costs are in thousandths of a minor unit.
    """

    skus: tuple[str, ...]
    warehouses: tuple[str, ...]
    need: tuple[int, ...]
    fixed: tuple[int, ...]
    each: tuple[tuple[int, ...], ...]
    there: tuple[tuple[int, ...], ...]

    @property
    def cells(self) -> int:
        return len(self.skus) * len(self.warehouses)


@dataclass(frozen=True, slots=True)
class Found:
    """The cheapest set found, and below what no set can be; equal when it is proven."""

    used: tuple[int, ...]
    cost: int
    bound: int
    nodes: int

    @property
    def exact(self) -> bool:
        return self.bound >= self.cost


def search(problem: Problem, work: int = WORK) -> Found | None:
    """None: it cannot be filled by all of them together. Of sets that cost the same, the first found stays: the one
    with fewer shipments where they were compared, in the order warehouses are given."""
    return _Search(problem).run(max(1, work // max(1, problem.cells)))


def fill(problem: Problem, used: Sequence[int]) -> list[tuple[int, int, int]] | None:
    """(SKU, warehouse, units), each SKU from the cheapest of these warehouses on; None when they do not have enough."""
    picks = []
    for sku, need in enumerate(problem.need):
        each, there, left = problem.each[sku], problem.there[sku], need
        for warehouse in sorted(used, key=lambda j: (each[j], j)):
            give = min(left, there[warehouse])
            if give:
                picks.append((sku, warehouse, give))
                left -= give
            if not left:
                break
        if left:
            return None
    return picks


class _Search:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.fixed, self.need = problem.fixed, problem.need
        self.cells = [
            sorted((each[j], j, min(need, there[j])) for j in range(len(self.fixed)) if there[j] > 0)
            for each, there, need in zip(problem.each, problem.there, problem.need, strict=True)
        ]
        self.best: tuple[int, int, tuple[int, ...]] | None = None

    def run(self, nodes: int) -> Found | None:
        warehouses = len(self.fixed)
        status = [FREE] * warehouses
        if self.offer(range(warehouses)) is None:
            return None
        seen = 0
        stack: list[tuple[int, list[int], list[int]]] = [(0, status, [0] * len(self.need))]
        while stack:
            if seen == nodes:
                break
            bound, status, prices = stack.pop()
            assert self.best is not None
            if bound >= self.best[0]:
                continue
            seen += 1
            stack.extend(self.branch(status, prices, bound, ROOT_ROUNDS if seen == 1 else NODE_ROUNDS, root=seen == 1))
        assert self.best is not None
        cost, _, used = self.best
        return Found(used, cost, min([cost, *(bound for bound, _, _ in stack)]), seen)

    # -- above: sets that can be ---------------------------------------------------------------------------------

    def offer(self, used: Sequence[int]) -> int | None:
        """What these warehouses cost, those that give nothing not counted; None when they do not have enough."""
        usable = [False] * len(self.fixed)
        for j in used:
            usable[j] = True
        giving: set[int] = set()
        cost = 0
        for left, cells in zip(self.need, self.cells, strict=True):
            for each, j, there in cells:
                if usable[j]:
                    giving.add(j)
                    if there >= left:
                        cost += left * each
                        break
                    cost += there * each
                    left -= there
            else:
                return None
        for j in giving:
            cost += self.fixed[j]
        if self.best is None or (cost, len(giving)) < self.best[:2]:
            self.best = (cost, len(giving), tuple(sorted(giving)))
        return cost

    def improve(self) -> None:
        """Leave one out, take one in, or change one for another, as long as it gets cheaper."""
        warehouses = range(len(self.fixed))
        assert self.best is not None
        for _ in warehouses:
            before = self.best
            used = before[2]
            for j in used:
                self.offer([k for k in used if k != j])
            for j in warehouses:
                if j not in used:
                    self.offer([*used, j])
            if self.best == before and len(used) <= EXCHANGED:
                for j in used:
                    rest = [k for k in used if k != j]
                    for other in warehouses:
                        if other not in used:
                            self.offer([*rest, other])
            if self.best == before:
                return

    # -- below: what no set can beat -----------------------------------------------------------------------------

    def branch(
        self, status: list[int], prices: list[int], bound: int, rounds: int, *, root: bool
    ) -> list[tuple[int, list[int], list[int]]]:
        """Nothing when this part of the search is settled; else its two halves, the likelier one last."""
        slack = self.slack(prices)
        top = max(1, len(self.need))
        for number in range(rounds):
            if number % 4 == 0:  # every SKU in turn takes as much of a warehouse's fixed cost as the bound gains by
                for turn in range(len(self.need)):
                    share = max(1, top - turn) if root and number == 0 else 1
                    if not self.raise_price(turn, prices, slack, status, share):
                        return []
            below = self.value(prices, slack, status)
            bound = max(bound, below)
            if number == 0:
                self.try_sets(slack, status, root)
            assert self.best is not None
            above = self.best[0]
            if bound >= above:
                return []
            self.settle(below, above, slack, status)
            if number + 1 < rounds and number % 4 != 3:
                self.step(above - below, prices, slack, status)
        free = [j for j in range(len(status)) if status[j] == FREE]
        if not free:
            self.offer([j for j in range(len(status)) if status[j] == OPEN])
            return []
        j = min(free, key=lambda j: (abs(slack[j]), j))
        halves = []
        for state in (CLOSED, OPEN) if slack[j] <= 0 else (OPEN, CLOSED):
            half = list(status)
            half[j] = state
            halves.append((bound, half, list(prices)))
        return halves

    def slack(self, prices: list[int]) -> list[int]:
        """What is left of each fixed cost after all that gain by the warehouse, at these prices, have paid."""
        slack = list(self.fixed)
        for price, cells in zip(prices, self.cells, strict=True):
            for each, j, there in cells:
                if each >= price:
                    break
                slack[j] -= there * (price - each)
        return slack

    def value(self, prices: list[int], slack: list[int], status: list[int]) -> int:
        """The bound: every unit at its price, less what warehouses gain above their fixed cost."""
        total = sum(need * price for need, price in zip(self.need, prices, strict=True))
        for left, state in zip(slack, status, strict=True):
            if state == OPEN or (left < 0 and state == FREE):
                total += left
        return total

    def raise_price(self, sku: int, prices: list[int], slack: list[int], status: list[int], share: int) -> bool:
        """Set one price where the bound is highest, all others as they are; False when there is not enough."""
        price, cells = prices[sku], self.cells[sku]
        asks = []
        for each, j, there in cells:
            state = status[j]
            if state == CLOSED:
                continue
            if price > each:
                slack[j] += there * (price - each)
            left = slack[j]
            asks.append((each + left // (share * there) if state == FREE and left > 0 else each, there))
        asks.sort()
        left, price = self.need[sku], -1
        for ask, there in asks:
            left -= there
            if left <= 0:
                price = ask
                break
        if price < 0:
            return False
        prices[sku] = price
        for each, j, there in cells:
            if each >= price:
                break
            if status[j] != CLOSED:
                slack[j] -= there * (price - each)
        return True

    def step(self, gap: int, prices: list[int], slack: list[int], status: list[int]) -> None:
        """A step up the bound's slope: dearer where less is offered at this price than needed, else cheaper."""
        slopes = []
        for need, price, cells in zip(self.need, prices, self.cells, strict=True):
            offered = 0
            for each, j, there in cells:
                if each >= price:
                    break
                if status[j] == OPEN or (slack[j] < 0 and status[j] == FREE):
                    offered += there
            slopes.append(need - offered)
        steepness = sum(slope * slope for slope in slopes)
        if not steepness:
            return
        for sku, slope in enumerate(slopes):
            prices[sku] = max(0, prices[sku] + gap * slope // steepness)
        slack[:] = self.slack(prices)

    def settle(self, bound: int, above: int, slack: list[int], status: list[int]) -> None:
        """A warehouse that makes every set dearer than the best known is closed; one whose absence does is open."""
        for j, state in enumerate(status):
            if state == FREE and bound + abs(slack[j]) >= above:
                status[j] = CLOSED if slack[j] >= 0 else OPEN

    def try_sets(self, slack: list[int], status: list[int], root: bool) -> None:
        """The warehouses that these prices pay for, with the next ones until there is enough."""
        opened = [j for j, state in enumerate(status) if state == OPEN or (state == FREE and slack[j] <= 0)]
        waiting = [j for j, state in enumerate(status) if state == FREE and slack[j] > 0]
        waiting.sort(key=lambda j: (slack[j], j))
        while self.offer(opened) is None and waiting:
            opened.append(waiting.pop(0))
        if root:
            self.improve()

"""The whole system on servers of its own: orders of every kind, what became of them, and whether every invariant holds.

Nothing in here is special to the demo but shorter times, and those are settings.
"""

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from contracts.inventory import ReceiveStock
from services.ops.invariants import Invariant, Seen, all_hold, check, fetch_books
from services.ops.order import find
from services.ops.quiet import until_quiet
from services.sandbox.case import Case, Scenario
from services.sandbox.control import free_port
from services.sandbox.operators import FED, SUPPLIES, Operators, Supplied
from services.sandbox.processes import Group, check_alive, running, until_started
from services.sandbox.scenarios import LATER, OVERSOLD, SCENARIOS, cases
from services.sandbox.servers import Servers
from services.sandbox.shopper import Heard, Saying, Shopper
from shared.provision import SERVICES
from shared.tasks import cancel_all

SHORT_TIMES: Final[Mapping[str, str]] = {
    "HOLD_FOR_S": "10",
    "PENDING_WAIT_S": "20",
    "PROVIDER_TIMEOUT_S": "1",
    "ATTEMPT_OVERDUE_S": "4",
    "ASK_AGAIN_AFTER_S": "0.5,1,2",
    "ORCHESTRATOR_RETRY_FOR_S": "6",
    "RETURN_WINDOW_S": "2",
    "WAREHOUSE_PACE_S": "0.05",
    "WAREHOUSE_MISSING": ",".join(f"{FED}/{sku}" for sku in OVERSOLD.values()),
    "SHORTAGE_ANSWER_S": "8",
    "SANDBOX_PROVIDER_SETTLE_AFTER_S": "1",
    "CAPTURE_PER_SHIPMENT": LATER,
}
"""What usually takes minutes takes seconds, by setting."""
OPEN_AT_ONCE: Final = 24
"""Checkouts waiting for their money at once: a slow machine takes longer, and loses no reservation over it."""
UNITS: Final = {"ship": "units shipped", "restock": "units restocked"}
"""Kind of movement -> the word for its units."""
MOVED: Final = (
    "SELECT kind, sku, sum(quantity) FROM inventory.movements WHERE kind IN ('ship', 'restock') GROUP BY 1, 2"
)
START_WITHIN_S: Final = 60.0
FOLLOW_FOR_S: Final = 100.0
QUIET_WITHIN_S: Final = 60.0
POISONED: Final = Scenario(
    "poison inside", "a broken message of our own", 2, (), lambda case: [], parks="malformed_json",
    places_an_order=False,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one scenario's cases."""

    scenario: Scenario
    asked: int
    as_expected: int
    words: Mapping[str, int]
    wrong: tuple[str, ...] = ()
    story: Mapping[str, Any] = field(default_factory=dict)
    """What `oms order` tells of the first of them."""

    @property
    def holds(self) -> bool:
        return self.asked > 0 and self.as_expected == self.asked and not self.wrong

    def shown(self) -> dict[str, Any]:
        return {
            "name": self.scenario.name,
            "what": self.scenario.what,
            "asked": self.asked,
            "as_expected": self.as_expected,
            "became": dict(self.words),
            "wrong": list(self.wrong),
            "holds": self.holds,
            "story": [line["name"] for line in self.story.get("story", ())],
        }


@dataclass
class Outcome:
    """The demo's result, as printed."""

    servers: str
    orders: int
    seed: int
    seconds: float = 0.0
    became: list[Became] = field(default_factory=list)
    invariants: list[Invariant] = field(default_factory=list)
    moving: dict[str, int] = field(default_factory=dict)
    confirmed_within_ms: tuple[float, float] = (0.0, 0.0)
    events_heard: int = 0

    @property
    def ok(self) -> bool:
        return all(one.holds for one in self.became) and all_hold(self.invariants) and not self.moving

    def shown(self) -> dict[str, Any]:
        p50, p99 = self.confirmed_within_ms
        return {
            "ok": self.ok,
            "orders": self.orders,
            "seed": self.seed,
            "servers": self.servers,
            "seconds": round(self.seconds, 1),
            "events_heard": self.events_heard,
            "confirmed_p50_ms": round(p50),
            "confirmed_p99_ms": round(p99),
            "scenarios": [one.shown() for one in self.became],
            "invariants": [one.shown() for one in self.invariants],
            "still_moving": self.moving,
        }


@dataclass
class Shop:
    """The storefront of the demo: it plays every case and keeps what it heard."""

    cases: Sequence[Case]
    rate_per_s: float
    by_key: dict[str, Case] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    begun: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        for case in self.cases:
            self.by_key[case.key] = case

    async def hear(self, event: Heard) -> None:
        self.heard.append(event)
        case = self.by_key.get(event.key) or self.by_key.get(event.key.rpartition("-refund-")[0])
        if case is None:
            return
        if not case.confirmed_at and event.topic == "order.confirmed":
            case.confirmed_at = time.monotonic()
        for saying in case.heard(event):
            self._say_soon(saying)
        self.changed.set()

    async def play(self, shopper: Shopper) -> None:
        """Begin every case, evenly."""
        self._shopper, self._saying = shopper, set[asyncio.Task[None]]()
        started = time.monotonic()
        for number, case in enumerate(self.cases):
            await asyncio.sleep(max(0.0, started + number / self.rate_per_s - time.monotonic()))
            await self._until_few_are_open()
            case.placed_at = time.monotonic()
            for saying in case.begin():
                self._say_soon(saying)
            self.begun += 1
            self.changed.set()

    async def _until_few_are_open(self) -> None:
        while sum(1 for case in self.cases[: self.begun] if case.is_open) >= OPEN_AT_ONCE:
            await self.until_changed(5.0)

    async def until_changed(self, within_s: float) -> None:
        """Until something is heard or begun, at most so long. Nobody awaits between looking and this, so nothing is
        missed however many wait."""
        self.changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), within_s)

    def _say_soon(self, saying: Saying) -> None:
        self._saying.add(task := asyncio.create_task(self._shopper.say(saying)))
        task.add_done_callback(self._saying.discard)

    def over(self) -> int:
        return sum(1 for case in self.cases if case.is_over)

    def seen(self) -> Seen:
        return Seen(
            [kept for case in self.cases for kept in case.said],
            [(event.id, event.type, event.body) for event in self.heard],
        )

    def of(self, scenario: str) -> list[Case]:
        return [case for case in self.cases if case.scenario.name == scenario]

    def became(self, moved: Mapping[tuple[str, str], int]) -> list[Became]:
        return [became(scenario, self.of(scenario.name), moved) for scenario in SCENARIOS]


def became(scenario: Scenario, of: Sequence[Case], moved: Mapping[tuple[str, str], int]) -> Became:
    """`moved`: units by kind of movement and SKU, as inventory has them."""
    words: Counter[str] = Counter(word for case in of for word in case.words)
    wrong = [
        f"{word}: {words[word]} instead of {count}" for word, count in scenario.exactly.items() if words[word] != count
    ]
    for (kind, sku), each in scenario.moves.items():
        units = moved.get((kind, sku), 0)
        words[UNITS[kind]] += units
        if units != each * len(of):
            wrong.append(f"{units} units of {sku} {UNITS[kind].partition(' ')[2]} instead of {each * len(of)}")
    wrong += [f"{case.key} heard {', '.join(case.words) or 'nothing'}" for case in of if not case.is_as_expected][:5]
    return Became(scenario, len(of), sum(case.is_as_expected for case in of), dict(words), tuple(wrong))


class Demo:
    """One run on servers that are there. `show` is called whenever something changed."""

    def __init__(
        self,
        servers: Servers,
        env: Mapping[str, str],
        *,
        orders: int,
        seed: int,
        logs: Path,
        say: Callable[[str], None],
    ) -> None:
        self.logs, self.say = logs, say
        self.outcome = Outcome(servers.how, orders, seed)
        self.shop = Shop(cases(orders, seed), rate_per_s=max(30.0, orders / 8))
        provider_port, webhook_port, secret = free_port(), free_port(), secrets.token_urlsafe(24)
        self.env = {
            **env,
            **SHORT_TIMES,
            "SANDBOX_PROVIDER_PORT": str(provider_port),
            "SANDBOX_PROVIDER_WEBHOOK_SECRET": secret,
            "PROVIDER_URL": f"http://127.0.0.1:{provider_port}",
            "PAYMENT_HTTP_PORT": str(webhook_port),
            "WEBHOOK_URL": f"http://127.0.0.1:{webhook_port}/webhooks/provider",
            "WEBHOOK_SECRET": secret,
        }
        self.operators = Operators(self.env, logs)

    async def run(self, follow: Callable[["Demo"], Any]) -> Outcome:
        """Start, stock, shop, wait, check. `follow` is a context manager that shows how it goes."""
        started = time.monotonic()
        with running([["all"], ["world"]], self.env, self.logs) as processes:
            await until_started(processes, [len(SERVICES), 1], START_WITHIN_S)
            self.say(f"services started in {time.monotonic() - started:.1f} s: {', '.join(SERVICES)}; and the world")
            await self.operators.stock()
            with follow(self):
                async with Shopper(self.env["STOREFRONT_AMQP_URL"], self.shop.hear) as shopper:
                    await self._shop(shopper, processes)
            moved = {(kind, sku): int(units) for kind, sku, units in await self.operators.rows(MOVED)}
            self.outcome.became = [*self.shop.became(moved), await self._poisoned()]
            books = await fetch_books(self.env["PROVIDER_URL"])
            self.outcome.invariants = await check(
                self.env, books, seen=self.shop.seen(), expected_parked=self._expected_parked()
            )
            self.outcome.became = [await self._with_story(one) for one in self.outcome.became]
        self._measure()
        self.outcome.seconds = time.monotonic() - started
        return self.outcome

    async def _with_story(self, became: Became) -> Became:
        order_id = next((case.order_id for case in self.shop.of(became.scenario.name) if case.order_id), "")
        found = await find(order_id, self.env) if order_id else []
        return replace(became, story=found[0]) if found else became

    async def _shop(self, shopper: Shopper, processes: Sequence[Group]) -> None:
        """Place everything and wait until it ended and nothing moves any more, at most `FOLLOW_FOR_S`."""
        playing, supplying = asyncio.create_task(self.shop.play(shopper)), self._supply()
        ends = time.monotonic() + FOLLOW_FOR_S
        try:
            await self._poison()
            await self._until_over(processes, ends, supplying)
            await self._until_completed()
            self.outcome.moving = await until_quiet(self.env, QUIET_WITHIN_S)
            await self._until_over(processes, ends, supplying)  # the last events are on their way to us
        finally:
            await cancel_all([playing, *supplying])

    async def _until_completed(self) -> None:
        """What was delivered is completed when nobody sent it back in time, and the storefront is to hear that too."""
        with suppress(TimeoutError):  # then what is still under way is told with everything else
            async with asyncio.timeout(QUIET_WITHIN_S):
                # told by the database: a timer that has not rung yet is nowhere else
                while await self.operators.ask("SELECT count(*) FROM orders.orders WHERE state = 'delivered'"):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)

    async def _until_over(
        self, processes: Sequence[Group], ends: float, supplying: Sequence[asyncio.Task[None]]
    ) -> None:
        while time.monotonic() < ends:
            done = [task for task in supplying if task.done()]
            for task in done:
                task.result()  # raises what went wrong there
            if self.shop.over() == len(self.shop.cases) and len(done) == len(supplying):
                return
            check_alive(processes)
            await self.shop.until_changed(1.0)

    # -- what operators do ---------------------------------------------------------------------------------------

    def _supply(self) -> list[asyncio.Task[None]]:
        """What is waited for comes, each when all who wait for it were promised it."""
        return [
            asyncio.create_task(self._supply_when(word, self.shop.of(name), supplied))
            for name, word, supplied in SUPPLIES
        ]

    async def _supply_when(self, word: str, of: Sequence[Case], supplied: Supplied) -> None:
        while not all(word in case.words for case in of):
            if any(case.unexpected for case in of):
                return  # one of them ended otherwise: that is what the table will say
            await self.shop.until_changed(1.0)
        await supplied(self.operators, of)

    async def _poison(self) -> None:
        """A broken message where only ours are expected: parked, for there is no sender to tell."""
        await self.operators.publish([(ReceiveStock.full_type, b'{"reference": "half')] * POISONED.per_240)

    async def _poisoned(self) -> Became:
        parked = await self.operators.ask("SELECT count(*) FROM inventory.parked WHERE reason = 'malformed_json'")
        return Became(POISONED, POISONED.per_240, parked, {"parked malformed_json": parked})

    def _expected_parked(self) -> dict[str, int]:
        expected = Counter(case.scenario.parks for case in self.shop.cases if case.scenario.parks)
        expected[POISONED.parks] += POISONED.per_240
        return dict(expected)

    def _measure(self) -> None:
        """From the storefront's message to its confirmation, of those paid at once."""
        took = sorted(
            (case.confirmed_at - case.placed_at) * 1000
            for case in self.shop.cases
            if case.confirmed_at and case.scenario.name == "paid at once"
        )
        if took:
            self.outcome.confirmed_within_ms = (took[len(took) // 2], took[int(len(took) * 0.99)])
        self.outcome.events_heard = len(self.shop.heard)


def as_json(outcome: Outcome) -> str:
    return json.dumps(outcome.shown(), indent=2)

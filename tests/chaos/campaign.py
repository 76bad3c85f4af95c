"""One campaign: checkouts keep coming while faults happen; then all settles, and it is counted what became of them.

All of it is seen from outside: what the storefront said and heard, the provider's own books, SQL as the owner.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from services.ops.invariants import Invariant, Seen, check, fetch_books
from services.ops.quiet import until_quiet
from tests.chaos.clock import due
from tests.chaos.stockroom import INSTEAD, Stockroom
from tests.support.processes import System
from tests.support.proxy import Proxy
from tests.support.shopping import checkout
from tests.support.speaker import Speaker
from tests.support.storefront import ENDS, Storefront
from tests.support.until import until

ROUNDS: Final = int(os.environ.get("WAYBILL_CHAOS_ROUNDS", "1"))
"""How often each fault happens: once in `make test`, twenty times in `make chaos`."""
SEED: Final = int(os.environ.get("WAYBILL_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
ORDERS: Final = 40 if ROUNDS == 1 else 500
"""Checkouts of a campaign, at least."""
MOST_ORDERS: Final = 40 * ORDERS
MOST_WAITING: Final = 150 if ROUNDS == 1 else 400
"""Checkouts without an end, above which nobody places more: on a slow machine the rest would only be waited for."""
RATE_PER_S: Final = float(os.environ.get("WAYBILL_CHAOS_RATE", "0")) or (8.0 if ROUNDS == 1 else 35.0)
SETTLED_WITHIN_S: Final = 120.0 + 20.0 * ROUNDS
RARE: Final = "RARE"
"""A SKU of which there is one unit."""

MIX: Final[tuple[tuple[str, int, str], ...]] = (
    # what is bought and how it is paid, how often, and how it must end
    ("tok_ok", 46, "order.confirmed"),
    ("per shipment", 8, "order.confirmed"),
    ("tok_declined", 8, "order.cancelled"),
    ("tok_do_then_timeout", 5, "order.confirmed"),
    ("tok_pending_then_paid", 5, "order.confirmed"),
    ("tok_pending_then_failed", 4, "order.cancelled"),
    ("tok_duplicate_webhook", 4, "order.confirmed"),
    ("payment first", 4, "order.confirmed"),
    ("too many", 4, "order.cancelled"),
    ("backordered", 6, "order.confirmed"),
    ("missing", 6, "order.confirmed or order.cancelled"),  # its shelf may just have been counted empty
)
SAID_TWICE: Final = 0.05
STUCK: Final = frozenset(
    {
        "no run is stuck",
        "nothing waits to be said",
        "nothing is overdue",
        "nothing is parked unexpectedly",
        "every call to the provider ended",
        "no money waits on a dead order",
    }
)
LOST: Final = frozenset(
    {"every accepted checkout ended", "a storefront hears how each order ends", "stories are gapless"}
)


@dataclass
class Verdict:
    """One row of the table."""

    fault: str
    seed: int
    times: int = 0
    placed: int = 0
    confirmed: int = 0
    cancelled: int = 0
    lost: int = 0
    double_effects: int = 0
    stuck: int = 0
    shortages: int = 0
    """Orders whose units were not there after all; each was settled."""
    released: int = 0
    """Orders that were sent what they had waited for."""
    wrong_ends: int = 0
    in_flight: int = 0
    """Placed before a fault was over and not ended when it began."""
    in_flight_confirmed: int = 0
    recovery_s: float = 0.0
    """From the end of a fault until every order placed before it had its end; the longest."""
    settled_s: float = 0.0
    trouble: list[str] = field(default_factory=list)


VERDICTS: Final[list[Verdict]] = []


def keep(verdicts: list[Verdict]) -> None:
    """After each campaign: what was found must not depend on the ones that follow."""
    if path := os.environ.get("WAYBILL_CHAOS_JSON"):
        Path(path).write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n")


@dataclass
class Place:
    """Everything a campaign may touch."""

    system: System
    shop: Storefront
    source: Speaker
    amqp: Proxy
    database: Proxy
    provider: Proxy
    env: dict[str, str]
    servers: Any
    sequences: Iterator[int]
    """Of what the stock source says."""


@dataclass
class Campaign:
    place: Place
    fault: str
    rate_per_s: float = RATE_PER_S
    only_good: bool = False
    """Every checkout could be confirmed: for counting how many are."""
    chance: random.Random = field(init=False)
    expected: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By checkout id: how it must end, and when it was placed."""
    waiting: set[str] = field(default_factory=set)
    """Of those, the ones without an end yet."""
    faults: list[tuple[float, float]] = field(default_factory=list)
    stockroom: Stockroom = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{SEED} {self.fault}")
        self.stockroom = Stockroom(self.place, len(VERDICTS), random.Random(f"{SEED} stock {self.fault}"))

    @asynccontextmanager
    async def happening(self) -> AsyncIterator[None]:
        """Around one fault: from its first to its last moment."""
        began = time.monotonic()
        yield
        self.faults.append((began, time.monotonic()))

    async def run(self, faults: Callable[["Campaign"], Awaitable[None]]) -> Verdict:
        """Load and faults together, then peace, then the count; raises AssertionError unless everything holds."""
        verdict = Verdict(self.fault, SEED)
        VERDICTS.append(verdict)
        try:
            return await self._run(faults, verdict)
        except BaseException as broken:
            verdict.trouble.append(f"{type(broken).__name__}: {str(broken)[:500]}")
            raise
        finally:
            keep(VERDICTS)

    async def _run(self, faults: Callable[["Campaign"], Awaitable[None]], verdict: Verdict) -> Verdict:
        over = asyncio.Event()
        await self.stockroom.open()
        load = asyncio.gather(self._load(over), self.stockroom.work(over))
        try:
            await until(lambda: len(self.expected) >= 8, "the first checkouts", within_s=60)
            await faults(self)
        finally:
            over.set()
            await load
        calmed = time.monotonic()
        try:
            await until(self._all_ended, self._what_waits, within_s=SETTLED_WITHIN_S)
        except AssertionError as late:
            verdict.trouble.append(str(late))
        await self.stockroom.close()
        moving = await until_quiet(self.place.env, SETTLED_WITHIN_S)
        verdict.settled_s = round(time.monotonic() - calmed, 1)
        self._count(verdict, moving, await self._invariants())
        assert not verdict.trouble, self._report(verdict)
        return verdict

    async def caught_up(self) -> None:
        """Every order placed so far has its end: a fault that lets nothing through is not followed at once by the next,
        or nothing ever would get through."""
        placed = set(self.expected)
        await until(
            lambda: placed.isdisjoint(self._unended()),
            self._what_waits,
            within_s=SETTLED_WITHIN_S,
        )

    # -- load ----------------------------------------------------------------------------------------------------

    async def _load(self, over: asyncio.Event) -> None:
        """Open loop: the next checkout comes when its time comes, whatever became of the others; up to a bound."""
        next_at, saying = time.monotonic(), set[asyncio.Task[None]]()
        for number in range(MOST_ORDERS):
            if over.is_set() and number >= ORDERS:
                break
            await until(
                lambda: over.is_set() or self._has_room(),
                lambda: f"fewer than {MOST_WAITING} waiting; {self._unended()[:3]}",
                within_s=SETTLED_WITHIN_S,
            )
            saying.add(asyncio.create_task(self._shop(number)))
            next_at = max(
                next_at + 1 / self.rate_per_s, time.monotonic() - 1.0
            )  # a pause is not made up for in a burst
            await due(next_at)
        await asyncio.gather(*saying)

    async def _shop(self, number: int) -> None:
        id_ = f"{self.fault}-{SEED}-{number}".replace(" ", "-")
        kinds = MIX[:1] if self.only_good else MIX
        kind, _, end = self.chance.choices(kinds, weights=[weight for _, weight, _ in kinds])[0]
        twice = self.chance.random() < SAID_TWICE
        sku = self.chance.choice(("A-1", "A-2", "A-3"))
        message_id = f"{id_}-message"
        self.expected[id_] = (end, time.monotonic())
        self.waiting.add(id_)
        shop = self.place.shop
        match kind:
            case "too many":
                placed = checkout(id_, ("A-1", 1, 700), (RARE, 5, 100))
            case "payment first":
                placed = checkout(id_, (sku, 1, 900), ("A-4", 2, 300), token=None)
                payment = f'{{"checkout_id": "{id_}", "payment": {{"token": "tok_ok"}}}}'
                await shop.say("checkout.provide_payment", payment.encode(), message_id=f"{id_}-payment")
            case "per shipment":  # captured as its parcels leave, and now and then nobody hears that it was
                held = {"method": "bnpl", "token": self.chance.choice(("tok_ok", "tok_ok_capture_timeout"))}
                placed = checkout(id_, (sku, 1, 900), ("A-4", 2, 300), payment=held)
            case "backordered" | "missing":
                held_up = getattr(self.stockroom, kind)
                placed = checkout(id_, (held_up, self.chance.randint(1, 2), 500), (INSTEAD, 2, 300))
            case token:
                placed = checkout(id_, (sku, 1, 900), ("A-4", 2, 300), token=token)
        await shop.place(placed, message_id=message_id)
        if twice:
            await shop.place(placed, message_id=message_id)

    # -- the count -----------------------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        return len(self._unended()) < MOST_WAITING

    def _unended(self) -> list[str]:
        self.waiting = {id_ for id_ in self.waiting if self.place.shop.end_of(id_) is None}
        return sorted(self.waiting)

    def _what_waits(self) -> str:
        """With what was heard of each: that says where it stands."""
        heard = {id_: [said.topic for said in self.place.shop.about(id_)] for id_ in self._unended()[:5]}
        return f"an end of {heard}"

    def _all_ended(self) -> bool:
        return not self._unended()

    async def _invariants(self) -> list[Invariant]:
        shop = self.place.shop
        checkouts = [
            ("checkout", key, content) for topic, key, content, _ in shop.asked.values() if topic == "checkout.place"
        ]
        heard = [(said.id, said.type, said.body) for said in shop.heard]
        books = await fetch_books(self.place.system.provider_url)
        return await check(self.place.env, books, settled=True, seen=Seen(checkouts, heard))

    def _count(self, verdict: Verdict, moving: dict[str, int], invariants: list[Invariant]) -> None:
        ends = {id_: self.place.shop.end_of(id_) for id_ in self.expected}
        topics = {id_: end.topic if end else "" for id_, end in ends.items()}
        verdict.times = len(self.faults)
        verdict.placed = len(ends)
        verdict.confirmed = sum(topic == "order.confirmed" for topic in topics.values())
        verdict.cancelled = sum(topic in ENDS[1:] for topic in topics.values())
        verdict.lost = sum(end is None for end in ends.values())
        verdict.stuck = sum(moving.values())
        self.stockroom.hear()
        verdict.shortages, verdict.released = (self.stockroom.said[word] for word in ("shortages", "released"))
        if ROUNDS > 1 and not self.only_good:
            verdict.trouble += [f"no {what}" for what in ("shortages", "released") if not self.stockroom.said[what]]
        wrong = [
            f"{id_} ended {topics[id_]!r}, not {end!r}"
            for id_, (end, _) in self.expected.items()
            if topics[id_] not in end.split(" or ")
        ]
        verdict.wrong_ends = len(wrong)
        verdict.trouble += wrong[:5]
        verdict.trouble += [f"still moving: {what}: {many}" for what, many in moving.items()]
        for invariant in invariants:
            if invariant.holds:
                continue
            verdict.trouble.append(f"{invariant.name}: {invariant.broken} of {invariant.checked}, {invariant.examples}")
            if invariant.name in STUCK:
                verdict.stuck += invariant.broken
            elif invariant.name in LOST:
                verdict.lost += invariant.broken
            else:
                verdict.double_effects += invariant.broken
        in_flight: set[str] = set()
        for began, over in self.faults:
            for id_, (_, at) in self.expected.items():
                end = ends[id_]
                if at <= over and (end is None or end.at >= began):
                    in_flight.add(id_)
                    if end is not None:
                        verdict.recovery_s = max(verdict.recovery_s, round(end.at - over, 1))
        verdict.in_flight = len(in_flight)
        verdict.in_flight_confirmed = sum(topics[id_] == "order.confirmed" for id_ in in_flight)

    def _report(self, verdict: Verdict) -> str:
        replay = (
            f"WAYBILL_CHAOS_SEED={SEED} WAYBILL_CHAOS_ROUNDS={ROUNDS} pytest tests/chaos -k '{self.fault.split()[0]}'"
        )
        words = "\n".join(
            f"--- {name}\n{process.last_words(6)}" for name, process in self.place.system.processes.items()
        )
        return "\n".join([*verdict.trouble, f"seed {SEED}; again: {replay}", words])

"""The whole system as its users run it, for one benchmark: several processes, real servers, and a proof at the end.

A benchmark's figures count only if nothing is left under way, the queues are empty and every invariant holds.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol, Self

import aio_pika
import asyncpg
import orjson

from contracts.catalogue import COMMANDS
from contracts.inventory import ReceiveStock
from services.ops.invariants import Invariant, Seen, check, fetch_books
from services.ops.quiet import until_quiet
from services.ops.rules.rule import SCHEMAS
from services.sandbox.bench.child import child
from services.sandbox.bench.cpu import Meter
from services.sandbox.bench.load import Plan
from services.sandbox.carts import receipts
from services.sandbox.control import free_port
from services.sandbox.environment import Environment, prepare
from services.sandbox.processes import Group, check_alive, running, until_started
from services.sandbox.servers import Servers
from shared.ids import new_id
from shared.topology import DEFAULT_STOREFRONTS, QUEUES, listener_queue

TWO_PROCESSES: Final = (("orchestrator", "payment"), ("order", "inventory", "fulfillment"))
WAREHOUSES: Final = ("leipzig", "lyon", "osaka")
PLENTY: Final = 1_000_000
"""Of each SKU: the benchmark is not to run out of them."""
RECEIPTS: Final = 500
"""Per message, the most the contract takes."""
START_WITHIN_S: Final = 60.0
STOCK_WITHIN_S: Final = 120.0
QUIET_WITHIN_S: Final = 120.0
EMPTY_WITHIN_S: Final = 30.0
ALWAYS_UNDER_WAY: Final = frozenset({"shipments under way"})
"""The warehouse takes every order and reports nothing."""

Stock = Mapping[tuple[str, str], int]
"""Units by SKU and warehouse."""


class Watching(Protocol):
    def __call__(self, what: str, share: float) -> None:
        """How it goes, and how much of the measuring is done (0 … 1)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What may be set; the defaults are the benchmark, smaller ones are for tests of it."""

    seconds: float = 60.0
    warmup_s: float = 10.0
    rate: float = 20.0
    in_flight: int = 1_000
    skus: int = 10_000
    buyers: int = 10_000
    units: int = 500
    rows: int = 1_000_000
    relay_orders: int = 5_000
    webhooks: int = 5_000
    yardstick_s: float = 5.0
    layout: tuple[tuple[str, ...], ...] = TWO_PROCESSES

    def with_layout(self, groups: Sequence[str]) -> Self:
        return replace(self, layout=tuple(tuple(group.split()) for group in groups)) if groups else self


@dataclass(frozen=True, slots=True)
class Proof:
    """What was looked at after the run."""

    invariants: Sequence[Invariant]
    moving: Mapping[str, int]
    waiting: Mapping[str, int]

    @property
    def holds(self) -> bool:
        return not self.moving and not self.waiting and all(one.holds for one in self.invariants)

    def shown(self) -> dict[str, Any]:
        broken = {one.name: list(one.examples) for one in self.invariants if not one.holds}
        return {
            "invariants": {
                "checked": sum(one.checked for one in self.invariants),
                "broken": sum(one.broken for one in self.invariants),
                **({"which": broken} if broken else {}),
            },
            **({"still_moving": dict(self.moving)} if self.moving else {}),
            **({"still_queued": dict(self.waiting)} if self.waiting else {}),
        }


@dataclass
class Stage:
    """Services, world and goods, ready for a storefront."""

    servers: Servers
    env: Mapping[str, str]
    groups: Sequence[Group]
    folder: Path
    watching: Watching
    meter: Meter = field(default_factory=lambda: Meter({}), init=False)
    settled_s: float = field(default=0.0, init=False)
    moving: Mapping[str, int] = field(default_factory=dict, init=False)
    measuring_since: float | None = field(default=None, init=False)

    async def load(self, plan: Plan) -> dict[str, Any]:
        """Let the storefront do as planned. CPU is counted from the end of the warm-up until nothing moves any more,
        so that work put off is paid for too."""
        heard = self.folder / "heard.jsonl"
        plan = replace(plan, url=self.env["STOREFRONT_AMQP_URL"], heard_into=str(heard))
        async with child("services.sandbox.bench.load", plan.as_task(), self.folder / "load.log") as load:
            services = [group.process.pid for group in self.groups if group.names != ("world",)]
            world = [group.process.pid for group in self.groups if group.names == ("world",)]
            self.meter = Meter({"services": services, **self.servers.pids(), "load": [load.pid], "world": world})
            told: dict[str, Any] = {}
            async for told in load.words():
                self._heard(told, plan)
            self.watching("until nothing moves", 1.0)
            since = asyncio.get_running_loop().time()
            self.moving = await until_quiet(self.env, QUIET_WITHIN_S, but=ALWAYS_UNDER_WAY)
            self.settled_s = asyncio.get_running_loop().time() - since
            self.meter.stop()
        return told

    def _heard(self, told: Mapping[str, Any], plan: Plan) -> None:
        now = asyncio.get_running_loop().time()
        if told["said"] == "measuring":
            self.meter.start()
            self.measuring_since = now
        elif told["said"] == "going":
            check_alive(self.groups)
            what, share = "warming up", 0.0
            if self.measuring_since is not None:
                done = told["answered"] / plan.buyers if plan.buyers else (now - self.measuring_since) / plan.seconds
                what, share = "measuring", min(1.0, done)
            self.watching(f"{what}: {told['placed']} placed, {told['answered']} answered", share)

    async def prove(self, mark: str, placed: int) -> Proof:
        """Look at everything once it is over."""
        self.watching("checking invariants", 1.0)
        waiting = await queued(self.env["AMQP_URL"], EMPTY_WITHIN_S)
        books = await fetch_books(self.env["PROVIDER_URL"])
        checkouts = [f"{mark}-{number}" for number in range(placed)]
        with (self.folder / "heard.jsonl").open("rb") as lines:
            events = [tuple(orjson.loads(line)) for line in lines]
        seen = Seen([("checkout", checkout, checkout) for checkout in checkouts], events)
        return Proof(await check(self.env, books, seen=seen), self.moving, waiting)

    async def ask(self, query: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.env["DATABASE_URL"])
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def messages(self) -> int:
        """How many messages the services have heard so far."""
        counts = " + ".join(f"(SELECT count(*) FROM {schema}.inbox)" for schema in SCHEMAS)
        return int(await self.ask(f"SELECT {counts}"))

    async def receive(self, stock: Stock) -> None:
        """Goods arrive, in messages of `RECEIPTS` lines, and are on their shelves when this returns."""
        lines = sorted(stock.items())
        connection = await aio_pika.connect(self.env["AMQP_URL"])
        async with connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await channel.get_exchange(COMMANDS, ensure=False)
            for first in range(0, len(lines), RECEIPTS):
                some = dict(lines[first : first + RECEIPTS])
                id_ = str(new_id())
                head = {"specversion": "1.0", "id": id_, "source": "ops", "type": ReceiveStock.full_type}
                message = aio_pika.Message(
                    orjson.dumps(receipts(f"bench-{id_}", some)),
                    headers={f"cloudEvents:{name}": value for name, value in head.items()},
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                )
                await exchange.publish(message, ReceiveStock.heard_by, mandatory=True)
        async with asyncio.timeout(STOCK_WITHIN_S):
            while await self.ask("SELECT count(*) FROM inventory.shelves") < len(lines):
                check_alive(self.groups)
                await asyncio.sleep(0.2)


@asynccontextmanager
async def stage(servers: Servers, asked: Asked, stock: Stock, folder: Path, watching: Watching) -> AsyncIterator[Stage]:
    """A database and a vhost of our own, services started as asked, and the goods on their shelves."""
    watching("making a database and a vhost", 0.0)
    environment: Environment = await asyncio.to_thread(prepare, servers, f"waybill_bench_{secrets.token_hex(4)}")
    try:
        env = {**environment.env, **world()}
        layout = [*asked.layout, ("world",)]
        watching("starting services", 0.0)
        with running(layout, env, folder) as groups:
            await until_started(groups, [len(group) for group in layout], START_WITHIN_S)
            found = Stage(servers, env, groups, folder, watching)
            watching(f"filling {len(stock)} shelves", 0.0)
            await found.receive(stock)
            yield found
            watching("stopping services", 1.0)
    finally:
        await asyncio.to_thread(environment.drop)


def world() -> dict[str, str]:
    """A provider over HTTP, and a warehouse that takes every order and reports nothing."""
    provider, webhooks, secret = free_port(), free_port(), secrets.token_urlsafe(24)
    return {
        "SANDBOX_PROVIDER_PORT": str(provider),
        "SANDBOX_PROVIDER_WEBHOOK_SECRET": secret,
        "PROVIDER_URL": f"http://127.0.0.1:{provider}",
        "PAYMENT_HTTP_PORT": str(webhooks),
        "WEBHOOK_URL": f"http://127.0.0.1:{webhooks}/webhooks/provider",
        "WEBHOOK_SECRET": secret,
        "WAREHOUSE_PACE_S": "0",
    }


async def queued(url: str, within_s: float) -> dict[str, int]:
    """Messages in any queue; the broker's counts lag, so what is not zero is asked again for a while."""
    names = [name for queue in QUEUES for name in (queue.name, queue.dead)]
    names += [listener_queue(storefront) for storefront in DEFAULT_STOREFRONTS]
    ends = asyncio.get_running_loop().time() + within_s
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        while True:
            found: dict[str, int] = {}
            for name in names:
                queue = await channel.declare_queue(name, passive=True, timeout=10)
                if count := queue.declaration_result.message_count:
                    found[name] = count
            if not found or asyncio.get_running_loop().time() > ends:
                return found
            await asyncio.sleep(0.5)

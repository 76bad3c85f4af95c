"""A service is loops over one store: batches, relay, the calls of each effect, doors. It starts them in order and
drains on SIGTERM.

Loops share nothing but events: a committed batch wakes the relay and the effects; what an effect learned is a message.
"""

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from contracts.message import Message
from shared import migrations, observability
from shared.batch import DUE_AT_ONCE, Batches, TooManyConflicts
from shared.broker import Delivery, Intake, Listening, Speaking
from shared.calls import POLL_S, Calls
from shared.consumer import Consumer, subject_of
from shared.crash import point
from shared.effects import Effect
from shared.envelope import SHARDS, Envelope, head_of
from shared.health import Door, Doors
from shared.heard import Done, Heard
from shared.ids import new_id
from shared.postgres import AWAY, PostgresStore, connect_pool
from shared.relay import WINDOW_ROWS, Relay
from shared.settings import ServiceSettings
from shared.store import Unavailable
from shared.tasks import cancel_all

GRACE_AFTER_CONNECT_S: Final = 3.0
"""Timers do not ring while the broker is away or has just come back: answers that waited in queues go first."""
OWED_FOR_S: Final = 0.05
"""How long what was published may wait in the outbox for the next look, when nothing else is to be said."""
REFUSED_FOR_S: Final = 1.0
"""How long the relay leaves a destination alone that took nothing while others did."""
OLD_S: Final = 5.0
"""A message said longer ago than this lay in a queue: we are behind, and deadlines wait until we are not."""
LONGEST_SILENCE_S: Final = 60.0
"""After so long without a ring timers do ring, however far behind we are: retries wait among them."""
DRAIN_S: Final = 25.0
MAX_PAUSE_S: Final = 5.0


class DueClock:
    """When to look for due work: at the next instant this process knows of, and every `POLL_S`."""

    def __init__(self) -> None:
        self._instants: list[float] = []
        self._polled = 0.0
        self._looked: float | None = None

    def add(self, instants: Sequence[datetime], now: float) -> None:
        """Only those before the next poll count: it finds the others."""
        for instant in instants:
            if (at := instant.timestamp()) <= now + POLL_S:
                heapq.heappush(self._instants, at)

    def is_due(self, now: float) -> bool:
        return now - self._polled >= POLL_S or (bool(self._instants) and self._instants[0] <= now)

    def looked(self, now: float, found: int) -> None:
        while self._instants and self._instants[0] <= now:
            heapq.heappop(self._instants)
        self._polled = 0.0 if found >= DUE_AT_ONCE else now
        self._looked = now

    def silent_for(self, now: float) -> float:
        """Seconds since due work was looked for, or since this was first asked."""
        if self._looked is None:
            self._looked = now
        return now - self._looked

    def seconds_left(self, now: float) -> float:
        nexts = [self._polled + POLL_S, *self._instants[:1]]
        return max(0.0, min(nexts) - now)


class Service:
    """`doors` are POST routes; `effects` the calls to the outside; `opens` and `closes` run around everything else."""

    def __init__(
        self,
        name: str,
        consumer: Consumer,
        schema: str,
        settings: ServiceSettings,
        *,
        effects: Sequence[Effect[Any]] = (),
        doors: Sequence[Door] = (),
        opens: Sequence[Callable[[], Awaitable[object]]] = (),
        closes: Sequence[Callable[[], Awaitable[None]]] = (),
        max_body: int = 64 * 1024,
    ) -> None:
        self.name, self.consumer, self.schema, self.settings = name, consumer, schema, settings
        self.effects, self.opens, self.closes = tuple(effects), tuple(opens), tuple(closes)
        self.log = observability.logger(name)
        self.intake = Intake(consumer.outside)
        self.doors = Doors(settings.http_host, settings.http_port, self.readiness, tuple(doors), max_body)
        self.relay_wake, self.stopping = asyncio.Event(), asyncio.Event()
        self.due_clock = DueClock()
        self.tasks: list[asyncio.Task[None]] = []
        self.calls: list[Calls] = []
        self.calling: list[asyncio.Task[None]] = []
        self.pool: asyncpg.Pool | None = None
        self.store: PostgresStore
        self.listening: Listening | None = None
        self.speaking: Speaking | None = None
        self.migrated = False
        self.broken: BaseException | None = None

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Returns when it consumes; waits for database, migrations and broker as long as they take."""
        settings = self.settings
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unavailable), wait=wait_random_exponential(multiplier=0.2, max=MAX_PAUSE_S)
        ):
            with attempt:
                self.pool = await connect_pool(settings.database_url, name=f"waybill-{self.name}")
        assert self.pool is not None
        self.store = PostgresStore(self.pool, self.schema)
        self.batches = Batches(self.consumer, self.store, new_id, retry_for_s=settings.retry_for_s)
        for opening in self.opens:
            await opening()
        await self.doors.start()
        await self._wait_until_migrated()
        self.listening = Listening(settings.amqp_url, self.consumer.queues, self.intake, settings.prefetch)
        self.speaking = Speaking(settings.amqp_url, f"waybill-{self.name}-out", self.relay_wake.set)
        await self.speaking.start()
        self.calls = [Calls(effect, self.store, self.submit, self.log) for effect in self.effects]
        self.calling = [self._begin(calls.run(DRAIN_S / 3), f"calls-{n}") for n, calls in enumerate(self.calls)]
        self.tasks = [self._begin(self._batches(), "batches"), self._begin(self._relay(), "relay"), *self.calling]
        await self.listening.start()
        self.log.info("started", http_port=self.doors.port)

    async def stop(self) -> None:
        """Finish the batch in hand, acknowledge it, say what is to be said, then let go. Bounded by `DRAIN_S`."""
        self.log.info("draining")
        for calls in self.calls:
            calls.end()
        if self.calling and not self.stopping.is_set():
            await asyncio.wait(self.calling, timeout=DRAIN_S / 2)  # what they learn is still decided
        self.stopping.set()
        for event in (self.intake.arrived, self.relay_wake):
            event.set()
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=DRAIN_S / 2)
            if left := await cancel_all(late):
                self.log.error("loops_left_behind", loops=sorted(task.get_name() for task in left))
        if self.listening is not None:
            await self.listening.stop()
        if self.speaking is not None:
            await self.speaking.stop()
        await self.doors.stop()
        for close in self.closes:
            await close()
        if self.pool is not None:
            with suppress(TimeoutError, *AWAY):
                async with asyncio.timeout(5.0):
                    await self.store.close()
        self.log.info("stopped")

    def _begin(self, loop: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._guard(loop, name), name=f"{self.name}-{name}")

    async def _guard(self, loop: Any, name: str) -> None:
        """A loop that ends by an error it does not know takes the service down, visibly."""
        try:
            await loop
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.broken = error
            self.log.exception("loop_broken", loop=name)
            self.stopping.set()
            self.relay_wake.set()
            self.intake.arrived.set()
            for calls in self.calls:
                calls.end()
            raise

    async def readiness(self) -> dict[str, bool]:
        """Ready means migrated, connected to both, consuming, and no loop broken."""
        database = False
        if self.migrated and self.pool is not None:
            with suppress(*AWAY):
                database = await self.pool.fetchval("SELECT true")
        return {
            "migrated": self.migrated,
            "database": database,
            "consuming": self.listening is not None and await self.listening.consuming(),
            "publishing": self.speaking is not None and self.speaking.connected,
            "loops": self.broken is None and not self.stopping.is_set(),
        }

    async def _wait_until_migrated(self) -> None:
        assert self.pool is not None
        wanted = migrations.head(self.name, self.schema)
        told = False
        while not self.stopping.is_set():
            found = None
            with suppress(asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError, *AWAY):
                found = await self.pool.fetchval(f"SELECT version_num FROM {self.schema}.alembic_version")
            if found == wanted:
                self.migrated = True
                return
            if not told:
                self.log.warning("waiting_for_migration", found=found, wanted=wanted)
                told = True
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), 0.5)

    # -- batches -------------------------------------------------------------------------------------------------

    async def submit(self, message: Message) -> None:
        """Hear a local message (what an effect learned, a webhook); returns once it is committed."""
        id_ = new_id()
        head = head_of(message, id_=id_, source=self.name, subject=subject_of(message), now=datetime.now(UTC), cause={})
        head["source"] = ""
        committed = asyncio.get_running_loop().create_future()
        envelope = Envelope(head, message.model_dump_json().encode())
        self.intake.put(Delivery([Heard(self.consumer.queues[0], envelope, id_, foreign=True)], None, committed))
        point("local.submitted")
        await committed
        point("local.committed")

    async def _batches(self) -> None:
        assert self.listening is not None
        pause = 0.0
        while not self.stopping.is_set():
            await self._until_work()
            now = time.time()
            deliveries = self.intake.take(self.settings.batch_messages)
            due = self._may_ring(deliveries, now) and self.due_clock.is_due(now)
            if not deliveries and not due:
                continue
            heard = [item for delivery in deliveries for item in delivery.heard]
            started = time.perf_counter()
            if heard:
                point("batch.taken")
            try:
                done = await self.batches.run(heard, due=due)
            except (Unavailable, TooManyConflicts) as away:
                pause = min(MAX_PAUSE_S, max(0.05, pause * 2))
                observability.PAUSES.labels(self.name).inc()
                self.log.warning("paused", why=str(away)[:300], for_s=round(pause, 2), messages=len(heard))
                self.intake.put_back(deliveries)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), pause)
                continue
            pause = 0.0
            if due:
                self.due_clock.looked(now, done.due_claimed)
            self.due_clock.add(done.next_due, now)
            if done.said:
                self.relay_wake.set()
            for calls in self.calls:
                calls.look_at(done)
            for delivery in deliveries:
                await delivery.ack()
                point("batch.acknowledged")
            observability.count_batch(self.name, done, time.perf_counter() - started)
            self._log_trouble(done)

    def _may_ring(self, deliveries: Sequence[Delivery], now: float) -> bool:
        """Whether timers may ring: an answer that came in time must not be overtaken by the deadline for it, only
        because it lay in a queue."""
        assert self.listening is not None
        if self.listening.connected_for_s() <= GRACE_AFTER_CONNECT_S:
            return False
        behind = any(delivery.said_before(now - OLD_S) for delivery in deliveries)
        return not behind or self.due_clock.silent_for(now) > LONGEST_SILENCE_S

    async def _until_work(self) -> None:
        if self.intake.waiting:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self.intake.arrived.wait(), self.due_clock.seconds_left(time.time()) or 0.01)

    def _log_trouble(self, done: Done) -> None:
        for due in done.set_aside_rows:
            self.log.warning(
                "set_aside",
                message_id=str(due.id),
                type=due.head.get("type", ""),
                order_id=due.head.get("subject", ""),
                command_key=due.head.get("commandkey", ""),
                attempts=due.attempts,
                error=due.error[:300],
            )
        for row in done.parked_rows:
            self.log.warning(
                "parked",
                message_id=str(row.id),
                type=row.head.get("type", ""),
                order_id=row.head.get("subject", ""),
                command_key=row.command_key,
                reason=row.reason,
                error=row.error[:300],
            )

    # -- relay ---------------------------------------------------------------------------------------------------

    async def _relay(self) -> None:
        assert self.speaking is not None
        shards = Shards(self.settings.database_url, self.name)
        relay = Relay(self.store, self.speaking)
        refused: dict[str, float] = {}
        try:
            while True:
                now = time.monotonic()
                refused = {destination: until for destination, until in refused.items() if until > now}
                owned = await shards.own()
                point("relay.owned")
                more = False
                if owned:
                    try:
                        done = await relay.run(owned, tuple(refused))
                    except Unavailable as away:
                        self.log.warning("relay_paused", why=str(away)[:300])
                        done = None
                    if done is not None:
                        observability.count_relayed(self.name, done.read, done.confirmed)
                        for destination in done.refused:
                            refused[destination] = now + REFUSED_FOR_S
                            self.log.warning("destination_refused", destination=destination, for_s=REFUSED_FOR_S)
                        more = done.confirmed > 0 and (done.read == WINDOW_ROWS or done.confirmed < done.read)
                if more:
                    continue
                if self.stopping.is_set() and not relay.owed:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.relay_wake.wait(), OWED_FOR_S if relay.owed else POLL_S)
                self.relay_wake.clear()
        finally:
            await shards.release()


class Shards:
    """Which shards of the outbox this process relays: advisory locks on a connection of their own."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self._connection: asyncpg.Connection | None = None
        self._owned: tuple[int, ...] = ()
        self._asked = 0.0

    async def own(self) -> tuple[int, ...]:
        """The shards we hold; asks for the others every `POLL_S`."""
        now = time.monotonic()
        if self._connection is not None and self._connection.is_closed():
            self._connection, self._owned = None, ()
        if len(self._owned) == SHARDS or now - self._asked < POLL_S:
            return self._owned
        self._asked = now
        try:
            if self._connection is None:
                self._connection = await asyncpg.connect(
                    self.url, server_settings={"application_name": f"waybill-{self.name}-shards"}, timeout=10
                )
            records = await self._connection.fetch(
                "SELECT shard FROM generate_series(0, $2 - 1) AS shard"
                " WHERE shard <> ALL($3::int[]) AND pg_try_advisory_lock(hashtext($1), shard)",
                f"relay {self.name}",
                SHARDS,
                list(self._owned),
            )
        except AWAY:
            self._owned = ()
            return ()
        self._owned = tuple(sorted({*self._owned, *(record["shard"] for record in records)}))
        return self._owned

    async def release(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            with suppress(*AWAY):
                await self._connection.close(timeout=2)

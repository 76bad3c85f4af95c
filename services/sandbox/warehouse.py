"""A warehouse of the world outside: it hears orders to ship, and reports each step of each shipment until it arrives.

Report ids and message ids follow from the shipment and the step, so that whatever is said again (after a timeout, a
broken connection, a restart of the broker or of this process) is recognised as said before. The next step of a shipment
is only reported when the broker has confirmed the one before.

What a picker does not find (`missing`) stops its shipment, until word comes to send it without, or not at all.
"""

import argparse
import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid5

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from contracts.fulfillment import OrderShipment, ReportShipment
from contracts.shortage import AmendShipment
from contracts.values import FulfillmentStatus, Pick
from shared.envelope import from_headers, head_of, open_envelope, to_headers
from shared.tasks import cancel_all
from shared.topology import WAREHOUSES

log = logging.getLogger("sandbox.warehouse")

STEPS: Final = (
    FulfillmentStatus.ACKNOWLEDGED,
    FulfillmentStatus.PICKING,
    FulfillmentStatus.PACKED,
    FulfillmentStatus.LABELED,
    FulfillmentStatus.SHIPPED,
    FulfillmentStatus.DELIVERED,
)
"""What it reports: picked and packing are passed without a word, as real warehouses do."""
STEPS_OF_KITS: Final = (STEPS[0], FulfillmentStatus.IN_PRODUCTION, *STEPS[1:])
"""Kits are put together before they are picked."""
TRACKED: Final = frozenset({FulfillmentStatus.LABELED, FulfillmentStatus.SHIPPED, FulfillmentStatus.DELIVERED})
CARRIER: Final = "Sandbox Parcel"
DOUBLED_EVERY: Final = 10
"""Every tenth shipment reports each step twice, and its first step once more after its last."""
WINDOW: Final = 200
"""Reports unconfirmed at once: more would only slow the walk over the confirms."""
PREFETCH: Final = 500
PUBLISH_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 10.0
BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
REMEMBERED: Final = 500_000
"""Shipments known again when ordered twice; one forgotten would be walked again, under the same report ids."""

AWAY = (
    AMQPError,
    ChannelInvalidStateError,
    ConnectionError,
    OSError,
    TimeoutError,
    asyncio.InvalidStateError,
    RuntimeError,
)


@dataclass(slots=True)
class Shipment:
    """One order to ship, and how many of its steps the broker has taken."""

    order: OrderShipment
    cause: Mapping[str, str]
    doubled: bool
    step: int = 0
    revision: int = 0
    picks: tuple[Pick, ...] = ()
    halted: bool = False
    """In front of an empty shelf."""

    def __post_init__(self) -> None:
        self.picks = self.order.picks

    def amend(self, to: AmendShipment) -> None:
        """The highest revision counts."""
        if to.revision > self.revision:
            self.revision, self.picks = to.revision, to.picks

    @property
    def id(self) -> UUID:
        return self.order.fulfillment_id

    @property
    def steps(self) -> tuple[FulfillmentStatus, ...]:
        return STEPS_OF_KITS if self.order.kits else STEPS

    @property
    def is_over(self) -> bool:
        """Delivered, or called off."""
        return self.step >= len(self.steps) or not self.picks

    @property
    def tracking_number(self) -> str:
        return f"SP{self.id.int % 10**12:012d}"


@dataclass
class SandboxWarehouse:
    """`pace_s` between the steps of a shipment; None keeps every order and reports nothing."""

    pace_s: float | None = 0.2
    missing: frozenset[str] = frozenset()
    """``warehouse/sku``: what no picker finds there."""
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    shipments: dict[UUID, Shipment] = field(default_factory=dict, init=False)
    reported: int = field(default=0, init=False)
    """Reports the broker confirmed, repetitions included."""

    def __post_init__(self) -> None:
        self._user = ""
        self._amended: dict[UUID, AmendShipment] = {}
        self._calendar: list[tuple[float, int, Shipment]] = []
        self._ticket = itertools.count()
        self._woken = asyncio.Event()
        self._stirred = asyncio.Event()
        self._open = asyncio.Event()
        self._exchange: AbstractExchange | None = None
        self._lost: asyncio.Future[None] | None = None
        self._window = asyncio.Semaphore(WINDOW)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, amqp_url: str, pace_s: float | None = 0.2) -> None:
        """Returns once it listens; after that it reconnects by itself for as long as it lives."""
        self.pace_s = pace_s
        self._user = unquote(urlsplit(amqp_url).username or "guest")
        self._begin(self._stay_connected(amqp_url))
        self._begin(self._walk())
        await asyncio.wait_for(self._open.wait(), timeout=60)

    async def stop(self) -> None:
        """Whatever it did not acknowledge is delivered to the next one."""
        await cancel_all(self._tasks)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what a condition says about this warehouse; looked at after every order and every report."""
        while not condition():
            self._stirred.clear()
            await self._stirred.wait()

    @property
    def waiting(self) -> int:
        """Shipments that still have steps to report."""
        return sum(not shipment.is_over for shipment in self.shipments.values())

    # -- connection ----------------------------------------------------------------------------------------------

    async def _stay_connected(self, amqp_url: str) -> None:
        failures = 0
        while True:
            try:
                await self._serve(amqp_url)
                failures = 0
            except AWAY as away:
                log.warning("broker away: %s: %s", type(away).__name__, away)
            finally:
                self._open.clear()
                self._exchange = None
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            failures += 1

    async def _serve(self, amqp_url: str) -> None:
        """One connection, until it or one of its channels closes or a publish hangs."""
        connection = await aio_pika.connect(amqp_url, timeout=CONNECT_TIMEOUT_S)
        self._lost = lost = asyncio.get_running_loop().create_future()

        def gone(*_: object) -> None:
            if not lost.done():
                lost.set_result(None)

        try:
            connection.close_callbacks.add(gone)
            listening = await connection.channel(publisher_confirms=False)
            speaking = await connection.channel(publisher_confirms=True, on_return_raises=True)
            listening.close_callbacks.add(gone)
            speaking.close_callbacks.add(gone)
            await listening.set_qos(prefetch_count=PREFETCH)
            self._exchange = await speaking.get_exchange(WAREHOUSES, ensure=False)
            queue = await listening.get_queue(OrderShipment.heard_by, ensure=False)
            await queue.consume(self._hear, timeout=CONNECT_TIMEOUT_S)
            self._open.set()
            await lost
        finally:
            self._open.clear()
            with suppress(*AWAY):  # whatever goes wrong here must not take the place of the reason we leave
                await asyncio.wait_for(connection.close(), timeout=CONNECT_TIMEOUT_S)

    # -- hearing -------------------------------------------------------------------------------------------------

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        """Remember the order, then acknowledge it. What cannot be read goes to the dead queue for a person to see."""
        try:
            envelope = from_headers(message.headers, message.body)
            order = open_envelope(envelope)
            if not isinstance(order, OrderShipment | AmendShipment):
                raise ValueError(f"a warehouse ships; it does not understand {envelope.type}")
        except Exception as error:  # noqa: BLE001 - whatever it is, this warehouse does not understand it
            log.warning("order refused: %s", error)
            await self._settle(message.reject(requeue=False))
            return
        if isinstance(order, AmendShipment):
            self._amend(order)
        elif order.fulfillment_id not in self.shipments:
            doubled = len(self.shipments) % DOUBLED_EVERY == DOUBLED_EVERY - 1
            shipment = Shipment(order, envelope.head, doubled)
            if (amended := self._amended.pop(shipment.id, None)) is not None:
                shipment.amend(amended)
            self.shipments[shipment.id] = shipment
            if len(self.shipments) > REMEMBERED:
                del self.shipments[next(iter(self.shipments))]
            if self.pace_s is not None:
                self._schedule(shipment, 0.0)
            self._stirred.set()
        await self._settle(message.ack())

    def _amend(self, to: AmendShipment) -> None:
        """It may come before the order that it changes."""
        shipment = self.shipments.get(to.fulfillment_id)
        if shipment is None:
            known = self._amended.get(to.fulfillment_id)
            if known is None or known.revision < to.revision:
                self._amended[to.fulfillment_id] = to
            return
        shipment.amend(to)
        if shipment.halted and not self._lacks(shipment):
            shipment.halted = False
            self._schedule(shipment, 0.0)
        self._stirred.set()

    def _lacks(self, shipment: Shipment) -> bool:
        return any(f"{pick.warehouse}/{pick.sku}" in self.missing for pick in shipment.picks)

    @staticmethod
    async def _settle(settling: Coroutine[Any, Any, None]) -> None:
        try:
            await settling
        except AWAY:
            log.info("not acknowledged, the broker went away: it will come again")

    # -- walking -------------------------------------------------------------------------------------------------

    def _schedule(self, shipment: Shipment, in_s: float) -> None:
        at = asyncio.get_running_loop().time() + in_s
        heapq.heappush(self._calendar, (at, next(self._ticket), shipment))
        self._woken.set()

    async def _walk(self) -> None:
        """One calendar for all shipments: the earliest step next."""
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            wait_s = self._calendar[0][0] - loop.time() if self._calendar else None
            if wait_s is None or wait_s > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), wait_s)
                continue
            await self._window.acquire()
            _, _, shipment = heapq.heappop(self._calendar)
            self._begin(self._take_step(shipment))

    async def _take_step(self, shipment: Shipment) -> None:
        try:
            if shipment.is_over:
                return  # called off meanwhile
            if shipment.steps[shipment.step] is FulfillmentStatus.PACKED and self._lacks(shipment):
                shipment.halted = True
                return
            report = self._report(shipment, shipment.step)
            for _ in range(2 if shipment.doubled else 1):
                await self._say(report, shipment)
            shipment.step += 1
            if shipment.step < len(shipment.steps):
                self._schedule(shipment, self.pace_s or 0.0)
            elif shipment.doubled:
                await self._say(self._report(shipment, 0), shipment)
        finally:
            self._window.release()
            self._stirred.set()

    def _report(self, shipment: Shipment, step: int) -> ReportShipment:
        status = shipment.steps[step]
        tracked = status in TRACKED
        return ReportShipment(
            report_id=f"{shipment.id}/{status}",
            fulfillment_id=shipment.id,
            status=status,
            carrier=CARRIER if tracked else "",
            tracking_number=shipment.tracking_number if tracked else "",
            occurred_at=self.clock(),
        )

    async def _say(self, report: ReportShipment, shipment: Shipment) -> None:
        """Until the broker confirms it: the outcome of a broken publish is unknown, so it is said again, same id."""
        id_ = uuid5(report.fulfillment_id, report.status)
        head = head_of(
            report,
            id_=id_,
            source=self._user,
            subject=str(shipment.order.order_id),
            now=report.occurred_at,
            cause=shipment.cause,
        )
        message = aio_pika.Message(
            report.model_dump_json().encode(),
            headers=dict(to_headers(head)),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(id_),
            user_id=self._user,
        )
        for attempt in itertools.count():  # as long as this warehouse lives: a report is never given up
            await self._open.wait()
            exchange, lost = self._exchange, self._lost
            try:
                if exchange is None:
                    raise ConnectionError("the connection closed a moment ago")
                await exchange.publish(message, ReportShipment.heard_by, mandatory=True, timeout=PUBLISH_TIMEOUT_S)
                self.reported += 1
                return
            except AWAY as away:
                log.info("report %s not confirmed: %s", report.report_id, away)
                if isinstance(away, TimeoutError) and lost is not None and not lost.done():
                    lost.set_result(None)  # a channel that hangs is left, so that no id is in flight on it twice
                await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _run(amqp_url: str, pace_s: float) -> None:
    warehouse = SandboxWarehouse()
    await warehouse.start(amqp_url, pace_s)
    try:
        await asyncio.Event().wait()
    finally:
        await warehouse.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="The sandbox warehouse: ships whatever it is asked to.")
    parser.add_argument("amqp_url", help="as the broker's user `warehouse`")
    parser.add_argument("--pace-s", type=float, default=0.2, help="seconds between the steps of a shipment")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.amqp_url, arguments.pace_s))


if __name__ == "__main__":
    main()

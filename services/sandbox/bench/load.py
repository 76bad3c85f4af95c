"""A storefront that does nothing but publish and listen, as lean as Python gets, in a process of its own.

Open loop: orders are sent when they are due, whether or not earlier ones were answered, and latency counts from the
instant they were due. Closed loop: a new order for each answer. Burst: all at once, as fast as the broker confirms.
"""

import asyncio
import gc
import math
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import aiormq
import orjson
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from contracts.catalogue import LISTENER_QUEUE, STOREFRONTS
from contracts.checkout import STOREFRONT_REQUESTS, PlaceCheckout
from services.sandbox.bench.child import obey, say
from services.sandbox.bench.demand import body, carts, one_of

PREFETCH: Final = 500
ACK_EVERY: Final = 64
TOLD_EVERY_S: Final = 0.5
UNCONFIRMED: Final = 200
"""Publishes of a burst that wait for the broker's confirm at once."""
TOO_MANY_OPEN: Final = 20_000
"""An open loop this far behind says nothing more about latency."""
CONFIRM_WITHIN_S: Final = 30.0
PERSISTENT: Final = 2
PREFIX: Final = "cloudEvents:"


@dataclass(frozen=True, slots=True)
class Plan:
    url: str
    mark: str
    """Begins every checkout's id."""
    heard_into: str
    """A file for every event heard, for the invariants."""
    loop: str
    """closed, open or burst"""
    seconds: float = 0.0
    warmup_s: float = 0.0
    in_flight: int = 0
    rate: float = 0.0
    buyers: int = 0
    skus: int = 0
    sku: str = ""
    seed: int = 1
    answer_within_s: float = 60.0

    def as_task(self) -> dict[str, Any]:
        return asdict(self)


class Storefront:
    """Orders are numbers; what is known of each is in arrays."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.prebuilt: Sequence[bytes] = one_of(plan.sku, plan.seed) if plan.sku else carts(plan.skus, plan.seed)
        self.due, self.ended = array("d"), array("d")
        self.answered = self.confirmed = self.again = 0
        self.heard: list[tuple[str, str, bytes]] = []
        self.on_answer: Callable[[], None] = lambda: None
        self.changed = asyncio.Event()
        self._publishing: set[asyncio.Task[None]] = set()
        self._trouble: BaseException | None = None
        self._unacknowledged = 0
        self._tag = 0

    async def connect(self) -> None:
        user = unquote(urlsplit(self.plan.url).username or "")
        self._user, topics = user, (f"{user}.order.confirmed", f"{user}.order.cancelled")
        self._is_confirmed, self._is_end = topics[0], frozenset({*topics, f"{user}.checkout.refused"})
        self.connection = await aiormq.connect(self.plan.url)
        self.out = cast(Channel, await self.connection.channel(publisher_confirms=True))
        self.into = await self.connection.channel(publisher_confirms=False)
        await self.into.basic_qos(prefetch_count=PREFETCH)
        await self.into.basic_consume(LISTENER_QUEUE.format(storefront=user), self._hear)
        self._acknowledging = asyncio.create_task(self._acknowledge_now_and_then())

    async def close(self) -> None:
        self._acknowledging.cancel()
        await self._acknowledge()
        await self.connection.close()

    # -- saying --------------------------------------------------------------------------------------------------

    @property
    def placed(self) -> int:
        return len(self.due)

    def place(self, due: float) -> None:
        """Publish the next order, without waiting for anything."""
        number = len(self.due)
        self.due.append(due)
        self.ended.append(0.0)
        self._publishing.add(task := asyncio.create_task(self._publish(number)))
        task.add_done_callback(self._published)

    def _published(self, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        if not task.cancelled() and (trouble := task.exception()) is not None:
            self._trouble = trouble

    async def _publish(self, number: int) -> None:
        checkout_id = f"{self.plan.mark}-{number}"
        await self.out.basic_publish(
            body(self.prebuilt[number % len(self.prebuilt)], checkout_id),
            exchange=STOREFRONTS,
            routing_key=STOREFRONT_REQUESTS,
            properties=spec.Basic.Properties(
                content_type="application/json",
                delivery_mode=PERSISTENT,
                message_id=checkout_id,
                user_id=self._user,
                headers={
                    PREFIX + "specversion": "1.0",
                    PREFIX + "id": checkout_id,
                    PREFIX + "source": self._user,
                    PREFIX + "type": PlaceCheckout.full_type,
                },
            ),
            mandatory=True,
            timeout=CONFIRM_WITHIN_S,
            wait=False,
        )

    # -- hearing -------------------------------------------------------------------------------------------------

    async def _hear(self, message: DeliveredMessage) -> None:
        headers: Any = message.header.properties.headers
        self.heard.append((headers[PREFIX + "id"], headers[PREFIX + "type"], message.body))
        if (topic := message.routing_key) in self._is_end:
            number = int(orjson.loads(message.body)["checkout_id"].rpartition("-")[2])
            if self.ended[number]:
                self.again += 1
            else:
                self.ended[number] = time.monotonic()
                self.answered += 1
                self.confirmed += topic == self._is_confirmed
                self.on_answer()
                self.changed.set()
        self._tag = message.delivery_tag or 0
        self._unacknowledged += 1
        if self._unacknowledged >= ACK_EVERY:
            await self._acknowledge()

    def write_down(self, heard_into: Path) -> None:
        with heard_into.open("wb") as into:
            for id_, type_, event in self.heard:
                into.write(orjson.dumps([id_, type_, orjson.Fragment(event)]) + b"\n")

    async def _acknowledge(self) -> None:
        if self._unacknowledged:
            self._unacknowledged = 0
            await self.into.basic_ack(self._tag, multiple=True, wait=False)

    async def _acknowledge_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(TOLD_EVERY_S / 2)
            await self._acknowledge()

    # -- pace ----------------------------------------------------------------------------------------------------

    async def closed(self) -> tuple[int, float]:
        """As many open as asked, until the time is over. The first order measured, and when that was."""
        self.on_answer = lambda: self.place(time.monotonic())
        for _ in range(self.plan.in_flight):
            self.place(time.monotonic())
        began = time.monotonic()
        await self._watch(began + self.plan.warmup_s)
        first, since = self._measuring()
        await self._watch(since + self.plan.seconds)
        self.on_answer = lambda: None
        return first, since

    async def open(self) -> tuple[int, float]:
        """Evenly at a rate, after the clock and nothing else."""
        plan = self.plan
        feeding = asyncio.create_task(self._feed(time.monotonic(), plan.warmup_s + plan.seconds))
        try:
            await self._watch(time.monotonic() + plan.warmup_s)
            first, since = self._measuring()
            await self._watch(since + plan.seconds)
            await feeding
        finally:
            feeding.cancel()
        return first, since

    async def _feed(self, began: float, seconds: float) -> None:
        for number in range(round(self.plan.rate * seconds)):
            due = began + number / self.plan.rate
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            if self.placed - self.answered > TOO_MANY_OPEN:
                raise RuntimeError(f"{TOO_MANY_OPEN} orders are open: {self.plan.rate}/s is more than this system does")
            self.place(due)

    async def burst(self) -> tuple[int, float]:
        """Everybody at once; latency counts from when it was their turn to publish."""
        first, since = self._measuring()
        telling = asyncio.create_task(self._watch(since + self.plan.answer_within_s))
        while self.placed < self.plan.buyers:
            while len(self._publishing) >= UNCONFIRMED:
                await asyncio.wait(self._publishing, return_when=asyncio.FIRST_COMPLETED)
            self.place(time.monotonic())
        await self.until_answered()
        telling.cancel()
        return first, since

    def _measuring(self) -> tuple[int, float]:
        say("measuring", placed=self.placed)
        return self.placed, time.monotonic()

    async def _watch(self, ends: float) -> None:
        """Tell now and then how it goes, until `ends`."""
        while (left := ends - time.monotonic()) > 0:
            if self._trouble is not None:
                raise self._trouble
            say("going", placed=self.placed, answered=self.answered)
            await asyncio.sleep(min(left, TOLD_EVERY_S))

    async def until_answered(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.plan.answer_within_s):
                while self.answered < self.placed:
                    self.changed.clear()
                    await self.changed.wait()
        if self._trouble is not None:
            raise self._trouble


def result_of(shop: Storefront, first: int, since: float, placed_until: int, seconds: float) -> dict[str, Any]:
    """Of the orders placed since the warm-up; throughput is what was answered while it was measured."""
    measured = range(first, placed_until)
    took = sorted((shop.ended[n] - shop.due[n]) * 1000 for n in measured if shop.ended[n])
    until = since + seconds
    return {
        "orders": len(measured),
        "orders_per_s": round(sum(since < ended <= until for ended in shop.ended) / seconds, 1) if seconds else 0.0,
        "p50_ms": percentile(took, 0.50),
        "p99_ms": percentile(took, 0.99),
        "placed": shop.placed,
        "confirmed": shop.confirmed,
        "cancelled": shop.answered - shop.confirmed,
        "unanswered": shop.placed - shop.answered,
        "answered_again": shop.again,
    }


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share does not exceed."""
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(len(ordered) * share) - 1)], 1)


async def main(task: dict[str, Any]) -> None:
    shop = Storefront(Plan(**task))
    await shop.connect()
    gc.freeze()  # what was prebuilt is not looked at again
    first, since = await {"closed": shop.closed, "open": shop.open, "burst": shop.burst}[shop.plan.loop]()
    until, seconds = shop.placed, shop.plan.seconds or max(shop.ended) - since
    await shop.until_answered()
    await asyncio.sleep(TOLD_EVERY_S)  # an answer said twice would come now
    result = result_of(shop, first, since, until, seconds)
    await shop.close()
    shop.write_down(Path(shop.plan.heard_into))
    say("done", seconds=round(seconds, 2), **result)


if __name__ == "__main__":
    obey(main)

"""A storefront for tests in plain aio-pika: says things until the broker has them, hears everything that is said to it.

It keeps at it through broker stops and cuts, as a real shop must: the same message again under the same id.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aio_pika

from shared.tasks import cancel_all
from tests.support.until import until

ENDS: Final = ("order.confirmed", "order.cancelled", "checkout.refused", "checkout.message_refused")
RECONNECT_S: Final = 0.2
PUBLISH_TIMEOUT_S: Final = 5.0
AWAY: Final = (aio_pika.exceptions.AMQPError, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)


@dataclass(frozen=True)
class Said:
    """One event as the storefront heard it; `at` on the loop's clock."""

    id: str
    type: str
    body: Mapping[str, Any]
    at: float

    @property
    def topic(self) -> str:
        return self.type.removeprefix("waybill.").rpartition(".v")[0]


@dataclass
class Storefront:
    amqp_url: str
    heard: list[Said] = field(default_factory=list)
    asked: dict[str, tuple[str, str, str, float]] = field(default_factory=dict)
    """By message id: (type, key, content, when)."""

    def __post_init__(self) -> None:
        self.name = unquote(urlsplit(self.amqp_url).username or "")
        self._door: aio_pika.abc.AbstractExchange | None = None
        self._open, self._stopping = asyncio.Event(), asyncio.Event()
        self._lost: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._by_checkout: dict[str, list[Said]] = {}
        self._seen: set[str] = set()

    async def __aenter__(self) -> Self:
        self._tasks.append(asyncio.create_task(self._stay_connected()))
        await asyncio.wait_for(self._open.wait(), 30)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await cancel_all(self._tasks)

    # -- saying --------------------------------------------------------------------------------------------------

    async def place(self, checkout: Mapping[str, Any], *, message_id: str | None = None) -> str:
        """The message id, once the broker has confirmed it."""
        key = str(checkout.get("checkout_id", ""))
        return await self.say("checkout.place", json.dumps(checkout).encode(), key=key, message_id=message_id)

    async def say(
        self,
        topic: str,
        body: bytes,
        *,
        key: str = "",
        message_id: str | None = None,
        version: int = 1,
        routing_key: str = "storefront.requests",
        headers: Mapping[str, str | None] | None = None,
    ) -> str:
        """`headers` replaces CloudEvents attributes by name; None leaves one out."""
        id_ = message_id or str(uuid4())
        attributes: dict[str, str | None] = {
            "specversion": "1.0",
            "id": id_,
            "source": self.name,
            "type": f"waybill.{topic}.v{version}",
            **(headers or {}),
        }
        self.asked[id_] = (topic, key, body.decode(errors="replace"), time.monotonic())
        while True:
            await self._open.wait()
            door = self._door
            if door is None:
                continue
            message = aio_pika.Message(
                body,
                headers={f"cloudEvents:{name}": value for name, value in attributes.items() if value is not None},
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=id_,
                user_id=self.name,
            )
            try:
                await door.publish(message, routing_key, mandatory=True, timeout=PUBLISH_TIMEOUT_S)
                return id_
            except AWAY:
                if self._door is door:
                    self._leave()
                await asyncio.sleep(RECONNECT_S)

    def _leave(self) -> None:
        """What does not take a message is left, also when the connection looks well: a new one will tell."""
        self._open.clear()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    # -- hearing -------------------------------------------------------------------------------------------------

    def about(self, checkout_id: str) -> list[Said]:
        return self._by_checkout.get(checkout_id, [])

    def end_of(self, checkout_id: str) -> Said | None:
        return next((said for said in self.about(checkout_id) if said.topic in ENDS), None)

    async def until_heard(self, wanted: Callable[[Said], bool], what: str, *, within_s: float = 60.0) -> Said:
        return await until(lambda: next((said for said in self.heard if wanted(said)), None), what, within_s=within_s)

    async def until_end(self, checkout_id: str, *, within_s: float = 60.0) -> Said:
        return await until(
            lambda: self.end_of(checkout_id),
            lambda: f"an end of {checkout_id}; heard {[said.topic for said in self.about(checkout_id)]}",
            within_s=within_s,
        )

    async def until_topic(self, checkout_id: str, topic: str, *, within_s: float = 60.0) -> Said:
        return await until(
            lambda: next((said for said in self.about(checkout_id) if said.topic == topic), None),
            lambda: f"{topic} of {checkout_id}; heard {[said.topic for said in self.about(checkout_id)]}",
            within_s=within_s,
        )

    async def until_refused(self, message_id: str, *, within_s: float = 60.0) -> Said:
        """The refusal of a message that could not be read."""
        return await self.until_heard(
            lambda said: said.topic == "checkout.message_refused" and said.body["message_id"] == message_id,
            f"a refusal of {message_id}",
            within_s=within_s,
        )

    def _keep(self, id_: str, type_: str, raw: bytes) -> None:
        body = json.loads(raw)
        said = Said(id_, type_, body, time.monotonic())
        self.heard.append(said)
        if "checkout_id" in body and id_ not in self._seen:
            self._by_checkout.setdefault(body["checkout_id"], []).append(said)
        self._seen.add(id_)

    async def _stay_connected(self) -> None:
        """Connect, listen, and begin again when the connection is lost; for as long as the test lasts.

        A cancel that meets a connection just closing is indistinguishable from the client library's own, and is lost
        with it: `_stopping` is what ends this.
        """
        while not self._stopping.is_set():
            with suppress(*AWAY):
                connection = await aio_pika.connect(self.amqp_url, timeout=5, heartbeat=5)
                try:
                    await self._listen(connection)
                finally:
                    self._open.clear()
                    with suppress(*AWAY, asyncio.CancelledError):
                        await asyncio.wait_for(connection.close(), 2)
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self, connection: aio_pika.abc.AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.set_qos(prefetch_count=200)
        queue = await channel.get_queue(f"storefront.{self.name}.events", ensure=False)
        self._door = await channel.get_exchange("waybill.storefront", ensure=False)
        self._lost = lost = asyncio.get_running_loop().create_future()
        for closable in (connection, channel):
            closable.close_callbacks.add(lambda *_: None if lost.done() else lost.set_result(None))

        async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            self._keep(
                str(message.headers.get("cloudEvents:id")), str(message.headers.get("cloudEvents:type")), message.body
            )
            await message.ack()

        await queue.consume(hear)
        self._open.set()
        await lost

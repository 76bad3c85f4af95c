"""A storefront as it is in the world outside: it publishes requests with its own broker user and follows the events.

What it said and what it heard is kept, so that whoever started it can ask whether every request had one answer.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from contracts.catalogue import LISTENER_QUEUE, STOREFRONTS
from contracts.checkout import STOREFRONT_REQUESTS, PlaceCheckout

CONNECT_WITHIN_S: Final = 10.0
CONFIRM_WITHIN_S: Final = 30.0
UNCONFIRMED_AT_ONCE: Final = 100
PREFETCH: Final = 500
PREFIX: Final = "cloudEvents:"


class StorefrontAway(Exception):
    """The broker could not be reached, or did not let us in."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One message as it goes out. `source` and `user` differ only when a storefront lies about itself."""

    type: str
    body: bytes
    id: str
    source: str = ""
    door: str = STOREFRONT_REQUESTS


@dataclass(frozen=True, slots=True)
class Heard:
    """One event as it came in; `topic` is its type without ``waybill.`` and the version."""

    id: str
    type: str
    body: Mapping[str, Any]

    @property
    def topic(self) -> str:
        return self.type.removeprefix("waybill.").rpartition(".v")[0]

    @property
    def key(self) -> str:
        """What the event is about: a checkout, a refund, or the message that could not be read."""
        for name in ("checkout_id", "refund_id", "message_id"):
            if name in self.body:
                return str(self.body[name])
        return ""


@dataclass
class Shopper:
    """`heard` is called for every event, in the order they come."""

    url: str
    on_heard: Callable[[Heard], Awaitable[None]]
    name: str = ""
    _connection: aio_pika.abc.AbstractRobustConnection | None = None
    _window: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UNCONFIRMED_AT_ONCE))

    async def __aenter__(self) -> "Shopper":
        self.name = self.name or unquote(urlsplit(self.url).username or "")
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                self._connection = await aio_pika.connect_robust(self.url, fail_fast=True)
                out = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
                self._door = await out.get_exchange(STOREFRONTS, ensure=False)
                into = await self._connection.channel()
                await into.set_qos(prefetch_count=PREFETCH)
                queue = await into.get_queue(LISTENER_QUEUE.format(storefront=self.name), ensure=False)
                await queue.consume(self._hear)
        except (TimeoutError, OSError, aio_pika.exceptions.AMQPError) as error:
            await self._close()
            raise StorefrontAway(_why(self.url, error)) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                await self._connection.close()

    async def say(self, saying: Saying) -> None:
        """Returns when the broker has confirmed it. What was not confirmed may have arrived: it is published again."""
        headers = {"specversion": "1.0", "id": saying.id, "source": saying.source or self.name, "type": saying.type}
        message = aio_pika.Message(
            saying.body,
            headers={PREFIX + name: value for name, value in headers.items()},
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            user_id=self.name,
        )
        async with self._window, asyncio.timeout(CONFIRM_WITHIN_S):
            while True:
                try:
                    await self._door.publish(message, saying.door, mandatory=True)
                    return
                except (aio_pika.exceptions.AMQPError, OSError, asyncio.InvalidStateError):
                    await asyncio.sleep(0.2)

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        attributes = {
            str(name).removeprefix(PREFIX): str(value)
            for name, value in message.headers.items()
            if str(name).startswith(PREFIX)
        }
        heard = Heard(attributes.get("id", ""), attributes.get("type", ""), json.loads(message.body))
        await self.on_heard(heard)
        await message.ack()


def new_message_id() -> str:
    return str(uuid.uuid4())


def place(checkout: Mapping[str, Any], *, id_: str | None = None) -> Saying:
    """The one message that places an order."""
    return Saying(PlaceCheckout.full_type, json.dumps(checkout).encode(), id_ or new_message_id())


def content_of(body: bytes) -> str:
    """The same for two bodies that mean the same."""
    with suppress(ValueError):
        body = json.dumps(json.loads(body), sort_keys=True).encode()
    return blake2b(body, digest_size=16).hexdigest()


def _why(url: str, error: BaseException) -> str:
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port or 5672}"
    if isinstance(error, aio_pika.exceptions.ProbableAuthenticationError | aio_pika.exceptions.AuthenticationError):
        return f"the broker at {where} does not let {unquote(parts.username or '(nobody)')} in: wrong password?"
    said = "it did not answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return f"the broker at {where} cannot be reached: {said}"

"""Somebody outside who speaks to the broker in plain aio-pika, and keeps at it until the broker has each message.

It lives through broker stops and cuts, as whoever depends on being heard must: the same message again, same id.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import aio_pika

from shared.tasks import cancel_all

RECONNECT_S: Final = 0.2
PUBLISH_TIMEOUT_S: Final = 5.0
AWAY: Final = (aio_pika.exceptions.AMQPError, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)


@dataclass
class Speaker:
    """As the broker's user of `amqp_url`, to one exchange."""

    amqp_url: str
    exchange: str

    def __post_init__(self) -> None:
        self.name = unquote(urlsplit(self.amqp_url).username or "")
        self._door: aio_pika.abc.AbstractExchange | None = None
        self._open, self._stopping = asyncio.Event(), asyncio.Event()
        self._lost: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks.append(asyncio.create_task(self._stay_connected()))
        await asyncio.wait_for(self._open.wait(), 30)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await cancel_all(self._tasks)

    async def publish(
        self, type_: str, body: bytes, id_: str, routing_key: str, attributes: Mapping[str, str | None]
    ) -> None:
        """Returns once the broker has confirmed it. `attributes` replaces CloudEvents attributes by name; None leaves
        one out."""
        head: dict[str, str | None] = {
            "specversion": "1.0",
            "id": id_,
            "source": self.name,
            "type": type_,
            **attributes,
        }
        headers: Any = {f"cloudEvents:{name}": value for name, value in head.items() if value is not None}
        while True:
            await self._open.wait()
            door = self._door
            if door is None:
                continue
            message = aio_pika.Message(
                body,
                headers=headers,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=id_,
                user_id=self.name,
            )
            try:
                await door.publish(message, routing_key, mandatory=True, timeout=PUBLISH_TIMEOUT_S)
            except AWAY:
                if self._door is door:
                    self._leave()
                await asyncio.sleep(RECONNECT_S)
            else:
                return

    async def settle_in(self, channel: aio_pika.abc.AbstractChannel) -> None:
        """On each new connection, before anything is said: whoever also listens begins here."""

    def _leave(self) -> None:
        """What does not take a message is left, also when the connection looks well: a new one will tell."""
        self._open.clear()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    async def _stay_connected(self) -> None:
        """Connect, stay, and begin again when the connection is lost; for as long as the test lasts.

        A cancel that meets a connection just closing is indistinguishable from the client library's own, and is lost
        with it: `_stopping` is what ends this.
        """
        while not self._stopping.is_set():
            with suppress(*AWAY):
                connection = await aio_pika.connect(self.amqp_url, timeout=5, heartbeat=5)
                try:
                    await self._stay(connection)
                finally:
                    self._open.clear()
                    with suppress(*AWAY, asyncio.CancelledError):
                        await asyncio.wait_for(connection.close(), 2)
            await asyncio.sleep(RECONNECT_S)

    async def _stay(self, connection: aio_pika.abc.AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        self._door = await channel.get_exchange(self.exchange, ensure=False)
        self._lost = lost = asyncio.get_running_loop().create_future()
        for closable in (connection, channel):
            closable.close_callbacks.add(lambda *_: None if lost.done() else lost.set_result(None))
        await self.settle_in(channel)
        self._open.set()
        await lost

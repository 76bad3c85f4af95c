"""The broker, from both ends, on two connections: FastStream consumes, aio-pika publishes with confirms.

Consuming hands deliveries over at once and acknowledges only after the batch has committed. Publishing knows a result
for each parcel: confirmed, or unknown and to be sent again under the same message ids.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractRobustConnection
from aio_pika.exceptions import AMQPError
from aiormq import spec
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue
from faststream.rabbit.subscriber import RabbitSubscriber
from tenacity import retry, retry_if_not_exception_type, wait_random_exponential

from shared.crash import point
from shared.envelope import PACK_TYPE, Envelope, Unreadable, from_headers, pack, to_headers, unpack
from shared.heard import Heard
from shared.ids import foreign_id
from shared.relay import Parcel
from shared.topology import COMMANDS, EVENTS

CONFIRM_TIMEOUT_S: Final = 10.0
"""A publish can hang as long as the broker is stopped or blocked; then its outcome is unknown and it is sent again."""
IN_FLIGHT: Final = 200
"""Parcels awaiting a confirm on the one channel; more only lengthens the confirm walk."""
HEARTBEAT_S: Final = 10
RECONNECT_S: Final = 1.0
LOOK_TIMEOUT_S: Final = 2.0
"""How long a look at the consumers may wait for a connection that is coming back."""
PERSISTENT: Final = 2
"""AMQP's delivery mode: written to disk before it is confirmed."""


def _with_heartbeat(url: str) -> str:
    return url + ("&" if "?" in url else "?") + f"heartbeat={HEARTBEAT_S}"


@dataclass(slots=True)
class Delivery:
    """One AMQP message and the messages in it; acknowledged when all are committed."""

    heard: list[Heard]
    raw: RabbitMessage | None
    committed: asyncio.Future[None] | None = None

    def said_before(self, instant: float) -> bool:
        """Whether its first message, a pack's oldest, was said before `instant` (Unix time). Nobody goes by a
        stranger's clock."""
        first = self.heard[0]
        told = first.envelope.head.get("time")
        if self.raw is None or first.foreign or not told:
            return False
        try:
            return datetime.fromisoformat(told).timestamp() < instant
        except ValueError:
            return False

    async def ack(self) -> None:
        if self.committed is not None and not self.committed.done():
            self.committed.set_result(None)
        if self.raw is not None:
            try:
                await self.raw.ack()
            except Exception:  # noqa: BLE001 - the channel is gone: the broker delivers again, the inbox knows it
                self.raw = None


@dataclass
class Intake:
    """Deliveries waiting to be decided, in the order they came."""

    outside: frozenset[str]
    waiting: deque[Delivery] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, delivery: Delivery) -> None:
        self.waiting.append(delivery)
        self.arrived.set()

    def take(self, messages: int) -> list[Delivery]:
        """Whole deliveries up to about `messages`; at least one."""
        taken: list[Delivery] = []
        count = 0
        while self.waiting and (not taken or count + len(self.waiting[0].heard) <= messages):
            delivery = self.waiting.popleft()
            count += len(delivery.heard)
            taken.append(delivery)
        if not self.waiting:
            self.arrived.clear()
        return taken

    def forget_delivered(self) -> None:
        """The connection is gone: what it brought can't be acknowledged any more, and comes again."""
        self.waiting = deque(delivery for delivery in self.waiting if delivery.raw is None)

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        self.waiting.extendleft(reversed(deliveries))
        if self.waiting:
            self.arrived.set()


class Listening:
    """Consumes a service's queues and their dead queues."""

    def __init__(self, url: str, queues: Sequence[str], intake: Intake, prefetch: int) -> None:
        self.intake = intake
        self.connected_since: float | None = None
        self.broker = RabbitBroker(
            _with_heartbeat(url),
            logger=None,
            reconnect_interval=RECONNECT_S,
            on_reconnected=[self._reconnected],
            on_close=[self._closed],
            apply_types=False,
            graceful_timeout=10.0,
        )
        self._subscribers = [
            subscriber
            for name in queues
            for subscriber in (self._subscribe(name, name, prefetch), self._subscribe(f"{name}.dead", name, 1))
        ]

    def _subscribe(self, queue: str, heard_as: str, prefetch: int) -> RabbitSubscriber:
        dead = queue != heard_as

        async def hear(message: RabbitMessage) -> None:
            self.intake.put(_opened(message, heard_as, heard_as in self.intake.outside, dead))

        subscriber = self.broker.subscriber(
            RabbitQueue(queue, declare=False, durable=True),
            channel=Channel(prefetch_count=prefetch),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            decoder=_as_message,
        )
        subscriber(hear)
        return subscriber

    async def start(self) -> None:
        """Waits for the broker as long as it takes."""
        await _patiently(self.broker.start)()
        self.connected_since = asyncio.get_running_loop().time()

    async def stop(self) -> None:
        self.connected_since = None
        await self.broker.stop()

    def _reconnected(self, *_: Any) -> None:
        self.connected_since = asyncio.get_running_loop().time()

    def _closed(self, *_: Any) -> None:
        self.connected_since = None
        self.intake.forget_delivered()

    def connected_for_s(self) -> float:
        """0 while the connection is down."""
        if self.connected_since is None:
            return 0.0
        return asyncio.get_running_loop().time() - self.connected_since

    async def consuming(self) -> bool:
        """Every queue has a living consumer: a channel may be closed, or a consumer cancelled, on a good connection."""
        if self.connected_since is None:
            return False
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                return all([await _consumes(subscriber) for subscriber in self._subscribers])
        except (TimeoutError, AMQPError, OSError, RuntimeError):  # in the middle of coming back
            return False


async def _consumes(subscriber: RabbitSubscriber) -> bool:
    """Neither library says it; the protocol's channel knows the consumers that the broker knows."""
    queue, tag = subscriber._queue_obj, subscriber._consumer_tag
    if queue is None or tag is None:
        return False
    channel = cast(aiormq.Channel, await queue.channel.get_underlay_channel())
    return not channel.is_closed and tag in channel.consumers


async def _as_message(message: RabbitMessage) -> RabbitMessage:
    """No decoding: the frame reads the body itself, after it knows what the envelope says."""
    return message


def _patiently(call: Any) -> Any:
    """Retry for ever with backoff: a broker that is not there yet is no reason to die."""
    return retry(
        wait=wait_random_exponential(multiplier=0.2, max=5), retry=retry_if_not_exception_type(asyncio.CancelledError)
    )(call)


def _opened(message: RabbitMessage, queue: str, foreign: bool, dead: bool) -> Delivery:
    raw: Any = message.raw_message
    alone = dead or bool(raw.redelivered) or bool(raw.headers.get("x-delivery-count"))
    if foreign:
        return Delivery([_from_outside(raw, queue, alone)], message)
    if raw.content_type == PACK_TYPE:
        try:
            return Delivery([_ours(envelope, queue, alone) for envelope in unpack(raw.body)], message)
        except Unreadable as broken:
            whole = Envelope({"id": raw.message_id or ""}, raw.body)
            return Delivery(
                [Heard(queue, whole, _id_or_made(raw.message_id), alone=alone, trouble=str(broken))], message
            )
    return Delivery([_ours(from_headers(raw.headers, raw.body), queue, alone)], message)


def _ours(envelope: Envelope, queue: str, alone: bool) -> Heard:
    try:
        return Heard(queue, envelope, UUID(envelope.id), alone=alone)
    except ValueError:
        made = _id_or_made(envelope.id)
        return Heard(queue, envelope, made, alone=alone, trouble=f"no_message_id: {envelope.id!r} is no UUID")


def _id_or_made(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        return foreign_id("unknown", text or datetime.now(UTC).isoformat())


def _from_outside(raw: Any, queue: str, alone: bool) -> Heard:
    """The broker has checked `user_id`: the only name of a sender we believe."""
    envelope = from_headers(raw.headers, raw.body)
    user = raw.user_id or ""
    claimed = envelope.source
    trouble = ""
    if not user:
        trouble = "forged_source: the message has no user_id, so nobody vouches for its sender"
    elif claimed and claimed != user:
        trouble = f"forged_source: cloudEvents:source says {claimed[:100]!r}, the broker says {user!r}"
    elif not envelope.id:
        trouble = "no_message_id: cloudEvents:id is missing"
    head = {name: value for name, value in envelope.head.items() if name != "commandkey"}  # keys are given by us only
    envelope = Envelope({**head, "source": user}, envelope.body)
    id_ = foreign_id(user, envelope.id or datetime.now(UTC).isoformat())
    return Heard(queue, envelope, id_, foreign=True, alone=alone, trouble=trouble)


class Speaking:
    """Publishes parcels on a connection of its own, with confirms."""

    def __init__(self, url: str, name: str, on_back: Callable[[], None] = lambda: None) -> None:
        """`on_back` is called when a lost connection is there again: what is waiting need not wait for a poll."""
        self.url, self.name, self._on_back = _with_heartbeat(url), name, on_back
        self._connection: AbstractRobustConnection | None = None
        self._channel: AbstractChannel | None = None
        self._window = asyncio.Semaphore(IN_FLIGHT)

    async def start(self) -> None:
        await _patiently(self._connect)()

    async def _connect(self) -> None:
        self._connection = await aio_pika.connect_robust(
            self.url, client_properties={"connection_name": self.name}, reconnect_interval=RECONNECT_S
        )
        self._connection.reconnect_callbacks.add(lambda *_: self._on_back())
        self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)

    async def stop(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.connected.is_set()

    async def publish(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Those confirmed; of the others it is unknown whether they arrived."""
        if len(parcels) == 1:
            return list(parcels) if await self._publish(parcels[0]) else []
        results = await asyncio.gather(*(self._publish(parcel) for parcel in parcels))
        return [parcel for parcel, confirmed in zip(parcels, results, strict=True) if confirmed]

    async def _publish(self, parcel: Parcel) -> bool:
        assert self._channel is not None
        async with self._window:
            point("relay.publishing")
            try:
                channel = cast(aiormq.Channel, await self._channel.get_underlay_channel())
                body, properties = _to_amqp(parcel)
                await channel.basic_publish(
                    body,
                    exchange=EVENTS if parcel.public else COMMANDS,
                    routing_key=parcel.destination,
                    properties=properties,
                    mandatory=not parcel.public,
                    timeout=CONFIRM_TIMEOUT_S,
                    wait=False,  # for the confirm we do wait; to wait for the socket too would send one after the other
                )
            except Exception:  # noqa: BLE001 - nack, return, timeout, cut: all mean "not known to have arrived"
                return False
            point("relay.confirmed")
        return True


def _to_amqp(parcel: Parcel) -> tuple[bytes, spec.Basic.Properties]:
    """Straight into the protocol's terms: building a client-side message object first cost as much as sending it."""
    envelopes = parcel.envelopes()
    first = envelopes[0]
    if parcel.packed:
        properties = spec.Basic.Properties(content_type=PACK_TYPE, delivery_mode=PERSISTENT, message_id=first.id)
        return pack(envelopes), properties
    return first.body, spec.Basic.Properties(
        content_type="application/json",
        delivery_mode=PERSISTENT,
        message_id=first.id,
        message_type=first.type,
        headers={**to_headers(first.head)},
    )

"""A storefront for tests in plain aio-pika: says things until the broker has them, hears everything said to it."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import aio_pika

from tests.support.speaker import Speaker
from tests.support.until import until

ENDS: Final = ("order.confirmed", "order.cancelled", "checkout.refused", "checkout.message_refused")


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
class Storefront(Speaker):
    exchange: str = "waybill.storefront"
    heard: list[Said] = field(default_factory=list)
    asked: dict[str, tuple[str, str, str, float]] = field(default_factory=dict)
    """By message id: (type, key, content, when)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._by_checkout: dict[str, list[Said]] = {}
        self._seen: set[str] = set()

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
        self.asked[id_] = (topic, key, body.decode(errors="replace"), time.monotonic())
        await self.publish(f"waybill.{topic}.v{version}", body, id_, routing_key, headers or {})
        return id_

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

    async def settle_in(self, channel: aio_pika.abc.AbstractChannel) -> None:
        await channel.set_qos(prefetch_count=200)
        queue = await channel.get_queue(f"storefront.{self.name}.events", ensure=False)

        async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            self._keep(
                str(message.headers.get("cloudEvents:id")), str(message.headers.get("cloudEvents:type")), message.body
            )
            await message.ack()

        await queue.consume(hear)

"""A consumer made for the tests of the frame, and the test's own ends of the wire to the service that hears it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import asyncpg

from contracts.message import Command, Event, Fact, Local, Reply
from shared.consumer import Consumer, Moment, NotYet, Publish, Said
from shared.envelope import PACK_TYPE, Envelope, from_headers, pack, to_headers, unpack
from shared.ids import new_id
from shared.service import Service
from shared.working_set import Rows
from tests.support.proxy import Proxy
from tests.support.until import until


class Weigh(Command, topic="scale.weigh", heard_by="inventory"):
    thing: str


class Unweigh(Command, topic="scale.unweigh", heard_by="inventory"):
    thing: str


class Weighed(Reply, topic="scale.weighed"):
    thing: str
    marks: int


class Unweighed(Reply, topic="scale.unweighed"):
    thing: str


class Note(Fact, topic="scale.note", heard_by="inventory"):
    order_id: UUID
    thing: str
    after_s: float = 0.0


class Rang(Local, topic="scale.rang", heard_by="inventory"):
    thing: str


class Noted(Event, topic="scale.noted"):
    order_id: UUID
    thing: str


@dataclass
class Scale:
    """What the decisions did, seen by the test: a real service keeps nothing in memory."""

    done: Counter[str] = field(default_factory=Counter)
    fails: dict[str, int] = field(default_factory=dict)
    """By thing: how many times yet its decision raises."""

    def consumer(self) -> Consumer:
        made = Consumer("inventory")

        @made.hears(Weigh, needs=lambda _: [])
        def weigh(command: Weigh, rows: Rows, moment: Moment) -> Weighed:
            self._may_fail(command.thing)
            self.done[command.thing] += 1
            return Weighed(thing=command.thing, marks=self.done[command.thing])

        @made.hears(Unweigh, needs=lambda _: [])
        def unweigh(command: Unweigh, rows: Rows, moment: Moment) -> Unweighed:
            return Unweighed(thing=command.thing)

        @made.hears(Note, needs=lambda _: [])
        def note(fact: Note, rows: Rows, moment: Moment) -> list[Said]:
            self._may_fail(fact.thing)
            if fact.thing == "timer" or fact.thing == "clear":
                rows.set_timer(
                    "ring", fact.order_id, moment.now + timedelta(seconds=fact.after_s), Rang(thing=f"{fact.order_id}")
                )
                return []
            if fact.thing == "stop timer":
                rows.clear_timer("ring", fact.order_id)
                return []
            if fact.thing == "not yet":
                raise NotYet("unknown_thing: it may still come")
            self.done[f"{fact.order_id}"] += 1
            return [
                Publish("demo-shop", Noted(order_id=fact.order_id, thing=fact.thing), self.done[f"{fact.order_id}"])
            ]

        @made.hears(Rang, needs=lambda _: [])
        def rang(ring: Rang, rows: Rows, moment: Moment) -> None:
            self.done[f"rang {ring.thing}"] += 1

        return made

    def _may_fail(self, thing: str) -> None:
        if self.fails.get(thing, 0) > 0:
            self.fails[thing] -= 1
            raise ValueError(f"{thing} is too heavy")


@dataclass
class Bench:
    """The running service and the test's own ends of the wire."""

    scale: Scale
    service: Service
    amqp: Proxy
    channel: aio_pika.abc.AbstractChannel
    owner: asyncpg.Connection
    replies: list[tuple[Envelope, bool]] = field(default_factory=list)
    """(envelope, whether it came in a pack)"""
    packages: int = 0
    news: list[tuple[Envelope, str]] = field(default_factory=list)

    async def tell(
        self, *messages: Any, key: str | None = None, exchange: str = "waybill.commands", route: str = "inventory"
    ) -> list[str]:
        """Say messages to the service as one pack; their ids."""
        envelopes = []
        for message in messages:
            head = {"id": str(new_id()), "type": message.full_type, "source": "orchestrator", "subject": "s"}
            if isinstance(message, Command):
                head["commandkey"] = key or f"orchestrator/{uuid4()}/weigh/do"
            envelopes.append(Envelope(head, message.model_dump_json().encode()))
        await self.send(envelopes, exchange=exchange, route=route)
        return [envelope.id for envelope in envelopes]

    async def send(
        self, envelopes: list[Envelope], *, exchange: str = "waybill.commands", route: str = "inventory"
    ) -> None:
        if len(envelopes) == 1:
            message = aio_pika.Message(envelopes[0].body, headers=dict(to_headers(envelopes[0].head)), delivery_mode=2)
        else:
            message = aio_pika.Message(
                pack(envelopes), content_type=PACK_TYPE, message_id=envelopes[0].id, delivery_mode=2
            )
        door = await self.channel.get_exchange(exchange, ensure=False)
        await door.publish(message, route, timeout=10)

    def answers(self, key: str) -> list[Envelope]:
        return [envelope for envelope, _ in self.replies if envelope.command_key == key]

    async def until_answered(self, key: str, times: int = 1) -> list[Envelope]:
        await until(lambda: len(self.answers(key)) >= times, f"{times} answers under {key}")
        return self.answers(key)

    async def parked(self, id_: str) -> asyncpg.Record:
        sql = "SELECT * FROM inventory.parked WHERE head ->> 'id' = $1"
        return await until(lambda: self.owner.fetchrow(sql, id_), f"{id_} parked")

    def hear_reply(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.packages += 1
        packed = message.content_type == PACK_TYPE
        found = unpack(message.body) if packed else [from_headers(message.headers, message.body)]
        self.replies += [(envelope, packed) for envelope in found]


def key() -> str:
    return f"orchestrator/{uuid4()}/weigh/do"

"""The relay alone: an outbox full of messages, said through the real relay over real confirms to a real broker.

What arrives is counted: every message once, and none missing.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aio_pika

from contracts.examples import EXAMPLES
from contracts.fulfillment import RequestFulfillment
from contracts.inventory import HoldStock
from contracts.message import Kind, Message
from contracts.order import OrderConfirmedEvent, OrderPlaced
from contracts.payment import AuthorizePayment
from services.sandbox.bench.child import child, obey, say
from services.sandbox.bench.cpu import Meter
from services.sandbox.bench.load import percentile
from services.sandbox.bench.stage import Asked, Watching
from services.sandbox.environment import STOREFRONT, Environment, prepare
from services.sandbox.servers import Servers
from shared.broker import Speaking
from shared.envelope import PACK_TYPE, PREFIX, SHARDS, head_of, unpack
from shared.ids import new_id
from shared.postgres import PostgresStore, connect_pool
from shared.relay import Relay
from shared.store import Changes, OutboxRow
from shared.topology import listener_queue

SAID: Final[Mapping[type[Message], str]] = {
    HoldStock: "inventory",
    AuthorizePayment: "payment",
    RequestFulfillment: "fulfillment",
    OrderPlaced: "orchestrator",
    OrderConfirmedEvent: f"{STOREFRONT}.order.confirmed",
}
"""What each order says: four messages to our own queues, which travel in packs, and a public event, which does not."""
SCHEMA: Final = "orders"
ROWS_AT_ONCE: Final = 1_000
ARRIVED_WITHIN_S: Final = 60.0


async def relay(servers: Servers, asked: Asked, folder: Path, watching: Watching) -> dict[str, Any]:
    messages = asked.relay_orders * len(SAID)
    environment: Environment = await asyncio.to_thread(prepare, servers, f"waybill_relay_{secrets.token_hex(4)}")
    try:
        task = {
            "database_url": environment.env["ORDER_DATABASE_URL"],
            "amqp_url": environment.env["ORDER_AMQP_URL"],
            "orders": asked.relay_orders,
        }
        watching(f"filling the outbox with {messages} messages", 0.0)
        async with child("services.sandbox.bench.relay", task, folder / "relay.log") as relaying:
            meter = Meter({"services": [relaying.pid], **servers.pids()})
            told: dict[str, Any] = {}
            async for told in relaying.words():
                if told["said"] == "measuring":
                    meter.start()
                elif told["said"] == "going":
                    watching(f"relaying: {told['relayed']} of {messages}", told["relayed"] / messages)
            meter.stop()
        watching("counting what arrived", 1.0)
        arrived = await count_arrived(environment.env["AMQP_URL"], messages)
    finally:
        await asyncio.to_thread(environment.drop)
    broken = messages - len(arrived) + sum(times - 1 for times in arrived.values())
    return {
        "orders": asked.relay_orders,
        "orders_per_s": round(asked.relay_orders / told["seconds"], 1),
        "p50_ms": told["p50_ms"],
        "p99_ms": told["p99_ms"],
        "cpu_ms_per_order": meter.ms_per(asked.relay_orders),
        "messages": messages,
        "messages_per_s": round(messages / told["seconds"]),
        "parcels": told["parcels"],
        "cpu_ms_per_message": meter.ms_per(messages)["total"],
        "cpus_used_by_others": meter.others,
        "seconds": told["seconds"],
        "invariants": {"checked": messages, "broken": broken},
        "ok": broken == 0 and told["left"] == 0,
    }


async def count_arrived(url: str, expected: int) -> Counter[str]:
    """How often each message lies in the queues, by id; the queues are empty afterwards."""
    arrived: Counter[str] = Counter()
    queues = [name for message, name in SAID.items() if message.kind is not Kind.EVENT] + [listener_queue(STOREFRONT)]
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        quiet = asyncio.Event()

        async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            if message.content_type == PACK_TYPE:
                arrived.update(envelope.id for envelope in unpack(message.body))
            else:
                arrived[str(message.headers[PREFIX + "id"])] += 1
            if len(arrived) >= expected:
                quiet.set()

        for name in queues:
            await (await channel.get_queue(name, ensure=False)).consume(hear, no_ack=True)
        try:
            await asyncio.wait_for(quiet.wait(), ARRIVED_WITHIN_S)
        except TimeoutError:
            return arrived
        await asyncio.sleep(1.0)  # what was said twice would come now
    return arrived


# -- inside the child --------------------------------------------------------------------------------------------


async def main(task: dict[str, Any]) -> None:
    pool = await connect_pool(task["database_url"], name="waybill-bench-relay")
    store, speaking = PostgresStore(pool, SCHEMA), Speaking(task["amqp_url"], "waybill-bench-relay")
    await speaking.start()
    await fill(store, task["orders"])
    say("measuring")
    began = time.monotonic()
    passes: list[float] = []
    parcels = relayed = 0
    relay = Relay(store, speaking)
    while True:
        started = time.monotonic()
        done = await relay.run(range(SHARDS))
        if not done.read:
            break
        passes.append((time.monotonic() - started) * 1000)
        parcels += done.parcels
        relayed += done.confirmed
        if len(passes) % 5 == 0:
            say("going", relayed=relayed)
    seconds = time.monotonic() - began
    passes.sort()
    left = await store.outbox_waiting()
    await speaking.stop()
    await store.close()
    say(
        "done", seconds=round(seconds, 3), parcels=parcels, left=left,
        p50_ms=percentile(passes, 0.50), p99_ms=percentile(passes, 0.99),
    )  # fmt: skip


async def fill(store: PostgresStore, orders: int) -> None:
    rows = list(outbox_rows(orders))
    for first in range(0, len(rows), ROWS_AT_ONCE):
        async with store.transaction() as transaction:
            await transaction.write(Changes(outbox=rows[first : first + ROWS_AT_ONCE]))
            await transaction.commit()


def outbox_rows(orders: int) -> Iterator[OutboxRow]:
    """As a batch says them: by order, what one order says together."""
    now = datetime.now(UTC)
    for _ in range(orders):
        order_id = new_id()
        for type_, destination in SAID.items():
            yield _row(EXAMPLES[type_], order_id, destination, now)


def _row(example: Message, order_id: UUID, destination: str, now: datetime) -> OutboxRow:
    message = example.model_copy(update={"order_id": order_id})
    id_, subject = new_id(), str(order_id)
    head = head_of(message, id_=id_, source="order", subject=subject, now=now, cause={}, command_key=f"{id_}/do")
    return OutboxRow(id_, subject, destination, message.kind is Kind.EVENT, head, message.model_dump_json())


if __name__ == "__main__":
    obey(main)

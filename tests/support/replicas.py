"""Replicas of a service on one real PostgreSQL, as its own role, and what they are told at the same instant."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import asyncpg

from contracts.message import Message
from services.fulfillment.tables import SCHEMA as FULFILLMENT
from services.inventory.schema import SCHEMA as INVENTORY
from services.orchestrator.tables import SCHEMA as ORCHESTRATOR
from services.order.tables import SCHEMA as ORDER
from services.payment.schema import SCHEMA as PAYMENT
from services.sandbox.environment import Environment
from shared.batch import Batches
from shared.consumer import Consumer
from shared.heard import Heard
from shared.ids import new_id
from shared.postgres import PostgresStore, connect_pool
from tests.support.company import envelope_of

REPLICAS: Final = 3
BATCH: Final = 100
SCHEMA_OF: Final = {
    "fulfillment": FULFILLMENT,
    "inventory": INVENTORY,
    "orchestrator": ORCHESTRATOR,
    "order": ORDER,
    "payment": PAYMENT,
}


@asynccontextmanager
async def stores_of(environment: Environment, service: str, many: int = REPLICAS) -> AsyncIterator[list[PostgresStore]]:
    url = environment.env[f"{service.upper()}_DATABASE_URL"]
    async with AsyncExitStack() as stack:
        stores = []
        for number in range(many):
            store = PostgresStore(await connect_pool(url, name=f"{service} {number}", max_size=3), SCHEMA_OF[service])
            stack.push_async_callback(store.close)
            stores.append(store)
        yield stores


@asynccontextmanager
async def replicas_of(
    environment: Environment, consumer: Consumer, many: int = REPLICAS
) -> AsyncIterator[list[Batches]]:
    async with stores_of(environment, consumer.name, many) as stores:
        yield [Batches(consumer, store, new_id) for store in stores]


@asynccontextmanager
async def books_of(environment: Environment, service: str, role: str = "") -> AsyncIterator[asyncpg.Connection]:
    """A look into a service's schema: as the owner, who may do there what the service may not, or as a service."""
    connection = await asyncpg.connect(environment.env[f"{role.upper()}_DATABASE_URL" if role else "DATABASE_URL"])
    try:
        await connection.execute(f"SET search_path = {SCHEMA_OF[service]}")
        yield connection
    finally:
        await connection.close()


def heard(message: Message, key: str | None = None) -> Heard:
    """A message as it comes from its queue."""
    id_ = new_id()
    envelope = envelope_of(message, id_=id_, source="orchestrator", now=datetime.now(UTC), command_key=key)
    return Heard(message.heard_by, envelope, id_)


async def start_gun(
    replicas: Sequence[Batches], shares: Sequence[Sequence[Heard]], *, batch: int = BATCH, due: bool = False
) -> None:
    """Every replica works through its share in batches, all at once."""
    gun = asyncio.Event()

    async def run(batches: Batches, share: Sequence[Heard]) -> None:
        await gun.wait()
        for first in range(0, len(share), batch):
            await batches.run(share[first : first + batch], due=due)

    running = [asyncio.create_task(run(*pair)) for pair in zip(replicas, shares, strict=True)]
    gun.set()
    await asyncio.gather(*running)

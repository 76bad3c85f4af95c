"""Replicas of the payment service on one real PostgreSQL, with workers that a test makes work."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from contracts.message import Message
from services.payment.effects import payment_effect
from services.payment.handlers import make_consumer
from services.payment.policy import PaymentPolicy
from services.payment.tables import SCHEMA
from services.payment.webhook import told_by
from services.sandbox.environment import Environment
from shared.batch import Batches
from shared.heard import Heard
from shared.ids import new_id
from shared.postgres import PostgresStore, connect_pool
from tests.support.company import envelope_of
from tests.support.scripted_provider import ScriptedProvider

REPLICAS = 3
QUIET_WITHIN_S = 90.0
"""What waits for another message is tried again after seconds."""


@asynccontextmanager
async def replicas_of(environment: Environment, policy: PaymentPolicy) -> AsyncIterator[list[Batches]]:
    url = environment.env["PAYMENT_DATABASE_URL"]
    pools = [await connect_pool(url, name=f"payment {number}", max_size=3) for number in range(REPLICAS)]
    stores = [PostgresStore(pool, SCHEMA) for pool in pools]
    yield [Batches(make_consumer(policy), store, new_id) for store in stores]
    for store in stores:
        await store.close()


@asynccontextmanager
async def owner_of(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    """Who may do in the payments' schema what the service may not."""
    connection = await asyncpg.connect(environment.env["DATABASE_URL"])
    await connection.execute("SET search_path = payments")
    yield connection
    await connection.close()


def heard(message: Message, key: str | None = None) -> Heard:
    id_ = new_id()
    envelope = envelope_of(message, id_=id_, source="orchestrator", now=datetime.now(UTC), command_key=key)
    return Heard("payment", envelope, id_)


async def works(replica: Batches, provider: ScriptedProvider) -> None:
    """One pass of a worker: takes, calls, tells; and what the provider tells by itself."""
    effect = payment_effect({"sandbox": provider})
    taken = await effect.take(replica.store, 7)
    told = [heard(await effect.perform(attempt)) for attempt in taken]
    notices = [heard(told_by(notice, "sandbox")) for notice in provider.take_notices()]
    await replica.run([*told, *notices], due=True)


async def until_quiet(replicas: Sequence[Batches], provider: ScriptedProvider, owner: asyncpg.Connection) -> None:
    """Of every attempt it is known what became of it, and nothing waits for another message."""
    waiting = (
        "SELECT (SELECT count(*) FROM attempts WHERE state IN ('open', 'calling', 'unknown'))"
        " + (SELECT count(*) FROM due WHERE error <> '')"
    )
    deadline = time.monotonic() + QUIET_WITHIN_S
    while time.monotonic() < deadline:
        await asyncio.gather(*(works(replica, provider) for replica in replicas))
        if await owner.fetchval(waiting) == 0:
            return
    errors = await owner.fetch("SELECT DISTINCT error FROM due WHERE error <> ''")
    raise AssertionError(f"never quiet: {errors}")

"""The two stores of the contract tests, both with the toy's tables, each telling when somebody waits for a lock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol
from uuid import uuid4

import asyncpg

from shared.postgres import PostgresStore, connect_pool
from shared.provision import role_of
from shared.schema import create_sql, frame_sql, rights, transition_trigger
from shared.store import Outbox, Store
from tests.support import toy
from tests.support.memory import MemoryStore

LOOKS_AT_MOST: Final = 2_000
"""Looks at the locks before a test gives up; in PostgreSQL 5 ms apart."""
SCHEMA: Final = str(toy.METADATA.schema)


class StoreAndOutbox(Store, Outbox, Protocol):
    """What a service's database is to the frame."""


class Rig(Protocol):
    store: StoreAndOutbox

    async def until_blocked(self, transactions: int = 1) -> None:
        """Return once so many transactions wait for a lock."""


class MemoryRig:
    def __init__(self) -> None:
        async def step(_: str) -> None:
            await asyncio.sleep(0)

        self.memory = MemoryStore(tables=toy.TABLES, machines=toy.MACHINES, step=step)
        self.store: StoreAndOutbox = self.memory

    async def until_blocked(self, transactions: int = 1) -> None:
        for _ in range(LOOKS_AT_MOST):
            if len(self.memory.blocked) >= transactions:
                return
            await asyncio.sleep(0)
        raise AssertionError("nobody waits for a lock")


class PostgresRig:
    def __init__(self, store: PostgresStore, owner: asyncpg.Connection) -> None:
        self.store: StoreAndOutbox = store
        self._owner = owner

    async def until_blocked(self, transactions: int = 1) -> None:
        for _ in range(LOOKS_AT_MOST):
            waiting = await self._owner.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if waiting >= transactions:
                return
            await asyncio.sleep(0.005)
        raise AssertionError("nobody waits for a lock")


@asynccontextmanager
async def postgres_rig(owner_url: str) -> AsyncIterator[PostgresRig]:
    """A database of its own, a role with the rights a service has, and nothing left behind."""
    name, role, password = f"store_{uuid4().hex}", role_of(f"toy_{uuid4().hex[:8]}"), uuid4().hex
    server = await asyncpg.connect(owner_url)
    try:
        await server.execute(f"CREATE DATABASE {name}")
        await server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        owner = await asyncpg.connect(owner_url, database=name)
        try:
            await owner.execute(f"CREATE SCHEMA {SCHEMA}")
            for statement in _statements(role):
                await owner.execute(statement)
            pool = await connect_pool(_with(owner_url, role, password, name), name="store contract")
            store = PostgresStore(pool, SCHEMA)
            try:
                yield PostgresRig(store, owner)
            finally:
                await store.close()
        finally:
            await owner.close()
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.execute(f"DROP ROLE IF EXISTS {role}")
        await server.close()


def _statements(role: str) -> list[str]:
    statements = [*frame_sql(SCHEMA), *create_sql(toy.METADATA)]
    for table, column, machine in toy.MACHINES:
        statements += transition_trigger(SCHEMA, table, column, machine)
    return [*statements, *rights(SCHEMA, role, toy.TABLES)]


def _with(url: str, role: str, password: str, database: str) -> str:
    """The same server for another role and database."""
    scheme, _, rest = url.partition("://")
    address, _, parameters = rest.rpartition("@")[2].partition("/")
    _, question, query = parameters.partition("?")
    return f"{scheme}://{role}:{password}@{address}/{database}{question}{query}"

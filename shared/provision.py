"""Makes a database ready: roles with least rights, one schema per service, every migration.

Idempotent: running it again brings what is missing and changes no data.
"""

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from shared import migrations, schema

SERVICES: Final = ("order", "inventory", "payment", "fulfillment", "orchestrator")


def role_of(service: str) -> str:
    """The PostgreSQL role of a service."""
    return f"waybill_{service}"


def sqlalchemy_url(url: str) -> str:
    """The same database for SQLAlchemy, through asyncpg: one driver for everything."""
    return "postgresql+asyncpg://" + url.split("://", 1)[1]


def migrate(owner_url: str, passwords: Mapping[str, str], services: Sequence[str] = SERVICES) -> None:
    """Create roles, schemas and tables. `passwords` by service; roles are made or given their new password."""
    with ThreadPoolExecutor(1) as thread:  # a thread of its own: callers may be inside a running event loop
        thread.submit(asyncio.run, _migrate(owner_url, passwords, services)).result()


async def _migrate(owner_url: str, passwords: Mapping[str, str], services: Sequence[str]) -> None:
    engine = create_async_engine(sqlalchemy_url(owner_url), poolclass=sa.NullPool)
    try:
        for service in services:
            tables = importlib.import_module(f"services.{service}.tables")
            async with engine.begin() as connection:
                await connection.run_sync(_prepare, service, tables, passwords[service])
    finally:
        await engine.dispose()


def _prepare(connection: sa.Connection, service: str, tables: Any, password: str) -> None:
    # one provisioner at a time in a cluster: roles are shared by its databases
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(7203941)"))
    _role(connection, role_of(service), password)
    migrations.upgrade(connection, service, tables.SCHEMA)
    for statement in schema.rights(tables.SCHEMA, role_of(service), tables.TABLES):
        connection.exec_driver_sql(statement)


def _role(connection: sa.Connection, role: str, password: str) -> None:
    database = connection.scalar(sa.text("SELECT current_database()"))
    known = connection.scalar(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
    literal = connection.scalar(sa.text("SELECT quote_literal(cast(:password AS text))"), {"password": password})
    verb = "ALTER" if known else "CREATE"
    connection.exec_driver_sql(
        f"{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD {literal}"
    )
    connection.exec_driver_sql(f'GRANT CONNECT ON DATABASE "{database}" TO {role}')

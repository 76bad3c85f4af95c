"""What the migrations made is what the services declare, and migrating again changes nothing."""

import asyncio
import importlib
from typing import Any, Final

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from services.sandbox.environment import Environment
from shared import migrations
from shared.provision import SERVICES, migrate, sqlalchemy_url
from shared.schema import FRAME_TABLES

TABLES: Final = {service: importlib.import_module(f"services.{service}.tables") for service in SERVICES}
CONSTRAINTS: Final = """
    SELECT conrelid::regclass::text AS "table", conname AS name, pg_get_constraintdef(oid) AS said
    FROM pg_constraint WHERE connamespace = to_regnamespace($1) AND contype IN ('c', 'u', 'f') ORDER BY 1, 2
"""


async def on(environment: Environment, work: Any) -> Any:
    engine = create_async_engine(sqlalchemy_url(environment.env["DATABASE_URL"]), poolclass=sa.NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


@pytest.mark.parametrize("service", SERVICES)
async def test_tables_are_as_declared(environment: Environment, service: str) -> None:
    """Columns, types, nullability, indexes, unique and foreign keys, by Alembic's own comparison."""
    module = TABLES[service]
    not_declared = {*FRAME_TABLES, "inbox_default", "alembic_version"} | {
        f"{table}_{column}_moves" for table, column, _ in module.MACHINES
    }

    def differences(connection: sa.Connection) -> list[Any]:
        def mine(thing: Any, name: str | None, type_: str, *_: Any) -> bool:
            if type_ == "table":
                return thing.schema == module.SCHEMA and name not in not_declared
            return thing.table.schema == module.SCHEMA and thing.table.name not in not_declared

        def schemas(name: str | None, type_: str, _: Any) -> bool:
            return type_ != "schema" or name == module.SCHEMA

        options = {
            "include_schemas": True,
            "include_object": mine,
            "include_name": schemas,
            "compare_type": True,
            "compare_server_default": True,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), module.METADATA))

    assert await on(environment, differences) == []


@pytest.mark.parametrize("service", SERVICES)
async def test_every_promise_is_a_constraint(environment: Environment, service: str) -> None:
    """Alembic does not compare CHECKs: each one declared must be there by its name."""
    module = TABLES[service]
    declared = {
        (f"{module.SCHEMA}.{table.name}", str(constraint.name))
        for table in module.METADATA.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    }

    def found(connection: sa.Connection) -> set[tuple[str, str]]:
        rows = connection.exec_driver_sql(CONSTRAINTS, (module.SCHEMA,))
        return {(row.table, row.name) for row in rows}

    assert declared - await on(environment, found) == set()
    assert declared


async def test_migrating_again_changes_nothing(environment: Environment) -> None:
    def whole(connection: sa.Connection) -> list[Any]:
        told: list[Any] = []
        for schema in [module.SCHEMA for module in TABLES.values()]:
            told += [tuple(row) for row in connection.exec_driver_sql(CONSTRAINTS, (schema,))]
            columns = (
                "SELECT table_name, column_name, data_type, is_nullable, column_default"
                " FROM information_schema.columns WHERE table_schema = $1 ORDER BY 1, 2"
            )
            told += [tuple(row) for row in connection.exec_driver_sql(columns, (schema,))]
            rights = (
                "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants"
                " WHERE table_schema = $1 ORDER BY 1, 2, 3"
            )
            told += [tuple(row) for row in connection.exec_driver_sql(rights, (schema,))]
            version = connection.exec_driver_sql(f"SELECT version_num FROM {schema}.alembic_version").scalar_one()
            told.append((schema, version))
        return told

    before = await on(environment, whole)
    passwords = {
        service: environment.env[f"{service.upper()}_DATABASE_URL"].split("://", 1)[1].split("@")[0].split(":")[1]
        for service in SERVICES
    }
    await asyncio.to_thread(migrate, environment.env["DATABASE_URL"], passwords)
    assert await on(environment, whole) == before
    heads = {(module.SCHEMA, migrations.head(service, module.SCHEMA)) for service, module in TABLES.items()}
    assert heads <= set(before)

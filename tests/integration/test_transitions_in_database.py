"""The state machines hold in the database itself: a hand-written UPDATE can make no move that the table does not have.

A bare copy of each table (same column, same trigger function, no other constraint) is moved through every pair, so that
what is refused is refused by the trigger and by nothing else.
"""

import importlib
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import pytest

from services.sandbox.environment import Environment
from shared.machine import Machine
from shared.provision import SERVICES

TABLES: Final = {service: importlib.import_module(f"services.{service}.tables") for service in SERVICES}
MACHINES: Final[list[tuple[str, str, str, Machine[Any]]]] = [
    (module.SCHEMA, table, column, machine) for module in TABLES.values() for table, column, machine in module.MACHINES
]
COPIES: Final = {
    ("orders", "order_shipments", "status"),  # what fulfillment says of a shipment; its own table guards it
    ("fulfillment", "fulfillment_events", "state"),  # history: only ever appended to
}
NAMES: Final = [f"{schema}.{table}.{column}" for schema, table, column, _ in MACHINES]


@pytest.fixture(scope="module")
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(environment.env["DATABASE_URL"])
    yield connection
    await connection.close()


def test_every_state_has_a_machine() -> None:
    """A text column called state, status or phase that nothing guards would be a hole."""
    guarded = {(schema, table, column) for schema, table, column, _ in MACHINES}
    found = {
        (module.SCHEMA, table.name, column.name)
        for module in TABLES.values()
        for table in module.METADATA.tables.values()
        for column in table.columns
        if column.name in ("state", "status", "phase")
    }
    assert len(MACHINES) >= 6
    assert found - guarded == COPIES


@pytest.mark.parametrize(("schema", "table", "column", "machine"), MACHINES, ids=NAMES)
async def test_every_pair_of_states(
    owner: asyncpg.Connection, schema: str, table: str, column: str, machine: Machine[Any]
) -> None:
    states = [str(state.value) for state in machine.states]
    legal = {(str(origin), str(target)) for origin, target in machine.pairs}
    wrong: list[str] = []
    whole = owner.transaction()
    await whole.start()
    try:
        await owner.execute(f"CREATE TEMP TABLE moved ({column} text NOT NULL) ON COMMIT DROP")
        await put_triggers(owner, schema, table, column)
        for origin in states:
            for target in states:
                if origin == target:
                    continue
                # the copy is put into its first state behind the triggers' back, as no role of ours could
                await owner.execute(
                    "SET LOCAL session_replication_role = replica; DELETE FROM moved;"
                    f" INSERT INTO moved VALUES ('{origin}'); SET LOCAL session_replication_role = origin"
                )
                moved = await does(owner, f"UPDATE moved SET {column} = '{target}'")
                if moved is not ((origin, target) in legal):
                    wrong.append(f"{origin} -> {target}: {'allowed' if moved else 'refused'}")
    finally:
        await whole.rollback()
    assert wrong == []
    assert legal or len(states) == 1, "a machine without a move"


@pytest.mark.parametrize(("schema", "table", "column", "machine"), MACHINES, ids=NAMES)
async def test_every_start(
    owner: asyncpg.Connection, schema: str, table: str, column: str, machine: Machine[Any]
) -> None:
    whole = owner.transaction()
    await whole.start()
    try:
        await owner.execute(f"CREATE TEMP TABLE moved ({column} text NOT NULL) ON COMMIT DROP")
        await put_triggers(owner, schema, table, column)
        born = {
            str(state.value)
            for state in machine.states
            if await does(owner, f"INSERT INTO moved VALUES ('{state.value}')")
        }
    finally:
        await whole.rollback()
    assert born == {str(state.value) for state in machine.start}


async def put_triggers(owner: asyncpg.Connection, schema: str, table: str, column: str) -> None:
    """The triggers the real table has, word for word, on the copy."""
    records = await owner.fetch(
        "SELECT pg_get_triggerdef(oid) AS text FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal"
        " AND tgname LIKE $2",
        f"{schema}.{table}",
        f"{table}_{column}_moves%",
    )
    assert len(records) == 2, f"{schema}.{table}.{column} has no triggers for start and move"
    for record in records:
        text = record["text"].replace(f" ON {schema}.{table} ", " ON moved ")
        await owner.execute(text)


async def does(owner: asyncpg.Connection, statement: str) -> bool:
    point = owner.transaction()
    await point.start()
    try:
        await owner.execute(statement)
    except asyncpg.CheckViolationError as refused:
        assert "cannot" in str(refused)
        return False
    else:
        return True
    finally:
        await point.rollback()


@pytest.mark.parametrize(("schema", "table", "column", "machine"), MACHINES, ids=NAMES)
async def test_only_declared_states(
    owner: asyncpg.Connection, schema: str, table: str, column: str, machine: Machine[Any]
) -> None:
    check = await owner.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::regclass AND conname LIKE $2",
        f"{schema}.{table}",
        f"%{column}_is_declared",
    )
    assert set(re.findall(r"'([^']*)'", check)) == {str(state.value) for state in machine.states}


@pytest.mark.parametrize("service", SERVICES)
async def test_the_role_moves_nothing_in_the_table_of_moves(environment: Environment, service: str) -> None:
    """Or it could allow itself any move."""
    role = await asyncpg.connect(environment.env[f"{service.upper()}_DATABASE_URL"])
    module = TABLES[service]
    try:
        for table, column, _ in module.MACHINES:
            for verb in ("INSERT INTO {0} VALUES ('x', 'y')", "UPDATE {0} SET target = origin", "DELETE FROM {0}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await role.execute(verb.format(f"{module.SCHEMA}.{table}_{column}_moves"))
    finally:
        await role.close()


@pytest.mark.parametrize("statement", ["UPDATE orders.order_events SET name = name", "DELETE FROM orders.order_events"])
async def test_the_story_is_only_ever_longer(environment: Environment, statement: str) -> None:
    role = await asyncpg.connect(environment.env["ORDER_DATABASE_URL"])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await role.execute(statement)
    finally:
        await role.close()

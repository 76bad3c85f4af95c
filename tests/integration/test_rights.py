"""Every verb of every database role on every table, every right of every broker user: allowed or refused, all tried.

The verbs a role should have are written here by the kind of table; the tables are read from the database itself.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import aio_pika
import aiormq.exceptions
import asyncpg
import pytest

from services.sandbox.environment import Environment
from tests.support.login import log_in

SCHEMA_OF: Final = {
    "order": "orders",
    "inventory": "inventory",
    "payment": "payments",
    "fulfillment": "fulfillment",
    "orchestrator": "sagas",
}
APPEND_ONLY: Final = {
    ("orders", "order_events"),
    ("inventory", "movements"),
    ("inventory", "routes"),
    ("inventory", "stock_takes"),
    ("inventory", "feed_pages"),
    ("payments", "transfers"),
    ("payments", "quoted_references"),
    ("fulfillment", "fulfillment_events"),
}
DELETABLE: Final = {"inbox", "due", "outbox"}
VERBS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER")
DDL: Final = (
    "CREATE TABLE {schema}.mine (id int)",
    "CREATE SCHEMA mine",
    "CREATE TABLE public.mine (id int)",
    "DROP TABLE {table}",
    "ALTER TABLE {table} ADD COLUMN mine int",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "CREATE INDEX ON {table} ((1))",
    "CREATE FUNCTION {schema}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "SET session_replication_role = replica",
    "SET ROLE waybill",
)


@pytest.fixture(scope="module")
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(environment.env["DATABASE_URL"])
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def tables(owner: asyncpg.Connection) -> list[tuple[str, str]]:
    """(schema, table) of everything in our schemas, the children of partitions and the machines' tables included."""
    records = await owner.fetch(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1, 2",
        list(SCHEMA_OF.values()),
    )
    found = [(record[0], record[1]) for record in records]
    assert {schema for schema, _ in found} == set(SCHEMA_OF.values())
    return found


def should_have(schema_of_role: str, schema: str, table: str) -> set[str]:
    if schema != schema_of_role:
        return set()
    if table == "alembic_version" or table.endswith("_moves") or table.startswith("inbox_"):
        return {"SELECT"}
    if (schema, table) in APPEND_ONLY:
        return {"SELECT", "INSERT"}
    if table in DELETABLE:
        return {"SELECT", "INSERT", "UPDATE", "DELETE"}
    return {"SELECT", "INSERT", "UPDATE"}


def tried(verb: str, table: str, column: str) -> str:
    """A statement that changes nothing even where it is allowed."""
    return {
        "SELECT": f"SELECT {column} FROM {table} LIMIT 0",
        "INSERT": f"INSERT INTO {table} SELECT * FROM {table} WHERE false",
        "UPDATE": f"UPDATE {table} SET {column} = {column} WHERE false",
        "DELETE": f"DELETE FROM {table} WHERE false",
        "TRUNCATE": f"TRUNCATE {table}",
        "TRIGGER": f"CREATE TRIGGER mine BEFORE UPDATE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    }[verb]


async def refused(connection: asyncpg.Connection, statement: str) -> bool:
    """Whether the server refuses; whatever was done is undone."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        await connection.execute(statement)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError):
        return True
    else:
        return False
    finally:
        await attempt.rollback()


@pytest.mark.parametrize("service", SCHEMA_OF)
async def test_every_verb_on_every_table(
    environment: Environment, owner: asyncpg.Connection, tables: list[tuple[str, str]], service: str
) -> None:
    role = await asyncpg.connect(environment.env[f"{service.upper()}_DATABASE_URL"])
    wrong: list[str] = []
    allowed_count = refused_count = 0
    try:
        for schema, table in tables:
            column = await owner.fetchval(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2"
                " AND is_identity = 'NO' ORDER BY ordinal_position LIMIT 1",
                schema,
                table,
            )
            expected = should_have(SCHEMA_OF[service], schema, table)
            for verb in VERBS:
                statement = tried(verb, f"{schema}.{table}", column)
                if verb == "INSERT" and table == "outbox":
                    statement = (
                        f"INSERT INTO {schema}.outbox ({column}) SELECT {column} FROM {schema}.outbox WHERE false"
                    )
                is_refused = await refused(role, statement)
                allowed_count += not is_refused
                refused_count += is_refused
                if is_refused == (verb in expected):
                    wrong.append(
                        f"{role_name(service)} {verb} {schema}.{table}: {'refused' if is_refused else 'allowed'}"
                    )
    finally:
        await role.close()
    assert wrong == []
    assert allowed_count > 20 and refused_count > 150, "the tables were not all there"


def role_name(service: str) -> str:
    return f"waybill_{service}"


@pytest.mark.parametrize("statement", DDL)
@pytest.mark.parametrize("service", SCHEMA_OF)
async def test_no_role_changes_the_house(environment: Environment, service: str, statement: str) -> None:
    schema = SCHEMA_OF[service]
    text = statement.format(schema=schema, table=f"{schema}.outbox")
    role = await asyncpg.connect(environment.env[f"{service.upper()}_DATABASE_URL"])
    try:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError)):
            await role.execute(text)
    finally:
        await role.close()


async def test_append_only_tables_are_those_of_the_story_and_the_movements(tables: list[tuple[str, str]]) -> None:
    assert set(tables) >= APPEND_ONLY


# -- the broker ----------------------------------------------------------------------------------------------------

EXCHANGES: Final = (
    "waybill.commands",
    "waybill.events",
    "waybill.storefront",
    "waybill.warehouse",
    "waybill.stock",
    "waybill.dead",
)
WRITES: Final = {
    **{service: {"waybill.commands", "waybill.events"} for service in SCHEMA_OF},
    "warehouse": {"waybill.warehouse"},
    "stock-source": {"waybill.stock"},
    "demo-shop": {"waybill.storefront"},
}
READS: Final = {
    "order": {"order", "order.requests"},
    "inventory": {"inventory", "stock.reports"},
    "payment": {"payment"},
    "fulfillment": {"fulfillment", "warehouse.reports"},
    "orchestrator": {"orchestrator", "storefront.requests"},
    "warehouse": {"warehouse.orders"},
    "stock-source": set(),
    "demo-shop": {"storefront.demo-shop.events"},
}
QUEUES: Final = sorted(set().union(*READS.values()))
ALL_QUEUES: Final = [*QUEUES, *(f"{queue}.dead" for queue in QUEUES if queue != "storefront.demo-shop.events")]
URL_OF: Final = {
    "warehouse": "WAREHOUSE_AMQP_URL",
    "stock-source": "STOCK_SOURCE_AMQP_URL",
    "demo-shop": "STOREFRONT_AMQP_URL",
}
REFUSED: Final = (aiormq.exceptions.ChannelAccessRefused, aiormq.exceptions.ChannelClosed)


@pytest.fixture(scope="module", params=list(WRITES))
async def user(
    environment: Environment, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[str, aio_pika.abc.AbstractConnection]]:
    name = request.param
    url = environment.env[URL_OF.get(name, f"{name.upper()}_AMQP_URL")]
    connection = await aio_pika.connect(url, timeout=20)
    yield name, connection
    await connection.close()


User = tuple[str, aio_pika.abc.AbstractConnection]


async def is_refused(connection: aio_pika.abc.AbstractConnection, doing: str, name: str) -> bool:
    """On a channel of its own: the broker answers what is forbidden by closing the channel."""
    channel = await connection.channel(publisher_confirms=True)
    under = await channel.get_underlay_channel()
    try:
        match doing:
            case "publish":
                confirmed = await under.basic_publish(b"", exchange=name, routing_key="nowhere", timeout=10)
                assert confirmed is not None
            case "consume":
                ok = await under.basic_consume(name, lambda _: asyncio.sleep(0), timeout=10)
                await under.basic_cancel(ok.consumer_tag or "")
            case "declare a queue":
                await under.queue_declare(name, durable=True, timeout=10)
            case "declare an exchange":
                await under.exchange_declare(name, exchange_type="direct", durable=True, timeout=10)
            case "delete a queue":
                await under.queue_delete(name, timeout=10)
            case "purge":
                await under.queue_purge(name, timeout=10)
            case "bind":
                await under.queue_bind(name, "waybill.events", "#", timeout=10)
    except REFUSED as refusal:
        assert "ACCESS_REFUSED" in str(refusal), refusal
        return True
    finally:
        if not channel.is_closed:
            await channel.close()
    return False


async def test_publishes_only_through_its_own_doors(user: User) -> None:
    name, connection = user
    found = {
        exchange
        for exchange in (*EXCHANGES, "amq.direct", "amq.topic")
        if not await is_refused(connection, "publish", exchange)
    }
    assert found == WRITES[name]


async def test_consumes_only_its_own_queues(user: User) -> None:
    name, connection = user
    own = READS[name]
    expected = own | ({f"{queue}.dead" for queue in own} if name in SCHEMA_OF else set())
    assert {queue for queue in ALL_QUEUES if not await is_refused(connection, "consume", queue)} == expected


async def test_configures_nothing(user: User) -> None:
    name, connection = user
    own = sorted(READS[name] or {"stock.reports"})[0]
    tries = [
        ("declare a queue", "mine"),
        ("declare an exchange", "mine"),
        ("delete a queue", own),
        ("bind", own),
        ("bind", "storefront.demo-shop.events"),
    ]
    assert [attempt for attempt in tries if not await is_refused(connection, *attempt)] == []


async def test_purges_nothing_of_others(user: User) -> None:
    name, connection = user
    others = [queue for queue in QUEUES if queue not in READS[name]]
    assert [queue for queue in others if not await is_refused(connection, "purge", queue)] == []


@pytest.mark.parametrize("claimed", ["order", "another-shop", "waybill"])
async def test_a_forged_sender_is_refused_by_the_broker(environment: Environment, claimed: str) -> None:
    async with await aio_pika.connect(environment.env["STOREFRONT_AMQP_URL"], timeout=20) as connection:
        channel = await connection.channel(publisher_confirms=True)
        door = await channel.get_exchange("waybill.storefront", ensure=False)
        with pytest.raises((*REFUSED, aiormq.exceptions.ChannelPreconditionFailed)):
            await door.publish(aio_pika.Message(b"{}", user_id=claimed), "storefront.requests", timeout=10)


async def test_another_vhost_is_closed_to_our_users(environment: Environment) -> None:
    root = environment.env["STOREFRONT_AMQP_URL"].rpartition("/")[0] + "/"
    with pytest.raises((*REFUSED, aio_pika.exceptions.AMQPError)):
        await log_in(root)

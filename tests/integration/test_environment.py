"""An environment is a database and a vhost where each service can log in, and which leaves nothing when dropped."""

import asyncio
from collections.abc import Iterator

import aio_pika
import asyncpg
import pytest

from services.sandbox.environment import OUTSIDERS, Environment, prepare, provision
from services.sandbox.servers import Servers, ServersUnavailable
from shared.provision import SERVICES
from tests.support.login import log_in


@pytest.fixture(scope="module")
def environment(servers: Servers) -> Iterator[Environment]:
    made = prepare(servers, "environment_test")
    yield made
    made.drop()


async def who_am_i(database_url: str) -> tuple[str, str]:
    connection = await asyncpg.connect(database_url, timeout=20)
    try:
        row = await connection.fetchrow("SELECT current_user, current_database()")
        assert row is not None
        return str(row[0]), str(row[1])
    finally:
        await connection.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_logs_in_as_itself(environment: Environment, service: str) -> None:
    database_url = environment.env[f"{service.upper()}_DATABASE_URL"]
    assert await who_am_i(database_url) == (f"waybill_{service}", "environment_test")
    await log_in(environment.env[f"{service.upper()}_AMQP_URL"])


@pytest.mark.parametrize("variable", ["AMQP_URL", *OUTSIDERS])
async def test_outsiders_and_the_administrator_log_in(environment: Environment, variable: str) -> None:
    await log_in(environment.env[variable])


async def test_a_second_environment_does_not_lock_out_the_first_and_goes_without_trace(
    servers: Servers, environment: Environment
) -> None:
    second = await asyncio.to_thread(prepare, servers, "environment_test_second")
    try:
        await log_in(environment.env["ORDER_AMQP_URL"])
        assert (await who_am_i(environment.env["ORDER_DATABASE_URL"]))[1] == "environment_test"
        assert (await who_am_i(second.env["ORDER_DATABASE_URL"]))[1] == "environment_test_second"
    finally:
        await asyncio.to_thread(second.drop)
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await log_in(second.env["ORDER_AMQP_URL"])
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await who_am_i(second.env["DATABASE_URL"])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ServersUnavailable, match=r"MANAGEMENT_URL.*ORDER_PASSWORD.*DEMO_SHOP_PASSWORD"):
        provision({"DATABASE_URL": "postgresql://nowhere/", "AMQP_URL": "amqp://nowhere/"})

"""The whole system in separate processes behind two proxies, one for all campaigns; and the table of their verdicts."""

import itertools
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.sandbox.environment import prepare
from services.sandbox.servers import Servers
from tests.chaos import stockroom
from tests.chaos.campaign import RARE, VERDICTS, Place
from tests.support.processes import SERVICES, plan
from tests.support.proxy import Proxy
from tests.support.shopping import deliver_goods
from tests.support.speaker import Speaker
from tests.support.storefront import Storefront

QUICK = {
    # shorter times to live, so that what a crash leaves behind is seen to in seconds; the code path is the same
    "PROVIDER_TIMEOUT_S": "2",
    "ATTEMPT_OVERDUE_S": "4",
    "ASK_AGAIN_AFTER_S": "0.5,1,2",
    "LOOK_AFTER_S": "2,5",
    "CAPTURE_PER_SHIPMENT": "bnpl",
    "WAREHOUSE_PACE_S": "0.05",
    **stockroom.SETTINGS,
}
COLUMNS = (
    "fault",
    "times",
    "placed",
    "confirmed",
    "cancelled",
    "lost",
    "double_effects",
    "stuck",
    "shortages",
    "released",
    "recovery_s",
    "settled_s",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.chaos)


@pytest.fixture(scope="package")
async def place(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    environment = prepare(servers, f"chaos_{secrets.token_hex(3)}")
    amqp, database = Proxy(servers.amqp_url, 5672), Proxy(servers.database_url, 5432)
    await amqp.start()
    await database.start()
    env = dict(environment.env)
    for service in SERVICES:
        for kind, proxy in (("AMQP", amqp), ("DATABASE", database)):
            name = f"{service.upper()}_{kind}_URL"
            env[name] = proxy.in_front_of(env[name])
    system = plan(env, tmp_path_factory.mktemp("logs"), [(service,) for service in SERVICES], **QUICK)
    provider = Proxy(system.provider_url, 80)
    await provider.start()
    system.env["PROVIDER_URL"] = provider.in_front_of(system.provider_url)
    try:
        await system.start()
        await deliver_goods(env, {"A-1": 10**6, "A-2": 10**6, "A-3": 10**6, "A-4": 10**6, RARE: 1})
        async with (
            Storefront(env["STOREFRONT_AMQP_URL"]) as shop,
            Speaker(env["STOCK_SOURCE_AMQP_URL"], "waybill.stock") as source,
        ):
            yield Place(system, shop, source, amqp, database, provider, environment.env, servers, itertools.count(1))
        codes = await system.stop()
        assert set(codes.values()) == {0}, f"a service did not drain cleanly: {codes}"
    finally:
        await system.kill()
        await amqp.stop()
        await database.stop()
        await provider.stop()
        environment.drop()


@pytest.fixture(autouse=True)
async def healthy(place: Place) -> AsyncIterator[None]:
    """A campaign begins with everything running; what the last one left dead or frozen is put right first."""
    for process in place.system.processes.values():
        if process.dead:
            await process.start()
        else:
            process.thaw()
    place.amqp.heal()
    place.database.heal()
    place.provider.heal()
    await place.system.until_ready()
    yield


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not VERDICTS:
        return
    rows = [[str(getattr(verdict, column)) for column in COLUMNS] for verdict in VERDICTS]
    widths = [max(len(row[n]) for row in [list(COLUMNS), *rows]) for n in range(len(COLUMNS))]
    terminalreporter.section("chaos")
    for row in [list(COLUMNS), *rows]:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    terminalreporter.write_line(f"seed {VERDICTS[0].seed}")

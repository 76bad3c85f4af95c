"""Kill, stop, freeze and cut, under load: nothing is lost, nothing happens twice, nothing is stuck."""

import asyncio
from typing import Final

import asyncpg
import pytest

from tests.chaos.campaign import ROUNDS, Campaign, Place
from tests.chaos.clock import lasts
from tests.support.processes import SERVICES

DOWN_S: Final = 1.0
BROKER_DOWN_S: Final = 6.0 if ROUNDS == 1 else 60.0
FROZEN_S: Final = 3.0 if ROUNDS == 1 else 20.0
"""In the long version longer than the heartbeat: the broker gives the consumer up while it sleeps."""
NETWORK_S: Final = 3.0 if ROUNDS == 1 else 25.0
MUST_BE_CONFIRMED: Final = 0.95


async def test_sigkill_of_every_service(place: Place) -> None:
    """One after the other and close together: some die while others are still coming back."""

    async def dies(campaign: Campaign, service: str, after_s: float) -> None:
        process = place.system.of(service)
        await lasts(after_s)
        async with campaign.happening():
            await process.kill()
            await lasts(DOWN_S)
            await process.start()
            await process.until_ready()

    async def faults(campaign: Campaign) -> None:
        for _ in range(ROUNDS):
            services = campaign.chance.sample(SERVICES, len(SERVICES))
            await asyncio.gather(*(dies(campaign, service, n * DOWN_S) for n, service in enumerate(services)))

    await Campaign(place, "sigkill of each service").run(faults)


async def test_broker_stop(place: Place) -> None:
    async def faults(campaign: Campaign) -> None:
        for _ in range(ROUNDS):
            async with campaign.happening():
                await asyncio.to_thread(place.servers.stop_broker)
                await lasts(BROKER_DOWN_S)
                await asyncio.to_thread(place.servers.start_broker)
            await place.system.until_ready()
            await campaign.caught_up()

    verdict = await Campaign(place, f"broker stopped for {BROKER_DOWN_S:.0f} s", only_good=True).run(faults)
    assert verdict.in_flight > 0
    assert verdict.in_flight_confirmed >= MUST_BE_CONFIRMED * verdict.in_flight


async def test_postgresql_immediate_restart(place: Place) -> None:
    async def faults(campaign: Campaign) -> None:
        for _ in range(ROUNDS):
            async with campaign.happening():
                await asyncio.to_thread(place.servers.restart_postgres, "immediate")
            await place.system.until_ready()

    await Campaign(place, "postgresql immediate restart").run(faults)


async def test_database_connections_cut(place: Place) -> None:
    """Half of the times by the server, half by the network; services' roles only."""

    async def faults(campaign: Campaign) -> None:
        for number in range(2 * ROUNDS):
            async with campaign.happening():
                if number % 2:
                    assert place.database.cut() > 0
                else:
                    owner = await asyncpg.connect(place.env["DATABASE_URL"])
                    cut = await owner.fetchval(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                        " WHERE usename LIKE 'waybill\\_%' AND datname = current_database()"
                    )
                    await owner.close()
                    assert cut > 0
            await lasts(DOWN_S)
            await place.system.until_ready()

    await Campaign(place, "database connections cut").run(faults)


async def test_broker_connections_cut(place: Place) -> None:
    async def faults(campaign: Campaign) -> None:
        for _ in range(2 * ROUNDS):
            async with campaign.happening():
                assert place.amqp.cut() > 0
            await lasts(DOWN_S)
            await place.system.until_ready()

    await Campaign(place, "amqp connections cut").run(faults)


async def test_frozen_services(place: Place) -> None:
    """SIGSTOP: connected, silent, and full of what it has prefetched."""

    async def faults(campaign: Campaign) -> None:
        for number in range(2 * ROUNDS):
            process = place.system.of(SERVICES[campaign.chance.randrange(5) if number > 1 else (4, 2)[number]])
            async with campaign.happening():
                process.freeze()
                await lasts(FROZEN_S)
                process.thaw()
            await process.until_ready()

    await Campaign(place, "frozen services").run(faults)


@pytest.mark.parametrize("kind", ["slow", "half_open", "blackhole"])
async def test_a_bad_network(place: Place, kind: str) -> None:
    async def faults(campaign: Campaign) -> None:
        for number in range(max(2, ROUNDS)):
            proxy = (place.amqp, place.database)[number % 2]
            async with campaign.happening():
                if kind == "slow":
                    proxy.slow(0.05)
                elif kind == "half_open":
                    proxy.half_open()
                else:
                    proxy.blackhole()
                await lasts(NETWORK_S)
                proxy.heal()
            await place.system.until_ready()
            await campaign.caught_up()

    await Campaign(place, f"network {kind}").run(faults)

"""At every await of the frame a process dies once, by its own hand and without farewell; the system comes out whole.

Each service has a lane of points; all lanes run at the same time, under load. Dead at one point, a service is started
armed for the next, so that it meets the next crash while it recovers from the last.
"""

import asyncio
import signal
from typing import Final

import pytest

from shared.crash import POINTS
from tests.chaos.campaign import ROUNDS, Campaign, Place
from tests.support.processes import SERVICES

DIES_WITHIN_S: Final = 90.0
CALM_PER_S: Final = 4.0
"""Enough to pass every point; while five services die in turn, nothing much is served anyway."""
MOST_IN_A_ROW: Final = 5
"""A message met again after each of six crashes is set aside as one that kills its consumer, and rightly so."""
LANES: Final[dict[str, tuple[str, ...]]] = {
    "order": ("batch.taken", "batch.begun", "relay.confirmed", "relay.owned"),
    "inventory": ("batch.claimed", "batch.loaded", "batch.loaded_then", "batch.written"),
    "payment": ("effects.taken", "effects.performed", "local.submitted", "local.committed", "effects.heard"),
    "fulfillment": ("batch.committed", "batch.acknowledged", "relay.read", "relay.publishing", "relay.published"),
    "orchestrator": ("batch.due_claimed", "alone.counted", "relay.deleted"),
}
BEFORE: Final = {
    # only what was delivered before is decided alone: die with something in hand first
    "alone.counted": ("batch.committed", "alone.counted"),
}
ONLY: Final = {
    # points that not every service passes in every campaign
    "batch.due_claimed": {"orchestrator"},
    "batch.loaded_then": {"inventory", "orchestrator"},
    "effects.taken": {"payment"},
    "effects.performed": {"payment"},
    "effects.heard": {"payment"},
    "local.submitted": {"payment"},
    "local.committed": {"payment"},
    "alone.counted": {"orchestrator"},
}


def test_every_point_has_a_lane() -> None:
    lanes = [point for points in LANES.values() for point in points]
    assert sorted(lanes) == sorted(POINTS)
    assert all(len(points) <= MOST_IN_A_ROW for points in LANES.values())


async def test_death_at_every_await(place: Place) -> None:
    async def faults(campaign: Campaign) -> None:
        for _ in range(ROUNDS):
            await along(campaign, LANES)
            await campaign.caught_up()

    await Campaign(place, "crash at every await", rate_per_s=CALM_PER_S).run(faults)


@pytest.mark.skipif(ROUNDS == 1, reason="the long version, in `make chaos`")
async def test_death_at_every_await_of_every_service(place: Place) -> None:
    """Every service at every point it passes, once."""
    everywhere = {
        service: tuple(point for point in POINTS if service in ONLY.get(point, SERVICES)) for service in SERVICES
    }

    async def faults(campaign: Campaign) -> None:
        for start in range(0, max(map(len, everywhere.values())), MOST_IN_A_ROW):
            lanes = {service: points[start : start + MOST_IN_A_ROW] for service, points in everywhere.items()}
            await along(campaign, {service: points for service, points in lanes.items() if points})
            await campaign.caught_up()

    await Campaign(place, "crash of each service at each await", rate_per_s=CALM_PER_S).run(faults)


async def along(campaign: Campaign, lanes: dict[str, tuple[str, ...]]) -> None:
    async with asyncio.TaskGroup() as group:
        for service, points in lanes.items():
            group.create_task(lane(campaign, service, points))


async def lane(campaign: Campaign, service: str, points: tuple[str, ...]) -> None:
    process = campaign.place.system.of(service)
    for point in (one for named in points for one in BEFORE.get(named, (named,))):
        async with campaign.happening():
            nth = 1 if point in ONLY else campaign.chance.randint(1, 4)
            await process.kill()
            await process.start(WAYBILL_CRASH_AT=f"{point}:{nth}")
            try:
                code = await process.ended(DIES_WITHIN_S)
            except TimeoutError:
                raise AssertionError(f"{service} never passed {point} {nth} times: {process.last_words()}") from None
            assert code == -signal.SIGKILL, f"{service} at {point}: {code}: {process.last_words()}"
    async with campaign.happening():
        await process.start()
        await process.until_ready()

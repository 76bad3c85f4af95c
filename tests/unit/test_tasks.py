"""A cancel that is lost is repeated, and whoever will not end is not waited for."""

import asyncio

import pytest

from shared import tasks
from shared.tasks import cancel_all


async def test_a_task_that_loses_its_first_cancels_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_S", 0.001)
    lost = 0

    async def reconnects() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if (lost := lost + 1) == 3:
                    raise

    running = [asyncio.create_task(reconnects()), asyncio.create_task(asyncio.Event().wait())]
    await asyncio.wait(running, timeout=0.001)
    assert await cancel_all(running) == set()
    assert lost == 3 and all(task.cancelled() for task in running)


async def test_a_task_that_never_ends_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_S", 0.001)
    enough = False

    async def stubborn() -> None:
        while not enough:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(stubborn())
    await asyncio.wait([task], timeout=0.001)
    assert await cancel_all([task]) == {task}
    enough = True
    assert await cancel_all([task]) == set()


async def test_nothing_to_cancel_is_no_trouble() -> None:
    assert await cancel_all([]) == set()

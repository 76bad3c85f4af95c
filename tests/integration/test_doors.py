"""A service's doors open on their own port, also when whoever listened there is just ending."""

import asyncio
import socket

import aiohttp
import pytest

from shared import health
from shared.health import Doors


async def ready() -> dict[str, bool]:
    return {"whole": True}


async def test_a_port_that_is_let_go_of_is_taken() -> None:
    with socket.socket() as before:
        before.bind(("127.0.0.1", 0))
        before.listen()
        port = before.getsockname()[1]
        doors = Doors("127.0.0.1", port, ready, (), 1_000)
        opening = asyncio.create_task(doors.start())
        await asyncio.wait([opening], timeout=0.05)
        assert not opening.done()
    await opening
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/ready") as answer:
            assert answer.status == 200
    finally:
        await doors.stop()


async def test_a_port_that_stays_taken_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.Doors._listen.retry, "stop", lambda state: True)
    with socket.socket() as before:
        before.bind(("127.0.0.1", 0))
        before.listen()
        doors = Doors("127.0.0.1", before.getsockname()[1], ready, (), 1_000)
        with pytest.raises(OSError, match="in use"):
            await doors.start()
        await doors.stop()

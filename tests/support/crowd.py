"""A server that keeps everybody waiting until it is told, and counts who waits: how many calls go out at once."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from aiohttp import web

from tests.support.provider_rigs import PATIENCE_S


class Crowd:
    """`many` are waited for; `most` were there at once."""

    def __init__(self, many: int) -> None:
        self.many, self.most = many, 0
        self._now = 0
        self._full, self._release = asyncio.Event(), asyncio.Event()

    async def keep_waiting(self, request: web.Request) -> web.Response:
        self._now += 1
        self.most = max(self.most, self._now)
        if self._now == self.many:
            self._full.set()
        await self._release.wait()
        self._now -= 1
        return web.Response(status=503)

    async def answers(self, asking: Iterable[Coroutine[Any, Any, object]]) -> list[object]:
        """Of calls that go out together; once so many wait, all are answered."""
        calls = [asyncio.create_task(call) for call in asking]
        async with asyncio.timeout(PATIENCE_S):
            await self._full.wait()
        self._release.set()
        return await asyncio.gather(*calls)

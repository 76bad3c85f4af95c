"""Three doors of every service: /live (the loop turns), /ready (migrated, connected, consuming), /metrics; and
its own."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

Readiness = Callable[[], Awaitable[dict[str, bool]]]
Door = tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]


TAKEN_FOR_S: Final = 10.0


def _is_taken(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


class Doors:
    """A small HTTP server; `doors` are POST routes of the service itself (webhooks)."""

    def __init__(self, host: str, port: int, readiness: Readiness, doors: tuple[Door, ...], max_body: int) -> None:
        self.host, self.port = host, port
        self.readiness = readiness
        app = web.Application(client_max_size=max_body)
        app.router.add_get("/live", self._live)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        for path, handle in doors:
            app.router.add_post(path, handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)

    async def start(self) -> None:
        """Listens; `port` is the real one afterwards."""
        await self._runner.setup()
        await self._listen()
        self.port = self._runner.addresses[0][1]

    @retry(retry=retry_if_exception(_is_taken), wait=wait_fixed(0.2), stop=stop_after_delay(TAKEN_FOR_S), reraise=True)
    async def _listen(self) -> None:
        """Whoever ran here before may still be ending."""
        site = web.TCPSite(self._runner, self.host, self.port)
        try:
            await site.start()
        except OSError:
            await site.stop()
            raise

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, _: web.Request) -> web.Response:
        try:
            parts = await asyncio.wait_for(self.readiness(), 5.0)
        except TimeoutError:
            parts = {"answered": False}
        return web.json_response(parts, status=200 if all(parts.values()) else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

"""A TCP proxy that misbehaves on demand: slow, cut, silent in one direction or in both.

What it holds back it delivers afterwards, in order: as a network does that loses packets for a while and heals.
"""

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from shared.tasks import cancel_all

CHUNK_BYTES: Final = 64 * 1024


class Proxy:
    """`to_client` and `to_server` are the two directions; a cleared event holds its bytes back."""

    def __init__(self, url: str, default_port: int) -> None:
        """In front of the server that `url` names."""
        parts = urlsplit(url)
        self.host, self.server_port = parts.hostname or "127.0.0.1", parts.port or default_port
        self.port = 0
        self.delay_s = 0.0
        self.to_client, self.to_server = asyncio.Event(), asyncio.Event()
        self.holding = asyncio.Event()
        """Something is held back."""
        self.heal()
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        await cancel_all(self._pumps)

    def in_front_of(self, url: str) -> str:
        """The same URL through this proxy."""
        parts = urlsplit(url)
        who, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{who}{at}127.0.0.1:{self.port}"))

    # -- faults --------------------------------------------------------------------------------------------------

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        cut = len(self._writers)
        for writer in list(self._writers):
            writer.transport.abort()
        return cut // 2

    def slow(self, delay_s: float) -> None:
        self.delay_s = delay_s

    def half_open(self) -> None:
        """What is said arrives, and no answer comes back."""
        self.to_client.clear()

    def blackhole(self) -> None:
        self.to_client.clear()
        self.to_server.clear()

    def heal(self) -> None:
        self.delay_s = 0.0
        self.holding.clear()
        self.to_client.set()
        self.to_server.set()

    # -- plumbing ------------------------------------------------------------------------------------------------

    async def _join(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        try:
            server_in, server_out = await asyncio.open_connection(self.host, self.server_port)
        except OSError:
            client_out.transport.abort()
            return
        self._writers |= {client_out, server_out}
        for source, sink, gate in ((client_in, server_out, self.to_server), (server_in, client_out, self.to_client)):
            pump = asyncio.create_task(self._pump(source, sink, gate))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(CHUNK_BYTES):
                    if self.delay_s:
                        await asyncio.sleep(self.delay_s)
                    if not gate.is_set():
                        self.holding.set()
                    await gate.wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            self._writers.discard(sink)
            sink.close()

"""A server of the world outside as a program of its own."""

import asyncio
import signal
from collections.abc import Callable
from typing import Protocol

import uvloop


class Server(Protocol):
    async def start(self) -> str:
        """Serves from now on; returns where."""
        ...

    async def stop(self) -> None: ...


def serve(make: Callable[[], Server]) -> None:
    """Prints the address, and returns when it was told to end by SIGTERM or Ctrl-C."""
    uvloop.run(_serve(make))


async def _serve(make: Callable[[], Server]) -> None:
    server, stop = make(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    print(await server.start(), flush=True)
    await stop.wait()
    await server.stop()

"""The one way a test waits: ask until it is so, ever more slowly, and say at the end what was waited for."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, overload

T = TypeVar("T")

FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.25


What = str | Callable[[], str]


@overload
async def until(asked: Callable[[], Awaitable[T | None]], what: What, *, within_s: float = 30.0) -> T: ...
@overload
async def until(asked: Callable[[], T | None], what: What, *, within_s: float = 30.0) -> T: ...
async def until(asked: Callable[[], Any], what: What, *, within_s: float = 30.0) -> Any:
    """The first true answer of `asked`. Errors of a server that is away count as "not yet"."""
    deadline = time.monotonic() + within_s
    pause, trouble = FIRST_PAUSE_S, ""
    while True:
        try:
            answer = asked()
            found = await answer if inspect.isawaitable(answer) else answer
            if found:
                return found
        except OSError as away:  # aiohttp's and asyncpg's "cannot connect" are OSErrors too
            trouble = f" ({type(away).__name__}: {away})"
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {within_s:.0f} s: {told}{trouble}")
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE_S, pause * 1.5)

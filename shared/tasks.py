"""Ending tasks: a cancel is a wish, and is repeated until it is granted.

One cancel may be lost: `asyncio.wait_for` of Python 3.11 swallows one that meets its result, and an error raised while
a connection closes takes the place of the cancel that closed it.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

CANCEL_AGAIN_S: Final = 0.5
CANCELS: Final = 20
"""Whoever does not end after so many (10 s) is left behind: a process that ends must not wait for ever."""


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Cancel these and wait until they have ended, however they end; those left behind, normally none."""
    left = {task for task in tasks if not task.done()}
    for _ in range(CANCELS):
        if not left:
            break
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    return left

"""The loop of one effect: it takes attempts that decisions wrote, calls outside, and tells what was learned.

Each effect has a loop and a bound of its own, so that an outside that hangs keeps only its own callers busy.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from contracts.message import Message
from shared.crash import point
from shared.effects import Effect
from shared.heard import Done
from shared.store import Store, Unavailable

POLL_S: Final = 1.0
"""Fallback for everything that is normally woken in-process: what another replica left open, as one at its bound does,
and a timer set by a dead process."""


class Calls:
    """`submit` has what was learned decided; `log` is the service's."""

    def __init__(
        self, effect: Effect[Any], store: Store, submit: Callable[[Message], Awaitable[None]], log: Any
    ) -> None:
        self.effect, self.store, self.submit, self.log = effect, store, submit, log
        self.wake = asyncio.Event()
        self.no_more = asyncio.Event()

    def look_at(self, done: Done) -> None:
        """A batch was committed: wakes the loop if there is something to call in it."""
        if self.effect.has_work_in(done.written):
            self.wake.set()

    def end(self) -> None:
        """Take nothing more; what is under way is finished."""
        self.no_more.set()
        self.wake.set()

    async def run(self, drain_s: float) -> None:
        """Until `end`; then waits for calls under way, at most so long."""
        running: set[asyncio.Task[None]] = set()
        while not self.no_more.is_set():
            self.wake.clear()
            running = {task for task in running if not task.done()}
            taken = await self._take(self.effect.at_once - len(running))
            if taken:
                point("effects.taken")
            for attempt in taken:
                running.add(asyncio.create_task(self._perform(attempt)))
            if len(running) >= self.effect.at_once:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), POLL_S)
        if running:
            await asyncio.wait(running, timeout=drain_s)

    async def _take(self, free: int) -> list[Any]:
        try:
            return await self.effect.take(self.store, free)
        except Unavailable as away:
            self.log.warning("effects_paused", why=str(away)[:300])
            return []

    async def _perform(self, attempt: Any) -> None:
        try:
            learned = await self.effect.perform(attempt)
        except Exception:
            self.log.exception("effect_failed", attempt=str(getattr(attempt, "id", "")))
            return
        point("effects.performed")
        await self.submit(learned)
        point("effects.heard")

"""Processes of ours, started together and ended together, however their owner ends."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

END_WITHIN_S: Final = 35.0
"""A service drains within 30 s."""


class NotRunning(Exception):
    """A process ended, or did not say that it started; its last words are in the message."""


@dataclass
class Group:
    """One process of ours and where it writes."""

    names: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    def started(self) -> int:
        """How many of its services have said so."""
        return sum(1 for line in self._lines() if line.get("event") == "started")

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])

    def _lines(self) -> Iterator[dict[str, object]]:
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                yield found


@contextmanager
def running(
    groups: Sequence[Sequence[str]], env: Mapping[str, str], folder: Path, *, log_level: str = "INFO"
) -> Iterator[list[Group]]:
    """`oms run …` for each group of services, as long as the context is open. Ctrl-C reaches only us; we end them."""
    found: list[Group] = []
    try:
        for names in groups:
            log = folder / f"{'-'.join(names)}.log"
            with log.open("wb") as into:
                process = subprocess.Popen(
                    [sys.executable, "-m", "services", "run", *names, "--log-level", log_level, "--with-owner"],
                    env={**os.environ, **env},
                    stdin=subprocess.PIPE,  # never written to: it closes when we are gone, even by SIGKILL
                    stdout=into,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            found.append(Group(tuple(names), log, process))
        yield found
    finally:
        end(found)


def end(groups: Sequence[Group]) -> None:
    """SIGTERM, then patience, then SIGKILL."""
    for group in groups:
        if group.process.poll() is None:
            group.process.terminate()
    for group in groups:
        try:
            group.process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            group.process.kill()
            group.process.wait()


def check_alive(groups: Sequence[Group]) -> None:
    """Raises `NotRunning` when one has ended by itself."""
    for group in groups:
        if (status := group.process.poll()) is not None:
            raise NotRunning(f"{' '.join(group.names)} ended with status {status}:\n{group.last_words()}")


async def until_started(groups: Sequence[Group], counts: Sequence[int], within_s: float) -> None:
    """Until each group has said `started` as often as it holds services."""
    try:
        async with asyncio.timeout(within_s):
            for group, count in zip(groups, counts, strict=True):
                while group.started() < count:
                    check_alive(groups)
                    await asyncio.sleep(0.1)
    except TimeoutError:
        words = "\n".join(f"{' '.join(group.names)}:\n{group.last_words()}" for group in groups)
        raise NotRunning(f"not started within {within_s:.0f} s\n{words}") from None

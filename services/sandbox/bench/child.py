"""A child process that is told once what to do and says in lines of JSON how it goes; its CPU is counted apart.

It stays until its owner closes its standard input, so that its CPU can still be read, and ends when its owner does.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop

END_WITHIN_S: Final = 10.0
SILENT_FOR_S: Final = 120.0
LINE_BYTES: Final = 1024 * 1024


class ChildFailed(Exception):
    """It ended, or said nothing for long; its last words are in the message."""


@dataclass
class Child:
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    async def words(self) -> AsyncIterator[dict[str, Any]]:
        """What it says, until it says `done`."""
        assert self.process.stdout is not None
        while True:
            try:
                line = await asyncio.wait_for(self.process.stdout.readline(), SILENT_FOR_S)
            except TimeoutError:
                raise ChildFailed(f"nothing heard for {SILENT_FOR_S:.0f} s\n{self.last_words()}") from None
            if not line:
                raise ChildFailed(f"ended too early\n{self.last_words()}")
            word: dict[str, Any] = orjson.loads(line)
            yield word
            if word["said"] == "done":
                return

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])


@asynccontextmanager
async def child(module: str, task: Mapping[str, Any], log: Path) -> AsyncIterator[Child]:
    """`python -m module`, given `task`, as long as the context is open."""
    with log.open("wb") as into:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=into,
            limit=LINE_BYTES, start_new_session=True,
        )  # fmt: skip
    try:
        assert process.stdin is not None
        process.stdin.write(orjson.dumps(dict(task)) + b"\n")
        await process.stdin.drain()
        yield Child(process, log)
        process.stdin.close()
        await asyncio.wait_for(process.wait(), END_WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# -- inside the child --------------------------------------------------------------------------------------------


def say(said: str, **more: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps({"said": said, **more}) + b"\n")
    sys.stdout.buffer.flush()


def obey(main: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Run `main` with the task from standard input; then stay until that closes."""
    told = b""
    while not told.endswith(b"\n") and (more := os.read(sys.stdin.fileno(), LINE_BYTES)):
        told += more
    task = orjson.loads(told)
    uvloop.run(_until_closed(main, task))
    os._exit(0)  # nothing is left to be flushed, and interpreters take their time


async def _until_closed(main: Callable[[dict[str, Any]], Awaitable[None]], task: dict[str, Any]) -> None:
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 0)  # readable means closed
    await main(task)
    await asyncio.Event().wait()

"""A scheduled pull: a source's feed is fetched and staged as it comes. Nothing is raised for trouble of the outside.

Asked again, by whoever, it stages under the same sequence, so what was staged already is found and not staged twice.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg

from contracts.feeds import FeedPulled
from services.inventory.feed_tables import PULLS
from services.inventory.feeds import Origin, Pull
from services.inventory.staging import Asked, Refused, stage
from shared.effects import Effect

CHUNK_BYTES: Final = 64 * 1024
MAX_FEED_BYTES: Final = 2 * 1024**3
CONNECT_WITHIN_S: Final = 10.0
AT_ONCE: Final = 2
"""Feeds fetched at the same time: each has a connection of its own, and reads take the loop's time."""


class TooMuch(Exception):
    """A feed that does not end."""


def pull_effect(database_url: str) -> Effect[Pull]:
    """The pulls of a running service, each within its own timeout."""

    async def perform(pull: Pull) -> FeedPulled:
        try:
            async with asyncio.timeout(pull.timeout_s):
                return await _pulled(database_url, pull)
        except Refused as refused:
            return _learned(pull, str(refused))
        except TimeoutError:
            return _learned(pull, f"timeout after {pull.timeout_s} s")
        except (OSError, aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError, TooMuch) as trouble:
            return _learned(pull, f"{type(trouble).__name__}: {trouble}")

    return Effect(PULLS, perform, AT_ONCE)


async def _pulled(database_url: str, pull: Pull) -> FeedPulled:
    asked = Asked(pull.source, pull.sequence, pull.mode, pull.format, Origin.PULL, partial=pull.partial, new=pull.new)
    connection = await asyncpg.connect(database_url, timeout=CONNECT_WITHIN_S)
    try:
        chunks = _file(Path(pull.url)) if pull.url.startswith("/") else _fetched(pull.url)
        staged = await stage(connection, _bounded(chunks), asked)
    finally:
        await connection.close(timeout=CONNECT_WITHIN_S)
    if staged.outcome == "rejected":
        return _learned(pull, f"rejected: {staged.problems} problems, see `oms feed show {staged.feed_id}`")
    return FeedPulled(source=pull.source, asked=pull.asked, feed_id=staged.feed_id)


def _learned(pull: Pull, problem: str) -> FeedPulled:
    return FeedPulled(source=pull.source, asked=pull.asked, problem=problem[:200])


async def _file(path: Path) -> AsyncIterator[bytes]:
    """Read in a thread: a disk may be slow."""
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


async def _fetched(url: str) -> AsyncIterator[bytes]:
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_WITHIN_S)  # the pull's own bounds the whole
    async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session, session.get(url) as answer:
        async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
            yield chunk


async def _bounded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_FEED_BYTES:
            raise TooMuch(f"more than {MAX_FEED_BYTES:,} bytes")
        yield chunk

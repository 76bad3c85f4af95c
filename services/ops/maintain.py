"""`oms maintain`: the inbox is kept by the day, made ahead and dropped in one piece; run it daily, it may be repeated.

The rows of stock feeds go too, some time after their feed ended; what the feed did stays in its row and the movements.

A day whose messages already lie in the default partition gets its partition all the same: they move.
"""

import asyncio
import os
import re
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

import sqlalchemy as sa
import typer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from services.ops.places import PLACES, fail
from services.ops.told import console, table, tell_json
from shared.ids import first_id_of
from shared.provision import sqlalchemy_url

app = typer.Typer(add_completion=False)
AHEAD_DAYS: Final = 7
KEPT_DAYS: Final = 14
"""Longer than dead letters, redrives and clients' retries last."""
FEEDS_AT_ONCE: Final = 1_000
"""Feeds whose rows go in one run, each in a transaction of its own."""
_NAME: Final = re.compile(r"^inbox_(\d{8})$")


@app.command()
def maintain(json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False) -> None:
    """Make the inbox's partitions for the days ahead, and drop those nobody will ask for again; and the rows of
    stock feeds that ended as long ago.

    Needs DATABASE_URL, the owner's. Safe while everything runs, and safe to repeat.
    """
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise fail("to be set: DATABASE_URL, the owner of the schemas")
    done = asyncio.run(maintained(url, datetime.now(UTC).date()))
    if json:
        tell_json({schema: asdict(one) for schema, one in done.items()})
        return
    table(
        "Inbox partitions",
        ("schema", "made", "messages moved", "dropped", "feeds emptied"),
        ((schema, len(one.made), one.moved, len(one.dropped), one.feeds or "") for schema, one in done.items()),
        right=("made", "messages moved", "dropped", "feeds emptied"),
    )
    console.print(f"made {AHEAD_DAYS} days ahead, kept {KEPT_DAYS} days")


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done to one schema."""

    made: list[str]
    moved: int
    dropped: list[str]
    feeds: int = 0
    """How many feeds' rows went."""


async def maintained(owner_url: str, today: date) -> dict[str, Maintained]:
    """What was made and dropped, by schema."""
    engine = create_async_engine(sqlalchemy_url(owner_url), poolclass=NullPool)
    done: dict[str, Maintained] = {}
    try:
        for place in PLACES:
            async with engine.begin() as connection:
                there = await _partitions(connection, place.schema)
            made, moved = [], 0
            for day in (today + timedelta(days=ahead) for ahead in range(AHEAD_DAYS + 1)):
                if day not in there:
                    async with engine.begin() as connection:  # one day each: nobody waits long for the lock
                        moved += await _make(connection, place.schema, day)
                    made.append(_name(day))
            old = [day for day in there if day < today - timedelta(days=KEPT_DAYS)]
            for day in old:
                async with engine.begin() as connection:
                    await _drop(connection, place.schema, day)
            async with engine.begin() as connection:
                await _forget(connection, place.schema, today - timedelta(days=KEPT_DAYS))
            feeds = await _empty(engine, today - timedelta(days=KEPT_DAYS)) if place.service == "inventory" else 0
            done[place.schema] = Maintained(made, moved, [_name(day) for day in old], feeds)
    except OSError as away:
        raise fail(f"the database cannot be reached: {away}") from away
    finally:
        await engine.dispose()
    return done


async def _partitions(connection: AsyncConnection, schema: str) -> list[date]:
    found = await connection.execute(
        sa.text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = CAST(:parent AS regclass)"
        ),
        {"parent": f"{schema}.inbox"},
    )
    names = [_NAME.match(name) for (name,) in found]
    return [datetime.strptime(name[1], "%Y%m%d").replace(tzinfo=UTC).date() for name in names if name]


async def _make(connection: AsyncConnection, schema: str, day: date) -> int:
    """The day's partition, with whatever of that day lies in the default one; how many messages moved."""
    low, high = _bound(day), _bound(day + timedelta(days=1))
    name = _name(day)
    await connection.execute(sa.text("SET LOCAL lock_timeout = '10s'"))
    # whoever writes now would write to the default partition: they wait until the day has its own
    await connection.execute(sa.text(f"LOCK TABLE {schema}.inbox_default IN ACCESS EXCLUSIVE MODE"))
    await connection.execute(sa.text(f"CREATE TABLE {schema}.{name} (LIKE {schema}.inbox INCLUDING ALL)"))
    moved = await connection.execute(
        sa.text(
            f"WITH taken AS (DELETE FROM {schema}.inbox_default WHERE message_id >= :low AND message_id < :high"
            f" RETURNING queue, message_id, state, attempts)"
            f" INSERT INTO {schema}.{name} (queue, message_id, state, attempts) SELECT * FROM taken"
        ),
        {"low": low, "high": high},
    )
    await connection.execute(
        sa.text(f"ALTER TABLE {schema}.inbox ATTACH PARTITION {schema}.{name} FOR VALUES FROM ('{low}') TO ('{high}')")
    )
    return moved.rowcount


async def _drop(connection: AsyncConnection, schema: str, day: date) -> None:
    await connection.execute(sa.text("SET LOCAL lock_timeout = '10s'"))
    await connection.execute(sa.text(f"DROP TABLE {schema}.{_name(day)}"))


async def _forget(connection: AsyncConnection, schema: str, before: date) -> None:
    """What lies in the default partition from before there were others; only ids that tell their age."""
    await connection.execute(
        sa.text(
            f"DELETE FROM {schema}.inbox_default"
            " WHERE message_id < :bound AND substr(CAST(message_id AS text), 15, 1) = '7'"
        ),
        {"bound": _bound(before)},
    )


async def _empty(engine: AsyncEngine, before: date) -> int:
    """No service may delete a feed's rows: what is not looked at any more goes here."""
    async with engine.connect() as connection:
        ended = await connection.execute(
            sa.text(
                "SELECT id FROM inventory.feeds f WHERE ended_at < :before"
                " AND EXISTS (SELECT FROM inventory.feed_pages p WHERE p.feed_id = f.id) LIMIT :limit"
            ),
            {"before": before, "limit": FEEDS_AT_ONCE},
        )
        ids = [id_ for (id_,) in ended]
    for id_ in ids:
        async with engine.begin() as connection:
            await connection.execute(sa.text("DELETE FROM inventory.feed_pages WHERE feed_id = :id"), {"id": id_})
    return len(ids)


def _name(day: date) -> str:
    return f"inbox_{day:%Y%m%d}"


def _bound(day: date) -> object:
    """The smallest id a message of this day can have."""
    return first_id_of(datetime(day.year, day.month, day.day, tzinfo=UTC))

"""A feed is staged whole or not at all: copied beside the tables, checked by SQL over all of it, then cut into pages
in the transaction that tells the service to apply them.

The rows lie in a temporary table of this session until they are known to be good: a refused feed leaves its report and
nothing to clean up. Used by the command line and by pulls.
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from contracts.feeds import ApplyFeedRows, FeedFormat, FeedMode
from services.inventory.feeds import PAGE_ROWS, FeedState, Origin, key_of
from services.inventory.reader import Malformed, Reader
from services.inventory.schema import SCHEMA
from shared.envelope import head_of
from shared.ids import new_id
from shared.problems import MAX_PROBLEMS

SHELVES_SHOWN: Final = 100
ORDERS_SHOWN: Final = 20
"""Per shelf, the latest promised first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be staged. `sequence` is the source's; `partial` takes the good rows of a feed that has bad ones;
    `new` lets rows open shelves for SKUs nobody knows."""

    source: str
    sequence: int
    mode: FeedMode
    format: FeedFormat
    origin: Origin
    partial: bool = False
    new: bool = False
    dry_run: bool = False


class Refused(Exception):
    """Not this feed's rows, but the feed: `reason` is a name."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}")


@dataclass(slots=True)
class Staged:
    """What came of it. `outcome`: staged, rejected, recognised (heard before), older, or dry_run."""

    outcome: str
    rows: int
    problems: int
    report: list[dict[str, Any]]
    feed_id: UUID | None = None
    would: dict[str, Any] = field(default_factory=dict)


Tell = Callable[[str, int], None]
"""Hears what is being done, and how many rows were read."""


async def stage(
    connection: asyncpg.Connection, chunks: AsyncIterator[bytes], asked: Asked, tell: Tell = lambda what, rows: None
) -> Staged:
    """Raises `Refused`; asyncpg's errors when the database is away: nothing is staged then."""
    reader = Reader(asked.format, asked.mode)
    async with connection.transaction():
        await _allowed(connection, asked)
        key = key_of(asked.source, asked.sequence)
        known = None if asked.dry_run else await connection.fetchrow(_STANDING, key)
        if known is not None and asked.origin is Origin.PULL:  # staged by a pull that died before it could say so
            return Staged("recognised", known["rows"], 0, [], known["id"])
        await connection.execute(_INCOMING)
        await connection.copy_to_table(
            "feed_rows", source=_copied(reader, chunks, tell), columns=["row_no", "sku", "warehouse", "quantity"]
        )
        if known is not None:
            if known["hash"] != reader.hash:
                raise Refused("sequence_reused", f"{asked.source} said {asked.sequence} before, with other rows")
            return Staged("recognised", known["rows"], 0, [], known["id"])
        tell("checking", reader.rows)
        if reader.rows:
            await _check(connection, reader, asked)
        problems, report = reader.problems.count, reader.problems.as_json()
        good = int(await connection.fetchval("SELECT count(*) FROM pg_temp.feed_rows"))
        rejected = bool(problems) and not (asked.partial and good and not reader.broken)
        if asked.dry_run:
            would = {} if rejected else await _would(connection, asked)
            return Staged("dry_run", good, problems, report, None, would)
        last = await connection.fetchval(_LAST_SEQUENCE, asked.source)
        # a delta that was missed may still count: the service decides that when its turn comes
        if not rejected and last >= asked.sequence and asked.mode is not FeedMode.DELTA:
            return Staged("older", good, problems, report)
        tell("staging", good)
        feed_id = new_id()
        pages = 0 if rejected else -(-good // PAGE_ROWS)
        state = FeedState.REJECTED if rejected else FeedState.STAGED
        await connection.execute(
            _FEED, feed_id, asked.source, asked.sequence, key, asked.origin.value,
            asked.mode.value, reader.hash, good, pages, problems, json.dumps(report), state.value,
            "bad_rows" if rejected else "", datetime.now(UTC) if rejected else None,
        )  # fmt: skip
        if rejected:
            return Staged("rejected", good, problems, report, feed_id)
        await connection.execute(_PAGES, feed_id, PAGE_ROWS)
        await _say(connection, feed_id)
    return Staged("staged", good, problems, report, feed_id)


async def _copied(reader: Reader, chunks: AsyncIterator[bytes], tell: Tell) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            if rows := reader.take(chunk):
                yield rows
            tell("reading", reader.rows)
        if rows := reader.end():
            yield rows
    except Malformed:
        reader.broken = True  # why is listed


async def _allowed(connection: asyncpg.Connection, asked: Asked) -> None:
    mode = await connection.fetchval(f"SELECT mode FROM {SCHEMA}.sources WHERE code = $1", asked.source)
    if mode is None:
        raise Refused("unknown_source", f"nobody described a source {asked.source!r}")
    if mode not in ("any", asked.mode.value):
        raise Refused("wrong_mode", f"{asked.source} is described as one that reports {mode} quantities")


async def _check(connection: asyncpg.Connection, reader: Reader, asked: Asked) -> None:
    """What no row shows alone. With `--partial` the bad rows go: of two that contradict each other, both."""
    await connection.execute("SET LOCAL work_mem = '64MB'")
    await connection.execute("ANALYZE pg_temp.feed_rows")
    checks = [(_TWICE, (), "sku"), (_FOREIGN, (asked.source,), "warehouse")]
    if not asked.new:
        checks.append((_UNKNOWN, (asked.source,), "sku"))
    for query, arguments, column in checks:
        bad = f"WITH bad AS ({query})"
        count = await connection.fetchval(f"{bad} SELECT count(*) FROM bad", *arguments)
        if not count:
            continue
        found = await connection.fetch(f"{bad} SELECT * FROM bad ORDER BY row_no LIMIT {MAX_PROBLEMS}", *arguments)
        for record in found:
            reader.problems.add(record["row_no"], column, record["value"], record["why"])
        reader.problems.count += count - len(found)
        if asked.partial:
            gone = f"{bad} DELETE FROM pg_temp.feed_rows WHERE row_no IN (SELECT row_no FROM bad)"
            await connection.execute(gone, *arguments)


async def _would(connection: asyncpg.Connection, asked: Asked) -> dict[str, Any]:
    """What applying the rows now would change, and whom it would oversell."""
    target = "f.quantity" if asked.mode is FeedMode.ABSOLUTE else "greatest(0, coalesce(s.on_hand, 0) + f.quantity)"
    compared = f"""CREATE TEMP TABLE feed_compared ON COMMIT DROP AS
        SELECT f.sku, f.warehouse, {target} AS target, s.on_hand, coalesce(s.held + s.allocated, 0) AS promised,
               s.sku IS NULL AS opens, coalesce(s.short, 0) AS short
        FROM pg_temp.feed_rows f LEFT JOIN {SCHEMA}.shelves s ON s.sku = f.sku AND s.warehouse = f.warehouse"""
    await connection.execute(compared)
    totals = await connection.fetchrow(_TOTALS)
    short = [dict(record) for record in await connection.fetch(_SHORT, SHELVES_SHOWN)]
    wanted = [json.dumps([{"sku": one["sku"], "warehouse": one["warehouse"]}]) for one in short]
    promised = await connection.fetch(_PROMISED, wanted, ORDERS_SHOWN)
    for number, shelf in enumerate(short, 1):
        shelf["orders"] = [
            {"order_id": str(order), "status": status, "units": int(units), "promised_at": at}
            for n, order, status, units, at in promised
            if n == number
        ]
    return {**dict(totals or {}), "short": short}


async def _say(connection: asyncpg.Connection, feed_id: UUID) -> None:
    """The service's next look at its due work finds it."""
    message = ApplyFeedRows(feed_id=feed_id, page=0)
    id_ = new_id()
    head = head_of(message, id_=id_, source="inventory", subject=str(feed_id), now=datetime.now(UTC), cause={})
    await connection.execute(_DUE, id_, message.heard_by, json.dumps(head), message.model_dump_json())


_INCOMING: Final = """CREATE TEMP TABLE feed_rows
    (row_no integer NOT NULL, sku text COLLATE "C" NOT NULL, warehouse text COLLATE "C" NOT NULL,
     quantity bigint NOT NULL) ON COMMIT DROP"""
_STANDING: Final = f"SELECT id, hash, rows FROM {SCHEMA}.feeds WHERE key = $1 AND state <> 'rejected'"
_LAST_SEQUENCE: Final = f"SELECT last_sequence FROM {SCHEMA}.sources WHERE code = $1"
_TWICE: Final = """SELECT row_no, sku || ' in ' || warehouse AS value,
        'twice in this feed, also in row ' || other AS why
    FROM (SELECT row_no, sku, warehouse, count(*) OVER shelf AS times,
                 CASE WHEN row_no = min(row_no) OVER shelf THEN max(row_no) OVER shelf
                      ELSE min(row_no) OVER shelf END AS other
          FROM pg_temp.feed_rows WINDOW shelf AS (PARTITION BY sku, warehouse)) AS t WHERE times > 1"""
_ITS_OWN: Final = f"ARRAY(SELECT jsonb_array_elements_text(warehouses) FROM {SCHEMA}.sources WHERE code = $1)"
_FOREIGN: Final = f"""SELECT row_no, warehouse AS value, 'unknown warehouse: not one of this source''s' AS why
    FROM pg_temp.feed_rows WHERE NOT warehouse = ANY({_ITS_OWN})"""
_UNKNOWN: Final = f"""SELECT f.row_no, f.sku AS value, 'unknown SKU: no product, and no shelf in ' || f.warehouse AS why
    FROM pg_temp.feed_rows f LEFT JOIN {SCHEMA}.shelves s ON s.sku = f.sku AND s.warehouse = f.warehouse
    LEFT JOIN {SCHEMA}.products p ON p.sku = f.sku WHERE s.sku IS NULL AND p.sku IS NULL
      AND f.warehouse = ANY({_ITS_OWN})"""
_FEED: Final = f"""INSERT INTO {SCHEMA}.feeds (id, source, sequence, key, origin, mode, hash, rows, pages, problems,
        report, state, reason, ended_at, pages_done, rows_done, raised, lowered, opened, clamped, short_units, version)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, $12, $13, $14, 0, 0, 0, 0, 0, 0, 0, 1)"""
_PAGES: Final = f"""INSERT INTO {SCHEMA}.feed_pages (id, feed_id, lines)
    SELECT $1::uuid::text || '/' || n / $2::int, $1, jsonb_agg(jsonb_build_array(sku, warehouse, quantity) ORDER BY n)
    FROM (SELECT sku, warehouse, quantity, row_number() OVER (ORDER BY sku, warehouse) - 1 AS n
          FROM pg_temp.feed_rows) AS f
    GROUP BY n / $2::int"""
_DUE: Final = f"""INSERT INTO {SCHEMA}.due (id, queue, not_before, head, body)
    VALUES ($1, $2, clock_timestamp(), $3::jsonb, $4)"""
_TOTALS: Final = """SELECT count(*) AS rows, count(*) FILTER (WHERE target <> coalesce(on_hand, 0)) AS changed,
        count(*) FILTER (WHERE target > coalesce(on_hand, 0)) AS up,
        count(*) FILTER (WHERE target < coalesce(on_hand, 0)) AS down, count(*) FILTER (WHERE opens) AS new,
        count(*) FILTER (WHERE promised > target AND promised - target > short) AS short_shelves,
        coalesce(sum(promised - target - short) FILTER (WHERE promised > target AND promised - target > short),
            0)::bigint AS short_units
    FROM pg_temp.feed_compared"""
_SHORT: Final = """SELECT sku, warehouse, on_hand, promised, target AS counted, promised - target - short AS short_by
    FROM pg_temp.feed_compared WHERE promised > target AND promised - target > short
    ORDER BY short_by DESC, sku, warehouse LIMIT $1"""
_PROMISED: Final = f"""SELECT wanted.n, r.order_id, r.status, r.units, r.created_at
    FROM unnest($1::text[]) WITH ORDINALITY AS wanted(pick, n) CROSS JOIN LATERAL (
        SELECT order_id, status, created_at,
               (SELECT sum((p->>'quantity')::bigint - (p->>'shipped')::bigint) FROM jsonb_array_elements(picks) AS p
                WHERE p @> ((wanted.pick::jsonb)->0)) AS units
        FROM {SCHEMA}.reservations WHERE status IN ('held', 'committed') AND picks @> wanted.pick::jsonb
        ORDER BY created_at DESC, order_id LIMIT $2) AS r
    WHERE r.units > 0 ORDER BY wanted.n, r.created_at DESC"""

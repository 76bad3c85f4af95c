"""The store over PostgreSQL: every statement is set-based, so a batch costs about as many round trips as one message.

Statements are made once per table from its SQLAlchemy declaration and run by asyncpg with `unnest` arrays.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, cast
from uuid import UUID

import asyncpg
import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.crash import point
from shared.envelope import HeadText, shard_of
from shared.store import AnswerRow, Changes, Conflict, ConstraintFired, DueRow, OutboxRow, Unavailable
from shared.table import Discipline, Key, Need, Table

LOCK_TIMEOUT_MS: Final = 5_000
STATEMENT_TIMEOUT_MS: Final = 30_000
"""A batch takes milliseconds; whatever takes longer than this is stuck, and the consumer pauses and comes again."""
MAX_CONNECTIONS: Final = 6
"""Per process: batch, relay, effects, health, and room for one of each to be replaced after a cut."""

AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.SerializationError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.exceptions.InternalClientError,
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
)
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    """jsonb comes in as Python values; it goes out as text and a cast, encoded once by us (`_json`)."""
    await connection.set_type_codec("jsonb", encoder=_json, decoder=orjson.loads, schema="pg_catalog")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


async def _keep_as_is(connection: asyncpg.Connection) -> None:
    """No reset on release: our connections keep no session state, and the reset would cost a round trip per batch."""


async def connect_pool(url: str, *, name: str, max_size: int = MAX_CONNECTIONS) -> asyncpg.Pool:
    """A pool whose connections know our limits. Raises `Unavailable`."""
    try:
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=max_size,
            init=_prepare_connection,
            reset=_keep_as_is,
            command_timeout=STATEMENT_TIMEOUT_MS / 1000 + 5,
            server_settings={
                "application_name": name,
                "lock_timeout": str(LOCK_TIMEOUT_MS),
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                "idle_in_transaction_session_timeout": "60000",
                "jit": "off",
                # Every statement of ours finds rows by key. Nested loops over the sorted arrays lock them in that
                # order; a scan or a hash would lock in any order, and two batches could deadlock.
                "enable_seqscan": "off",
                "enable_hashjoin": "off",
                "enable_mergejoin": "off",
            },
        )
    except AWAY as away:
        raise Unavailable(f"{type(away).__name__}: {away}") from away


class TableSql:
    """The statements of one table."""

    def __init__(self, table: Table[Any]) -> None:
        self.table = table
        self.full = table.sql.fullname
        self.columns = table.columns
        types = {column.name: str(column.type.compile(dialect=_DIALECT)) for column in table.sql.columns}
        self.types = {name: type_.split("(")[0] for name, type_ in types.items()}
        self.enums = table.enums()
        self.converts = tuple((n, self.enums[name]) for n, name in enumerate(self.columns) if name in self.enums)
        self.json = frozenset(name for name, type_ in self.types.items() if type_ == "JSONB")
        self.has_updated_at = "updated_at" in table.sql.columns

    def make(self, record: Sequence[Any]) -> Any:
        if not self.enums:
            return self.table.row(*record)
        values = list(record)
        for index, convert in self.converts:
            if values[index] is not None:
                values[index] = convert(values[index])
        return self.table.row(*values)

    def arrays(self, rows: Iterable[Any], columns: Sequence[str]) -> list[Sequence[Any]]:
        """One array per column; jsonb as text, for a cast in the statement."""
        arrays: list[Sequence[Any]] = list(zip(*map(self._getter(columns), rows), strict=True))
        for index, column in enumerate(columns):
            if column in self.json:
                arrays[index] = [None if value is None else _json(value) for value in arrays[index]]
        return arrays

    def _getter(self, columns: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
        return self.get_all if columns is self.columns else self.get_moving

    @cached_property
    def get_all(self) -> Callable[[Any], tuple[Any, ...]]:
        return _tuple_getter(self.columns)

    @cached_property
    def get_moving(self) -> Callable[[Any], tuple[Any, ...]]:
        return _tuple_getter(self.moving_columns)

    def select(self, by: str) -> str:
        lock = ""
        if self.table.discipline is Discipline.LOCKED:
            # in key order, so that two batches over the same hot rows wait for each other and never deadlock
            lock = f" ORDER BY {', '.join(self.table.key)} FOR NO KEY UPDATE"
        return f"SELECT {', '.join(self.columns)} FROM {self.full} WHERE {by} = ANY($1::{self.types[by]}[]){lock}"

    def _unnest(self, columns: Sequence[str]) -> str:
        sent = ("text" if column in self.json else self.types[column] for column in columns)
        arrays = ", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(sent, 1))
        return f"unnest({arrays}) AS u({', '.join(columns)})"

    def _value(self, column: str) -> str:
        return f"u.{column}::jsonb" if column in self.json else f"u.{column}"

    @cached_property
    def insert(self) -> str:
        names = ", ".join(self.columns)
        values = ", ".join(self._value(column) for column in self.columns)
        sql = f"INSERT INTO {self.full} ({names}) SELECT {values} FROM {self._unnest(self.columns)}"
        if self.table.discipline is Discipline.APPEND:
            return sql
        return f"{sql} ON CONFLICT DO NOTHING RETURNING {', '.join(self.table.key)}"

    @cached_property
    def moving_columns(self) -> tuple[str, ...]:
        return tuple(column for column in self.columns if column not in self.table.fixed)

    @cached_property
    def update(self) -> str:
        columns = self.moving_columns
        sets = [f"{column} = {self._value(column)}" for column in columns if column not in self.table.key]
        if self.has_updated_at:
            sets.append("updated_at = now()")
        where = [f"t.{column} = u.{column}" for column in self.table.key]
        if self.table.discipline is Discipline.VERSIONED:
            where.append("t.version = u.version - 1")
        return (
            f"UPDATE {self.full} AS t SET {', '.join(sets)} FROM {self._unnest(columns)}"
            f" WHERE {' AND '.join(where)} RETURNING {', '.join('t.' + column for column in self.table.key)}"
        )

    @cached_property
    def take_open(self) -> str:
        key = self.table.key[0]
        return (
            f"UPDATE {self.full} SET state = 'calling', version = version + 1"
            f"{', updated_at = now()' if self.has_updated_at else ''} WHERE {key} = ANY(ARRAY("
            f"SELECT {key} FROM {self.full} WHERE state = 'open' ORDER BY {key} LIMIT $1 FOR UPDATE SKIP LOCKED))"
            f" RETURNING {', '.join(self.columns)}"
        )


def _tuple_getter(columns: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(columns) == 1:
        get = attrgetter(columns[0])
        return lambda row: (get(row),)
    return attrgetter(*columns)


_SQL: dict[Table[Any], TableSql] = {}


def sql_of(table: Table[Any]) -> TableSql:
    found = _SQL.get(table)
    if found is None:
        found = _SQL[table] = TableSql(table)
    return found


_RANKS: dict[int, dict[str, int]] = {}


def _rank(table: Table[Any]) -> int:
    """Position in dependency order: a row is inserted after the rows it references."""
    metadata = table.sql.metadata
    ranks = _RANKS.get(id(metadata))
    if ranks is None or table.name not in ranks:
        ranks = _RANKS[id(metadata)] = {known.name: n for n, known in enumerate(metadata.sorted_tables)}
    return ranks[table.name]


class FrameSql:
    """The statements over the frame's own tables in one schema."""

    def __init__(self, schema: str) -> None:
        s = schema
        self.claim_inbox = (
            f"WITH won AS (INSERT INTO {s}.inbox AS i (queue, message_id) SELECT * FROM unnest($1::text[], $2::uuid[])"
            " ON CONFLICT (message_id, queue) DO UPDATE SET state = 'done' WHERE i.state = 'trying'"
            " RETURNING queue, message_id) SELECT queue, message_id, clock_timestamp() FROM won"
        )
        self.count_attempt = (
            f"INSERT INTO {s}.inbox AS i (queue, message_id, state, attempts) VALUES ($1, $2, 'trying', 1)"
            " ON CONFLICT (message_id, queue) DO UPDATE SET attempts = i.attempts + 1 WHERE i.state = 'trying'"
            " RETURNING attempts"
        )
        self.inbox_state = (
            f"UPDATE {s}.inbox i SET state = $3 FROM unnest($1::text[], $2::uuid[]) AS u(queue, message_id)"
            " WHERE i.queue = u.queue AND i.message_id = u.message_id"
        )
        due_columns = "id, queue, not_before, head, body, name, owner, attempts, first_tried, error"
        self.claim_due = (
            f"DELETE FROM {s}.due WHERE id = ANY(ARRAY(SELECT id FROM {s}.due WHERE not_before <= clock_timestamp()"
            f" AND queue = ANY($1::text[]) ORDER BY not_before LIMIT $2 FOR UPDATE SKIP LOCKED))"
            f" RETURNING {due_columns}"
        )
        due_source = (
            f"INSERT INTO {s}.due AS d ({due_columns}) SELECT id, queue, not_before, head::jsonb, body, name, owner,"
            " attempts, first_tried, error FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[],"
            " $5::text[], $6::text[], $7::text[], $8::int[], $9::timestamptz[], $10::text[])"
            f" AS u({due_columns})"
        )
        self.insert_due = f"{due_source} ON CONFLICT (id) DO NOTHING"
        self.clear_timers = (
            # a timer being rung elsewhere is left to ring: whoever rings it may be waiting for our hot rows
            f"DELETE FROM {s}.due WHERE id = ANY(ARRAY(SELECT d.id FROM {s}.due d"
            " JOIN unnest($1::text[], $2::text[]) AS u(name, owner) ON d.name = u.name AND d.owner = u.owner"
            " WHERE d.name <> '' FOR UPDATE OF d SKIP LOCKED))"
        )
        self.load_answers = (
            f"SELECT command_key, content_hash, state, answer_type, answer FROM {s}.answers"
            " WHERE command_key = ANY($1::text[])"
        )
        self.first_answers = (
            f"INSERT INTO {s}.answers (command_key, content_hash, state, answer_type, answer)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])"
            " ON CONFLICT (command_key) DO NOTHING RETURNING command_key"
        )
        self.write_answers = (
            f"INSERT INTO {s}.answers AS a (command_key, content_hash, state, answer_type, answer)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])"
            " ON CONFLICT (command_key) DO UPDATE SET state = excluded.state, answer_type = excluded.answer_type,"
            " answer = excluded.answer, updated_at = now(),"
            " content_hash = CASE WHEN excluded.content_hash = '' THEN a.content_hash ELSE excluded.content_hash END"
            # what was said stays said: an answer is never replaced, a tombstone never raised
            " WHERE a.state = 'pending'"
        )
        self.insert_outbox = (
            f"INSERT INTO {s}.outbox (id, shard, subject, destination, public, head, body)"
            " SELECT id, shard, subject, destination, public, head, body FROM unnest($1::uuid[], $2::smallint[],"
            " $3::text[], $4::text[], $5::boolean[], $6::text[], $7::text[]) WITH ORDINALITY"
            " AS u(id, shard, subject, destination, public, head, body, n) ORDER BY n"
        )
        self.park = (
            f"INSERT INTO {s}.parked AS p (id, queue, command_key, head, body, reason, error, attempts)"
            " SELECT id, queue, command_key, head::jsonb, body, reason, error, attempts"
            " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[],"
            " $8::int[])"
            " AS u(id, queue, command_key, head, body, reason, error, attempts) ON CONFLICT DO NOTHING"
        )
        self.outbox_waiting = (
            f"SELECT position, id, subject, destination, public, head, body FROM {s}.outbox"
            " WHERE shard = ANY($1::smallint[]) AND destination <> ALL($3::text[]) ORDER BY position LIMIT $2"
        )
        self.outbox_published = f"DELETE FROM {s}.outbox WHERE position = ANY($1::bigint[])"
        self.outbox_waiting_count = f"SELECT count(*) FROM {s}.outbox"


class PostgresTransaction:
    def __init__(self, connection: asyncpg.Connection, sql: FrameSql) -> None:
        self.connection, self.sql = connection, sql
        self.committed = False
        self._now: datetime | None = None

    async def claim_inbox(self, ids: Sequence[tuple[str, UUID]]) -> set[tuple[str, UUID]]:
        records = await self.connection.fetch(
            self.sql.claim_inbox, [queue for queue, _ in ids], [id_ for _, id_ in ids]
        )
        if records:
            self._now = records[0][2]  # read together: a round trip less for every batch
        return {(record[0], record[1]) for record in records}

    async def claim_due(self, queues: Sequence[str], limit: int) -> list[DueRow]:
        records = await self.connection.fetch(self.sql.claim_due, list(queues), limit)
        rows = [DueRow(*record) for record in records]
        return sorted(rows, key=lambda row: (row.not_before, row.id.bytes))

    async def now(self) -> datetime:
        if self._now is None:
            self._now = cast(datetime, await self.connection.fetchval("SELECT clock_timestamp()"))
        return self._now

    async def load(self, need: Need) -> list[Any]:
        sql = sql_of(need.table)
        values = sorted(need.values)
        return [sql.make(record) for record in await self.connection.fetch(sql.select(need.by), values)]

    async def load_answers(self, command_keys: Sequence[str]) -> list[AnswerRow]:
        records = await self.connection.fetch(self.sql.load_answers, list(command_keys))
        return [AnswerRow(*record) for record in records]

    async def write(self, changes: Changes) -> None:
        try:
            await self._write(changes)
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.RaiseError) as fired:
            raise ConstraintFired(
                f"{getattr(fired, 'constraint_name', '') or type(fired).__name__}: {fired}"
            ) from fired

    async def _write(self, changes: Changes) -> None:
        fetch, execute, sql = self.connection.fetch, self.connection.execute, self.sql
        inserts = sorted(changes.inserts.items(), key=lambda item: _rank(item[0]))
        for table, rows in inserts:
            if table.discipline is not Discipline.APPEND:
                await self._kept(table, rows, sql_of(table).insert, sql_of(table).columns)
        for wave in changes.waves:
            for table, rows in sorted(wave.items(), key=lambda item: _rank(item[0])):
                await self._kept(table, rows, sql_of(table).update, sql_of(table).moving_columns)
        for table, rows in sorted(changes.locked.items(), key=lambda item: _rank(item[0])):
            await self._kept(table, rows, sql_of(table).update, sql_of(table).moving_columns)
        for table, rows in inserts:
            if table.discipline is Discipline.APPEND:
                of = sql_of(table)
                await execute(of.insert, *of.arrays(rows, of.columns))
        point("batch.rows_written")
        if changes.first_answers:
            first = [changes.answers[key] for key in sorted(changes.first_answers)]
            records = await fetch(sql.first_answers, *_columns(AnswerRow, first))
            if len(records) != len(first):
                raise Conflict(("answers", (key,)) for key in changes.first_answers - {record[0] for record in records})
        if later := sorted(changes.answers.keys() - changes.first_answers):
            await execute(sql.write_answers, *_columns(AnswerRow, [changes.answers[key] for key in later]))
        # Setting a timer takes the old one away and adds a row: it waits for nobody. A row being rung elsewhere is
        # left to ring, and its handler finds that its time has not come: waiting here, rows in hand, could deadlock.
        if gone := sorted(changes.timers_cleared | changes.timers_set()):
            await execute(sql.clear_timers, [name for name, _ in gone], [owner for _, owner in gone])
        if changes.due:
            await execute(sql.insert_due, *_columns(DueRow, changes.due))
        for claims, state in ((changes.waiting, "waiting"), (changes.settled, "done")):
            if claims:
                await execute(sql.inbox_state, [queue for queue, _ in claims], [id_ for _, id_ in claims], state)
        if changes.parked:
            rows = changes.parked
            await execute(
                sql.park,
                *(
                    [_json(dict(row.head)) if name == "head" else getattr(row, name) for row in rows]
                    for name in _PARKED_COLUMNS
                ),
            )
        if changes.outbox:
            out = changes.outbox
            await fetch(
                sql.insert_outbox,
                [row.id for row in out],
                [shard_of(row.subject) for row in out],
                [row.subject for row in out],
                [row.destination for row in out],
                [row.public for row in out],
                [_json(row.head) for row in out],
                [row.body for row in out],
            )

    async def _kept(self, table: Table[Any], rows: list[Any], statement: str, columns: Sequence[str]) -> None:
        """Run a compare-and-set; whatever did not come back lost a race."""
        sql = sql_of(table)
        records = await self.connection.fetch(statement, *sql.arrays(rows, columns))
        if len(records) != len(rows):
            kept = {tuple(record) for record in records}
            keys: list[Key] = [table.key_of(row) for row in rows]
            raise Conflict((table.name, key) for key in keys if key not in kept)

    async def commit(self) -> None:
        try:
            await self.connection.execute("COMMIT")
        except asyncpg.IntegrityConstraintViolationError as fired:  # a deferred constraint speaks only here
            raise ConstraintFired(f"{fired.constraint_name}: {fired}") from fired
        self.committed = True


_PARKED_COLUMNS = ("id", "queue", "command_key", "head", "body", "reason", "error", "attempts")


def _columns(row_type: type[Any], rows: Sequence[Any]) -> list[list[Any]]:
    """One array per field; heads as JSON text."""
    return [
        [_json(dict(row.head)) if field.name == "head" else getattr(row, field.name) for row in rows]
        for field in fields(row_type)
    ]


class PostgresStore:
    """One service's schema, through its own role."""

    def __init__(self, pool: asyncpg.Pool, schema: str) -> None:
        self.pool, self.schema = pool, schema
        self.sql = FrameSql(schema)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        try:
            async with self.pool.acquire(timeout=10) as connection:
                tx = PostgresTransaction(cast(asyncpg.Connection, connection), self.sql)
                await tx.connection.execute("BEGIN")
                try:
                    yield tx
                finally:
                    if not tx.committed and not tx.connection.is_closed():
                        await tx.connection.execute("ROLLBACK")
        except AWAY as away:
            raise Unavailable(f"{type(away).__name__}: {away}") from away

    async def count_attempt(self, queue: str, message_id: UUID) -> int:
        try:
            return int(await self.pool.fetchval(self.sql.count_attempt, queue, message_id) or 0)
        except AWAY as away:
            raise Unavailable(f"{type(away).__name__}: {away}") from away

    async def take_open(self, table: Table[Any], limit: int) -> list[Any]:
        sql = sql_of(table)
        try:
            return [sql.make(record) for record in await self.pool.fetch(sql.take_open, limit)]
        except AWAY as away:
            raise Unavailable(f"{type(away).__name__}: {away}") from away

    async def waiting(
        self, shards: Sequence[int], limit: int, but: Collection[str] = ()
    ) -> list[tuple[int, OutboxRow]]:
        try:
            records = await self.pool.fetch(self.sql.outbox_waiting, list(shards), limit, list(but))
        except AWAY as away:
            raise Unavailable(f"{type(away).__name__}: {away}") from away
        return [
            (position, OutboxRow(id_, subject, destination, public, HeadText(head), body))
            for position, id_, subject, destination, public, head, body in records
        ]

    async def published(self, positions: Sequence[int]) -> None:
        try:
            await self.pool.execute(self.sql.outbox_published, list(positions))
        except AWAY as away:
            raise Unavailable(f"{type(away).__name__}: {away}") from away

    async def outbox_waiting(self) -> int:
        return int(await self.pool.fetchval(self.sql.outbox_waiting_count))


__all__ = ["PostgresStore", "PostgresTransaction", "connect_pool", "sa"]

"""The store over PostgreSQL: a batch is begun, claims and looks, decides, writes and commits, in five round trips.

The statements are in `statements`; asyncpg runs them.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import asyncpg
import orjson

from shared.envelope import HeadText, shard_of
from shared.statements import FrameSql, Part, rank, seen_together, sql_of, to_json, written_together
from shared.store import (
    AnswerRow,
    Changes,
    Claim,
    Conflict,
    ConstraintFired,
    DueRow,
    OutboxRow,
    Seen,
    Unavailable,
)
from shared.table import Discipline, Key, Need, Table

LOCK_TIMEOUT_MS: Final = 5_000
STATEMENT_TIMEOUT_MS: Final = 30_000
"""A batch takes milliseconds; whatever takes longer than this is stuck, and the consumer pauses and comes again."""
CONNECT_WITHIN_S: Final = 10.0
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


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    """jsonb comes in as Python values (binary: a version byte, then the text); it goes out as text and a cast."""
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        schema="pg_catalog",
        format="binary",
    )


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
            timeout=CONNECT_WITHIN_S,
            statement_cache_size=300,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0,
            command_timeout=STATEMENT_TIMEOUT_MS / 1000 + 5,
            server_settings={
                "application_name": name,
                "lock_timeout": str(LOCK_TIMEOUT_MS),
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                "idle_in_transaction_session_timeout": "60000",
                "jit": "off",
                # One plan per statement, made once: with arrays as arguments the planner would otherwise
                # believe that this call's array is a special case, and plan anew at every call.
                "plan_cache_mode": "force_generic_plan",
                # Every statement of ours finds rows by key. Nested loops over the sorted arrays lock them in that
                # order; a scan or a hash would lock in any order, and two batches could deadlock.
                "enable_seqscan": "off",
                "enable_hashjoin": "off",
                "enable_mergejoin": "off",
            },
        )
    except AWAY as away:
        raise Unavailable(f"{type(away).__name__}: {away}") from away


class PostgresTransaction:
    def __init__(self, connection: asyncpg.Connection, sql: FrameSql) -> None:
        self.connection, self.sql = connection, sql
        self.committed = False
        self._now: datetime | None = None

    async def claim_inbox(
        self, ids: Sequence[Claim], needs: Sequence[Need] = (), command_keys: Sequence[str] = ()
    ) -> tuple[set[Claim], Seen]:
        claims = ([queue for queue, _ in ids], [id_ for _, id_ in ids])
        won, seen = await self._see(needs, command_keys, self.sql.claim_inbox, claims)
        return {(queue, id_) for queue, id_ in won}, seen

    async def claim_due(self, queues: Sequence[str], limit: int) -> list[DueRow]:
        records = await self.connection.fetch(self.sql.claim_due, list(queues), limit)
        rows = [DueRow(*record) for record in records]
        return sorted(rows, key=lambda row: (row.not_before, row.id.bytes))

    async def now(self) -> datetime:
        if self._now is None:
            self._now = cast(datetime, await self.connection.fetchval("SELECT clock_timestamp()"))
        return self._now

    async def load(self, needs: Sequence[Need], command_keys: Sequence[str] = ()) -> Seen:
        locked = {need: await self._lock(need) for need in needs if need.hot}
        free = [need for need in needs if need not in locked]
        if not free and not command_keys:
            return Seen([locked[need] for need in needs])
        _, seen = await self._see(free, command_keys)
        rows = iter(seen.rows)
        return Seen([locked[need] if need in locked else next(rows) for need in needs], seen.answers)

    async def _lock(self, need: Need) -> list[Any]:
        sql = sql_of(need.table)
        records = await self.connection.fetch(sql.select_locked(need.by), sorted(need.values))
        return [sql.make(record) for record in records]

    async def _see(
        self, needs: Sequence[Need], command_keys: Sequence[str], claim: str = "", claims: Sequence[Any] = ()
    ) -> tuple[Sequence[Any], Seen]:
        """Everything that waits for nobody's lock, in one look; the clock is read with it."""
        selects = [sql_of(need.table).select(need) for need in needs]
        arguments = [sorted(need.values) for need in needs]
        if command_keys:
            selects.append(self.sql.select_answers)
            arguments.append(list(command_keys))
        record = await self.connection.fetchrow(seen_together(claim, tuple(selects)), *claims, *arguments)
        assert record is not None
        clock, *found = record
        self._now = self._now or clock
        won = (found.pop(0) or ()) if claim else ()
        answers = [AnswerRow(*row) for row in found.pop() or ()] if command_keys else []
        rows = [
            [sql_of(need.table).make(row) for row in several or ()] for need, several in zip(needs, found, strict=True)
        ]
        return won, Seen(rows, answers)

    async def write(self, changes: Changes) -> None:
        try:
            for together in _statements(self._parts(changes)):
                await self._write(together)
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.RaiseError) as fired:
            raise ConstraintFired(
                f"{getattr(fired, 'constraint_name', '') or type(fired).__name__}: {fired}"
            ) from fired

    async def _write(self, parts: Sequence[Part]) -> None:
        """Run the parts as one statement; whatever a compare-and-set does not give back lost a race."""
        statement = written_together(tuple((part.sql, len(part.arguments), bool(part.keys)) for part in parts))
        arguments = [argument for part in parts for argument in part.arguments]
        kept = [part for part in parts if part.keys]
        record = await self.connection.fetchrow(statement, *arguments, *(len(part.keys) for part in kept))
        assert record is not None
        for part, written in zip(kept, record if kept else (), strict=True):
            if len(written or ()) != len(part.keys):
                there = {tuple(key) for key in written or ()}
                raise Conflict((part.name, key) for key in part.keys if key not in there)

    def _parts(self, changes: Changes) -> list[Part]:
        """What is written, in the order it is written: rows first, what is said last."""
        sql = self.sql
        inserts = sorted(changes.inserts.items(), key=lambda item: rank(item[0]))
        parts = [_inserted(table, rows) for table, rows in inserts if table.discipline is not Discipline.APPEND]
        for moved in (*changes.waves, changes.locked):
            parts += [_moved(table, rows) for table, rows in sorted(moved.items(), key=lambda item: rank(item[0]))]
        parts += [_inserted(table, rows) for table, rows in inserts if table.discipline is Discipline.APPEND]
        if changes.first_answers:
            first = sorted(changes.first_answers)
            rows = _columns(AnswerRow, [changes.answers[key] for key in first])
            parts.append(Part(sql.first_answers, rows, "answers", [(key,) for key in first]))
        if later := sorted(changes.answers.keys() - changes.first_answers):
            parts.append(Part(sql.write_answers, _columns(AnswerRow, [changes.answers[key] for key in later])))
        # Setting a timer takes the old one away and adds a row: it waits for nobody. A row being rung elsewhere is
        # left to ring, and its handler finds that its time has not come: waiting here, rows in hand, could deadlock.
        if gone := sorted(changes.timers_cleared | changes.timers_set()):
            parts.append(Part(sql.clear_timers, [[name for name, _ in gone], [owner for _, owner in gone]]))
        if changes.due:
            parts.append(Part(sql.insert_due, _columns(DueRow, changes.due)))
        for claims, state in ((changes.waiting, "waiting"), (changes.settled, "done")):
            if claims:
                parts.append(Part(sql.inbox_state, [[queue for queue, _ in claims], [id_ for _, id_ in claims], state]))
        if changes.parked:
            parked = changes.parked
            arrays = [
                [to_json(dict(row.head)) if name == "head" else getattr(row, name) for row in parked]
                for name in _PARKED_COLUMNS
            ]
            parts.append(Part(sql.park, arrays))
        if changes.outbox:
            out = changes.outbox
            columns: list[Sequence[Any]] = [
                [row.id for row in out],
                [shard_of(row.subject) for row in out],
                [row.subject for row in out],
                [row.destination for row in out],
                [row.public for row in out],
                [to_json(row.head) for row in out],
                [row.body for row in out],
            ]
            parts.append(Part(sql.insert_outbox, columns))
        return parts

    async def commit(self) -> None:
        try:
            await self.connection.execute("COMMIT")
        except asyncpg.IntegrityConstraintViolationError as fired:  # a deferred constraint speaks only here
            raise ConstraintFired(f"{fired.constraint_name}: {fired}") from fired
        self.committed = True


def _inserted(table: Table[Any], rows: Sequence[Any]) -> Part:
    sql = sql_of(table)
    kept = table.discipline is not Discipline.APPEND
    keys = [table.key_of(row) for row in rows] if kept else ()
    return Part(sql.insert, sql.arrays(rows, sql.columns), table.name, keys)


def _moved(table: Table[Any], rows: Sequence[Any]) -> Part:
    sql = sql_of(table)
    return Part(sql.update, sql.arrays(rows, sql.moving_columns), table.name, [table.key_of(row) for row in rows])


def _statements(parts: Sequence[Part]) -> list[list[Part]]:
    """As few statements as can be: a row moved again, or born before, is for the next one."""
    statements: list[list[Part]] = []
    written: set[tuple[str, Key]] = set()
    for part in parts:
        keys = {(part.name, key) for key in part.keys}
        if not statements or not written.isdisjoint(keys):
            statements.append([])
            written = set()
        statements[-1].append(part)
        written |= keys
    return statements


_PARKED_COLUMNS: Final = ("id", "queue", "command_key", "head", "body", "reason", "error", "attempts")


def _columns(row_type: type[Any], rows: Sequence[Any]) -> list[list[Any]]:
    """One array per field; heads as JSON text."""
    return [
        [to_json(dict(row.head)) if field.name == "head" else getattr(row, field.name) for row in rows]
        for field in fields(row_type)
    ]


def _lost(connection: Any) -> bool:
    """The pool takes a connection back by itself when it breaks."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


class PostgresStore:
    """One service's schema, through its own role.

    A connection stays with its use (batches, relay, effects) from one time to the next: to borrow one from the pool and
    give it back costs about as much as a statement.
    """

    def __init__(self, pool: asyncpg.Pool, schema: str) -> None:
        self.pool, self.schema = pool, schema
        self.sql = FrameSql(schema)
        self._kept: dict[str, Any] = {}

    async def close(self) -> None:
        """Give the connections back and close the pool."""
        while self._kept:
            await self.pool.release(self._kept.popitem()[1])
        await self.pool.close()

    @asynccontextmanager
    async def _connection(self, use: str) -> AsyncIterator[asyncpg.Connection]:
        try:
            connection = self._kept.pop(use, None)
            if connection is None or _lost(connection):
                connection = await self.pool.acquire()
            try:
                yield cast(asyncpg.Connection, connection)
            except BaseException:
                await self.pool.release(connection)  # whatever state it is in, the pool finds out
                raise
            if use in self._kept:
                await self.pool.release(connection)
            else:
                self._kept[use] = connection
        except AWAY as away:
            raise Unavailable(f"{type(away).__name__}: {away}") from away

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        async with self._connection("batches") as connection:
            tx = PostgresTransaction(connection, self.sql)
            await connection.execute("BEGIN")
            try:
                yield tx
            finally:
                if not tx.committed and not connection.is_closed():
                    await connection.execute("ROLLBACK")

    async def count_attempt(self, queue: str, message_id: UUID) -> int:
        async with self._connection("batches") as connection:
            return int(await connection.fetchval(self.sql.count_attempt, queue, message_id) or 0)

    async def take_open(self, table: Table[Any], limit: int, only: tuple[str, str] | None = None) -> list[Any]:
        sql = sql_of(table)
        async with self._connection("effects") as connection:
            if only is None:
                records = await connection.fetch(sql.take_open, limit)
            else:
                column, value = only
                records = await connection.fetch(sql.take_open_where(column), limit, value)
        return [sql.make(record) for record in records]

    async def waiting(
        self, shards: Sequence[int], limit: int, but: Collection[str] = (), published: Sequence[int] = ()
    ) -> list[tuple[int, OutboxRow]]:
        arguments: list[Any] = [list(shards), limit, list(but)]
        async with self._connection("relay") as connection:
            if published:
                records = await connection.fetch(self.sql.outbox_published_and_waiting, *arguments, list(published))
            else:
                records = await connection.fetch(self.sql.outbox_waiting, *arguments)
        return [
            (position, OutboxRow(id_, subject, destination, public, HeadText(head), body))
            for position, id_, subject, destination, public, head, body in records
        ]

    async def outbox_waiting(self) -> int:
        return int(await self.pool.fetchval(self.sql.outbox_waiting_count))


__all__ = ["PostgresStore", "PostgresTransaction", "connect_pool"]

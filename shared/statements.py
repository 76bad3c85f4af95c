"""SQL as text, made once: what is done to one table, to the frame's own tables, and how several of them become one.

Every statement is set-based (`unnest` arrays), so a batch costs as many round trips as one message; and a round trip is
what a small batch consists of, so parts that need not wait for each other travel in one statement.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

import orjson
from sqlalchemy.dialects import postgresql

from shared.table import Discipline, Key, Need, Table

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_ARGUMENT = re.compile(r"\$(\d+)")


def to_json(value: Any) -> str:
    return orjson.dumps(value).decode()


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
        getter = self.get_all if columns is self.columns else self.get_moving
        arrays: list[Sequence[Any]] = list(zip(*map(getter, rows), strict=True))
        for index, column in enumerate(columns):
            if column in self.json:
                arrays[index] = [None if value is None else to_json(value) for value in arrays[index]]
        return arrays

    @cached_property
    def get_all(self) -> Callable[[Any], tuple[Any, ...]]:
        return _tuple_getter(self.columns)

    @cached_property
    def get_moving(self) -> Callable[[Any], tuple[Any, ...]]:
        return _tuple_getter(self.moving_columns)

    def select_locked(self, by: str) -> str:
        """In key order, so that two batches over the same hot rows wait for each other and never deadlock."""
        return (
            f"SELECT {', '.join(self.columns)} FROM {self.full} WHERE {by} = ANY($1::{self.types[by]}[])"
            f" ORDER BY {', '.join(self.table.key)} FOR NO KEY UPDATE"
        )

    def select_all(self, by: str) -> str:
        """The rows as one array, to stand among others in one statement."""
        return (
            f"SELECT array_agg(ROW({', '.join(self.columns)})) FROM {self.full}"
            f" WHERE {by} = ANY($1::{self.types[by]}[])"
        )

    def select(self, need: Need) -> str:
        """`select_all`, or the first few of each value."""
        if not need.limit:
            return self.select_all(need.by)
        columns = ", ".join(f"first.{column}" for column in self.columns)
        order = ", ".join((need.order, *(column for column in self.table.key if column != need.order)))
        return (
            f"SELECT array_agg(ROW({columns})) FROM unnest($1::{self.types[need.by]}[]) AS wanted(value)"
            f" CROSS JOIN LATERAL (SELECT * FROM {self.full} WHERE {need.by} = wanted.value"
            f" ORDER BY {order} LIMIT {need.limit:d}) AS first"
        )

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
        sql = f"INSERT INTO {self.full} ({names}) SELECT {values} FROM {self._unnest(self.columns)} WHERE {UNLESS_LOST}"
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
        return self._take_open("")

    def take_open_where(self, column: str) -> str:
        assert column in self.columns
        return self._take_open(f" AND {column} = $2")

    def _take_open(self, only: str) -> str:
        key = self.table.key[0]
        return (
            f"UPDATE {self.full} SET state = 'calling', version = version + 1"
            f"{', updated_at = now()' if self.has_updated_at else ''} WHERE {key} = ANY(ARRAY("
            f"SELECT {key} FROM {self.full} WHERE state = 'open'{only} ORDER BY {key} LIMIT $1 FOR UPDATE SKIP LOCKED))"
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


def rank(table: Table[Any]) -> int:
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
            f"INSERT INTO {s}.inbox AS i (queue, message_id) SELECT * FROM unnest($1::text[], $2::uuid[])"
            " ON CONFLICT (message_id, queue) DO UPDATE SET state = 'done' WHERE i.state = 'trying'"
            " RETURNING queue, message_id"
        )
        self.count_attempt = (
            f"INSERT INTO {s}.inbox AS i (queue, message_id, state, attempts) VALUES ($1, $2, 'trying', 1)"
            " ON CONFLICT (message_id, queue) DO UPDATE SET attempts = i.attempts + 1 WHERE i.state = 'trying'"
            " RETURNING attempts"
        )
        self.inbox_state = (
            f"UPDATE {s}.inbox i SET state = $3::text FROM unnest($1::text[], $2::uuid[]) AS u(queue, message_id)"
            " WHERE i.queue = u.queue AND i.message_id = u.message_id"
        )
        due_columns = "id, queue, not_before, head, body, name, owner, attempts, first_tried, error"
        self.claim_due = (
            f"DELETE FROM {s}.due WHERE id = ANY(ARRAY(SELECT id FROM {s}.due WHERE not_before <= clock_timestamp()"
            f" AND queue = ANY($1::text[]) ORDER BY not_before LIMIT $2 FOR UPDATE SKIP LOCKED))"
            f" RETURNING {due_columns}"
        )
        self.insert_due = (
            f"INSERT INTO {s}.due AS d ({due_columns}) SELECT id, queue, not_before, head::jsonb, body, name, owner,"
            " attempts, first_tried, error FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[],"
            " $5::text[], $6::text[], $7::text[], $8::int[], $9::timestamptz[], $10::text[])"
            f" AS u({due_columns}) ON CONFLICT (id) DO NOTHING"
        )
        self.clear_timers = (
            # a timer being rung elsewhere is left to ring: whoever rings it may be waiting for our hot rows
            f"DELETE FROM {s}.due WHERE id = ANY(ARRAY(SELECT d.id FROM {s}.due d"
            " JOIN unnest($1::text[], $2::text[]) AS u(name, owner) ON d.name = u.name AND d.owner = u.owner"
            " WHERE d.name <> '' FOR UPDATE OF d SKIP LOCKED))"
        )
        self.select_answers = (
            "SELECT array_agg(ROW(command_key, content_hash, state, answer_type, answer))"
            f" FROM {s}.answers WHERE command_key = ANY($1::text[])"
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
            " WHERE shard = ANY($1::smallint[]) AND destination <> ALL($3::text[])"
        )
        in_order = " ORDER BY position LIMIT $2"
        self.outbox_published_and_waiting = (
            f"WITH gone AS (DELETE FROM {s}.outbox WHERE position = ANY($4::bigint[]))"
            # the deleted are still in this statement's snapshot
            f" {self.outbox_waiting} AND position <> ALL($4::bigint[])"
            # nobody waits for the disk here: a deletion that a power cut takes back is only said once more
            f" AND (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL{in_order}"
        )
        self.outbox_waiting += in_order
        self.outbox_waiting_count = f"SELECT count(*) FROM {s}.outbox"


# -- several statements in one ---------------------------------------------------------------------------------------

UNLESS_LOST = "/* unless lost */ true"
"""Where an insert asks whether an earlier part of the same statement has lost a race: then it writes nothing, so that a
constraint it would break in vain does not hide the conflict."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of several statements to travel together. With `keys` it is a compare-and-set that returns the keys it wrote;
    one that is not returned lost a race. `name` is the table's."""

    sql: str
    arguments: Sequence[Any]
    name: str = ""
    keys: Sequence[Key] = ()


@lru_cache(maxsize=4096)
def renumbered(sql: str, after: int) -> str:
    """The statement with its arguments counted from `after` + 1."""
    return _ARGUMENT.sub(lambda found: f"${int(found[1]) + after}", sql) if after else sql


@lru_cache(maxsize=4096)
def written_together(parts: tuple[tuple[str, int, bool], ...]) -> str:
    """One statement of several (text, number of arguments, whether it returns keys), done in this order.

    A data-modifying WITH: all parts see the same snapshot and none the rows of another, so no two may write one row.
    Answers one array of keys for each part that returns them. After the parts' own arguments come the numbers of rows
    expected of each part that returns keys.
    """
    ctes: list[str] = []
    answers: list[str] = []
    complete: list[str] = []
    after = 0
    counts_after = sum(arguments for _, arguments, _ in parts)
    for number, (sql, arguments, kept) in enumerate(parts):
        text = renumbered(sql, after)
        if complete:
            text = text.replace(UNLESS_LOST, " AND ".join(complete))
        ctes.append(f"p{number} AS ({text})")
        after += arguments
        if kept:
            answers.append(f"(SELECT array_agg(p{number}) FROM p{number})")
            complete.append(f"(SELECT count(*) FROM p{number}) = ${counts_after + len(answers)}::bigint")
    # what no later part asks about is asked here, so that every count has its type and every part its turn
    turns = f" WHERE {' AND '.join(f'{one} IS NOT NULL' for one in complete)}" if complete else ""
    return f"WITH {', '.join(ctes)} SELECT {', '.join(answers) or 'true'}{turns}"


@lru_cache(maxsize=4096)
def seen_together(claim: str, selects: tuple[str, ...]) -> str:
    """One statement that claims inbox ids (where `claim` is given, of two arguments), reads the clock and answers
    one array of rows for each select of one argument."""
    after = 2 if claim else 0
    columns = ["clock_timestamp()"]
    if claim:
        columns.append("(SELECT array_agg(won) FROM won)")
    columns += [f"({renumbered(select, after + number)})" for number, select in enumerate(selects)]
    return f"{f'WITH won AS ({claim}) ' if claim else ''}SELECT {', '.join(columns)}"

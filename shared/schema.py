"""The frame's own tables, the same in every service's schema, and the rights and triggers a schema is given.

`inbox` with `answers`, `due`, `outbox`, `parked`: what every service needs to hear, remember, wait and say.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from shared.machine import Machine
from shared.table import Discipline, Table

FRAME_TABLES = ("inbox", "answers", "due", "outbox", "parked")
DELETABLE = ("inbox", "due", "outbox")


def instants() -> tuple[sa.Column[object], sa.Column[object]]:
    """`created_at` and `updated_at`, kept by the database."""
    return (
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )


def created() -> sa.Column[object]:
    """`created_at` alone: for append-only tables."""
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def frame_sql(schema: str) -> list[str]:
    """The frame's tables as version 1 of every schema made them. Later changes are migrations of their own."""
    return [
        f"""CREATE TABLE {schema}.inbox (
            queue text NOT NULL,
            message_id uuid NOT NULL,
            state text NOT NULL DEFAULT 'done' CHECK (state IN ('done', 'waiting', 'trying')),
            attempts integer NOT NULL DEFAULT 0,
            PRIMARY KEY (message_id, queue)
        ) PARTITION BY RANGE (message_id)""",
        f"CREATE TABLE {schema}.inbox_default PARTITION OF {schema}.inbox DEFAULT",
        f"""CREATE TABLE {schema}.answers (
            command_key text PRIMARY KEY,
            content_hash text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'answered', 'withdrawn')),
            answer_type text NOT NULL DEFAULT '',
            answer text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )""",
        f"""CREATE TABLE {schema}.due (
            id uuid PRIMARY KEY,
            queue text NOT NULL,
            not_before timestamptz NOT NULL,
            head jsonb NOT NULL,
            body text NOT NULL,
            name text NOT NULL DEFAULT '',
            owner text NOT NULL DEFAULT '',
            attempts integer NOT NULL DEFAULT 0,
            first_tried timestamptz,
            error text NOT NULL DEFAULT ''
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
                autovacuum_vacuum_cost_delay = 1)""",
        f"CREATE INDEX due_by_instant ON {schema}.due (not_before)",
        f"CREATE INDEX timers_by_owner ON {schema}.due (owner, name) WHERE name <> ''",
        f"""CREATE TABLE {schema}.outbox (
            position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id uuid NOT NULL,
            shard smallint NOT NULL,
            subject text NOT NULL,
            destination text NOT NULL,
            public boolean NOT NULL,
            head text NOT NULL,
            body text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
                autovacuum_vacuum_cost_delay = 1)""",
        f"""CREATE TABLE {schema}.parked (
            id uuid PRIMARY KEY,
            queue text NOT NULL,
            command_key text NOT NULL DEFAULT '',
            head jsonb NOT NULL,
            body bytea NOT NULL,
            reason text NOT NULL,
            error text NOT NULL,
            attempts integer NOT NULL,
            state text NOT NULL DEFAULT 'parked' CHECK (state IN ('parked', 'replayed', 'dismissed')),
            parked_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )""",
        f"CREATE UNIQUE INDEX parked_once_per_command ON {schema}.parked (command_key)"
        " WHERE command_key <> '' AND state = 'parked'",
    ]


def transition_trigger(schema: str, table: str, column: str, machine: Machine[Any]) -> list[str]:
    """O2: the machine's table as rows, and a trigger that refuses every other move and every other start, by name."""
    moves = f"{schema}.{table}_{column}_moves"
    name = f"{table}_{column}_moves_only_by_its_table"
    rows = ", ".join(f"('{origin}', '{to}')" for origin, to in sorted(machine.pairs))
    starts = ", ".join(f"('', '{state}')" for state in machine.start)
    return [
        f"CREATE TABLE {moves} (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))",
        f"INSERT INTO {moves} VALUES {starts}" + (f", {rows}" if rows else ""),
        f"""CREATE FUNCTION {schema}.{name}() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM {moves} WHERE origin = '' AND target = NEW.{column}) THEN
                    RAISE EXCEPTION '{table} cannot start as %', NEW.{column}
                        USING ERRCODE = 'check_violation', CONSTRAINT = '{name}';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM {moves} WHERE origin = OLD.{column} AND target = NEW.{column}) THEN
                RAISE EXCEPTION '{table} cannot go from % to %', OLD.{column}, NEW.{column}
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{name}';
            END IF;
            RETURN NEW;
        END $$""",
        f"""CREATE TRIGGER {name}_at_insert BEFORE INSERT ON {schema}.{table}
            FOR EACH ROW EXECUTE FUNCTION {schema}.{name}()""",
        f"""CREATE TRIGGER {name}_at_update BEFORE UPDATE OF {column} ON {schema}.{table}
            FOR EACH ROW WHEN (OLD.{column} IS DISTINCT FROM NEW.{column}) EXECUTE FUNCTION {schema}.{name}()""",
    ]


def rights(schema: str, role: str, tables: Iterable[Table[Any]]) -> list[str]:
    """Least rights (M5, O6): business tables SELECT, INSERT, UPDATE; append-only SELECT, INSERT; the frame's
    also DELETE."""
    statements = [
        f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
    ]
    for table in tables:
        verbs = "INSERT" if table.discipline is Discipline.APPEND else "INSERT, UPDATE"
        statements.append(f"GRANT {verbs} ON {schema}.{table.name} TO {role}")
    for name in FRAME_TABLES:
        statements.append(f"GRANT INSERT, UPDATE{', DELETE' if name in DELETABLE else ''} ON {schema}.{name} TO {role}")
    return statements


def states_check(machine: Machine[Any], column: str) -> sa.CheckConstraint:
    """The CHECK half of O2: only declared states."""
    return one_of(column, (state.value for state in machine.states))


def one_of(column: str, words: Iterable[str]) -> sa.CheckConstraint:
    """Only declared words; the values of a StrEnum, for one."""
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"{column}_is_declared")


def create_sql(metadata: sa.MetaData) -> Sequence[str]:
    """CREATE TABLE and CREATE INDEX of a service's own tables, for its first migration."""
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateIndex, CreateTable

    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    statements: list[str] = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        statements += [
            str(CreateIndex(index).compile(dialect=dialect)).strip()
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]
    return statements

"""Rows of the schema `sagas`: runs, and what foreign senders asked for under their own ids."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.orchestrator.domain import Accepted, Run
from services.orchestrator.saga import PHASES
from shared.machine import Machine
from shared.schema import instants, states_check
from shared.table import Discipline, Table

SCHEMA: Final = "sagas"
METADATA = sa.MetaData(schema=SCHEMA)

RUNS = Table(
    Run,
    sa.Table(
        "runs",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("saga", sa.Text, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("changing", sa.Uuid),
        sa.Column("storefront", sa.Text, nullable=False),
        sa.Column("request", JSONB, nullable=False),
        sa.Column("facts", JSONB, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("pending", JSONB, nullable=False),
        sa.Column("asked", JSONB, nullable=False),
        sa.Column("asks", sa.Integer, nullable=False),
        sa.Column("next_ask_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("stuck_since", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(PHASES, "phase"),
        sa.CheckConstraint(
            "(changing IS NULL) = (phase IN ('completed', 'cancelled'))", name="a_run_changes_its_order_until_it_ends"
        ),
        sa.Index(
            "one_changing_run_per_order", "changing", unique=True, postgresql_where=sa.text("changing IS NOT NULL")
        ),
        sa.Index("runs_by_order", "order_id"),
        sa.Index("stuck_runs", "stuck_since", postgresql_where=sa.text("stuck_since IS NOT NULL")),
    ),
    ("id",),
    Discipline.VERSIONED,
    fixed=frozenset({"saga", "order_id", "storefront", "request"}),
)

ACCEPTED = Table(
    Accepted,
    sa.Table(
        "accepted",
        METADATA,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("order_id", sa.Uuid),
        sa.Column("run_id", sa.Uuid),
        sa.Column("answer_type", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
    ),
    ("key",),
    Discipline.VERSIONED,
)

TABLES: tuple[Table[Any], ...] = (RUNS, ACCEPTED)
MACHINES: tuple[tuple[str, str, Machine[Any]], ...] = (("runs", "phase", PHASES),)

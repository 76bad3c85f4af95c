"""Tables of routing: decisions with their reasons, the shipments of a day, and questions to the solver."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.inventory.routing.rows import QUESTION, Booking, Dispatch, Question, RouteTaken
from services.inventory.routing.strategy import StrategyName
from services.inventory.schema import METADATA
from shared.schema import created, instants, states_check
from shared.table import Discipline, Table

ROUTES: Final = Table(
    RouteTaken,
    sa.Table(
        "routes",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("chosen", JSONB, nullable=False),
        sa.Column("cost_minor", sa.BigInteger),
        sa.Column("gap_permille", sa.Integer),
        sa.Column("candidates", JSONB, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        created(),
        sa.CheckConstraint(
            f"strategy IN ({', '.join(repr(strategy.value) for strategy in StrategyName)})",
            name="strategy_is_declared",
        ),
        sa.CheckConstraint("cost_minor >= 0", name="a_route_costs_nothing_or_more"),
        sa.CheckConstraint("gap_permille >= 0 AND gap_permille <= 1000", name="a_gap_is_a_share"),
        sa.Index("routes_of_an_order", "order_id"),
    ),
    key=("id",),
    discipline=Discipline.APPEND,
)

DISPATCHES: Final = Table(
    Dispatch,
    sa.Table(
        "dispatches",
        METADATA,
        sa.Column(
            "warehouse",
            sa.Text,
            sa.ForeignKey("inventory.warehouses.code", name="a_dispatch_is_of_a_warehouse"),
            primary_key=True,
        ),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("shipments", sa.BigInteger, nullable=False),
        *instants(),
        sa.CheckConstraint("shipments >= 0", name="shipments_are_not_negative"),
        postgresql_with={"fillfactor": 50},
    ),
    key=("warehouse",),
    discipline=Discipline.LOCKED,
)

BOOKINGS: Final = Table(
    Booking,
    sa.Table(
        "bookings",
        METADATA,
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("warehouses", JSONB, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
    ),
    key=("order_id",),
    discipline=Discipline.VERSIONED,
)

QUESTIONS: Final = Table(
    Question,
    sa.Table(
        "questions",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("command_key", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("hold", JSONB, nullable=False),
        sa.Column("problem", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(QUESTION, "state"),
        sa.CheckConstraint("number >= 1", name="questions_count_from_one"),
        sa.Index("questions_of_an_order", "order_id"),
        # the worker's queue: as small as what waits to be computed
        sa.Index("questions_to_ask", "id", postgresql_where=sa.text("state = 'open'")),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "command_key", "number", "hold", "problem"}),
)

"""Schema `fulfillment`: the shipments with their versions, and one event per version that nobody can change."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.fulfillment.domain import FULFILLMENT, LINE, LOST, Fulfillment, FulfillmentEvent, Verdict
from shared.machine import Machine
from shared.schema import created, instants, one_of, states_check
from shared.table import Discipline, Table

SCHEMA: Final = "fulfillment"
METADATA = sa.MetaData(schema=SCHEMA)

FULFILLMENTS = Table(
    Fulfillment,
    sa.Table(
        "fulfillments",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("ship_to", JSONB, nullable=False),
        sa.Column("picks", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reached", sa.Text, nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True)),
        sa.Column("carrier", sa.Text, nullable=False),
        sa.Column("tracking_number", sa.Text, nullable=False),
        sa.Column("heard", JSONB, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        *instants(),
        states_check(FULFILLMENT, "state"),
        sa.CheckConstraint(
            f"reached IN ({', '.join(repr(step.value) for step in (*LINE, LOST))})", name="reached_is_on_the_line"
        ),
        sa.CheckConstraint("jsonb_array_length(picks) > 0", name="a_shipment_ships_something"),
        sa.Index("fulfillments_by_order", "order_id"),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "warehouse", "ship_to"}),
)

EVENTS = Table(
    FulfillmentEvent,
    sa.Table(
        "fulfillment_events",
        METADATA,
        sa.Column("fulfillment_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reported", sa.Text, nullable=False),
        sa.Column("report_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        created(),
        sa.PrimaryKeyConstraint("fulfillment_id", "version", name="one_event_per_version"),
        one_of("verdict", Verdict),
        states_check(FULFILLMENT, "state"),
    ),
    key=("fulfillment_id", "version"),
    discipline=Discipline.APPEND,
)

TABLES: Final[tuple[Table[Any], ...]] = (FULFILLMENTS, EVENTS)
MACHINES: Final[tuple[tuple[str, str, Machine[Any]], ...]] = (("fulfillments", "state", FULFILLMENT),)

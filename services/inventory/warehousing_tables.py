"""Tables of warehousing: goods that came back, corrections, stock-takes, and units between two warehouses."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.inventory.counting import Correction, CountSheet, Outcome, StockTake
from services.inventory.returned import Returned
from services.inventory.schema import METADATA
from services.inventory.transfers import TRANSFER, Transfer
from shared.schema import created, instants, states_check
from shared.table import Discipline, Table

RETURNS: Final = Table(
    Returned,
    sa.Table(
        "returns",
        METADATA,
        sa.Column("return_id", sa.Text, primary_key=True),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        sa.Index("returns_by_order", "order_id"),
    ),
    key=("return_id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "warehouse", "lines", "as_of"}),
)

CORRECTIONS: Final = Table(
    Correction,
    sa.Table(
        "corrections",
        METADATA,
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("delta", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("corrected_by", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        sa.CheckConstraint("delta <> 0", name="a_correction_corrects_something"),
        sa.CheckConstraint("length(reason) > 0", name="a_correction_has_a_reason"),
    ),
    key=("reference",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"sku", "warehouse", "delta", "reason", "corrected_by"}),
)

COUNT_SHEETS: Final = Table(
    CountSheet,
    sa.Table(
        "count_sheets",
        METADATA,
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("counts", JSONB, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counted_by", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
    ),
    key=("reference",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"warehouse", "counts", "as_of", "counted_by"}),
)

STOCK_TAKES: Final = Table(
    StockTake,
    sa.Table(
        "stock_takes",
        METADATA,
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("expected", sa.BigInteger, nullable=False),
        sa.Column("counted", sa.BigInteger, nullable=False),
        sa.Column("difference", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counted_by", sa.Text, nullable=False),
        created(),
        sa.CheckConstraint(
            f"outcome IN ({', '.join(repr(outcome.value) for outcome in Outcome)})", name="outcome_is_declared"
        ),
        sa.CheckConstraint("difference = counted - expected", name="a_difference_is_what_was_counted_too_much"),
    ),
    key=("reference", "sku"),
    discipline=Discipline.APPEND,
)

TRANSFERS: Final = Table(
    Transfer,
    sa.Table(
        "transfers",
        METADATA,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("arrived", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("refusal", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(TRANSFER, "state"),
        sa.CheckConstraint("origin <> destination", name="a_transfer_goes_somewhere_else"),
        sa.Index("transfers_under_way", "id", postgresql_where=sa.text("state IN ('requested', 'sent')")),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"origin", "destination", "lines", "requested_by", "requested_at"}),
)

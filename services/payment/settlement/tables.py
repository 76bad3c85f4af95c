"""Tables of what providers say they settled. A line of a provider is kept once, and settles one movement at most."""

from typing import Any, Final

import sqlalchemy as sa

from services.payment.ledger import EntryKind
from services.payment.schema import METADATA
from services.payment.settlement.lines import (
    DIFFERENCE,
    LINE,
    SETTLEMENT,
    Class,
    Difference,
    Line,
    LineKind,
    Settlement,
)
from shared.machine import Machine
from shared.schema import instants, one_of, states_check
from shared.table import Discipline, Table

SETTLEMENTS: Final = Table(
    Settlement,
    sa.Table(
        "settlements",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("lines", sa.BigInteger, nullable=False),
        sa.Column("pages", sa.BigInteger, nullable=False),
        sa.Column("covers_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("pages_done", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(SETTLEMENT, "state"),
        sa.CheckConstraint("pages_done <= pages", name="no_more_pages_than_there_are"),
        sa.UniqueConstraint("provider", "reference", name="a_report_is_imported_once"),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"provider", "reference", "hash", "lines", "pages", "covers_from"}),
)

LINES: Final = Table(
    Line,
    sa.Table(
        "settlement_lines",
        METADATA,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column(
            "settlement_id",
            sa.Uuid,
            sa.ForeignKey("payments.settlements.id", name="a_line_is_of_a_report"),
            nullable=False,
        ),
        sa.Column("page", sa.Text, nullable=False),
        sa.Column("row_no", sa.Integer, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("provider_payment_id", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("order_id", sa.Uuid),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("fee_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("matches", sa.Uuid, sa.ForeignKey("payments.transfers.id", name="a_line_settles_a_movement")),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        one_of("kind", LineKind),
        states_check(LINE, "state"),
        sa.CheckConstraint("amount_minor <> 0", name="a_line_settles_something"),
        sa.Index("lines_of_a_page", "page"),
        sa.Index("lines_of_an_order", "order_id"),
        sa.Index("lines_of_a_provider", "provider", "occurred_at"),
        sa.Index("a_movement_is_settled_once", "matches", unique=True, postgresql_where=sa.text("matches IS NOT NULL")),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset(
        {
            "settlement_id",
            "page",
            "row_no",
            "provider",
            "kind",
            "provider_payment_id",
            "reference",
            "order_id",
            "amount_minor",
            "fee_minor",
            "currency",
            "occurred_at",
        }
    ),
)

DIFFERENCES: Final = Table(
    Difference,
    sa.Table(
        "settlement_differences",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("order_id", sa.Uuid),
        sa.Column("line_id", sa.Text, sa.ForeignKey("payments.settlement_lines.id", name="a_difference_is_of_a_line")),
        sa.Column("transfer_id", sa.Uuid, sa.ForeignKey("payments.transfers.id", name="a_difference_is_of_a_movement")),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("ours_minor", sa.BigInteger, nullable=False),
        sa.Column("theirs_minor", sa.BigInteger, nullable=False),
        sa.Column("entry", sa.Text),
        sa.Column("entry_minor", sa.BigInteger, nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("accepted_by", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        one_of("kind", Class),
        one_of("entry", EntryKind),
        states_check(DIFFERENCE, "state"),
        sa.CheckConstraint("(entry IS NULL) = (entry_minor = 0)", name="an_entry_has_an_amount"),
        sa.CheckConstraint("line_id IS NOT NULL OR transfer_id IS NOT NULL", name="a_difference_is_of_something"),
        sa.CheckConstraint("state <> 'accepted' OR accepted_by <> ''", name="somebody_accepted_it"),
        sa.Index("differences_to_accept", "found_at", postgresql_where=sa.text("state = 'found'")),
        sa.Index("differences_of_an_order", "order_id"),
        sa.Index("differences_of_a_line", "line_id"),
        sa.Index("differences_of_a_movement", "transfer_id"),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset(
        {
            "kind",
            "provider",
            "order_id",
            "line_id",
            "transfer_id",
            "currency",
            "ours_minor",
            "theirs_minor",
            "entry",
            "entry_minor",
            "found_at",
        }
    ),
)

SETTLEMENT_TABLES: Final[tuple[Table[Any], ...]] = (SETTLEMENTS, LINES, DIFFERENCES)
SETTLEMENT_MACHINES: Final[tuple[tuple[str, str, Machine[Any]], ...]] = (
    ("settlements", "state", SETTLEMENT),
    ("settlement_lines", "state", LINE),
    ("settlement_differences", "state", DIFFERENCE),
)

"""What banks said, and what our references stand for. An entry of an account is one row, however often it is told."""

from typing import Any, Final

import sqlalchemy as sa

from services.payment.banking.entries import ENTRY, Entry, Purpose, Quoted, Statement
from services.payment.banking.matching import Outcome
from services.payment.schema import METADATA
from shared.machine import Machine
from shared.schema import created, instants, one_of, states_check
from shared.table import Discipline, Table

STATEMENTS: Final = Table(
    Statement,
    sa.Table(
        "statements",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("imported_by", sa.Text, nullable=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("matched", sa.BigInteger, nullable=False),
        sa.Column("unrelated", sa.BigInteger, nullable=False),
        sa.Column("repeated", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        sa.CheckConstraint("matched + unrelated <= entries", name="no_entry_is_counted_twice"),
        sa.UniqueConstraint("account", "name", name="one_statement_per_name"),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"account", "name", "imported_by"}),
)

ENTRIES: Final = Table(
    Entry,
    sa.Table(
        "statement_entries",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "statement_id",
            sa.Uuid,
            sa.ForeignKey("payments.statements.id", name="an_entry_is_of_a_statement"),
            nullable=False,
        ),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("bank_reference", sa.Text, nullable=False),
        sa.Column("booked_on", sa.Date, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reversal", sa.Boolean, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("end_to_end_id", sa.Text, nullable=False),
        sa.Column("remittance", sa.Text, nullable=False),
        sa.Column("counterparty", sa.Text, nullable=False),
        sa.Column("counterparty_account", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("order_id", sa.Uuid),
        sa.Column("kept_minor", sa.BigInteger, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(ENTRY, "state"),
        one_of("outcome", Outcome),
        sa.CheckConstraint("amount_minor <> 0", name="an_entry_moves_money"),
        sa.CheckConstraint(
            "state NOT IN ('assigned', 'sending_back', 'sent_back', 'dismissed') OR decided_by <> ''",
            name="what_no_rule_decided_a_person_did",
        ),
        sa.CheckConstraint("state <> 'assigned' OR order_id IS NOT NULL", name="assigned_means_to_an_order"),
        sa.CheckConstraint("kept_minor = 0 OR kept_minor < amount_minor", name="what_is_kept_leaves_a_rest"),
        sa.UniqueConstraint("account", "bank_reference", name="an_entry_counts_once"),
        sa.Index("entries_of_a_statement", "statement_id"),
        sa.Index("entries_of_an_order", "order_id", postgresql_where=sa.text("order_id IS NOT NULL")),
        sa.Index(
            "entries_for_a_person",
            "booked_on",
            postgresql_where=sa.text("state IN ('open', 'sending_back')"),
        ),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset(
        {
            "statement_id", "account", "bank_reference", "booked_on", "amount_minor", "currency", "reversal",
            "reference", "end_to_end_id", "remittance", "counterparty", "counterparty_account", "outcome",
        }
    ),
)  # fmt: skip

QUOTED: Final = Table(
    Quoted,
    sa.Table(
        "quoted_references",
        METADATA,
        # no second thing can be known by it: two that met by chance fail here, and a person hears of it
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("order_id", sa.Uuid),
        sa.Column("attempt_id", sa.Uuid),
        sa.Column("refund_id", sa.Uuid),
        sa.Column("entry_id", sa.Uuid),
        created(),
        one_of("purpose", Purpose),
        sa.CheckConstraint("(purpose = 'send_back') = (entry_id IS NOT NULL)", name="a_send_back_names_its_entry"),
        sa.CheckConstraint("(purpose = 'send_back') = (order_id IS NULL)", name="the_others_name_their_order"),
        sa.CheckConstraint("(purpose = 'send_back') = (attempt_id IS NULL)", name="the_others_name_their_attempt"),
        sa.CheckConstraint("(purpose = 'refund') = (refund_id IS NOT NULL)", name="a_payout_names_its_refund"),
        sa.Index("references_of_an_order", "order_id", postgresql_where=sa.text("order_id IS NOT NULL")),
    ),
    key=("reference",),
    discipline=Discipline.APPEND,
)

STATEMENT_TABLES: Final[tuple[Table[Any], ...]] = (STATEMENTS, ENTRIES, QUOTED)
STATEMENT_MACHINES: Final[tuple[tuple[str, str, Machine[Any]], ...]] = (("statement_entries", "state", ENTRY),)

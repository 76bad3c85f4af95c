"""Payment's schema. Every row is compared and set; what must never be spent twice is also a CHECK or a UNIQUE."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from services.payment.attempt import ATTEMPT, Attempt, AttemptKind
from services.payment.banking.tables import STATEMENT_MACHINES, STATEMENT_TABLES
from services.payment.domain import (
    AUTHORIZATION,
    CAPTURE,
    CHARGEBACK,
    CHARGEBACK_REVERSAL,
    PAYMENT,
    REFUND,
    Authorization,
    Capture,
    Chargeback,
    ChargebackReversal,
    Payment,
    Refund,
    Webhook,
    WebhookVerdict,
)
from services.payment.ledger import SIDES, Transfer
from services.payment.schema import METADATA, SCHEMA
from services.payment.settlement.tables import SETTLEMENT_MACHINES, SETTLEMENT_TABLES
from shared.machine import Machine
from shared.schema import created, instants, one_of, states_check
from shared.table import Discipline, Table

__all__ = [
    "ATTEMPTS",
    "AUTHORIZATIONS",
    "CAPTURES",
    "CHARGEBACKS",
    "CHARGEBACK_REVERSALS",
    "MACHINES",
    "METADATA",
    "PAYMENTS",
    "REFUNDS",
    "SCHEMA",
    "TABLES",
    "TRANSFERS",
    "WEBHOOKS",
]


def _money(row: str, machine: Machine[Any]) -> tuple[SchemaItem, ...]:
    """What every row of money has: whose it is, how much, and a life. `row` with its article: ``a_capture``."""
    payment = sa.ForeignKey("payments.payments.order_id", name=f"{row}_is_of_a_payment")
    return (
        sa.Column("order_id", sa.Uuid, payment, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(machine, "state"),
        sa.CheckConstraint("amount_minor > 0", name=f"{row.partition('_')[2]}_is_positive"),
    )


PAYMENTS: Final = Table(
    Payment,
    sa.Table(
        "payments",
        METADATA,
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("authorize_key", sa.Text, nullable=False),
        sa.Column("attempt_id", sa.Uuid),
        sa.Column("provider", sa.Text, nullable=False, server_default="sandbox"),
        sa.Column("provider_payment_id", sa.Text, nullable=False),
        sa.Column("captured_minor", sa.BigInteger, nullable=False),
        sa.Column("refunded_minor", sa.BigInteger, nullable=False),
        sa.Column("refund_reserved_minor", sa.BigInteger, nullable=False),
        sa.Column("disputed_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("release_keys", JSONB, nullable=False),
        sa.Column("release_reason", sa.Text, nullable=False),
        sa.Column("per_shipment", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("held_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("due_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("waived_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("missing_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("capture_before", sa.DateTime(timezone=True)),
        sa.Column("call_id", sa.Uuid),
        sa.Column("token", sa.Text, nullable=False, server_default=""),
        sa.Column("asked_again", sa.Integer, nullable=False, server_default="0"),
        sa.Column("earlier", JSONB, nullable=False, server_default="[]"),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(PAYMENT, "state"),
        sa.CheckConstraint("amount_minor >= 0", name="amount_is_not_negative"),
        sa.CheckConstraint("captured_minor >= 0", name="captured_is_not_negative"),
        sa.CheckConstraint("refunded_minor >= 0", name="refunded_is_not_negative"),
        sa.CheckConstraint("refund_reserved_minor >= 0", name="reserved_is_not_negative"),
        sa.CheckConstraint("captured_minor <= amount_minor", name="captured_never_above_amount"),
        sa.CheckConstraint(
            "held_minor >= 0 AND captured_minor + held_minor <= amount_minor", name="never_held_above_amount"
        ),
        sa.CheckConstraint("due_minor BETWEEN 0 AND amount_minor", name="never_due_above_amount"),
        sa.CheckConstraint(
            "waived_minor >= 0 AND missing_minor >= 0"
            " AND (NOT per_shipment OR captured_minor + waived_minor + missing_minor <= amount_minor)",
            name="what_is_waived_or_missing_is_not_taken",
        ),
        sa.CheckConstraint(
            "(state IN ('authorized', 'partly_captured', 'voiding')) OR held_minor = 0", name="ended_means_nothing_held"
        ),
        sa.CheckConstraint(
            "refunded_minor + refund_reserved_minor <= captured_minor", name="refunded_never_above_captured"
        ),
        sa.CheckConstraint(
            "state <> 'returned' OR (refunded_minor + disputed_minor >= captured_minor AND refund_reserved_minor = 0)",
            name="returned_means_all_given_back",
        ),
        sa.CheckConstraint("state <> 'voided' OR captured_minor = 0", name="voided_means_nothing_taken"),
        sa.CheckConstraint("disputed_minor BETWEEN 0 AND captured_minor", name="disputed_never_above_captured"),
        # no index is touched by an update, so it can stay on its page
        postgresql_with={"fillfactor": 70},
    ),
    key=("order_id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"amount_minor", "currency", "method", "authorize_key", "provider", "per_shipment", "token"}),
)

AUTHORIZATIONS: Final = Table(
    Authorization,
    sa.Table(
        "authorizations",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        *_money("an_authorization", AUTHORIZATION),
        sa.Column("provider_payment_id", sa.Text, nullable=False),
        sa.Index(
            "one_live_authorization_per_order",
            "order_id",
            unique=True,
            postgresql_where=sa.text("state = 'held'"),
        ),
        # a dispute names the provider's payment and nothing of ours
        sa.Index("authorizations_by_providers_id", "provider_payment_id"),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "amount_minor", "currency", "provider_payment_id"}),
)

CAPTURES: Final = Table(
    Capture,
    sa.Table(
        "captures",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        *_money("a_capture", CAPTURE),
        # at once it is taken whole, under the id of the authorization: a second capture would be a second charge
        sa.Column("part", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Index("one_whole_capture_per_order", "order_id", unique=True, postgresql_where=sa.text("NOT part")),
        sa.Index("captures_of_an_order", "order_id"),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "amount_minor", "currency", "part"}),
)

REFUNDS: Final = Table(
    Refund,
    sa.Table(
        "refunds",
        METADATA,
        sa.Column("refund_id", sa.Uuid, primary_key=True),
        *_money("a_refund", REFUND),
        sa.Column("command_key", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("refusal", sa.Text, nullable=False),
        sa.Column("waived_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("part_of", sa.Uuid, nullable=False),
        sa.CheckConstraint("waived_minor BETWEEN 0 AND amount_minor", name="no_more_is_waived_than_refunded"),
        sa.Index("refunds_of_an_order", "order_id"),
    ),
    key=("refund_id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "amount_minor", "currency", "command_key", "reason", "waived_minor", "part_of"}),
)

CHARGEBACKS: Final = Table(
    Chargeback,
    sa.Table(
        "chargebacks",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        *_money("a_chargeback", CHARGEBACK),
        sa.Column("dispute_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Index("chargebacks_of_an_order", "order_id"),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "dispute_id", "amount_minor", "currency"}),
)

CHARGEBACK_REVERSALS: Final = Table(
    ChargebackReversal,
    sa.Table(
        "chargeback_reversals",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        *_money("a_reversal", CHARGEBACK_REVERSAL),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "amount_minor", "currency"}),
)

WEBHOOKS: Final = Table(
    Webhook,
    sa.Table(
        "webhooks",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("notice_id", sa.Text, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        one_of("verdict", WebhookVerdict),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"provider", "notice_id", "headers", "body", "verdict", "received_at"}),
)

ATTEMPTS: Final = Table(
    Attempt,
    sa.Table(
        "attempts",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("refund_id", sa.Uuid),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("webhook_url", sa.Text, nullable=False),
        sa.Column("provider_payment_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("provider", sa.Text, nullable=False, server_default="sandbox"),
        sa.Column("capture", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(ATTEMPT, "state"),
        one_of("kind", AttemptKind),
        sa.CheckConstraint("(kind = 'refund') = (refund_id IS NOT NULL)", name="a_refund_attempt_names_its_refund"),
        sa.CheckConstraint("(state = 'known') = (outcome <> '')", name="known_means_an_outcome"),
        # what may have reached the provider cannot be taken back by us alone
        sa.CheckConstraint("state <> 'withdrawn' OR tries = 0", name="withdrawn_means_never_called"),
        # the worker's queue: as small as what waits to be called
        sa.Index("attempts_to_call", "id", postgresql_where=sa.text("state = 'open'")),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset(
        {
            "order_id",
            "kind",
            "refund_id",
            "amount_minor",
            "currency",
            "token",
            "webhook_url",
            "provider_payment_id",
            "provider",
            "capture",
        }
    ),
)

_SIDES = ", ".join(f"'{kind}: {debit} {credit}'" for kind, (debit, credit) in SIDES.items())

TRANSFERS: Final = Table(
    Transfer,
    sa.Table(
        "transfers",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("order_id", sa.Uuid),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("debit", sa.Text, nullable=False),
        sa.Column("credit", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        created(),
        sa.CheckConstraint("amount_minor > 0", name="a_transfer_moves_something"),
        sa.CheckConstraint("debit <> credit", name="a_transfer_has_two_sides"),
        sa.CheckConstraint(f"kind || ': ' || debit || ' ' || credit IN ({_SIDES})", name="each_kind_has_its_accounts"),
        sa.UniqueConstraint("kind", "reference", name="nothing_is_booked_twice"),
        sa.Index("transfers_of_an_order", "order_id"),
    ),
    key=("id",),
    discipline=Discipline.APPEND,
)

TABLES: Final[tuple[Table[Any], ...]] = (
    PAYMENTS,
    AUTHORIZATIONS,
    CAPTURES,
    REFUNDS,
    CHARGEBACKS,
    CHARGEBACK_REVERSALS,
    WEBHOOKS,
    ATTEMPTS,
    TRANSFERS,
    *SETTLEMENT_TABLES,
    *STATEMENT_TABLES,
)
MACHINES: Final[tuple[tuple[str, str, Machine[Any]], ...]] = (
    ("payments", "state", PAYMENT),
    ("authorizations", "state", AUTHORIZATION),
    ("captures", "state", CAPTURE),
    ("refunds", "state", REFUND),
    ("chargebacks", "state", CHARGEBACK),
    ("chargeback_reversals", "state", CHARGEBACK_REVERSAL),
    ("attempts", "state", ATTEMPT),
    *SETTLEMENT_MACHINES,
    *STATEMENT_MACHINES,
)

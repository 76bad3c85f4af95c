"""Payment's schema. Every row is compared and set; what must never be spent twice is also a CHECK or a UNIQUE."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.payment.banking.tables import STATEMENT_MACHINES, STATEMENT_TABLES
from services.payment.domain import (
    ATTEMPT,
    AUTHORIZATION,
    CAPTURE,
    PAYMENT,
    REFUND,
    Attempt,
    AttemptKind,
    Authorization,
    Capture,
    Payment,
    Refund,
)
from services.payment.schema import METADATA, SCHEMA
from shared.machine import Machine
from shared.schema import instants, states_check
from shared.table import Discipline, Table

__all__ = ["ATTEMPTS", "AUTHORIZATIONS", "CAPTURES", "MACHINES", "METADATA", "PAYMENTS", "REFUNDS", "SCHEMA", "TABLES"]


def _of_a_payment(name: str) -> sa.Column[Any]:
    return sa.Column("order_id", sa.Uuid, sa.ForeignKey("payments.payments.order_id", name=name), nullable=False)


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
        sa.Column("provider_payment_id", sa.Text, nullable=False),
        sa.Column("captured_minor", sa.BigInteger, nullable=False),
        sa.Column("refunded_minor", sa.BigInteger, nullable=False),
        sa.Column("refund_reserved_minor", sa.BigInteger, nullable=False),
        sa.Column("release_keys", JSONB, nullable=False),
        sa.Column("release_reason", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(PAYMENT, "state"),
        sa.CheckConstraint("amount_minor >= 0", name="amount_is_not_negative"),
        sa.CheckConstraint("captured_minor >= 0", name="captured_is_not_negative"),
        sa.CheckConstraint("refunded_minor >= 0", name="refunded_is_not_negative"),
        sa.CheckConstraint("refund_reserved_minor >= 0", name="reserved_is_not_negative"),
        sa.CheckConstraint("captured_minor <= amount_minor", name="captured_never_above_amount"),
        sa.CheckConstraint(
            "refunded_minor + refund_reserved_minor <= captured_minor", name="refunded_never_above_captured"
        ),
        sa.CheckConstraint(
            "state <> 'returned' OR (refunded_minor = captured_minor AND refund_reserved_minor = 0)",
            name="returned_means_all_given_back",
        ),
        sa.CheckConstraint("state <> 'voided' OR captured_minor = 0", name="voided_means_nothing_taken"),
        # no index is touched by an update, so it can stay on its page
        postgresql_with={"fillfactor": 70},
    ),
    key=("order_id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"amount_minor", "currency", "method", "authorize_key", "attempt_id"}),
)

AUTHORIZATIONS: Final = Table(
    Authorization,
    sa.Table(
        "authorizations",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        _of_a_payment("an_authorization_is_of_a_payment"),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("provider_payment_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(AUTHORIZATION, "state"),
        sa.CheckConstraint("amount_minor > 0", name="authorization_is_positive"),
        sa.Index(
            "one_live_authorization_per_order",
            "order_id",
            unique=True,
            postgresql_where=sa.text("state IN ('held', 'captured')"),
        ),
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
        _of_a_payment("a_capture_is_of_a_payment"),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(CAPTURE, "state"),
        sa.CheckConstraint("amount_minor > 0", name="capture_is_positive"),
        # capturing at once takes the whole amount: a second capture would be a second charge
        sa.Index("one_capture_per_order", "order_id", unique=True),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "amount_minor", "currency"}),
)

REFUNDS: Final = Table(
    Refund,
    sa.Table(
        "refunds",
        METADATA,
        sa.Column("refund_id", sa.Uuid, primary_key=True),
        _of_a_payment("a_refund_is_of_a_payment"),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("command_key", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("refusal", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(REFUND, "state"),
        sa.CheckConstraint("amount_minor > 0", name="refund_is_positive"),
        sa.Index("refunds_of_an_order", "order_id"),
    ),
    key=("refund_id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "amount_minor", "currency", "command_key", "reason"}),
)

_KINDS = ", ".join(f"'{kind}'" for kind in AttemptKind)

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
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(ATTEMPT, "state"),
        sa.CheckConstraint(f"kind IN ({_KINDS})", name="kind_is_declared"),
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
        {"order_id", "kind", "refund_id", "amount_minor", "currency", "token", "webhook_url", "provider_payment_id"}
    ),
)

TABLES: Final[tuple[Table[Any], ...]] = (
    PAYMENTS,
    AUTHORIZATIONS,
    CAPTURES,
    REFUNDS,
    ATTEMPTS,
    *STATEMENT_TABLES,
)
MACHINES: Final[tuple[tuple[str, str, Machine[Any]], ...]] = (
    ("payments", "state", PAYMENT),
    ("authorizations", "state", AUTHORIZATION),
    ("captures", "state", CAPTURE),
    ("refunds", "state", REFUND),
    ("attempts", "state", ATTEMPT),
    *STATEMENT_MACHINES,
)

"""Money: asked for, captured, given back, disputed, and what a bank's statement says of it."""

from typing import Final

from contracts.examples.facts import ATTEMPT, ENTRY, NOON, ORDER, REFUND
from contracts.message import Message
from contracts.payment import (
    AttemptOverdue,
    AuthorizePayment,
    CaptureDue,
    DisputeOutcome,
    HoldLapsing,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentFailed,
    PaymentPending,
    PaymentRefunded,
    PaymentRefundRefused,
    PaymentReleased,
    ProviderAnswered,
    ProviderDisputed,
    ProviderNotified,
    ReceiveWebhook,
    RefundPayment,
    RefundPending,
    ReleasePayment,
    ReleasePending,
    StillPending,
)
from contracts.settlement import AcceptDifference, MatchSettlement, NoteUnsettled
from contracts.statement import AssignEntry, BookedEntry, BookStatement, DismissEntry, SendBackEntry

MESSAGES: Final[tuple[Message, ...]] = (
    AuthorizePayment(order_id=ORDER, amount_minor=3390, currency="EUR", method="card", token="tok_ok"),
    PaymentAuthorized(order_id=ORDER, captured=True),
    PaymentDeclined(order_id=ORDER, reason="insufficient_funds"),
    PaymentPending(order_id=ORDER, wait_s=259_200),
    ReleasePayment(order_id=ORDER, reason="stock_gone"),
    PaymentReleased(order_id=ORDER),
    ReleasePending(order_id=ORDER, wait_s=432_000),
    PaymentFailed(order_id=ORDER, missing_minor=3390, currency="EUR", reason="transfer_returned"),
    RefundPayment(order_id=ORDER, refund_id=REFUND, amount_minor=1250, currency="EUR"),
    PaymentRefunded(order_id=ORDER, refund_id=REFUND),
    PaymentRefundRefused(order_id=ORDER, refund_id=REFUND, reason="above_captured"),
    RefundPending(order_id=ORDER, refund_id=REFUND, wait_s=432_000),
    ProviderAnswered(order_id=ORDER, attempt_id=ATTEMPT, outcome="captured", provider_payment_id="pay_4711"),
    CaptureDue(order_id=ORDER, due_minor=1999, currency="EUR"),
    HoldLapsing(order_id=ORDER),
    StillPending(order_id=ORDER, looks=1),
    ReceiveWebhook(
        provider="stripe",
        headers={"stripe-signature": "t=1767268800,v1=0f"},
        body_base64="eyJpZCI6ICJldnRfMSJ9",
        received_at=NOON,
    ),
    ProviderDisputed(
        notice_id="evt_0198",
        provider="stripe",
        provider_payment_id="pi_0198",
        dispute_id="dp_0198",
        amount_minor=1250,
        currency="EUR",
        outcome=DisputeOutcome.OPEN,
        reason="fraudulent",
    ),
    ProviderNotified(
        order_id=ORDER,
        attempt_id=ATTEMPT,
        notice_id="evt_0815",
        status="captured",
        provider_payment_id="pay_4711",
        captured_minor=3390,
    ),
    AttemptOverdue(order_id=ORDER, attempt_id=ATTEMPT),
    MatchSettlement(settlement_id=ATTEMPT, page=0),
    NoteUnsettled(provider="sandbox", transfer_ids=(ATTEMPT,)),
    AcceptDifference(difference_id=ATTEMPT, by="grace"),
)

STATEMENTS: Final[tuple[Message, ...]] = (
    BookStatement(
        account="DE89370400440532013000",
        statement="2026-03-02/041",
        entries=(
            BookedEntry(
                bank_reference="2026030200417",
                booked_on=NOON.date(),
                amount_minor=3390,
                currency="EUR",
                reference="RF31TLQEXLEBQAGD",
                remittance="RF31 TLQE XLEB QAGD",
                counterparty="Ada Lovelace",
                counterparty_account="DE02120300000000202051",
            ),
        ),
        by="grace",
    ),
    AssignEntry(entry_id=ENTRY, order_id=ORDER, by="grace"),
    SendBackEntry(entry_id=ENTRY, by="grace", reason="paid twice"),
    DismissEntry(entry_id=ENTRY, by="grace", reason="interest"),
)

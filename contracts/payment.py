"""Money: authorize, release, refund, and what became known about it."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.message import Command, Fact, Local, Reply
from contracts.values import Currency, Instant, Reference, Text


class AuthorizePayment(Command, topic="payment.authorize_payment", heard_by="payment"):
    order_id: UUID
    amount_minor: Annotated[int, Field(ge=0)]
    currency: Currency
    method: Reference
    token: Reference


class PaymentAuthorized(Reply, topic="payment.payment_authorized"):
    """The money is there: authorized, and captured where the policy captures at once."""

    order_id: UUID
    captured: bool


class PaymentDeclined(Reply, topic="payment.payment_declined"):
    order_id: UUID
    reason: Reference


class PaymentPending(Reply, topic="payment.payment_pending", interim=True):
    """The provider will say later; hold the stock `wait_s` seconds from now."""

    order_id: UUID
    wait_s: Annotated[float, Field(gt=0)]
    quote: Annotated[str, Field(max_length=35)] = ""
    """The reference a customer who pays by transfer must quote."""


class CaptureDue(Fact, topic="payment.capture_due", heard_by="payment"):
    """Parcels of an order that is paid per shipment have left: what they are worth is to be captured. The sum so far,
    so that saying it twice or out of order takes nothing twice; all of it: what is held besides is let go."""

    order_id: UUID
    due_minor: Annotated[int, Field(ge=1)]
    currency: Currency


class HoldLapsing(Local, topic="payment.hold_lapsing", heard_by="payment"):
    """The timer of a hold rang: soon the provider lets it go."""

    order_id: UUID


class ReleasePayment(Command, topic="payment.release_payment", heard_by="payment"):
    """Void or refund, whichever the money needs; answered only when the outcome of the authorization is known."""

    order_id: UUID
    reason: Reference


class PaymentReleased(Reply, topic="payment.payment_released"):
    order_id: UUID


class ReleasePending(Reply, topic="payment.release_pending", interim=True):
    """It goes back by transfer: free when a statement shows it, which should be within `wait_s` seconds from now."""

    order_id: UUID
    wait_s: Annotated[float, Field(gt=0)]


class PaymentFailed(Fact, topic="payment.payment_failed", heard_by="orchestrator"):
    """Money that had paid for an order is not there after all, and nobody is asked whether it stays away."""

    order_id: UUID
    missing_minor: Annotated[int, Field(ge=1)]
    """What the order lacks now."""
    currency: Currency
    reason: Reference


class RefundPayment(Command, topic="payment.refund_payment", heard_by="payment"):
    order_id: UUID
    refund_id: UUID
    amount_minor: Annotated[int, Field(ge=1)]
    currency: Currency
    reason: Text = ""


class PaymentRefunded(Reply, topic="payment.payment_refunded"):
    order_id: UUID
    refund_id: UUID


class PaymentRefundRefused(Reply, topic="payment.payment_refund_refused"):
    order_id: UUID
    refund_id: UUID
    reason: Reference


class RefundPending(Reply, topic="payment.refund_pending", interim=True):
    """It goes out by transfer: done when a statement shows it, which should be within `wait_s` seconds from now."""

    order_id: UUID
    refund_id: UUID
    wait_s: Annotated[float, Field(gt=0)]


class ProviderAnswered(Local, topic="payment.provider_answered", heard_by="payment"):
    """What an effect learned about its attempt."""

    order_id: UUID
    attempt_id: UUID
    outcome: Reference
    """captured, authorized, pending, declined, failed, voided, refunded, impossible, unknown"""
    provider_payment_id: Annotated[str, Field(max_length=200)] = ""
    reason: Annotated[str, Field(max_length=500)] = ""
    status: Annotated[str, Field(max_length=100)] = ""
    """Where the payment stands at the provider when the outcome is `impossible`, as far as it was told."""
    captured_minor: int = 0
    capture_before: Instant | None = None
    """When what was authorized lapses, where the provider says it."""


class ProviderNotified(Local, topic="payment.provider_notified", heard_by="payment"):
    """A verified webhook: the provider says how one of its payments stands."""

    order_id: UUID
    attempt_id: UUID
    """The attempt that made the payment: known to us even before the call was answered."""
    notice_id: Annotated[str, Field(max_length=200)]
    provider: Reference = "sandbox"
    """Whose signature it bears: nobody is believed about another's payment. Older releases had no other."""
    status: Reference
    provider_payment_id: Annotated[str, Field(max_length=200)]
    reason: Annotated[str, Field(max_length=500)] = ""
    captured_minor: int = 0
    refunded_minor: int = 0


class ReceiveWebhook(Fact, topic="payment.receive_webhook", heard_by="payment"):
    """What came to a door of ours in a provider's name, as it came. Nothing of it is believed before its signature is
    proven, as of the instant it came."""

    provider: Reference
    headers: Annotated[
        dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=4_000)]], Field(max_length=50)
    ]
    body_base64: Annotated[str, Field(max_length=100_000)]
    received_at: Instant


class DisputeOutcome(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class ProviderDisputed(Local, topic="payment.provider_disputed", heard_by="payment"):
    """A verified webhook: the customer's bank takes a payment back, or it was decided who keeps the money. Only the
    provider's own id says which payment it is."""

    notice_id: Annotated[str, Field(max_length=200)]
    provider: Reference
    provider_payment_id: Annotated[str, Field(min_length=1, max_length=200)]
    dispute_id: Annotated[str, Field(min_length=1, max_length=200)]
    amount_minor: Annotated[int, Field(ge=1)]
    currency: Currency
    outcome: DisputeOutcome
    reason: Annotated[str, Field(max_length=500)] = ""


class StillPending(Local, topic="payment.still_pending", heard_by="payment"):
    """A timer rang: nobody has told yet what became of a pending payment."""

    order_id: UUID
    looks: Annotated[int, Field(ge=0)] = 0


class AttemptOverdue(Local, topic="payment.attempt_overdue", heard_by="payment"):
    """The janitor's timer rang: an attempt whose outcome is unknown is asked again with the same key."""

    order_id: UUID
    attempt_id: UUID

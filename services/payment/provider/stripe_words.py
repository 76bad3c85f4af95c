"""Stripe's objects in the port's words. Only fields that are read are named here; theirs may grow.

Stripe counts what was held and let go as refunded too. What a customer got back is told apart from that here.
"""

from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from services.payment.provider.port import (
    Authorized,
    BadNotice,
    Captured,
    Declined,
    Disputed,
    Failed,
    Pending,
    Prepared,
    ProviderAnswer,
    Refunded,
    Unknown,
    Voided,
)
from services.payment.provider.stripe_money import from_stripe

REFERENCE: Final = "waybill_reference"
ATTEMPT: Final = "waybill_attempt"
LAST_CAPTURE: Final = "waybill_last_capture"
"""The names of our ids in Stripe's metadata: of the order, of the attempt that made it, of the last that captured."""


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class ErrorShown(Shown):
    type: str
    code: str | None = None
    decline_code: str | None = None
    param: str | None = None


class CardShown(Shown):
    capture_before: int | None = None


class MethodShown(Shown):
    card: CardShown | None = None


class ChargeShown(Shown):
    id: str
    amount: int
    amount_captured: int
    amount_refunded: int
    captured: bool
    paid: bool
    currency: str
    payment_intent: str | None
    metadata: dict[str, str]
    payment_method_details: MethodShown | None = None


class IntentShown(Shown):
    id: str
    status: str
    amount: int
    amount_capturable: int
    amount_received: int
    currency: str
    metadata: dict[str, str]
    last_payment_error: ErrorShown | None
    latest_charge: ChargeShown | str | None

    def minor(self, amount: int) -> int:
        return from_stripe(amount, self.currency)


class RefundShown(Shown):
    id: str
    amount: int
    status: str
    balance_transaction: str | None = None
    metadata: dict[str, str] | None = None


class DisputeShown(Shown):
    id: str
    amount: int
    currency: str
    payment_intent: str | None
    reason: str
    status: str


STATUS: Final[dict[type, str]] = {
    Prepared: "prepared",
    Authorized: "authorized",
    Captured: "captured",
    Pending: "pending",
    Declined: "declined",
    Failed: "failed",
    Voided: "voided",
    Refunded: "refunded",
}
"""How the port names where a payment stands."""


def released_of(intent: IntentShown) -> int:
    """The part of the authorization that was let go, in Stripe's units."""
    charge = intent.latest_charge
    if not isinstance(charge, ChargeShown) or not charge.paid or intent.amount_capturable:
        return 0
    return charge.amount - charge.amount_captured


def _capture_before(intent: IntentShown) -> datetime | None:
    charge = intent.latest_charge
    method = charge.payment_method_details if isinstance(charge, ChargeShown) else None
    if method is None or method.card is None or method.card.capture_before is None:
        return None
    return datetime.fromtimestamp(method.card.capture_before, UTC)


def answer_of(intent: IntentShown, refunded: int = 0) -> ProviderAnswer:
    """Where a payment stands; `refunded` is what its customer got back of captured money, in Stripe's units."""
    failed = intent.last_payment_error
    match intent.status:
        case "requires_capture" if not intent.amount_received:
            return Authorized(intent.id, intent.minor(intent.amount), _capture_before(intent))
        case "succeeded" | "requires_capture" | "canceled" if intent.amount_received:
            if refunded >= intent.amount_received:
                return Refunded(intent.id, intent.minor(refunded))
            return Captured(intent.id, intent.minor(intent.amount_received), intent.minor(refunded))
        case "canceled":
            return Voided(intent.id, intent.minor(released_of(intent)))
        case "processing" | "requires_action":
            return Pending(intent.id)
        case "requires_payment_method" if failed is not None and failed.type == "card_error":
            return Declined(failed.decline_code or failed.code or "declined", intent.id)
        case "requires_payment_method" if failed is not None:
            return Failed(failed.code or "failed", intent.id)
        case "requires_payment_method" | "requires_confirmation":
            return Prepared(intent.id)
        case status:
            return Unknown(f"unknown status {status}", intent.id)


def dispute_of(dispute: DisputeShown) -> Disputed | None:
    """None where no money moved: an inquiry of the bank's, or what was prevented. Raises `BadNotice`."""
    if dispute.payment_intent is None or dispute.status.startswith("warning_"):
        return None
    outcome: Literal["open", "won", "lost"]
    match dispute.status:
        case "won" | "lost":
            outcome = "won" if dispute.status == "won" else "lost"
        case "needs_response" | "under_review":
            outcome = "open"
        case "prevented":
            return None
        case status:
            raise BadNotice(f"dispute {dispute.id} has a status that nobody here knows: {status}")
    amount_minor = from_stripe(dispute.amount, dispute.currency)
    return Disputed(dispute.payment_intent, dispute.id, amount_minor, outcome, dispute.reason)

"""Stripe's notices: believed only with its signature over these very bytes, made a short while ago.

The SDK checks the signature, in constant time; age is checked here, against the clock that is handed in.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import stripe
from pydantic import BaseModel, ValidationError

from services.payment.provider.port import (
    WEBHOOK_BODY_LIMIT,
    BadNotice,
    BadSignature,
    Captured,
    ProviderAnswer,
    Refunded,
    Uninteresting,
    Voided,
    WebhookNotice,
)
from services.payment.provider.stripe_money import from_stripe
from services.payment.provider.stripe_words import (
    ATTEMPT,
    REFERENCE,
    ChargeShown,
    DisputeShown,
    IntentShown,
    answer_of,
    dispute_of,
)

TOLERANCE_S: Final = 300
HEADER_LIMIT: Final = 2048
INTENT_EVENTS: Final = frozenset(
    f"payment_intent.{what}"
    for what in (
        "succeeded",
        "payment_failed",
        "amount_capturable_updated",
        "processing",
        "requires_action",
        "canceled",
    )
)


class _Data(BaseModel):
    object: dict[str, Any]


class _Event(BaseModel):
    id: str
    type: str
    created: int
    data: _Data


def hear(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookNotice:
    """Raises `BadSignature` for what is not proven, `BadNotice` for what is proven and cannot be read,
    `Uninteresting` for what is proven and nothing to us."""
    _prove(secret, headers, body, now)
    try:
        return _notice_of(_Event.model_validate_json(body))
    except ValidationError as error:
        raise BadNotice(str(error)) from None


def _prove(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    if len(body) > WEBHOOK_BODY_LIMIT:
        raise BadSignature("body too large")
    header = next((value for name, value in headers.items() if name.lower() == "stripe-signature"), "")
    # Not ASCII: the SDK's constant-time comparison would raise instead of refusing.
    if not header.isascii() or len(header) > HEADER_LIMIT:
        raise BadSignature("no readable signature")
    stamps = [part[2:] for part in header.split(",") if part.startswith("t=")]
    if len(stamps) != 1 or not (stamps[0].isdecimal() and len(stamps[0]) <= 12):
        raise BadSignature("timestamp is not a number")
    try:
        stripe.WebhookSignature.verify_header(body, header, secret)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        raise BadSignature("no signature matches") from None
    if abs(now.timestamp() - int(stamps[0])) > TOLERANCE_S:
        raise BadSignature("too old or too new")


def _notice_of(event: _Event) -> WebhookNotice:
    if event.type in INTENT_EVENTS:
        intent = IntentShown.model_validate(event.data.object)
        return _told(event, intent.id, intent.metadata, intent.amount, intent.currency, answer_of(intent))
    if event.type == "charge.refunded":
        charge = ChargeShown.model_validate(event.data.object)
        return _told(
            event, charge.payment_intent or "", charge.metadata, charge.amount, charge.currency, _given_back(charge)
        )
    if event.type.startswith("charge.dispute."):
        dispute = DisputeShown.model_validate(event.data.object)
        answer = dispute_of(dispute)
        if answer is None:
            raise Uninteresting(f"{event.type} that moved no money")
        return WebhookNotice(
            event.id,
            event.type,
            datetime.fromtimestamp(event.created, UTC),
            answer.provider_payment_id,
            authorize_key="",
            reference="",
            amount_minor=answer.amount_minor,
            currency=dispute.currency.upper(),
            answer=answer,
        )
    raise Uninteresting(event.type)


def _told(
    event: _Event, payment_id: str, metadata: Mapping[str, str], amount: int, currency: str, answer: ProviderAnswer
) -> WebhookNotice:
    if ATTEMPT not in metadata or REFERENCE not in metadata:
        raise Uninteresting(f"{event.type} of a payment that we did not make")
    return WebhookNotice(
        event.id,
        event.type,
        datetime.fromtimestamp(event.created, UTC),
        payment_id,
        metadata[ATTEMPT],
        metadata[REFERENCE],
        from_stripe(amount, currency),
        currency.upper(),
        answer,
    )


def _given_back(charge: ChargeShown) -> ProviderAnswer:
    payment_id = charge.payment_intent or ""
    if not charge.captured:
        return Voided(payment_id, from_stripe(charge.amount_refunded, charge.currency))
    if charge.amount_captured != charge.amount:
        # What was let go counts as refunded, and a charge does not say how much of it was.
        raise Uninteresting("refund of a charge that was captured in part")
    captured, refunded = (
        from_stripe(amount, charge.currency) for amount in (charge.amount_captured, charge.amount_refunded)
    )
    return Refunded(payment_id, refunded) if refunded == captured else Captured(payment_id, captured, refunded)

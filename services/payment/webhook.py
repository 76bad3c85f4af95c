"""The door for the provider's notices: what is proven to be theirs becomes a message; what is not is refused.

Raises `BadSignature` (answer 401) or `BadNotice` (answer 400). A notice repeated keeps its id, and is harmless anyway.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from pydantic import ValidationError

from contracts.payment import DisputeOutcome, ProviderDisputed, ProviderNotified
from services.payment.domain import UNKNOWN
from services.payment.provider.port import BadNotice, Disputed, WebhookNotice
from services.payment.provider.sandbox import verify_webhook
from services.payment.words import spoken

Notice = ProviderNotified | ProviderDisputed


def to_message(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
    return told_by(verify_webhook(secret, headers, body, now))


def told_by(notice: WebhookNotice) -> Notice:
    """A notice that is already trusted."""
    if isinstance(notice.answer, Disputed):
        return _disputed(notice, notice.answer)
    told = spoken(notice.answer)
    if told.word == UNKNOWN:
        raise BadNotice(told.reason)
    try:
        order_id, attempt_id = UUID(notice.reference), UUID(notice.authorize_key)
    except ValueError:
        raise BadNotice(f"{notice.id} is about no payment of ours: {notice.reference!r}") from None
    return ProviderNotified(
        order_id=order_id,
        attempt_id=attempt_id,
        notice_id=notice.id,
        status=told.word,
        provider_payment_id=told.provider_payment_id,
        reason=told.reason,
        captured_minor=told.captured_minor,
        refunded_minor=told.refunded_minor,
    )


def _disputed(notice: WebhookNotice, dispute: Disputed) -> ProviderDisputed:
    try:
        return ProviderDisputed(
            notice_id=notice.id,
            provider_payment_id=dispute.provider_payment_id,
            dispute_id=dispute.dispute_id,
            amount_minor=dispute.amount_minor,
            currency=notice.currency,
            outcome=DisputeOutcome(dispute.outcome),
            reason=dispute.reason,
        )
    except ValidationError as error:
        raise BadNotice(f"{notice.id}: {error}") from None

"""The door for the provider's notices: what is proven to be theirs becomes a message; what is not is refused.

Raises `BadSignature` (answer 401) or `BadNotice` (answer 400). A notice repeated keeps its id, and is harmless anyway.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from contracts.payment import ProviderNotified
from services.payment.domain import UNKNOWN
from services.payment.provider.port import BadNotice, WebhookNotice
from services.payment.provider.sandbox import verify_webhook
from services.payment.words import spoken


def to_message(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> ProviderNotified:
    return told_by(verify_webhook(secret, headers, body, now))


def told_by(notice: WebhookNotice) -> ProviderNotified:
    """A notice that is already trusted."""
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

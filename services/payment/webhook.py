"""What a provider sends by itself: kept as it came, proven to be theirs, and only then a word about a payment.

A body that comes again is the same webhook, whatever its signature says of the hour.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from pydantic import ValidationError

from contracts.payment import DisputeOutcome, ProviderDisputed, ProviderNotified, ReceiveWebhook
from services.payment.domain import UNKNOWN, Webhook, WebhookVerdict, Word
from services.payment.provider.port import (
    WEBHOOK_BODY_LIMIT,
    BadNotice,
    BadSignature,
    Disputed,
    Notices,
    ProviderAnswer,
    Uninteresting,
    WebhookNotice,
)
from services.payment.words import ID_AT_MOST, spoken, words

Notice = ProviderNotified | ProviderDisputed

NAMESPACE: Final = UUID("6a0d2c5e-3f0e-5b7c-9d0a-2f7c7b1a9e11")


def came(provider: str, reader: Notices, headers: Mapping[str, str], body: bytes, now: datetime) -> ReceiveWebhook:
    """What came, as a message: of its headers what proves it, for a proxy before us may have added secrets. Raises
    `BadSignature` for more than anybody sends."""
    if len(body) > WEBHOOK_BODY_LIMIT:
        raise BadSignature("body too large")
    kept = {name.lower(): value for name, value in headers.items() if name.lower() in reader.proof}
    try:
        return ReceiveWebhook(
            provider=provider, headers=kept, body_base64=base64.b64encode(body).decode(), received_at=now
        )
    except ValidationError as error:
        raise BadSignature(str(error)) from None


def id_of(told: ReceiveWebhook) -> UUID:
    return uuid5(NAMESPACE, f"{told.provider} {hashlib.sha256(told.body_base64.encode()).hexdigest()}")


def read(told: ReceiveWebhook, reader: Notices) -> WebhookNotice:
    """Raises `BadSignature`, `BadNotice` or `Uninteresting`."""
    try:
        body = base64.b64decode(told.body_base64, validate=True)
    except binascii.Error:
        raise BadSignature("the body is no base64") from None
    return reader.hear(told.headers, body, told.received_at)


def received(told: ReceiveWebhook, reader: Notices) -> tuple[Webhook, list[Notice]]:
    """The row that keeps it, and what it says about a payment. Raises `BadSignature` or `BadNotice`, and nothing
    is kept then: a forged one must not keep the true one out."""
    notice_id, verdict, said = "", WebhookVerdict.HEARD, list[Notice]()
    try:
        notice = read(told, reader)
        notice_id, said = notice.id, [told_by(notice, told.provider)]
    except Uninteresting:
        verdict = WebhookVerdict.UNINTERESTING
    body = base64.b64decode(told.body_base64).decode(errors="replace").replace("\0", "")
    return Webhook(id_of(told), told.provider, notice_id, told.headers, body, verdict, told.received_at), said


def told_by(notice: WebhookNotice, provider: str) -> Notice:
    """A notice that is already trusted to be this provider's. Raises `BadNotice` for what does not fit into a message
    of ours, `Uninteresting` for what says nothing new."""
    try:
        if isinstance(notice.answer, Disputed):
            return _disputed(notice, notice.answer, provider)
        return _notified(notice, notice.answer, provider)
    except ValueError as error:  # of the message, or an outcome that is none
        raise BadNotice(f"{notice.id[:ID_AT_MOST]}: {error}") from None


def _notified(notice: WebhookNotice, answer: ProviderAnswer, provider: str) -> ProviderNotified:
    told = spoken(answer)
    if told.word == UNKNOWN:
        raise BadNotice(told.reason)
    if told.word == Word.PREPARED:
        raise Uninteresting(f"{notice.id}: made there, and we know")
    return ProviderNotified(
        order_id=_ours(notice, notice.reference),
        attempt_id=_ours(notice, notice.authorize_key),
        notice_id=notice.id,
        provider=provider,
        status=told.word,
        provider_payment_id=told.provider_payment_id,
        reason=told.reason,
        captured_minor=told.captured_minor,
        refunded_minor=told.refunded_minor,
    )


def _ours(notice: WebhookNotice, id_: str) -> UUID:
    try:
        return UUID(id_)
    except ValueError:
        raise BadNotice(f"{notice.id} is about no payment of ours: {id_!r}") from None


def _disputed(notice: WebhookNotice, dispute: Disputed, provider: str) -> ProviderDisputed:
    return ProviderDisputed(
        notice_id=notice.id,
        provider=provider,
        provider_payment_id=dispute.provider_payment_id,
        dispute_id=dispute.dispute_id,
        amount_minor=dispute.amount_minor,
        currency=notice.currency,
        outcome=DisputeOutcome(dispute.outcome),
        reason=words(dispute.reason),
    )

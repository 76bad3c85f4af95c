"""The provider's answers as words the table knows, the same for a reply and for a notice."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.payment.domain import IMPOSSIBLE, UNKNOWN, Word
from services.payment.provider.port import (
    Authorized,
    Captured,
    Declined,
    Failed,
    Impossible,
    Pending,
    Prepared,
    ProviderAnswer,
    Refunded,
    Unknown,
    Voided,
)
from shared.frozen import replace

REASON_AT_MOST, NAME_AT_MOST, ID_AT_MOST = 500, 100, 200
_NOT_KEPT: Final = re.compile("[\0\ud800-\udfff]")
"""What a message or the database cannot hold, and JSON can name."""


def words(text: str, at_most: int = REASON_AT_MOST) -> str:
    """What is only said to be read, as far as there is room and it can be kept."""
    return _NOT_KEPT.sub("\ufffd", text[:at_most])


@dataclass(frozen=True, slots=True)
class Spoken:
    """As far as there is room: words are cut. An id is not, for what is left of it could name another payment."""

    word: str
    provider_payment_id: str = ""
    reason: str = ""
    captured_minor: int = 0
    refunded_minor: int = 0
    status: str = ""
    capture_before: datetime | None = None


def spoken(answer: ProviderAnswer) -> Spoken:
    told = _spoken(answer)
    if len(told.provider_payment_id) > ID_AT_MOST:
        return Spoken(UNKNOWN, reason=f"an id of {len(told.provider_payment_id)} characters")
    if _NOT_KEPT.search(told.provider_payment_id):
        return Spoken(UNKNOWN, reason="an id that cannot be kept")
    return replace(told, reason=words(told.reason), status=words(told.status, NAME_AT_MOST))


def _spoken(answer: ProviderAnswer) -> Spoken:
    id_ = answer.provider_payment_id or ""
    match answer:
        case Prepared():
            return Spoken(Word.PREPARED, id_)
        case Authorized(_, _, capture_before):
            return Spoken(Word.AUTHORIZED, id_, capture_before=capture_before)
        case Captured(_, captured_minor, refunded_minor):
            return Spoken(Word.CAPTURED, id_, captured_minor=captured_minor, refunded_minor=refunded_minor)
        case Pending():
            return Spoken(Word.PENDING, id_)
        case Declined(reason):
            return Spoken(Word.DECLINED, id_, reason)
        case Failed(reason):
            return Spoken(Word.FAILED, id_, reason)
        case Voided():
            return Spoken(Word.VOIDED, id_)
        case Refunded(_, refunded_minor):
            return Spoken(Word.REFUNDED, id_, captured_minor=refunded_minor, refunded_minor=refunded_minor)
        case Impossible(error, status):
            return Spoken(IMPOSSIBLE, id_, error, status=status or "")
        case Unknown(why):
            return Spoken(UNKNOWN, id_, why)

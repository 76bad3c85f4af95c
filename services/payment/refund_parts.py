"""A refund in parts: of several payments at the provider, the oldest is given back first.

Several there are where a hold lapsed and the rest was asked for anew. What of the earlier ones is promised to nobody
stands in the payment (`earlier`), so that spreading a refund needs no other row.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from services.payment.attempt import AttemptKind
from services.payment.case import Case
from services.payment.domain import Payment, Refund, RefundState
from services.payment.ledger import EntryKind
from services.payment.tables import REFUNDS


@dataclass(frozen=True, slots=True)
class Part:
    provider_payment_id: str
    amount_minor: int


def spread(payment: Payment, amount_minor: int) -> list[Part]:
    """Whatever is more than the earlier payments have is the last one's."""
    parts = []
    for row in payment.earlier:
        if taken := min(amount_minor, row["left_minor"]):
            parts.append(Part(row["id"], taken))
            amount_minor -= taken
    return [*parts, Part(payment.provider_payment_id, amount_minor)] if amount_minor else parts


def reserve(
    case: Case, refund_id: UUID, amount_minor: int, *, command_key: str, reason: str, waived_minor: int = 0
) -> None:
    """A row and a call for each part; the first has the id of the whole, and what of it was never taken."""
    payment = case.payment
    for number, part in enumerate(spread(payment, amount_minor - waived_minor)):
        waived = 0 if number else waived_minor
        refund = Refund(
            uuid5(refund_id, part.provider_payment_id) if number else refund_id,
            refund_id,
            payment.order_id,
            part.amount_minor + waived,
            payment.currency,
            RefundState.ASKED,
            command_key,
            reason,
            waived_minor=waived,
        )
        case.rows.put(refund)
        case.book(EntryKind.REFUND_RESERVED, part.amount_minor, refund.refund_id)
        case.open_attempt(
            AttemptKind.REFUND,
            part.amount_minor,
            refund_id=refund.refund_id,
            provider_payment_id=part.provider_payment_id,
        )
        earlier = _changed(case.payment.earlier, part.provider_payment_id, -part.amount_minor)
        reserved_minor = case.payment.refund_reserved_minor + part.amount_minor
        case.set(refund_reserved_minor=reserved_minor, earlier=earlier)


def unreserved(payment: Payment, provider_payment_id: str, amount_minor: int) -> list[dict[str, Any]]:
    """What the earlier payments have once a part of theirs was refused."""
    return _changed(payment.earlier, provider_payment_id, amount_minor)


def parts_of(case: Case, whole: UUID) -> list[Refund]:
    return [row for row in case.rows.where(REFUNDS, "order_id", case.payment.order_id) if row.part_of == whole]


def _changed(earlier: Iterable[dict[str, Any]], id_: str, by_minor: int) -> list[dict[str, Any]]:
    return [{**row, "left_minor": row["left_minor"] + by_minor} if row["id"] == id_ else row for row in earlier]

"""A refund that somebody asked for and the provider refused: what may pass is tried anew, and nothing for ever.

A refusal by name is final for its attempt, so a try is a new attempt and can never pay twice. Its id follows from the
refund and its number: how often it was tried is known without counting rows.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

from contracts.payment import RefundPending
from services.payment.attempt import Attempt, AttemptKind
from services.payment.case import Case
from services.payment.domain import Refund, RefundState, named
from services.payment.refund_parts import parts_of
from services.payment.tables import REFUNDS
from shared.frozen import replace

MOST_TRIES: Final = 100
REFUSED: Final = "refused_by_provider"


class Refusal(StrEnum):
    MAY_PASS = "may pass"
    FINAL = "final"


REFUSALS: Final[Mapping[str, Refusal]] = {
    "balance_insufficient": Refusal.MAY_PASS,  # what we are owed there is less, until others have paid
    "insufficient_funds": Refusal.MAY_PASS,
    "refund_failed": Refusal.MAY_PASS,  # it was made, and the customer's bank did not take it
    "refund_above_captured": Refusal.FINAL,
    "charge_disputed": Refusal.FINAL,
    "amount_not_payable": Refusal.FINAL,
}
"""By the port's error names; one that is not here is final."""


def again_id(refund_id: UUID, number: int) -> UUID:
    return uuid5(refund_id, f"try {number}")


def number_of(attempt: Attempt) -> int:
    """Which try it is, from 1; the first has an id of its own."""
    assert attempt.refund_id is not None
    again = (number for number in range(2, MOST_TRIES + 1) if attempt.id == again_id(attempt.refund_id, number))
    return next(again, 1)


def waits_to_try_anew(case: Case, refund: Refund, attempt: Attempt) -> bool:
    """Refused, and it may pass: the refund stays asked, and who waits for it hears how long."""
    refusal = named(case.told.reason, REFUSED)
    may_pass = REFUSALS.get(refusal, Refusal.FINAL) is Refusal.MAY_PASS
    if not may_pass or not refund.command_key or number_of(attempt) >= case.policy.refund_tries:
        return False
    pause_s = case.policy.schedule_s[-1]
    case.ring(replace(attempt, next_at=case.moment.now + timedelta(seconds=pause_s)))
    pending = RefundPending(order_id=refund.order_id, refund_id=refund.refund_id, wait_s=pause_s)
    case.answer(refund.command_key, pending)
    detail = case.money(refund.amount_minor) | {"refund_id": str(refund.refund_id), "wait_s": f"{pause_s:g}"}
    case.tell("refund_pending", reason=refusal, detail=detail)
    return True


def tries_anew(case: Case, attempt: Attempt) -> bool:
    """The pause is over. Whatever became of the payment meanwhile, a refund that is asked is owed."""
    if attempt.refund_id is None:
        return False
    refund = case.rows.get(REFUNDS, attempt.refund_id)
    if refund is None or refund.state is not RefundState.ASKED:
        return False
    several = len(parts_of(case, refund.part_of)) > 1  # of several parts none is given up, so its tries are not counted
    case.open_attempt(
        AttemptKind.REFUND,
        refund.returned_minor,
        refund_id=refund.refund_id,
        id_=None if several else again_id(refund.refund_id, number_of(attempt) + 1),
        provider_payment_id=attempt.provider_payment_id,
    )
    return True

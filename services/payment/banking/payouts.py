"""Refunds that leave by transfer: somebody makes them, and a statement shows that they left.

A payment that came by transfer is paid out by transfer, so how long its refunds take is known when they are asked for.
"""

from typing import Final

from contracts.payment import RefundPending
from services.payment import decisions
from services.payment.attempt import ENDED, Attempt
from services.payment.case import Case
from services.payment.domain import PaymentState, RefundState
from services.payment.refusing import refuse
from services.payment.tables import REFUNDS
from shared.working_set import Rows


def tell_it_takes_days(case: Case) -> None:
    """Who asked for a refund hears at once that the answer will take days; what was refused is answered already."""
    asked = case.told.refund
    assert asked is not None  # only the command leads here
    if not case.payment.by_transfer or case.rows.get(REFUNDS, asked.refund_id) is None:
        return
    wait_s = case.policy.refund_pending_wait_s
    pending = RefundPending(order_id=asked.order_id, refund_id=asked.refund_id, wait_s=wait_s)
    case.answer(case.told.command_key, pending)
    detail = case.money(asked.amount_minor) | {"refund_id": str(asked.refund_id), "wait_s": f"{wait_s:g}"}
    case.tell("refund_pending", reason=asked.reason, detail=detail)


CALLED_OFF: Final = "transfer_returned"


def call_off(case: Case) -> None:
    """The customer's bank has the money: what was to be paid out to them must not leave, and nobody waits for it.

    Should it have left all the same, its entry finds a refund that is refused, and is open for a person."""
    for refund in case.rows.where(REFUNDS, "order_id", case.payment.order_id):
        if refund.state is RefundState.ASKED:
            refuse(case, refund, CALLED_OFF)
    if case.state is PaymentState.RETURNING:
        decisions.give_back(case)  # of nothing: the money is free


def is_called_off(attempt: Attempt, rows: Rows) -> bool:
    """It is asked for no more, though nobody learned of it by asking."""
    if attempt.refund_id is None or attempt.state in ENDED:
        return False
    refund = rows.get(REFUNDS, attempt.refund_id)
    return refund is not None and refund.state is RefundState.REFUSED

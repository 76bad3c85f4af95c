"""Refunds that leave by transfer: somebody makes them, and a statement shows that they left.

A payment that came by transfer is paid out by transfer, so how long its refunds take is known when they are asked for.
"""

from contracts.payment import RefundPending
from services.payment.case import Case
from services.payment.creditor_reference import is_reference
from services.payment.domain import Payment
from services.payment.tables import REFUNDS


def by_transfer(payment: Payment) -> bool:
    return is_reference(payment.provider_payment_id)


def tell_it_takes_days(case: Case) -> None:
    """Who asked for a refund hears at once that the answer will take days; what was refused is answered already."""
    asked = case.told.refund
    assert asked is not None  # only the command leads here
    if not by_transfer(case.payment) or case.rows.get(REFUNDS, asked.refund_id) is None:
        return
    wait_s = case.policy.refund_pending_wait_s
    pending = RefundPending(order_id=asked.order_id, refund_id=asked.refund_id, wait_s=wait_s)
    case.answer(case.told.command_key, pending)
    detail = case.money(asked.amount_minor) | {"refund_id": str(asked.refund_id), "wait_s": f"{wait_s:g}"}
    case.tell("refund_pending", reason=asked.reason, detail=detail)

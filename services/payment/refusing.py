"""A refund that will not be: whoever refuses it, what was reserved is the order's again, and who asked hears why."""

from contracts.payment import PaymentRefundRefused
from services.payment.case import Case
from services.payment.domain import REFUND, Refund
from services.payment.ledger import EntryKind
from shared.frozen import replace


def refuse(case: Case, refund: Refund, refusal: str) -> None:
    case.rows.put(replace(refund, state=REFUND.to(refund.state, "refuse"), refusal=refusal))
    case.set(refund_reserved_minor=case.payment.refund_reserved_minor - refund.amount_minor)
    case.book(EntryKind.REFUND_REFUSED, refund.amount_minor, refund.refund_id)
    case.tell("refund_refused", reason=refusal, detail=case.money(refund.amount_minor))
    if refund.command_key:
        refused = PaymentRefundRefused(order_id=refund.order_id, refund_id=refund.refund_id, reason=refusal)
        case.answer(refund.command_key, refused)

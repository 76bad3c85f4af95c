"""A refund that will not be: whoever refuses it, what was reserved is the order's again, and who asked hears why."""

from contracts.payment import PaymentRefundRefused
from services.payment.case import Case
from services.payment.domain import REFUND, Refund
from services.payment.ledger import EntryKind
from services.payment.refund_parts import unreserved
from shared.frozen import replace


def refuse(case: Case, refund: Refund, refusal: str) -> None:
    payment, attempt = case.payment, case.told.attempt
    case.rows.put(replace(refund, state=REFUND.to(refund.state, "refuse"), refusal=refusal))
    was_of = payment.provider_payment_id if attempt is None else attempt.provider_payment_id
    case.set(
        refund_reserved_minor=payment.refund_reserved_minor - refund.returned_minor,
        waived_minor=payment.waived_minor - refund.waived_minor,  # to be taken after all
        earlier=unreserved(payment, was_of, refund.returned_minor),
    )
    case.book(EntryKind.REFUND_REFUSED, refund.returned_minor, refund.refund_id)
    case.tell("refund_refused", reason=refusal, detail=case.money(refund.amount_minor))
    if refund.command_key:
        refused = PaymentRefundRefused(order_id=refund.order_id, refund_id=refund.part_of, reason=refusal)
        case.answer(refund.command_key, refused)

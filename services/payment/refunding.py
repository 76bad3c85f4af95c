"""A refund from its command to its answer: reserved, asked for at the provider, and done when all its parts are."""

from contracts.payment import PaymentRefunded, PaymentRefundRefused, RefundPayment
from services.payment.case import Case
from services.payment.decisions import go_on_giving_back, try_anew_later
from services.payment.domain import REFUND, Refund, RefundState, named
from services.payment.ledger import EntryKind
from services.payment.refund_parts import parts_of, reserve
from services.payment.refusing import refuse as give_up
from services.payment.retrying import REFUSED, waits_to_try_anew
from shared.frozen import replace

# -- asked for -----------------------------------------------------------------------------------------------------


def begin(case: Case) -> None:
    """Reserve it, and ask the provider; or refuse by name."""
    payment, asked = case.payment, asked_for(case)
    if asked.currency != payment.currency:
        refuse(case, "wrong_currency")
    elif asked.amount_minor > payment.refundable_minor:
        refuse(case, "above_captured")
    else:
        key = case.told.command_key
        reserve(case, asked.refund_id, asked.amount_minor, command_key=key, reason=asked.reason)


def refuse_not_captured(case: Case) -> None:
    refuse(case, "not_captured")


def refuse_under_release(case: Case) -> None:
    """All of it is on its way back: one changing decision at a time."""
    refuse(case, "release_under_way")


def refuse_nothing_left(case: Case) -> None:
    refuse(case, "above_captured")


def again(case: Case, refund: Refund) -> None:
    """The same refund under another command key: its own outcome, never a second one."""
    asked, parts = asked_for(case), parts_of(case, refund.refund_id)
    amount_minor = sum(part.amount_minor for part in parts)
    if (refund.order_id, amount_minor, refund.currency) != (asked.order_id, asked.amount_minor, asked.currency):
        refuse(case, "refund_id_reused")
    elif all(part.state is RefundState.REFUNDED for part in parts):
        case.answer(case.told.command_key, PaymentRefunded(order_id=asked.order_id, refund_id=asked.refund_id))
    else:
        refuse(case, refund.refusal or "refund_under_way")


def asked_for(case: Case) -> RefundPayment:
    assert case.told.refund is not None  # only the command leads here
    return case.told.refund


def refuse(case: Case, reason: str) -> None:
    case.answer(case.told.command_key, refusal_of(asked_for(case), reason))


def refusal_of(asked: RefundPayment, reason: str) -> PaymentRefundRefused:
    return PaymentRefundRefused(order_id=asked.order_id, refund_id=asked.refund_id, reason=reason)


# -- answered ------------------------------------------------------------------------------------------------------


def done(case: Case, refund: Refund) -> None:
    payment = case.payment
    case.rows.put(replace(refund, state=REFUND.to(refund.state, "refund")))
    case.set(
        refund_reserved_minor=payment.refund_reserved_minor - refund.returned_minor,
        refunded_minor=payment.refunded_minor + refund.returned_minor,
    )
    case.book(EntryKind.REFUND, refund.returned_minor, refund.refund_id)
    whole = all(part.state is RefundState.REFUNDED for part in parts_of(case, refund.part_of))
    if refund.command_key and whole:
        case.answer(refund.command_key, PaymentRefunded(order_id=payment.order_id, refund_id=refund.part_of))
    detail = case.money(refund.amount_minor) | {"refund_id": str(refund.refund_id)}
    case.tell("refunded", reason=refund.reason, detail=detail)
    go_on_giving_back(case)


def impossible(case: Case, refund: Refund, status: str) -> None:
    """Refused by name. What may pass is tried anew; a part, whose other parts may be done already, is not given up."""
    attempt = case.told.attempt
    assert attempt is not None  # only its answer leads here
    own = not refund.command_key
    if own and status == "refunded":  # given back by another hand, the provider's desk: it is free all the same
        done(case, refund)
    elif not own and len(parts_of(case, refund.part_of)) > 1:
        refusal = named(case.told.reason, REFUSED)
        case.tell("refund_refused", reason=refusal, detail=case.money(refund.amount_minor))
        try_anew_later(case)
    elif not waits_to_try_anew(case, refund, attempt):
        give_up(case, refund, named(case.told.reason, REFUSED))
        if own:
            try_anew_later(case)
        else:
            go_on_giving_back(case)

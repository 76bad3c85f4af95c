"""Paid per shipment: what is held for an order is taken part by part as its parcels leave; the rest is let go.

One call about the hold is under way at a time (`call_id`), so that what the provider took in all is never ambiguous.
What is due is a sum that only grows, so that hearing of a parcel twice, or of the second before the first, takes
nothing twice.
"""

from datetime import timedelta
from typing import Final

from contracts.payment import (
    HoldLapsing,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundRefused,
    RefundPayment,
)
from services.payment import decisions as do
from services.payment.case import Case, Contradiction
from services.payment.domain import (
    IMPOSSIBLE,
    AttemptKind,
    Capture,
    CaptureState,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    named,
)
from services.payment.ledger import EntryKind
from shared.consumer import NotYet

HOLDING: Final = (PaymentState.AUTHORIZED, PaymentState.PARTLY_CAPTURED)
LET_GO_ALREADY: Final = ("captured", "voided", "declined", "failed", "refunded")
"""Statuses at the provider in which nothing is held any more, once it refuses to void."""


# -- held ----------------------------------------------------------------------------------------------------------


def hold(case: Case) -> None:
    """Held and not taken: taking it is a second call, at once or as the parcels leave."""
    payment, told = case.payment, case.told
    do.book_hold(case)
    lapses = told.capture_before or case.moment.now + timedelta(seconds=case.policy.hold_for_s)
    case.move(
        "hold",
        provider_payment_id=told.provider_payment_id or payment.provider_payment_id,
        held_minor=payment.amount_minor,
        capture_before=lapses,
    )
    if not payment.per_shipment:
        case.open_attempt(AttemptKind.CAPTURE, payment.amount_minor)
        return
    case.answer(payment.authorize_key, PaymentAuthorized(order_id=payment.order_id, captured=False))
    case.tell("authorized", detail=case.money(payment.amount_minor) | {"capture_before": lapses.isoformat()})
    ring_before_it_lapses(case)


def ring_before_it_lapses(case: Case) -> None:
    order_id, lapses = case.payment.order_id, case.payment.capture_before
    assert lapses is not None  # kept by whoever learned of the hold
    at = max(case.moment.now, lapses - timedelta(seconds=case.policy.hold_margin_s))
    case.rows.set_timer("hold", order_id, at, HoldLapsing(order_id=order_id))


def lapsing(case: Case) -> None:
    """Taken while it can be, sent or not: what the customer approved once may be declined the second time."""
    payment = case.payment
    if not payment.per_shipment or payment.state not in HOLDING or payment.capture_before is None:
        return
    if payment.capture_before - timedelta(seconds=case.policy.hold_margin_s) > case.moment.now:
        ring_before_it_lapses(case)
        return
    case.set(due_minor=payment.amount_minor)
    case.tell("hold_lapsing", actor="payment", detail={"capture_before": payment.capture_before.isoformat()})
    go_on(case)


# -- taken as it leaves --------------------------------------------------------------------------------------------


def capture_due(case: Case) -> None:
    payment, due = case.payment, case.told.due
    assert due is not None  # only the order's word leads here
    if due.currency != payment.currency or due.due_minor > payment.amount_minor:
        raise Contradiction(f"due {due.due_minor} {due.currency} of {payment.amount_minor} {payment.currency}")
    if due.due_minor > payment.due_minor and payment.per_shipment:
        case.set(due_minor=due.due_minor)
        go_on(case)


def go_on(case: Case) -> None:
    """The next call about what is held, unless one is under way: its answer comes back here."""
    payment = case.payment
    if payment.call_id is not None or payment.state not in HOLDING:
        return
    if payment.release_keys:
        do.void(case)
    elif payment.owed_minor:
        _call(case, AttemptKind.CAPTURE, payment.owed_minor)
    elif payment.captured_minor >= payment.collectable_minor or payment.due_minor >= payment.amount_minor:
        let_go(case)


def let_go(case: Case) -> None:
    """The rest will not be taken. Where nothing was, the whole payment is void."""
    if case.state is PaymentState.AUTHORIZED:
        do.void(case)
    else:
        _call(case, AttemptKind.VOID, case.payment.held_minor)


def captured_part(case: Case) -> None:
    """Our capture was answered."""
    payment, attempt = case.payment, case.told.attempt
    assert attempt is not None  # only its answer leads here
    captured_minor = payment.captured_minor + attempt.amount_minor
    if case.told.captured_minor not in (0, captured_minor):
        raise Contradiction(f"captured {case.told.captured_minor} in all, {captured_minor} were asked for")
    held_minor = payment.held_minor - attempt.amount_minor
    case.rows.put(
        Capture(attempt.id, payment.order_id, attempt.amount_minor, payment.currency, CaptureState.CAPTURED, part=True)
    )
    case.book(EntryKind.CAPTURE, attempt.amount_minor, attempt.id)
    on = "capture part" if held_minor else "capture"
    case.move(on, captured_minor=captured_minor, held_minor=held_minor, call_id=None)
    case.tell("captured", detail=case.money(attempt.amount_minor))
    if held_minor:
        go_on(case)
    else:
        _ended(case)


def not_captured(case: Case, status: str) -> None:
    """What is due cannot be taken, and by the provider's own word never will be."""
    case.set(call_id=None)
    _fail(case)
    if status in LET_GO_ALREADY and status != "captured":
        _lost(case)
    else:
        go_on(case)  # nothing is collectable any more: what may be held still is let go


def let_go_answered(case: Case, outcome: str, status: str) -> None:
    """Our void of the rest: what was taken stays."""
    if outcome == IMPOSSIBLE and status not in LET_GO_ALREADY:
        do.try_anew_later(case)
        return
    voided_minor = case.payment.held_minor
    case.move("let go", held_minor=0, call_id=None)
    case.tell("rest_voided", detail=case.money(voided_minor))
    _ended(case)


def let_go_anew(case: Case) -> None:
    """Refused by name a while ago."""
    _call(case, AttemptKind.VOID, case.payment.held_minor)


# -- what a provider says by itself --------------------------------------------------------------------------------


def heard_captured(case: Case) -> None:
    """Paid per shipment it is ours to take: our calls answer for themselves."""
    if not case.payment.per_shipment:
        do.capture(case)


def lose_hold(case: Case) -> None:
    """The provider gave up what it held for us. A call that is under way says so itself."""
    payment = case.payment
    if not payment.per_shipment:
        do.lose_hold(case)
    elif payment.call_id is None:
        _fail(case)
        _lost(case)


# -- released, refunded --------------------------------------------------------------------------------------------


def release_held(case: Case) -> None:
    """Void what is held; a call that is under way is waited for, so that nothing is taken behind the release's back."""
    payment, told = case.payment, case.told
    if not payment.per_shipment:
        do.release_open(case)
    elif told.command_key not in payment.release_keys:
        reason = payment.release_reason or told.reason
        case.set(release_keys=[*payment.release_keys, told.command_key], release_reason=reason)
        go_on(case)


def refund_held(case: Case) -> None:
    """What is not due yet is waived: never taken, it need not be given back. Only what is left over that is."""
    payment, asked = case.payment, do.asked_refund(case)
    waived_minor = min(asked.amount_minor, payment.collectable_minor - payment.captured_minor - payment.owed_minor)
    rest_minor = asked.amount_minor - waived_minor
    if not payment.per_shipment:
        do.refuse_not_captured(case)
    elif asked.currency != payment.currency:
        do.refuse_refund(case, "wrong_currency")
    elif payment.release_keys:
        do.refuse_under_release(case)
    elif rest_minor > payment.refundable_minor + payment.owed_minor:
        do.refuse_refund(case, "above_captured")
    elif rest_minor > payment.refundable_minor:
        raise NotYet("capture_under_way: what is to be given back is being taken", [_not_yet_refunded(asked)])
    elif rest_minor:
        case.set(waived_minor=payment.waived_minor + waived_minor)
        key = case.told.command_key
        do.reserve(
            case, asked.refund_id, asked.amount_minor, command_key=key, reason=asked.reason, waived_minor=waived_minor
        )
        go_on(case)
    else:
        _waive(case, asked)


def _waive(case: Case, asked: RefundPayment) -> None:
    payment, amount_minor = case.payment, asked.amount_minor
    key = case.told.command_key
    case.rows.put(
        Refund(
            asked.refund_id,
            payment.order_id,
            amount_minor,
            payment.currency,
            RefundState.REFUNDED,
            key,
            asked.reason,
            waived_minor=amount_minor,
        )
    )
    case.set(waived_minor=payment.waived_minor + amount_minor)
    case.answer(key, PaymentRefunded(order_id=payment.order_id, refund_id=asked.refund_id))
    detail = case.money(amount_minor) | {"refund_id": str(asked.refund_id)}
    case.tell("refunded", actor="payment", reason=asked.reason, detail=detail | {"waived_minor": str(amount_minor)})
    go_on(case)


def _not_yet_refunded(asked: RefundPayment) -> PaymentRefundRefused:
    return PaymentRefundRefused(order_id=asked.order_id, refund_id=asked.refund_id, reason="capture_under_way")


# -- parts ---------------------------------------------------------------------------------------------------------


def _call(case: Case, kind: AttemptKind, amount_minor: int) -> None:
    attempt = case.open_attempt(kind, amount_minor)
    case.set(call_id=attempt.id)


def _fail(case: Case) -> None:
    """Whoever waits for the goods has a right to them only as far as they were paid."""
    payment: Payment = case.payment
    missing_minor = payment.collectable_minor - payment.captured_minor
    if not missing_minor:
        return
    reason = named(case.told.reason, "capture_refused")
    case.set(missing_minor=payment.missing_minor + missing_minor)
    case.tell("failed", reason=case.told.reason, detail=case.money(missing_minor))
    case.said.append(
        PaymentFailed(order_id=payment.order_id, missing_minor=missing_minor, currency=payment.currency, reason=reason)
    )


def _lost(case: Case) -> None:
    """Nothing is held any more."""
    if case.state is PaymentState.AUTHORIZED:
        do.give_up_holds(case)
        if case.payment.release_keys:
            case.move("void", held_minor=0)
            do.free(case)
        else:
            case.move("decline", held_minor=0)
    else:
        case.move("let go", held_minor=0)
        _ended(case)


def _ended(case: Case) -> None:
    """All that will be taken was: the authorization is used up, and a release that waited gives it back."""
    do.use_up_holds(case)
    case.rows.clear_timer("hold", case.payment.order_id)
    if case.payment.release_keys:
        case.move("return")
        do.give_back(case)

"""Paid per shipment: what is held for an order is taken part by part as its parcels leave; the rest is let go.

One call about the hold is under way at a time (`call_id`), so that what the provider took in all is never ambiguous.
What is due is a sum that only grows, so that hearing of a parcel twice, or of the second before the first, takes
nothing twice.
"""

from datetime import datetime, timedelta
from typing import Final

from contracts.payment import (
    HoldLapsing,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRefunded,
    RefundPayment,
)
from services.payment import decisions as do
from services.payment import refunding
from services.payment.attempt import AttemptKind
from services.payment.case import Case, Contradiction
from services.payment.domain import IMPOSSIBLE, Capture, CaptureState, PaymentState, Refund, RefundState, named
from services.payment.ledger import EntryKind
from services.payment.refund_parts import reserve
from shared.consumer import NotYet

HOLDING: Final = (PaymentState.AUTHORIZED, PaymentState.PARTLY_CAPTURED)
ASKED_AGAIN_AT_MOST: Final = 8
"""Each time a hold of days has lapsed; the last is captured before it does, sent or not."""
UNDER_WAY: Final = "capture_under_way"
GONE: Final = ("voided", "declined", "failed", "refunded")
"""Statuses at the provider in which nothing is held any more."""
LET_GO_ALREADY: Final = (*GONE, "captured")
"""And where it refuses to void: what was captured in part has nothing left to let go of."""


# -- held ----------------------------------------------------------------------------------------------------------


def hold(case: Case) -> None:
    """Held and not taken: taking it is a second call, at once or as the parcels leave."""
    payment, told = case.payment, case.told
    held_minor, id_ = payment.asks_minor, told.provider_payment_id or payment.provider_payment_id
    do.book_hold(case)
    if not payment.per_shipment:
        case.move("hold", provider_payment_id=id_, held_minor=held_minor)
        case.open_attempt(AttemptKind.CAPTURE, held_minor)
        return
    lapses = told.capture_before or case.moment.now + timedelta(seconds=case.policy.authorized_for_s)
    case.answer_authorize(PaymentAuthorized(order_id=payment.order_id, captured=False))
    on = "hold again" if payment.captured_minor else "hold"
    case.move(on, provider_payment_id=id_, held_minor=held_minor, capture_before=lapses)
    case.tell("authorized", detail=case.money(held_minor) | {"capture_before": f"{lapses:%Y-%m-%dT%H:%MZ}"})
    ring_before_it_lapses(case)
    go_on(case)


def ring_before_it_lapses(case: Case) -> None:
    at = max(case.moment.now, _last_call_at(case))
    case.rows.set_timer("hold", case.payment.order_id, at, HoldLapsing(order_id=case.payment.order_id))


def lapsing(case: Case) -> None:
    """Taken while it can be, sent or not, for what the customer approved once may be declined the second time; or let
    go and asked for anew, where the policy says so."""
    payment = case.payment
    if payment.state not in HOLDING or not payment.promised:
        return
    if not _lapses_soon(case):
        ring_before_it_lapses(case)
        return
    case.tell("hold_lapsing", actor="payment", detail={"capture_before": f"{payment.capture_before:%Y-%m-%dT%H:%MZ}"})
    if not _may_ask_again(case):
        case.set(due_minor=payment.amount_minor)
    go_on(case)


def authorize_again(case: Case) -> None:
    """The hold is gone, and not all of it was taken: the rest is a payment of its own at the provider, asked for under
    an id of its own, and only now that the first can take nothing any more."""
    payment = case.payment
    do.end_holds(case)
    earlier = [*payment.earlier]
    kept_minor = payment.captured_minor - payment.refunded_minor - payment.refund_reserved_minor
    if left_minor := kept_minor - sum(row["left_minor"] for row in earlier):
        earlier.append({"id": payment.provider_payment_id, "left_minor": left_minor})
    case.rows.clear_timer("hold", payment.order_id)
    case.move(
        "ask again",
        attempt_id=case.moment.new_id(),
        asked_again=payment.asked_again + 1,
        earlier=earlier,
        held_minor=0,
        call_id=None,
        provider_payment_id="",
    )
    kind = AttemptKind.PREPARE if payment.provider in case.policy.preparing else AttemptKind.AUTHORIZE
    case.open_attempt(kind, payment.asks_minor, token=payment.token, id_=case.payment.attempt_id)


def decline(case: Case) -> None:
    """Asked for the first time, that is the answer; asked again, the order lacks the rest."""
    if not case.payment.promised:
        do.decline(case)
        return
    _fail(case)
    if case.payment.captured_minor:
        case.move("let go")
    else:
        case.move("decline")


def _last_call_at(case: Case) -> datetime:
    lapses = case.payment.capture_before
    assert lapses is not None  # kept by whoever learned of the hold
    return lapses - timedelta(seconds=case.policy.lapse_margin_s)


def _lapses_soon(case: Case) -> bool:
    return _last_call_at(case) <= case.moment.now


# -- taken as it leaves --------------------------------------------------------------------------------------------


def capture_due(case: Case) -> None:
    payment, due = case.payment, case.told.due
    assert due is not None  # only the order's word leads here
    if due.currency != payment.currency or due.due_minor > payment.amount_minor:
        raise Contradiction(f"due {due.due_minor} {due.currency} of {payment.amount_minor} {payment.currency}")
    if not payment.promised and payment.state not in HOLDING:
        raise NotYet("not_held: what is due is captured of what is held, and nothing is yet")
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
    elif not payment.asks_minor and payment.state is PaymentState.AUTHORIZED:
        do.void(case)  # nothing was taken, and nothing will be
    elif not payment.asks_minor or (_may_ask_again(case) and _lapses_soon(case)):
        _call(case, AttemptKind.VOID, payment.held_minor)


def captured_part(case: Case) -> None:
    """Our capture was answered."""
    payment, attempt = case.payment, case.told.attempt
    assert attempt is not None  # only its answer leads here
    held_minor = payment.held_minor - attempt.amount_minor
    in_all_minor = sum(row.amount_minor for row in do.authorizations(case)) - held_minor
    if case.told.captured_minor not in (0, in_all_minor):
        raise Contradiction(f"captured {case.told.captured_minor} in all, {in_all_minor} were asked for")
    case.rows.put(
        Capture(attempt.id, payment.order_id, attempt.amount_minor, payment.currency, CaptureState.CAPTURED, part=True)
    )
    case.book(EntryKind.CAPTURE, attempt.amount_minor, attempt.id)
    on = "capture part" if held_minor else "capture"
    captured_minor = payment.captured_minor + attempt.amount_minor
    case.move(on, captured_minor=captured_minor, held_minor=held_minor, call_id=None)
    case.tell("captured", detail=case.money(attempt.amount_minor))
    if held_minor:
        go_on(case)
    else:
        _ended(case)


def not_captured(case: Case, status: str) -> None:
    """What is due cannot be taken, and by the provider's own word never will be."""
    case.set(call_id=None)
    if status in GONE:
        _lost(case)
    elif case.payment.release_keys:
        go_on(case)
    elif _may_ask_again(case):
        _call(case, AttemptKind.VOID, case.payment.held_minor)  # only what can take nothing any more is asked for anew
    else:
        _fail(case)
        go_on(case)  # nothing is collectable any more: what may be held still is let go


def let_go_answered(case: Case, outcome: str, status: str) -> None:
    """Our void of the rest: what was taken stays. What may still be taken is asked for anew."""
    if outcome == IMPOSSIBLE and status not in LET_GO_ALREADY:
        do.try_anew_later(case)
        return
    case.tell("rest_voided", detail=case.money(case.payment.held_minor))
    case.set(call_id=None)
    _lost(case)


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
    """What is not due yet is waived: never taken, it need not be given back. Only what is left over that is, once what
    is just being taken, or asked for anew, is known."""
    payment, asked = case.payment, refunding.asked_for(case)
    if not payment.promised:
        refunding.refuse_not_captured(case)
    elif asked.currency != payment.currency:
        refunding.refuse(case, "wrong_currency")
    elif payment.release_keys:
        refunding.refuse_under_release(case)
    elif asked.amount_minor > payment.refundable_minor + payment.asks_minor:
        refunding.refuse(case, "above_captured")
    else:
        waivable_minor = payment.asks_minor - payment.owed_minor if payment.state in HOLDING else 0
        waived_minor = min(asked.amount_minor, waivable_minor)
        rest_minor = asked.amount_minor - waived_minor
        if rest_minor > payment.refundable_minor:
            refused = refunding.refusal_of(asked, UNDER_WAY)
            raise NotYet(f"{UNDER_WAY}: what is to be given back is not known to be there", [refused])
        if rest_minor:
            case.set(waived_minor=payment.waived_minor + waived_minor)
            key, reason = case.told.command_key, asked.reason
            reserve(
                case, asked.refund_id, asked.amount_minor, command_key=key, reason=reason, waived_minor=waived_minor
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


# -- parts ---------------------------------------------------------------------------------------------------------


def _call(case: Case, kind: AttemptKind, amount_minor: int) -> None:
    attempt = case.open_attempt(kind, amount_minor)
    case.set(call_id=attempt.id)


def _fail(case: Case) -> None:
    """Whoever waits for the goods has a right to them only as far as they were paid."""
    payment = case.payment
    missing_minor = payment.asks_minor
    if not missing_minor:
        return
    reason = named(case.told.reason, "capture_refused")
    case.set(missing_minor=payment.missing_minor + missing_minor)
    case.tell("failed", reason=case.told.reason, detail=case.money(missing_minor))
    case.said.append(
        PaymentFailed(order_id=payment.order_id, missing_minor=missing_minor, currency=payment.currency, reason=reason)
    )


def _may_ask_again(case: Case) -> bool:
    return case.policy.authorize_again and bool(case.payment.token) and case.payment.asked_again < ASKED_AGAIN_AT_MOST


def _lost(case: Case) -> None:
    """Nothing is held any more."""
    payment = case.payment
    if payment.asks_minor and not payment.release_keys and _may_ask_again(case):
        authorize_again(case)
        return
    if not payment.release_keys:
        _fail(case)
    do.end_holds(case)
    if case.state is PaymentState.PARTLY_CAPTURED:
        case.move("let go", held_minor=0)
        _ended(case)
    elif payment.release_keys:
        case.move("void", held_minor=0)
        do.free(case)
    else:
        case.move("decline", held_minor=0)


def _ended(case: Case) -> None:
    """All that will be taken was: the authorization is used up, and a release that waited gives it back."""
    do.end_holds(case)
    case.rows.clear_timer("hold", case.payment.order_id)
    if case.payment.release_keys:
        case.move("return")
        do.give_back(case)

"""What is done about a payment: each function is one entry of the table in late.py, and moves one case on.

Releasing is one rule in three states: wait until the outcome is known, void what is only held, give back what was
taken. It answers when the money is free, and not before.
"""

from datetime import timedelta
from typing import Any

from contracts.payment import (
    PaymentAuthorized,
    PaymentDeclined,
    PaymentPending,
    PaymentReleased,
    ReleasePending,
)
from services.payment.attempt import AttemptKind, confirm_id
from services.payment.case import Case, Contradiction
from services.payment.domain import (
    AUTHORIZATION,
    Authorization,
    AuthorizationState,
    Capture,
    CaptureState,
    Payment,
    PaymentState,
    named,
)
from services.payment.ledger import EntryKind
from services.payment.refund_parts import reserve
from services.payment.tables import AUTHORIZATIONS
from shared.frozen import replace

# -- nothing is done ---------------------------------------------------------------------------------------------


def ignore(case: Case) -> None:
    """Known already, older than what is known, or about to be said by the attempt that is under way."""


def tell_story(case: Case) -> None:
    """It changes nothing here yet, and support must see it: taken money that the provider calls failed."""
    case.tell("failed", reason=case.told.reason, detail={"after": case.state.value})


# -- the money comes, or does not ----------------------------------------------------------------------------------


def capture(case: Case) -> None:
    _book_capture(case)
    captured_minor = case.payment.captured_minor + case.payment.asks_minor
    case.move("capture", captured_minor=captured_minor, held_minor=0, provider_payment_id=_provider_payment_id(case))
    case.answer_authorize(PaymentAuthorized(order_id=case.payment.order_id, captured=True))
    _tell_captured(case)


def confirm(case: Case) -> None:
    """The provider has made it and its id is kept: only now may anything be taken."""
    prepared = case.told.attempt
    assert prepared is not None  # only its answer leads here
    case.set(provider_payment_id=_provider_payment_id(case))
    case.open_attempt(AttemptKind.CONFIRM, case.payment.asks_minor, token=prepared.token, id_=confirm_id(prepared.id))


def wait(case: Case) -> None:
    case.move("wait", provider_payment_id=_provider_payment_id(case))
    case.look_later(0)
    wait_s = case.policy.pending_wait(case.payment.method)
    quote = case.quote()
    pending = PaymentPending(order_id=case.payment.order_id, wait_s=wait_s, quote=quote)
    case.answer_authorize(pending)
    case.tell("pending", detail={"wait_s": f"{wait_s:g}"} | ({"quote": quote} if quote else {}))


def decline(case: Case) -> None:
    """It did not come: declined at once, or failed after it had been pending."""
    case.move("decline", provider_payment_id=_provider_payment_id(case), held_minor=0)
    case.answer_authorize(PaymentDeclined(order_id=case.payment.order_id, reason=named(case.told.reason, "declined")))
    case.tell(case.state.value, reason=case.told.reason)


def lose_hold(case: Case) -> None:
    """The provider gave up what it held for us."""
    end_holds(case)
    decline(case)


def give_up_hold(case: Case) -> None:
    """What is held cannot be taken: the order learns it now, and the hold is voided."""
    case.answer_authorize(
        PaymentDeclined(order_id=case.payment.order_id, reason=named(case.told.reason, "capture_refused"))
    )
    case.tell("failed", reason=case.told.reason)
    void(case)


# -- releasing -----------------------------------------------------------------------------------------------------


def release_asked(case: Case) -> None:
    """Never called: withdrawn and answered now. Called: wait for the outcome; but what was prepared can be voided for
    good, whatever becomes of its confirmation. Versions decide the race."""
    _answer_authorize_released(case)
    attempt, confirming = case.told.attempt, case.told.confirming
    if confirming is not None:
        if confirming.never_called:
            case.withdraw(confirming)
        case.set(release_keys=[case.told.command_key], release_reason=case.told.reason)
        void(case)
        return
    if attempt is None or not attempt.never_called:
        case.move("wait to release", release_keys=[case.told.command_key], release_reason=case.told.reason)
        return
    case.withdraw(attempt)
    if case.payment.captured_minor:  # of a hold that lapsed
        release_captured(case)
        return
    case.move("withdraw", release_reason=case.told.reason)
    case.answer(case.told.command_key, PaymentReleased(order_id=case.payment.order_id))
    case.tell("voided", reason=case.told.reason, actor="payment")


def release_open(case: Case) -> None:
    """Pending or held: voided; should it be captured meanwhile, the void says so and it is given back."""
    _answer_authorize_released(case)
    case.set(release_keys=[case.told.command_key], release_reason=case.told.reason)
    void(case)


def release_captured(case: Case) -> None:
    case.move("return", release_keys=[case.told.command_key], release_reason=case.told.reason)
    give_back(case)


def join_release(case: Case) -> None:
    """Asked to release by two sagas: both are answered when the money is free."""
    if case.told.command_key not in case.payment.release_keys:
        case.set(release_keys=[*case.payment.release_keys, case.told.command_key])
        if case.state is PaymentState.RETURNING:
            _tell_it_takes_days(case, case.told.command_key)


def already_free(case: Case) -> None:
    case.answer(case.told.command_key, PaymentReleased(order_id=case.payment.order_id))


def void(case: Case, **changes: Any) -> None:
    case.move("void", provider_payment_id=_provider_payment_id(case), **changes)
    case.open_attempt(AttemptKind.VOID, open_minor(case.payment))


def hold_and_void(case: Case) -> None:
    """Held after the release was asked for, or after the end."""
    book_hold(case)
    void(case, held_minor=case.payment.asks_minor)


def take_back(case: Case) -> None:
    """Captured after the release was asked for, or after the end: money must not wait on a dead order."""
    _book_capture(case)
    late = case.state.value
    captured_minor = case.payment.captured_minor + case.payment.asks_minor
    case.move("return", captured_minor=captured_minor, provider_payment_id=_provider_payment_id(case))
    _tell_captured(case, late)
    give_back(case)


def book_only(case: Case) -> None:
    """Captured while a void is under way: the void will be impossible, and then it is given back. Paid per shipment
    only our own captures take anything."""
    if case.payment.per_shipment:
        return
    if not case.payment.captured_minor:
        _book_capture(case)
        case.set(captured_minor=case.payment.amount_minor, held_minor=0)
        _tell_captured(case, case.state.value)


def free(case: Case) -> None:
    """The money is with the customer: everybody who waits for that is told."""
    if case.payment.captured_minor and case.state is not PaymentState.RETURNING:
        end_holds(case)
        case.move("return", held_minor=0)
        give_back(case)
        return
    keys = case.payment.release_keys
    if case.state is PaymentState.VOIDING:
        end_holds(case)
    case.move("free", release_keys=[], held_minor=0)
    for key in keys:
        case.answer(key, PaymentReleased(order_id=case.payment.order_id))
    if not case.payment.captured_minor:
        case.tell("voided", reason=case.payment.release_reason or case.told.reason)


def give_back(case: Case) -> None:
    """Refund what is left, after the refunds that are under way; with nothing left, the money is free."""
    payment = case.payment
    if payment.refund_reserved_minor:
        _tell_it_takes_days(case, *payment.release_keys)
        return
    rest = payment.refundable_minor
    if rest == 0:
        free(case)
        return
    refund_id = case.moment.new_id()
    reserve(case, refund_id, rest, command_key="", reason=payment.release_reason or "captured late")
    _tell_it_takes_days(case, *payment.release_keys)


def _tell_it_takes_days(case: Case, *keys: str) -> None:
    """Who waits for a transfer to leave is not to call it stuck before its time."""
    if case.payment.by_transfer:
        for key in keys:
            case.answer(key, ReleasePending(order_id=case.payment.order_id, wait_s=case.policy.refund_pending_wait_s))


def void_impossible(case: Case, status: str) -> None:
    """Refused by name: what the payment is at the provider says what the money needs."""
    match status:
        case "captured":
            book_only(case)
            free(case)
        case "voided" | "declined" | "failed" | "refunded":
            free(case)
        case _:
            try_anew_later(case)


# -- parts ---------------------------------------------------------------------------------------------------------


def open_minor(payment: Payment) -> int:
    """What a void lets go, as far as we know."""
    return payment.held_minor or payment.amount_minor


def _provider_payment_id(case: Case) -> str:
    return case.told.provider_payment_id or case.payment.provider_payment_id


def go_on_giving_back(case: Case) -> None:
    if case.state is PaymentState.RETURNING:
        give_back(case)


def try_anew_later(case: Case) -> None:
    """A definite no to our own void or refund: nothing happened, so a new attempt is safe, after a long while.

    The run that waits for the release stays visible as long."""
    attempt = case.told.attempt
    assert attempt is not None  # only an attempt's answer leads here
    pause = timedelta(seconds=case.policy.schedule_s[-1])
    case.ring(replace(attempt, next_at=case.moment.now + pause))


def _answer_authorize_released(case: Case) -> None:
    """Who asked for the authorization still waits: whatever becomes of the money, the order will not have it."""
    case.answer_authorize(PaymentDeclined(order_id=case.payment.order_id, reason="released"))


def _tell_captured(case: Case, late: str = "") -> None:
    detail = case.money(case.payment.amount_minor) | ({"after": late} if late else {})
    case.tell("captured", detail=detail)


def book_hold(case: Case) -> None:
    if not authorizations(case):
        _book_authorization(case, AuthorizationState.HELD)


def _book_capture(case: Case) -> None:
    """The rows money leaves behind; capturing at once takes the whole amount or nothing."""
    payment, told = case.payment, case.told.captured_minor
    amount_minor = payment.asks_minor
    if told and told != amount_minor:
        raise Contradiction(f"captured {told} of {amount_minor} {payment.currency}, all was asked for")
    for authorization in authorizations(case):
        case.rows.put(replace(authorization, state=AUTHORIZATION.to(authorization.state, "capture")))
        break
    else:
        _book_authorization(case, AuthorizationState.CAPTURED)
    assert payment.attempt_id is not None  # there is no provider's word about a payment of zero
    case.rows.put(Capture(payment.attempt_id, payment.order_id, amount_minor, payment.currency, CaptureState.CAPTURED))
    case.book(EntryKind.CAPTURE, amount_minor, payment.attempt_id)


def _book_authorization(case: Case, state: AuthorizationState) -> None:
    payment = case.payment
    assert payment.attempt_id is not None
    provider_payment_id = _provider_payment_id(case)
    case.rows.put(
        Authorization(
            payment.attempt_id, payment.order_id, payment.asks_minor, payment.currency, provider_payment_id, state
        )
    )


def end_holds(case: Case) -> None:
    """Nothing is held any more: used up as far as it was taken, else void."""
    for authorization in authorizations(case):
        if authorization.state is AuthorizationState.HELD:
            on = "capture" if authorization.amount_minor > case.payment.held_minor else "void"
            case.rows.put(replace(authorization, state=AUTHORIZATION.to(authorization.state, on)))


def authorizations(case: Case) -> list[Authorization]:
    """Of the attempt that holds; none before its outcome is known, so none is loaded on the usual way."""
    payment = case.payment
    if case.state in (PaymentState.ASKED, PaymentState.WITHDRAWING):
        return []
    return [
        row for row in case.rows.where(AUTHORIZATIONS, "order_id", payment.order_id) if row.id == payment.attempt_id
    ]

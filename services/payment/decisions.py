"""What is done about a payment: each function is one entry of the table in late.py, and moves one case on.

Releasing is one rule in three states: wait until the outcome is known, void what is only held, give back what was
taken. It answers when the money is free, and not before.
"""

from datetime import timedelta
from uuid import UUID

from contracts.payment import (
    PaymentAuthorized,
    PaymentDeclined,
    PaymentPending,
    PaymentRefunded,
    PaymentRefundRefused,
    PaymentReleased,
    RefundPayment,
)
from services.payment.case import Case, Contradiction
from services.payment.domain import (
    AUTHORIZATION,
    REFUND,
    AttemptKind,
    Authorization,
    AuthorizationState,
    Capture,
    CaptureState,
    PaymentState,
    Refund,
    RefundState,
    confirm_id,
    named,
)
from services.payment.ledger import EntryKind
from services.payment.refusing import refuse
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
    case.move("capture", captured_minor=case.payment.amount_minor, provider_payment_id=_provider_payment_id(case))
    case.answer(case.payment.authorize_key, PaymentAuthorized(order_id=case.payment.order_id, captured=True))
    _tell_captured(case)


def confirm(case: Case) -> None:
    """The provider has made it and its id is kept: only now may anything be taken."""
    prepared = case.told.attempt
    assert prepared is not None  # only its answer leads here
    case.set(provider_payment_id=_provider_payment_id(case))
    case.open_attempt(AttemptKind.CONFIRM, case.payment.amount_minor, token=prepared.token, id_=confirm_id(prepared.id))


def hold(case: Case) -> None:
    """The provider holds it first: taking it is a second call."""
    _book_hold(case)
    case.move("hold", provider_payment_id=_provider_payment_id(case))
    case.open_attempt(AttemptKind.CAPTURE, case.payment.amount_minor)


def wait(case: Case) -> None:
    case.move("wait", provider_payment_id=_provider_payment_id(case))
    wait_s = case.policy.pending_wait(case.payment.method)
    quote = case.quote()
    pending = PaymentPending(order_id=case.payment.order_id, wait_s=wait_s, quote=quote)
    case.answer(case.payment.authorize_key, pending)
    case.tell("pending", detail={"wait_s": f"{wait_s:g}"} | ({"quote": quote} if quote else {}))


def decline(case: Case) -> None:
    """It did not come: declined at once, or failed after it had been pending."""
    case.move("decline", provider_payment_id=_provider_payment_id(case))
    case.answer(
        case.payment.authorize_key,
        PaymentDeclined(order_id=case.payment.order_id, reason=named(case.told.reason, "declined")),
    )
    case.tell(case.state.value, reason=case.told.reason)


def lose_hold(case: Case) -> None:
    """The provider gave up what it held for us."""
    _give_up_holds(case)
    decline(case)


def give_up_hold(case: Case) -> None:
    """What is held cannot be taken: the order learns it now, and the hold is voided."""
    case.answer(
        case.payment.authorize_key,
        PaymentDeclined(order_id=case.payment.order_id, reason=named(case.told.reason, "capture_refused")),
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


def already_free(case: Case) -> None:
    case.answer(case.told.command_key, PaymentReleased(order_id=case.payment.order_id))


def void(case: Case) -> None:
    case.move("void", provider_payment_id=_provider_payment_id(case))
    case.open_attempt(AttemptKind.VOID, case.payment.amount_minor)


def hold_and_void(case: Case) -> None:
    """Held after the release was asked for, or after the end."""
    _book_hold(case)
    void(case)


def take_back(case: Case) -> None:
    """Captured after the release was asked for, or after the end: money must not wait on a dead order."""
    _book_capture(case)
    late = case.state.value
    case.move("return", captured_minor=case.payment.amount_minor, provider_payment_id=_provider_payment_id(case))
    _tell_captured(case, late)
    give_back(case)


def book_only(case: Case) -> None:
    """Captured while a void is under way: the void will be impossible, and then it is given back."""
    if not case.payment.captured_minor:
        _book_capture(case)
        case.set(captured_minor=case.payment.amount_minor)
        _tell_captured(case, case.state.value)


def free(case: Case) -> None:
    """The money is with the customer: everybody who waits for that is told."""
    if case.payment.refundable_minor:
        case.move("return")
        give_back(case)
        return
    keys = case.payment.release_keys
    if case.state is PaymentState.VOIDING:
        _give_up_holds(case)
    case.move("free", release_keys=[])
    for key in keys:
        case.answer(key, PaymentReleased(order_id=case.payment.order_id))
    if not case.payment.captured_minor:
        case.tell("voided", reason=case.payment.release_reason or case.told.reason)


def give_back(case: Case) -> None:
    """Refund what is left, after the refunds that are under way; with nothing left, the money is free."""
    payment = case.payment
    if payment.refund_reserved_minor:
        return
    rest = payment.refundable_minor
    if rest == 0:
        free(case)
        return
    refund_id = case.moment.new_id()
    _reserve(case, refund_id, rest, command_key="", reason=payment.release_reason or "captured late")


def void_impossible(case: Case, status: str) -> None:
    """Refused by name: what the payment is at the provider says what the money needs."""
    match status:
        case "captured":
            book_only(case)
            free(case)
        case "voided" | "declined" | "failed" | "refunded":
            free(case)
        case _:
            _try_anew_later(case)


def refund_impossible(case: Case, refund: Refund, status: str) -> None:
    own = not refund.command_key
    if own and status == "refunded":  # given back by another hand, the provider's desk: it is free all the same
        refund_done(case, refund)
        return
    refuse(case, refund, named(case.told.reason, "refused_by_provider"))
    if own:
        _try_anew_later(case)
    else:
        _go_on_giving_back(case)


def refund_done(case: Case, refund: Refund) -> None:
    payment = case.payment
    case.rows.put(replace(refund, state=REFUND.to(refund.state, "refund")))
    case.set(
        refund_reserved_minor=payment.refund_reserved_minor - refund.amount_minor,
        refunded_minor=payment.refunded_minor + refund.amount_minor,
    )
    case.book(EntryKind.REFUND, refund.amount_minor, refund.refund_id)
    if refund.command_key:
        case.answer(refund.command_key, PaymentRefunded(order_id=payment.order_id, refund_id=refund.refund_id))
    detail = case.money(refund.amount_minor) | {"refund_id": str(refund.refund_id)}
    case.tell("refunded", reason=refund.reason, detail=detail)
    _go_on_giving_back(case)


# -- refunds asked for ---------------------------------------------------------------------------------------------


def begin_refund(case: Case) -> None:
    """Reserve it, and ask the provider; or refuse by name."""
    payment, asked = case.payment, _asked(case)
    if asked.currency != payment.currency:
        _refuse(case, "wrong_currency")
    elif asked.amount_minor > payment.refundable_minor:
        _refuse(case, "above_captured")
    else:
        key = case.told.command_key
        _reserve(case, asked.refund_id, asked.amount_minor, command_key=key, reason=asked.reason)


def refuse_not_captured(case: Case) -> None:
    _refuse(case, "not_captured")


def refuse_under_release(case: Case) -> None:
    """All of it is on its way back: one changing decision at a time."""
    _refuse(case, "release_under_way")


def refuse_nothing_left(case: Case) -> None:
    _refuse(case, "above_captured")


def refund_again(case: Case, refund: Refund) -> None:
    """The same refund under another command key: its own outcome, never a second one."""
    asked = _asked(case)
    if (refund.order_id, refund.amount_minor, refund.currency) != (asked.order_id, asked.amount_minor, asked.currency):
        _refuse(case, "refund_id_reused")
    elif refund.state is RefundState.REFUNDED:
        case.answer(case.told.command_key, PaymentRefunded(order_id=asked.order_id, refund_id=asked.refund_id))
    else:
        _refuse(case, refund.refusal or "refund_under_way")


def _asked(case: Case) -> RefundPayment:
    assert case.told.refund is not None  # only the command leads here
    return case.told.refund


def _refuse(case: Case, reason: str) -> None:
    asked = _asked(case)
    case.answer(
        case.told.command_key,
        PaymentRefundRefused(order_id=asked.order_id, refund_id=asked.refund_id, reason=reason),
    )


# -- parts ---------------------------------------------------------------------------------------------------------


def _provider_payment_id(case: Case) -> str:
    return case.told.provider_payment_id or case.payment.provider_payment_id


def _reserve(case: Case, refund_id: UUID, amount_minor: int, *, command_key: str, reason: str) -> None:
    payment = case.payment
    case.rows.put(
        Refund(refund_id, payment.order_id, amount_minor, payment.currency, RefundState.ASKED, command_key, reason)
    )
    case.set(refund_reserved_minor=payment.refund_reserved_minor + amount_minor)
    case.book(EntryKind.REFUND_RESERVED, amount_minor, refund_id)
    case.open_attempt(AttemptKind.REFUND, amount_minor, refund_id=refund_id)


def _go_on_giving_back(case: Case) -> None:
    if case.state is PaymentState.RETURNING:
        give_back(case)


def _try_anew_later(case: Case) -> None:
    """A definite no to our own void or refund: nothing happened, so a new attempt is safe, after a long while.

    The run that waits for the release stays visible as long."""
    attempt = case.told.attempt
    assert attempt is not None  # only an attempt's answer leads here
    pause = timedelta(seconds=case.policy.schedule_s[-1])
    case.ring(replace(attempt, next_at=case.moment.now + pause))


def _answer_authorize_released(case: Case) -> None:
    """Who asked for the authorization still waits: whatever becomes of the money, the order will not have it."""
    case.answer(case.payment.authorize_key, PaymentDeclined(order_id=case.payment.order_id, reason="released"))


def _tell_captured(case: Case, late: str = "") -> None:
    detail = case.money(case.payment.amount_minor) | ({"after": late} if late else {})
    case.tell("captured", detail=detail)


def _book_hold(case: Case) -> None:
    if not _authorizations(case):
        _book_authorization(case, AuthorizationState.HELD)


def _book_capture(case: Case) -> None:
    """The rows money leaves behind; capturing at once takes the whole amount or nothing."""
    payment, told = case.payment, case.told.captured_minor
    if told and told != payment.amount_minor:
        raise Contradiction(f"captured {told} of {payment.amount_minor} {payment.currency}, all was asked for")
    for authorization in _authorizations(case):
        case.rows.put(replace(authorization, state=AUTHORIZATION.to(authorization.state, "capture")))
        break
    else:
        _book_authorization(case, AuthorizationState.CAPTURED)
    assert payment.attempt_id is not None  # there is no provider's word about a payment of zero
    case.rows.put(
        Capture(payment.attempt_id, payment.order_id, payment.amount_minor, payment.currency, CaptureState.CAPTURED)
    )
    case.book(EntryKind.CAPTURE, payment.amount_minor, payment.attempt_id)


def _book_authorization(case: Case, state: AuthorizationState) -> None:
    payment = case.payment
    assert payment.attempt_id is not None
    provider_payment_id = _provider_payment_id(case)
    case.rows.put(
        Authorization(
            payment.attempt_id, payment.order_id, payment.amount_minor, payment.currency, provider_payment_id, state
        )
    )


def _give_up_holds(case: Case) -> None:
    for authorization in _authorizations(case):
        if authorization.state is AuthorizationState.HELD:
            case.rows.put(replace(authorization, state=AUTHORIZATION.to(authorization.state, "void")))


def _authorizations(case: Case) -> list[Authorization]:
    """At most one; none before the outcome of the authorization is known, so none is loaded on the usual way."""
    if case.state in (PaymentState.ASKED, PaymentState.WITHDRAWING):
        return []
    return case.rows.where(AUTHORIZATIONS, "order_id", case.payment.order_id)

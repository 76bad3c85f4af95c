"""An answer of the provider's, by what was asked: each kind of attempt has its row."""

from typing import Final

from contracts.payment import ProviderAnswered
from services.payment import decisions, holding, refunding, retrying
from services.payment.attempt import ENDED, Attempt, AttemptKind, confirm_id
from services.payment.case import Case, Contradiction
from services.payment.domain import IMPOSSIBLE, UNKNOWN, PaymentState, Word
from services.payment.late import LATE
from services.payment.tables import ATTEMPTS, REFUNDS


def _authorize_answered(case: Case, told: ProviderAnswered, attempt: Attempt) -> None:
    word = Word.DECLINED if told.outcome == IMPOSSIBLE else Word(told.outcome)
    LATE[word, case.state](case)


def _capture_answered(case: Case, told: ProviderAnswered, attempt: Attempt) -> None:
    outcome = told.outcome
    if case.payment.per_shipment:
        if case.payment.call_id != attempt.id:
            raise Contradiction(f"attempt {attempt.id}: captured {outcome}, and it is not the call that is under way")
        if outcome == Word.CAPTURED:
            holding.captured_part(case)
        else:
            holding.not_captured(case, told.status if outcome == IMPOSSIBLE else outcome)
        return
    if outcome == IMPOSSIBLE:
        outcome = told.status if told.status in ("captured", "voided") else Word.CAPTURE_REFUSED
    LATE[Word(outcome), case.state](case)


def _void_answered(case: Case, told: ProviderAnswered, attempt: Attempt) -> None:
    if case.payment.call_id == attempt.id:
        holding.let_go_answered(case, told.outcome, told.status)
        return
    if case.state is not PaymentState.VOIDING:
        return
    if told.outcome == IMPOSSIBLE:
        decisions.void_impossible(case, told.status)
    elif told.outcome == Word.VOIDED:
        _end_confirming(case)
        decisions.free(case)
    else:
        raise Contradiction(f"attempt {attempt.id}: asked to void, answered {told.outcome}")


def _end_confirming(case: Case) -> None:
    """What is voided can be confirmed no more: nobody need ask what became of that."""
    assert case.payment.attempt_id is not None  # there is nothing to void of a payment of zero
    confirming = case.rows.get(ATTEMPTS, confirm_id(case.payment.attempt_id))
    if confirming is not None and confirming.state not in ENDED:
        case.learn(confirming, Word.VOIDED)


def _refund_answered(case: Case, told: ProviderAnswered, attempt: Attempt) -> None:
    assert attempt.refund_id is not None  # a CHECK of its table
    refund = case.rows.get(REFUNDS, attempt.refund_id)
    assert refund is not None
    if told.outcome == IMPOSSIBLE:
        refunding.impossible(case, refund, told.status)
    elif told.outcome == Word.REFUNDED:
        refunding.done(case, refund)
    else:
        raise Contradiction(f"attempt {attempt.id}: asked to refund, answered {told.outcome}")


def _found(case: Case, told: ProviderAnswered, attempt: Attempt) -> None:
    """What a notice would have said; of a payment that was asked for anew since it is no news."""
    if told.outcome not in (IMPOSSIBLE, UNKNOWN) and attempt.provider_payment_id == case.payment.provider_payment_id:
        LATE[Word(told.outcome), case.state](case)


ANSWERED: Final = {
    AttemptKind.AUTHORIZE: _authorize_answered,
    AttemptKind.PREPARE: _authorize_answered,
    AttemptKind.CONFIRM: _authorize_answered,
    AttemptKind.CAPTURE: _capture_answered,
    AttemptKind.VOID: _void_answered,
    AttemptKind.REFUND: _refund_answered,
    AttemptKind.FIND: _found,
}


def try_anew(case: Case, attempt: Attempt) -> None:
    """Our own void or refund was refused by name a while ago, and the money is still not free."""
    if retrying.tries_anew(case, attempt):
        return
    match case.state:
        case PaymentState.VOIDING if attempt.kind is AttemptKind.VOID:
            case.open_attempt(AttemptKind.VOID, decisions.open_minor(case.payment))
        case _ if case.payment.call_id == attempt.id:
            holding.let_go_anew(case)
        case PaymentState.RETURNING if attempt.kind is AttemptKind.REFUND:
            decisions.give_back(case)

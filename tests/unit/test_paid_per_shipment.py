"""Paid per shipment: held when the order is placed, taken as parcels leave, never more than was held."""

from datetime import timedelta
from uuid import UUID

import pytest

from contracts.message import Message
from contracts.payment import (
    CaptureDue,
    DisputeOutcome,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundRefused,
    PaymentReleased,
    ProviderAnswered,
    ProviderDisputed,
    RefundPayment,
)
from services.payment.attempt import AttemptKind
from services.payment.domain import AuthorizationState, PaymentState, RefundState
from services.payment.tables import AUTHORIZATIONS, CAPTURES, REFUNDS
from tests.support.books import ledger_is_wrong
from tests.support.held import LATER, authorize, held, refund, released, sent
from tests.support.paying import AUTHORIZE, ORDER, REFUND, RELEASE
from tests.support.payment_play import open_minor
from tests.support.till import Till

RELEASED = PaymentReleased(order_id=ORDER)


@pytest.fixture
def till() -> Till:
    return Till(per_shipment=LATER)


def stands(till: Till) -> tuple[PaymentState, int, int]:
    payment = till.payment(ORDER)
    books = till.books(ORDER)
    if payment.call_id is None and payment.state is not PaymentState.VOIDING:
        assert (payment.captured_minor, payment.held_minor) == (books["captured_minor"], open_minor(books))
    assert list(ledger_is_wrong(till.store)) == []
    return payment.state, payment.captured_minor, payment.held_minor


def kinds(till: Till) -> list[AttemptKind]:
    return [attempt.kind for attempt in till.attempts(ORDER)]


async def test_it_is_held_and_not_taken(till: Till) -> None:
    await held(till)
    assert stands(till) == (PaymentState.AUTHORIZED, 0, 1000)
    assert till.store.rows(CAPTURES) == []
    assert till.payment(ORDER).capture_before == till.now + timedelta(days=7)
    assert till.story() == ["payment.authorized"]


async def test_other_methods_are_taken_at_once(till: Till) -> None:
    await till.hears(authorize(method="card"), keys=[AUTHORIZE])
    await till.works()
    assert till.answer(AUTHORIZE) == PaymentAuthorized(order_id=ORDER, captured=True)
    await sent(till, 400)  # nothing is left to take
    assert stands(till) == (PaymentState.CAPTURED, 1000, 0)
    assert kinds(till) == [AttemptKind.AUTHORIZE]


async def test_every_parcel_is_a_capture_of_its_own(till: Till) -> None:
    await held(till)
    await sent(till, 300)
    assert stands(till) == (PaymentState.PARTLY_CAPTURED, 300, 700)
    (authorization,) = till.store.rows(AUTHORIZATIONS)
    assert authorization.state is AuthorizationState.HELD
    await sent(till, 1000)
    assert stands(till) == (PaymentState.CAPTURED, 1000, 0)
    assert sorted(row.amount_minor for row in till.store.rows(CAPTURES)) == [300, 700]
    assert till.store.row(AUTHORIZATIONS, authorization.id).state is AuthorizationState.CAPTURED
    assert till.store.due == {}


async def test_a_parcel_heard_of_twice_or_late_takes_nothing_twice(till: Till) -> None:
    await held(till)
    await sent(till, 650, 300, 650)
    await sent(till, 300)
    assert stands(till) == (PaymentState.PARTLY_CAPTURED, 650, 350)


async def test_one_capture_at_a_time(till: Till) -> None:
    """Two under way at once, and what the provider took in all would not say which was done."""
    await held(till)
    await till.hears(CaptureDue(order_id=ORDER, due_minor=300, currency="EUR"))
    await till.takes()
    await till.hears(CaptureDue(order_id=ORDER, due_minor=650, currency="EUR"))
    assert kinds(till).count(AttemptKind.CAPTURE) == 1
    await till.works()
    assert stands(till) == (PaymentState.PARTLY_CAPTURED, 650, 350)


@pytest.mark.parametrize("token", ["tok_ok_capture_error", "tok_ok_capture_timeout"])
async def test_a_capture_nobody_knows_the_end_of_is_asked_again_under_its_id(till: Till, token: str) -> None:
    await held(till, token)
    await sent(till, 300)
    assert till.payment(ORDER).captured_minor == 0
    await till.passes(minutes=1)
    assert stands(till) == (PaymentState.PARTLY_CAPTURED, 300, 700)
    assert kinds(till) == [AttemptKind.AUTHORIZE, AttemptKind.CAPTURE]


async def test_what_is_due_before_it_is_held_waits(till: Till) -> None:
    await till.hears(authorize(), keys=[AUTHORIZE])
    await sent(till, 300)
    await till.passes(minutes=1)
    assert stands(till) == (PaymentState.PARTLY_CAPTURED, 300, 700)


@pytest.mark.parametrize("due", [{"due_minor": 1001}, {"due_minor": 300, "currency": "USD"}])
async def test_more_than_was_held_and_other_money_is_a_contradiction(till: Till, due: dict[str, object]) -> None:
    await held(till)
    await till.hears(CaptureDue.model_validate({"order_id": ORDER, "currency": "EUR", **due}))
    (waiting,) = [row for row in till.store.due.values() if row.error]
    assert "Contradiction" in waiting.error
    assert stands(till) == (PaymentState.AUTHORIZED, 0, 1000)


# -- refunds -------------------------------------------------------------------------------------------------------


async def test_what_was_not_taken_is_refunded_without_a_call(till: Till) -> None:
    await held(till)
    await till.hears(refund(400), keys=[REFUND])
    assert till.answer(REFUND) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert till.store.row(REFUNDS, UUID(int=1)).state is RefundState.REFUNDED
    await sent(till, 300)
    await sent(till, 1000)
    assert stands(till) == (PaymentState.CAPTURED, 600, 0)
    assert till.books(ORDER)["refunded_minor"] == 0
    assert "payment.rest_voided" in till.story()


async def test_all_of_it_refunded_is_all_let_go(till: Till) -> None:
    await held(till)
    await till.hears(refund(1000), keys=[REFUND])
    await till.works()
    assert stands(till) == (PaymentState.VOIDED, 0, 0)
    assert till.books(ORDER)["status"] == "voided"


async def test_the_last_of_it_refunded_lets_the_rest_go(till: Till) -> None:
    await held(till)
    await sent(till, 300)
    await till.hears(refund(700), keys=[REFUND])
    await till.works()
    assert stands(till) == (PaymentState.CAPTURED, 300, 0)
    assert till.books(ORDER)["voided_minor"] == 700


async def test_letting_go_of_the_rest_is_tried_anew_when_it_was_refused(till: Till) -> None:
    await held(till)
    await sent(till, 300)
    await till.hears(refund(700), keys=[REFUND])
    (void,) = await till.takes()
    till.calls.clear()
    refused = ProviderAnswered(
        order_id=ORDER, attempt_id=void.id, outcome="impossible", reason="not_now", status="authorized"
    )
    await till.hears(refused)
    await till.works()
    assert till.payment(ORDER).held_minor == 700 and kinds(till).count(AttemptKind.VOID) == 1
    await till.passes(hours=2)
    await till.works()
    assert kinds(till).count(AttemptKind.VOID) == 2
    assert stands(till) == (PaymentState.CAPTURED, 300, 0)


async def test_what_was_taken_is_given_back_once_nothing_can_be_waived(till: Till) -> None:
    await held(till)
    await sent(till, 300)
    await till.hears(refund(800), keys=[REFUND])
    await till.works()
    payment, books = till.payment(ORDER), till.books(ORDER)
    assert (payment.waived_minor, payment.refunded_minor, payment.held_minor) == (700, 100, 0)
    assert (books["captured_minor"], books["refunded_minor"], books["voided_minor"]) == (300, 100, 700)
    assert till.answer(REFUND) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert list(ledger_is_wrong(till.store)) == []


async def test_a_refund_of_what_is_just_being_taken_waits_for_it(till: Till) -> None:
    await held(till)
    await till.hears(CaptureDue(order_id=ORDER, due_minor=1000, currency="EUR"))
    await till.hears(refund(100), keys=[REFUND])
    assert till.answer(REFUND) is None
    await till.passes(minutes=1)
    assert till.answer(REFUND) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert till.books(ORDER)["refunded_minor"] == 100


@pytest.mark.parametrize(
    ("asked", "reason"), [(refund(1001), "above_captured"), (refund(1, currency="USD"), "wrong_currency")]
)
async def test_more_than_there_is_and_other_money_is_refused(till: Till, asked: RefundPayment, reason: str) -> None:
    await held(till)
    await till.hears(asked, keys=[REFUND])
    assert till.answer(REFUND) == PaymentRefundRefused(order_id=ORDER, refund_id=UUID(int=1), reason=reason)


# -- released ------------------------------------------------------------------------------------------------------


async def test_a_release_voids_what_is_held(till: Till) -> None:
    await held(till)
    await released(till)
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    assert stands(till) == (PaymentState.VOIDED, 0, 0)


async def test_a_release_voids_the_rest_and_gives_back_what_was_taken(till: Till) -> None:
    await held(till)
    await sent(till, 300)
    await released(till)
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    assert till.payment(ORDER).state is PaymentState.RETURNED
    books = till.books(ORDER)
    assert (books["captured_minor"], books["refunded_minor"], books["voided_minor"]) == (300, 300, 700)


async def test_a_release_waits_for_a_capture_that_is_under_way(till: Till) -> None:
    await held(till)
    await till.hears(CaptureDue(order_id=ORDER, due_minor=300, currency="EUR"))
    (capture,) = await till.takes()
    told = await till.calls_out(capture)
    await released(till)
    assert kinds(till).count(AttemptKind.VOID) == 0
    till.calls.clear()
    await till.hears(told)
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    assert till.books(ORDER)["refunded_minor"] == 300
    assert till.payment(ORDER).state is PaymentState.RETURNED


@pytest.mark.parametrize("status", ["captured", "authorized", "voided"])
async def test_a_capture_refused_after_the_release_was_asked_for_is_no_failure(till: Till, status: str) -> None:
    """The order is off already: nobody waits for its money."""
    await held(till)
    await till.hears(CaptureDue(order_id=ORDER, due_minor=300, currency="EUR"))
    (capture,) = await till.takes()
    till.calls.clear()
    await released(till)
    await till.hears(
        ProviderAnswered(order_id=ORDER, attempt_id=capture.id, outcome="impossible", reason="no", status=status)
    )
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    assert till.said(PaymentFailed) == []


@pytest.mark.parametrize("outcome", list(DisputeOutcome))
async def test_what_was_taken_is_disputed_while_the_rest_is_let_go(till: Till, outcome: DisputeOutcome) -> None:
    """It is booked at once, and what the bank took is not given back as well."""
    await held(till)
    await sent(till, 300)
    await released(till)
    assert till.payment(ORDER).state is PaymentState.VOIDING
    told = ProviderDisputed(
        provider="sandbox",
        notice_id="n-1",
        provider_payment_id=till.payment(ORDER).provider_payment_id,
        dispute_id="d-1",
        amount_minor=300,
        currency="EUR",
        outcome=outcome,
    )
    await till.hears(told)
    assert [row.error for row in till.store.due.values() if row.error] == []
    await till.works()
    assert till.answer(RELEASE) == RELEASED and till.payment(ORDER).state is PaymentState.RETURNED
    assert till.books(ORDER)["refunded_minor"] == (300 if outcome is DisputeOutcome.WON else 0)
    assert list(ledger_is_wrong(till.store)) == []


async def test_nothing_more_is_taken_once_a_release_was_asked_for(till: Till) -> None:
    await held(till)
    await released(till)
    await sent(till, 1000)
    assert till.books(ORDER)["captured_minor"] == 0


# -- lost and lapsing ----------------------------------------------------------------------------------------------


def failed(till: Till) -> list[Message]:
    return list(till.said(PaymentFailed))


async def test_a_hold_the_provider_let_go_is_told(till: Till) -> None:
    await held(till)
    till.lapses(till.books(ORDER)["id"])
    await till.hears(*till.notices)
    assert stands(till) == (PaymentState.FAILED, 0, 0)
    assert failed(till) == [PaymentFailed(order_id=ORDER, missing_minor=1000, currency="EUR", reason="capture_refused")]
    await released(till)
    assert till.answer(RELEASE) == RELEASED


async def test_a_capture_of_what_was_let_go_is_told_and_what_was_taken_stays(till: Till) -> None:
    await held(till)
    await sent(till, 300)
    till.lapses(till.books(ORDER)["id"])  # its notice is lost
    await sent(till, 650)
    assert stands(till) == (PaymentState.CAPTURED, 300, 0)
    (told,) = till.said(PaymentFailed)
    assert told.missing_minor == 700
    await sent(till, 1000)  # a later parcel: it was said that the money will not come
    assert len(failed(till)) == 1


async def test_what_is_held_is_taken_before_it_lapses(till: Till) -> None:
    await held(till)
    await sent(till, 300)
    await till.passes(days=6)
    assert stands(till) == (PaymentState.PARTLY_CAPTURED, 300, 700)
    await till.passes(hours=13)
    assert stands(till) == (PaymentState.CAPTURED, 1000, 0)
    assert "payment.hold_lapsing" in till.story()


async def test_what_was_waived_is_let_go_before_it_lapses(till: Till) -> None:
    await held(till)
    await till.hears(refund(400), keys=[REFUND])
    await till.passes(days=7)
    assert stands(till) == (PaymentState.CAPTURED, 600, 0)

"""Payment's behaviour as messages and instants, over the scripted provider."""

from uuid import UUID

import pytest

from contracts.frame import CommandWithdrawn
from contracts.payment import (
    AttemptOverdue,
    PaymentDeclined,
    PaymentPending,
    PaymentRefunded,
    PaymentRefundRefused,
    ProviderAnswered,
)
from services.payment.attempt import AttemptKind, AttemptState
from services.payment.domain import PaymentState, RefundState
from services.payment.tables import AUTHORIZATIONS, CAPTURES, REFUNDS
from tests.support.paying import (
    AUTHORIZE,
    AUTHORIZED,
    ORDER,
    REFUND,
    RELEASE,
    RELEASED,
    authorize,
    authorized,
    refund,
    release,
)
from tests.support.till import Till


@pytest.fixture
def till() -> Till:
    return Till()


async def test_paid_at_once_leaves_an_authorization_and_a_capture(till: Till) -> None:
    await till.hears(authorize(), keys=[AUTHORIZE])
    assert till.answers(AUTHORIZE) == []
    await till.works()
    assert till.answer(AUTHORIZE) == AUTHORIZED
    assert till.payment(ORDER).captured_minor == 1000
    assert till.payment(ORDER).version == 2
    assert [len(till.store.rows(table)) for table in (AUTHORIZATIONS, CAPTURES, REFUNDS)] == [1, 1, 0]
    assert till.story() == ["payment.captured"]
    assert till.store.due == {}
    assert till.store.commits == 4  # the command, the taking, the answer, and a taking that finds nothing


async def test_nothing_to_pay_is_paid_at_once_and_never_called(till: Till) -> None:
    await till.hears(authorize(amount_minor=0), keys=[AUTHORIZE])
    assert till.answer(AUTHORIZE) == AUTHORIZED
    await till.hears(release(), keys=[RELEASE])
    assert till.answer(RELEASE) == RELEASED
    assert till.attempts(ORDER) == []


async def test_declined_says_why(till: Till) -> None:
    await authorized(till, "tok_declined")
    assert till.answer(AUTHORIZE) == PaymentDeclined(order_id=ORDER, reason="card_declined")
    await till.hears(release(), keys=[RELEASE])
    assert till.answer(RELEASE) == RELEASED


@pytest.mark.parametrize("token", ["tok_error", "tok_timeout", "tok_do_then_timeout"])
async def test_an_unknown_outcome_is_asked_again_under_the_same_id(till: Till, token: str) -> None:
    await authorized(till, token)
    (attempt,) = till.attempts(ORDER)
    assert (attempt.state, till.answers(AUTHORIZE)) == (AttemptState.UNKNOWN, [])
    await till.passes(minutes=1)
    assert till.answer(AUTHORIZE) == AUTHORIZED
    assert [row.id for row in till.attempts(ORDER)] == [attempt.id]
    assert till.books(ORDER)["captured_minor"] == 1000


async def test_a_caller_that_died_is_replaced_after_the_overdue_time(till: Till) -> None:
    await till.hears(authorize(), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    till.calls.clear()
    await till.calls_out(attempt)  # it reached the provider, and nobody heard the answer
    await till.passes(seconds=29)
    assert till.answer(AUTHORIZE) is None
    await till.passes(seconds=2)
    assert till.answer(AUTHORIZE) == AUTHORIZED
    assert till.attempts(ORDER)[0].tries == 1


async def test_an_answer_heard_twice_and_a_stale_ring_do_nothing(till: Till) -> None:
    await till.hears(authorize(), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    told = await till.calls_out(attempt)
    await till.hears(told, told, AttemptOverdue(order_id=ORDER, attempt_id=attempt.id))
    before = till.payment(ORDER), till.attempts(ORDER)
    await till.hears(replace_outcome(told, "unknown"))
    assert (till.payment(ORDER), till.attempts(ORDER)) == before
    assert till.answer(AUTHORIZE) == AUTHORIZED


def replace_outcome(told: ProviderAnswered, outcome: str) -> ProviderAnswered:
    return told.model_copy(update={"outcome": outcome})


async def test_a_ring_before_its_time_is_set_again(till: Till) -> None:
    """Between claiming a timer and reading the clock there may be a moment: an attempt must not be forgotten in it."""
    await authorized(till, "tok_timeout")
    (attempt,) = till.attempts(ORDER)
    till.store.due.clear()
    await till.hears(AttemptOverdue(order_id=ORDER, attempt_id=attempt.id))
    assert till.store.next_due() == attempt.next_at
    assert till.attempts(ORDER)[0].state is AttemptState.UNKNOWN


async def test_an_attempt_no_worker_took_keeps_its_guard(till: Till) -> None:
    await till.hears(authorize(), keys=[AUTHORIZE])
    till.now = till.attempts(ORDER)[0].next_at
    await till.rings()
    (attempt,) = till.attempts(ORDER)
    assert attempt.never_called
    assert till.store.next_due() is not None


async def test_pending_says_how_long_and_the_notice_ends_it(till: Till) -> None:
    await till.hears(authorize("tok_pending", method="transfer"), keys=[AUTHORIZE])
    await till.works()
    assert till.answers(AUTHORIZE) == [PaymentPending(order_id=ORDER, wait_s=3600.0)]
    till.settles(till.payment(ORDER).provider_payment_id, paid=True)
    (notice,) = till.notices
    await till.hears(notice, notice)
    assert till.answer(AUTHORIZE) == AUTHORIZED
    assert till.story() == ["payment.pending", "payment.captured"]


async def test_pending_that_fails_is_declined(till: Till) -> None:
    await authorized(till, "tok_pending_then_failed")
    await till.passes(minutes=1)
    await till.hears(*till.notices)
    assert isinstance(till.answer(AUTHORIZE), PaymentDeclined)
    assert till.payment(ORDER).state is PaymentState.FAILED


async def test_the_notice_before_the_reply_is_the_answer(till: Till) -> None:
    await till.hears(authorize("tok_webhook_first"), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    told = await till.calls_out(attempt)
    await till.hears(*till.notices)
    assert till.answer(AUTHORIZE) == AUTHORIZED
    await till.hears(told)
    assert till.store.due == {}
    assert till.answer(AUTHORIZE) == AUTHORIZED


async def test_a_notice_about_a_charge_we_did_not_make_is_parked(till: Till) -> None:
    await authorized(till, "tok_webhook_first")
    (notice,) = till.notices
    await till.hears(notice.model_copy(update={"attempt_id": UUID(int=9)}))
    for _ in range(10):
        till.now = max(till.now, till.store.next_due() or till.now)
        await till.rings()
    (parked,) = till.store.parked.values()
    assert "did not make this payment" in parked.error


# -- releasing ---------------------------------------------------------------------------------------------------


async def test_released_before_any_call_is_withdrawn(till: Till) -> None:
    await till.hears(authorize(), release(), keys=[AUTHORIZE, RELEASE])
    assert till.answer(RELEASE) == RELEASED
    assert till.answer(AUTHORIZE) == PaymentDeclined(order_id=ORDER, reason="released")
    assert await till.takes() == []
    assert till.payment(ORDER).state is PaymentState.VOIDED


async def test_released_while_called_waits_and_gives_back(till: Till) -> None:
    await till.hears(authorize(), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    till.calls.clear()
    await till.hears(release(), keys=[RELEASE])
    assert till.answer(RELEASE) is None
    await till.hears(await till.calls_out(attempt))
    assert till.answer(RELEASE) is None
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    assert till.books(ORDER)["refunded_minor"] == till.books(ORDER)["captured_minor"] == 1000
    assert till.story() == ["payment.captured", "payment.refunded"]


async def test_an_attempt_handed_back_is_not_withdrawn(till: Till) -> None:
    """It may have reached the provider: open again is not the same as never called."""
    await till.hears(authorize("tok_do_then_timeout"), keys=[AUTHORIZE])
    await till.works()
    till.now = till.attempts(ORDER)[0].next_at
    await till.rings()
    assert till.attempts(ORDER)[0].state is AttemptState.OPEN
    await till.hears(release(), keys=[RELEASE])
    assert till.answer(RELEASE) is None
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    assert till.books(ORDER)["refunded_minor"] == 1000


async def test_released_while_declined_under_way(till: Till) -> None:
    await till.hears(authorize("tok_declined"), keys=[AUTHORIZE])
    await till.takes()
    await till.hears(release(), keys=[RELEASE])
    await till.works()
    assert till.answer(RELEASE) == RELEASED


async def test_pending_is_voided(till: Till) -> None:
    await authorized(till, "tok_pending")
    await till.hears(release(), keys=[RELEASE])
    assert till.answer(RELEASE) is None
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    assert till.books(ORDER)["status"] == "voided"


async def test_pending_captured_before_the_void_is_given_back(till: Till) -> None:
    await authorized(till, "tok_pending")
    await till.hears(release(), keys=[RELEASE])
    till.settles(till.payment(ORDER).provider_payment_id, paid=True)
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    await till.hears(*till.notices)  # and its notice comes after the end
    assert till.payment(ORDER).state is PaymentState.RETURNED
    assert till.books(ORDER)["refunded_minor"] == 1000


async def test_captured_after_the_end_is_given_back_by_itself(till: Till) -> None:
    """The provider said declined, and captured all the same."""
    await authorized(till, "tok_duplicate_webhook")
    notice = till.notices[0]
    late = Till()
    await authorized(late, "tok_declined")
    (attempt,) = late.attempts(ORDER)
    await late.hears(notice.model_copy(update={"attempt_id": attempt.id, "provider_payment_id": "pay_x"}))
    assert late.payment(ORDER).state is PaymentState.RETURNING
    assert [row.kind for row in late.attempts(ORDER)] == [AttemptKind.AUTHORIZE, AttemptKind.REFUND]


async def test_two_releases_are_both_answered(till: Till) -> None:
    other = "orchestrator/cancellation/release/do"
    await authorized(till)
    await till.hears(release(), release("cancelled"), keys=[RELEASE, other])
    await till.works()
    assert till.answer(RELEASE) == till.answer(other) == RELEASED
    assert len(till.store.rows(REFUNDS)) == 1


async def test_undone_before_it_was_done(till: Till) -> None:
    await till.hears(release(), keys=[RELEASE])
    assert till.answer(RELEASE) == RELEASED
    await till.hears(authorize(), keys=[AUTHORIZE])
    assert till.answer(AUTHORIZE) == CommandWithdrawn()


async def test_undoing_a_second_authorization_leaves_the_first(till: Till) -> None:
    await authorized(till)
    await till.hears(authorize(), keys=["orchestrator/other/pay/do"])
    assert till.answer("orchestrator/other/pay/do") == PaymentDeclined(order_id=ORDER, reason="payment_exists")
    await till.hears(release(), keys=["orchestrator/other/pay/undo"])
    assert till.answer("orchestrator/other/pay/undo") == RELEASED
    assert till.payment(ORDER).state is PaymentState.CAPTURED


# -- refunds -----------------------------------------------------------------------------------------------------


async def test_partial_refunds_add_up_and_never_above(till: Till) -> None:
    await authorized(till)
    await till.hears(refund(1), refund(2, 600), refund(3, 1), keys=["r/1/a/do", "r/2/a/do", "r/3/a/do"])
    assert till.answer("r/3/a/do") == PaymentRefundRefused(
        order_id=ORDER, refund_id=UUID(int=3), reason="above_captured"
    )
    await till.works()
    assert till.answer("r/1/a/do") == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert till.answer("r/2/a/do") == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=2))
    assert till.payment(ORDER).refunded_minor == till.books(ORDER)["refunded_minor"] == 1000


async def test_refusals_have_names(till: Till) -> None:
    await till.hears(refund(), keys=["r/1/a/do"])
    assert reason_of(till, "r/1/a/do") == "unknown_payment"
    await till.hears(authorize(), keys=[AUTHORIZE])
    await till.hears(refund(), keys=["r/2/a/do"])
    assert reason_of(till, "r/2/a/do") == "not_captured"
    await till.works()
    await till.hears(refund(currency="USD"), keys=["r/3/a/do"])
    assert reason_of(till, "r/3/a/do") == "wrong_currency"
    await till.hears(release(), refund(), keys=[RELEASE, "r/4/a/do"])
    assert reason_of(till, "r/4/a/do") == "release_under_way"
    await till.works()
    await till.hears(refund(), keys=["r/5/a/do"])
    assert reason_of(till, "r/5/a/do") == "above_captured"


def reason_of(till: Till, key: str) -> str:
    answer = till.answer(key)
    assert isinstance(answer, PaymentRefundRefused)
    return answer.reason


async def test_one_refund_id_is_one_refund(till: Till) -> None:
    await authorized(till)
    await till.hears(refund(), refund(), keys=[REFUND, "r/2/a/do"])
    assert reason_of(till, "r/2/a/do") == "refund_under_way"
    await till.works()
    await till.hears(refund(), refund(amount_minor=5), keys=["r/3/a/do", "r/4/a/do"])
    assert till.answer("r/3/a/do") == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert reason_of(till, "r/4/a/do") == "refund_id_reused"
    assert till.books(ORDER)["refunded_minor"] == 400


@pytest.mark.parametrize("token", ["tok_ok_refund_error", "tok_ok_refund_timeout"])
async def test_a_refund_that_fails_is_asked_again(till: Till, token: str) -> None:
    await authorized(till, token)
    await till.hears(refund(), keys=[REFUND])
    await till.passes(minutes=1)
    assert till.answer(REFUND) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert till.books(ORDER)["refunded_minor"] == 400


async def test_a_release_waits_for_the_refund_under_way_and_gives_back_the_rest(till: Till) -> None:
    await authorized(till, "tok_ok_refund_timeout")
    await till.hears(refund(), release(), keys=[REFUND, RELEASE])
    await till.works()
    assert till.answer(RELEASE) is None
    await till.passes(minutes=1)
    assert till.answer(RELEASE) == RELEASED
    assert till.answer(REFUND) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert till.books(ORDER)["refunded_minor"] == 1000


async def test_the_providers_definite_no_to_a_refund_is_a_refusal(till: Till) -> None:
    await authorized(till)
    await till.hears(refund(), keys=[REFUND])
    (attempt,) = await till.takes()
    await till.hears(
        ProviderAnswered(
            order_id=ORDER, attempt_id=attempt.id, outcome="impossible", reason="too old", status="captured"
        )
    )
    assert reason_of(till, REFUND) == "too_old"
    assert till.payment(ORDER).refund_reserved_minor == 0
    assert till.store.rows(REFUNDS)[0].state is RefundState.REFUSED


async def test_a_release_refused_by_the_provider_is_tried_anew_until_free(till: Till) -> None:
    await authorized(till)
    await till.hears(release(), keys=[RELEASE])
    (attempt,) = await till.takes()
    till.calls.clear()
    no = ProviderAnswered(
        order_id=ORDER, attempt_id=attempt.id, outcome="impossible", reason="closed", status="captured"
    )
    await till.hears(no)
    assert till.answer(RELEASE) is None
    await till.passes(seconds=301)
    assert till.answer(RELEASE) == RELEASED
    assert till.books(ORDER)["refunded_minor"] == 1000


async def test_given_back_by_another_hand_is_free(till: Till) -> None:
    await authorized(till)
    await till.provider.withdraw("by-hand", str(till.attempts(ORDER)[0].id))
    await till.hears(release(), keys=[RELEASE])
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    assert till.books(ORDER)["refunded_minor"] == 1000

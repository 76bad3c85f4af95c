"""What is given back by transfer: somebody makes it, it takes days, and a statement shows that it left."""

from uuid import UUID

import pytest

from contracts.payment import (
    PaymentRefunded,
    PaymentRefundRefused,
    ProviderAnswered,
    RefundPending,
    ReleasePayment,
    ReleasePending,
)
from services.payment.attempt import AttemptState
from services.payment.banking.entries import EntryState
from services.payment.banking.tables import QUOTED
from services.payment.creditor_reference import reference_of
from services.payment.domain import PaymentState
from services.payment.tables import REFUNDS, TRANSFERS
from tests.support.bank import BankTill, payout, refund
from tests.support.books import ledger_is_wrong
from tests.support.paying import AUTHORIZE, ORDER, REFUND, RELEASE, RELEASED, authorized
from tests.support.till import Till

DAYS = 5 * 86_400.0


@pytest.fixture
def till() -> BankTill:
    return BankTill()


async def test_a_refund_is_done_when_a_statement_shows_it(till: BankTill) -> None:
    await till.states(till.booked(await till.ordered(ORDER, AUTHORIZE)))
    await till.hears(refund(), keys=[REFUND])
    await till.works()
    assert till.answers(REFUND) == [RefundPending(order_id=ORDER, refund_id=UUID(int=1), wait_s=DAYS)]
    await till.passes(hours=1)
    assert till.attempts(ORDER)[-1].state is AttemptState.UNKNOWN
    (wrong,) = await till.states(till.booked(end_to_end_id=payout(till), amount_minor=-399))
    assert (wrong.outcome, wrong.state) == ("too_little", EntryState.OPEN)
    assert till.answer(REFUND) is None
    (right,) = await till.states(till.booked(end_to_end_id=payout(till), amount_minor=-400))
    assert (right.outcome, right.order_id) == ("paid_out", ORDER)
    assert till.answer(REFUND) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert till.payment(ORDER).refunded_minor == 400
    assert till.store.due == {}
    twice, back = await till.states(till.booked(payout(till), -400), till.booked(payout(till), 400))
    assert (twice.outcome, back.outcome, back.state) == ("paid_out_twice", "payout_returned", EntryState.OPEN)


async def test_a_refund_that_is_refused_is_not_announced(till: BankTill) -> None:
    await till.states(till.booked(await till.ordered(ORDER, AUTHORIZE)))
    await till.hears(refund(1001), keys=[REFUND])
    refused = PaymentRefundRefused(order_id=ORDER, refund_id=UUID(int=1), reason="above_captured")
    assert till.answers(REFUND) == [refused]
    assert "payment.refund_pending" not in till.story()


async def test_a_statement_may_overtake_the_worker(till: BankTill) -> None:
    """The refund left, and the call that says so nobody has heard: what the worker tells afterwards changes nothing."""
    await till.states(till.booked(await till.ordered(ORDER, AUTHORIZE)))
    await till.hears(refund(), keys=[REFUND])
    (attempt,) = await till.takes()
    till.calls.clear()
    told = await till.calls_out(attempt)
    assert isinstance(told, ProviderAnswered) and told.outcome == "unknown"
    await till.states(till.booked(payout(till), -400))
    before = till.payment(ORDER)
    await till.hears(told)
    assert till.payment(ORDER) == before
    assert till.attempts(ORDER)[-1].state is AttemptState.KNOWN


async def test_a_card_is_paid_out_by_its_provider_and_has_no_reference() -> None:
    till = Till()
    await authorized(till)
    await till.hears(refund(), keys=[REFUND])
    assert till.store.rows(QUOTED) == []
    assert not any(isinstance(said, RefundPending) for said in till.answers(REFUND))


async def test_what_was_to_be_paid_out_of_a_transfer_called_back_does_not_leave(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.states(till.booked(reference))
    await till.hears(refund(), keys=[REFUND])
    await till.works()
    out = payout(till)
    await till.states(till.booked(reference, -1000, reversal=True))
    refused = PaymentRefundRefused(order_id=ORDER, refund_id=UUID(int=1), reason="transfer_returned")
    assert till.answer(REFUND) == refused
    (row,) = till.store.rows(REFUNDS)
    assert (row.state, row.refusal) == ("refused", "transfer_returned")
    payment = till.payment(ORDER)
    assert (payment.state, payment.refund_reserved_minor, payment.disputed_minor) == (PaymentState.CAPTURED, 0, 1000)
    kinds = [row.kind for row in till.store.rows(TRANSFERS)]
    assert kinds == ["capture", "refund_reserved", "chargeback", "refund_refused"]
    assert list(ledger_is_wrong(till.store)) == []
    assert till.story()[-1] == "payment.refund_refused"
    await till.passes(minutes=10)
    assert till.attempts(ORDER)[-1].state is AttemptState.KNOWN and till.store.due == {}  # nobody asks any more
    (left,) = await till.states(till.booked(out, -400))  # it had left all the same
    assert (left.outcome, left.state, left.order_id) == ("paid_out_twice", EntryState.OPEN, ORDER)
    assert till.payment(ORDER) == payment and till.story()[-1] == "payment.transfer_unmatched"


async def test_a_transfer_called_back_while_it_is_given_back_is_free(till: BankTill) -> None:
    """The release's own payout: the customer has the money, so whoever waits for the release is answered."""
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.states(till.booked(reference))
    await till.hears(ReleasePayment(order_id=ORDER, reason="cancelled"), keys=[RELEASE])
    await till.works()
    assert till.answer(RELEASE) is None
    (back,) = await till.states(till.booked(reference, -1000, reversal=True))
    assert (back.outcome, till.answer(RELEASE)) == ("transfer_returned", RELEASED)
    payment = till.payment(ORDER)
    assert (payment.state, payment.refunded_minor, payment.disputed_minor) == (PaymentState.RETURNED, 0, 1000)
    await till.passes(minutes=10)
    assert [row.state for row in till.store.rows(REFUNDS)] == ["refused"] and till.store.due == {}
    assert list(ledger_is_wrong(till.store)) == []


async def test_what_was_paid_out_already_is_not_called_off(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.states(till.booked(reference))
    await till.hears(refund(), keys=[REFUND])
    await till.states(till.booked(payout(till), -400))
    await till.states(till.booked(reference, -1000, reversal=True))
    assert till.answer(REFUND) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert [row.state for row in till.store.rows(REFUNDS)] == ["refunded"]


# -- released ----------------------------------------------------------------------------------------------------------

LATER = "orchestrator/failure/release-payment/do"
TAKES_DAYS = ReleasePending(order_id=ORDER, wait_s=DAYS)


async def test_a_release_of_what_was_paid_says_that_it_takes_days(till: BankTill) -> None:
    await till.states(till.booked(await till.ordered(ORDER, AUTHORIZE)))
    await till.hears(ReleasePayment(order_id=ORDER, reason="stock_gone"), keys=[RELEASE])
    await till.works()
    assert till.answers(RELEASE) == [TAKES_DAYS]
    await till.hears(ReleasePayment(order_id=ORDER, reason="payment_failed"), keys=[LATER])
    assert till.answers(LATER) == [TAKES_DAYS], "who asks later waits as long"
    await till.states(till.booked(payout(till), -1000))
    for key in (RELEASE, LATER):
        assert till.answers(key) == [TAKES_DAYS, RELEASED]


async def test_a_release_waits_for_a_refund_that_is_on_its_way_and_says_so(till: BankTill) -> None:
    await till.states(till.booked(await till.ordered(ORDER, AUTHORIZE)))
    await till.hears(refund(), keys=[REFUND])
    await till.works()
    await till.hears(ReleasePayment(order_id=ORDER, reason="cancelled"), keys=[RELEASE])
    assert till.answers(RELEASE) == [TAKES_DAYS]
    await till.states(till.booked(payout(till), -400))
    assert till.answers(RELEASE) == [TAKES_DAYS, TAKES_DAYS], "the rest is to be paid out too"
    rest = till.attempts(ORDER)[-1]
    await till.states(till.booked(reference_of(str(rest.id)), -600))
    assert till.answer(RELEASE) == RELEASED
    assert till.payment(ORDER).refunded_minor == 1000


async def test_a_card_is_given_back_at_once_and_nobody_is_told_to_wait() -> None:
    till = Till()
    await authorized(till)
    await till.hears(ReleasePayment(order_id=ORDER, reason="stock_gone"), keys=[RELEASE])
    await till.works()
    assert [said.topic for said in till.answers(RELEASE)] == ["payment.payment_released"]

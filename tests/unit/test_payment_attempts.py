"""The timer of an attempt: it rings again while no worker is free, and never once nobody needs the attempt."""

from services.payment.attempt import AttemptState
from tests.support.till import Till
from tests.unit.test_payment_till import AUTHORIZE, ORDER, RELEASE, authorize, release


async def test_nothing_rings_for_an_attempt_that_was_withdrawn_before_its_call() -> None:
    till = Till()
    await till.hears(authorize(), keys=[AUTHORIZE])
    assert len(till.store.due) == 1
    await till.hears(release(), keys=[RELEASE])
    assert [attempt.state for attempt in till.attempts(ORDER)] == [AttemptState.WITHDRAWN]
    assert till.store.due == {}


async def test_an_attempt_that_no_worker_took_is_guarded_on() -> None:
    till = Till()
    await till.hears(authorize(), keys=[AUTHORIZE])
    first = till.store.next_due()
    assert first is not None
    till.now = first
    await till.rings()
    again = till.store.next_due()
    assert again is not None and again > till.now
    assert [attempt.state for attempt in till.attempts(ORDER)] == [AttemptState.OPEN]


async def test_a_call_that_nobody_answered_is_asked_again_under_a_guard() -> None:
    till = Till()
    await till.hears(authorize(), keys=[AUTHORIZE])
    await till.takes()  # and the worker dies
    first = till.store.next_due()
    assert first is not None
    till.now = first
    await till.rings()
    (attempt,) = till.attempts(ORDER)
    assert (attempt.state, attempt.tries, attempt.next_at > till.now) == (AttemptState.OPEN, 1, True)
    assert till.store.next_due() == attempt.next_at

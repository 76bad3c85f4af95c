"""What is left of an attempt when nobody needs it any more: nothing rings for it."""

from services.payment.domain import AttemptState
from tests.support.till import Till
from tests.unit.test_payment_till import AUTHORIZE, ORDER, RELEASE, authorize, release


async def test_nothing_rings_for_an_attempt_that_was_withdrawn_before_its_call() -> None:
    till = Till()
    await till.hears(authorize(), keys=[AUTHORIZE])
    assert len(till.store.due) == 1
    await till.hears(release(), keys=[RELEASE])
    assert [attempt.state for attempt in till.attempts(ORDER)] == [AttemptState.WITHDRAWN]
    assert till.store.due == {}

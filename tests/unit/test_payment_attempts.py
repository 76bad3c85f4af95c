"""The timer of an attempt: it rings again while no worker is free, and never once nobody needs the attempt."""

import pytest

from contracts.payment import PaymentAuthorized, PaymentDeclined
from services.payment.attempt import AttemptKind, AttemptState
from services.payment.provider.port import ProviderAnswer, Unknown
from tests.support.paying import AUTHORIZE, ORDER, RELEASE, authorize, release
from tests.support.scripted_provider import ScriptedProvider
from tests.support.till import Till


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


async def pending(till: Till, token: str = "tok_pending") -> str:
    await till.hears(authorize(token), keys=[AUTHORIZE])
    await till.works()
    return till.payment(ORDER).provider_payment_id


@pytest.mark.parametrize("paid", [True, False])
async def test_a_pending_payment_whose_notice_is_lost_is_found_out(paid: bool) -> None:
    till = Till()
    till.settles(await pending(till), paid)
    till.notices.clear()
    await till.passes(seconds=29)
    assert till.answer(AUTHORIZE) is None
    await till.passes(seconds=2)
    assert isinstance(till.answer(AUTHORIZE), PaymentAuthorized if paid else PaymentDeclined)


async def test_what_is_pending_still_is_looked_at_again_later_and_later() -> None:
    till = Till()
    await pending(till)
    await till.passes(minutes=7)
    looks = [attempt for attempt in till.attempts(ORDER) if attempt.kind is AttemptKind.FIND]
    assert len(looks) == 3  # after 30 s, 1 and 5 minutes
    await till.hears(release(), keys=[RELEASE])
    await till.passes(hours=3)
    assert len([attempt for attempt in till.attempts(ORDER) if attempt.kind is AttemptKind.FIND]) == 3


async def test_a_look_that_is_not_answered_is_not_asked_again() -> None:
    class Blind(ScriptedProvider):
        async def find(self, provider_payment_id: str) -> ProviderAnswer:
            return Unknown("http 500", provider_payment_id)

    till = Till(Blind)
    await pending(till)
    await till.passes(seconds=40)
    (look,) = [attempt for attempt in till.attempts(ORDER) if attempt.kind is AttemptKind.FIND]
    assert (look.state, look.outcome) == (AttemptState.KNOWN, "unknown")

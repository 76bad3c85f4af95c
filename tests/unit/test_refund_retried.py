"""A refund that the provider refuses: tried anew where that may help, under a new key, and then said and seen."""

from datetime import timedelta
from uuid import UUID

import pytest

from contracts.payment import PaymentRefunded, PaymentRefundRefused, RefundPending, ReleasePayment
from services.payment.attempt import AttemptKind
from services.payment.domain import PaymentState
from services.payment.provider.port import Impossible, ProviderAnswer, RefundRequest
from services.payment.tables import REFUNDS
from tests.support.books import ledger_is_wrong
from tests.support.paying import ORDER, REFUND, RELEASE, RELEASED, authorized, refund
from tests.support.scripted_provider import ScriptedProvider
from tests.support.till import START, Till

PENDING = RefundPending(order_id=ORDER, refund_id=UUID(int=1), wait_s=300.0)
DONE = PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))


class PoorProvider(ScriptedProvider):
    """Refuses so many refunds, for this reason."""

    refuses, why = 0, "balance_insufficient"

    async def refund(self, key: str, request: RefundRequest) -> ProviderAnswer:
        if self.refuses:
            self.refuses -= 1
            return Impossible(self.why, "captured", request.provider_payment_id)
        return await super().refund(key, request)


@pytest.fixture
def till() -> Till:
    return Till(PoorProvider)


def poor(till: Till, refuses: int, why: str = "balance_insufficient") -> None:
    provider = till.provider
    assert isinstance(provider, PoorProvider)
    provider.refuses, provider.why = refuses, why


def tries(till: Till) -> int:
    found = [one for one in till.attempts(ORDER) if one.kind is AttemptKind.REFUND]
    assert len({one.id for one in found}) == len(found)
    return len(found)


async def test_what_may_pass_is_tried_anew_after_a_while(till: Till) -> None:
    await authorized(till)
    poor(till, 2)
    await till.hears(refund(), keys=[REFUND])
    await till.passes(seconds=299)
    assert (till.answers(REFUND), tries(till)) == ([PENDING], 1)
    assert till.payment(ORDER).refund_reserved_minor == 400
    await till.passes(minutes=10)
    assert till.answers(REFUND) == [PENDING, PENDING, DONE]
    assert (tries(till), till.books(ORDER)["refunded_minor"]) == (3, 400)
    assert till.story()[-3:] == ["payment.refund_pending", "payment.refund_pending", "payment.refunded"]
    assert till.store.due == {} and list(ledger_is_wrong(till.store)) == []


async def test_what_never_passes_is_refused_and_seen(till: Till) -> None:
    await authorized(till)
    poor(till, 99)
    await till.hears(refund(), keys=[REFUND])
    await till.passes(hours=2)
    refused = PaymentRefundRefused(order_id=ORDER, refund_id=UUID(int=1), reason="balance_insufficient")
    assert (till.answers(REFUND), tries(till)) == ([PENDING, PENDING, refused], 3)
    assert till.story()[-1] == "payment.refund_refused"
    assert till.payment(ORDER).refund_reserved_minor == 0 and till.store.due == {}
    assert list(ledger_is_wrong(till.store)) == []


@pytest.mark.parametrize("why", ["charge_disputed", "something new"])
async def test_what_is_final_is_said_at_once(till: Till, why: str) -> None:
    await authorized(till)
    poor(till, 1, why)
    await till.hears(refund(), keys=[REFUND])
    await till.works()
    assert till.now == START + timedelta(0)
    answer = till.answer(REFUND)
    assert isinstance(answer, PaymentRefundRefused) and tries(till) == 1
    assert till.store.due == {}


async def test_a_release_waits_for_the_refund_that_is_tried_anew(till: Till) -> None:
    await authorized(till)
    poor(till, 1)
    await till.hears(refund(), keys=[REFUND])
    await till.works()
    await till.hears(ReleasePayment(order_id=ORDER, reason="cancelled"), keys=[RELEASE])
    assert till.answer(RELEASE) is None
    await till.passes(minutes=6)
    assert (till.answer(REFUND), till.answer(RELEASE)) == (DONE, RELEASED)
    assert till.payment(ORDER).state is PaymentState.RETURNED
    assert sorted(one.amount_minor for one in till.store.rows(REFUNDS)) == [400, 600]

"""Providers that hold first or prepare first, and what is answered to something else than was asked."""

import asyncio
from dataclasses import replace

import pytest

from contracts.payment import (
    PaymentDeclined,
    ProviderAnswered,
)
from services.payment.attempt import AttemptKind, AttemptState
from services.payment.domain import PaymentState
from services.payment.effects import make_effects, payment_effect
from services.payment.provider.port import (
    AuthorizeRequest,
    Captured,
    Declined,
    Prepared,
    ProviderAnswer,
    Refunded,
    Unknown,
)
from services.payment.tables import AUTHORIZATIONS, CAPTURES
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
from tests.support.preparing_provider import PreparingProvider
from tests.support.scripted_provider import ScriptedProvider
from tests.support.till import Till, TwoStepProvider


@pytest.fixture
def till() -> Till:
    return Till()


async def test_held_first_is_captured_by_a_second_call() -> None:
    till = Till(TwoStepProvider)
    await authorized(till, "tok_ok_capture_timeout")
    assert till.answer(AUTHORIZE) is None
    await till.passes(minutes=1)
    assert till.answer(AUTHORIZE) == AUTHORIZED
    assert [row.kind for row in till.attempts(ORDER)] == [AttemptKind.AUTHORIZE, AttemptKind.CAPTURE]
    assert [len(till.store.rows(table)) for table in (AUTHORIZATIONS, CAPTURES)] == [1, 1]


async def test_a_hold_that_cannot_be_taken_is_declined_and_voided() -> None:
    till = Till(TwoStepProvider)
    await till.hears(authorize(), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    till.calls.clear()
    await till.hears(await till.calls_out(attempt))
    (capture,) = await till.takes()
    till.calls.clear()
    await till.hears(
        ProviderAnswered(
            order_id=ORDER, attempt_id=capture.id, outcome="impossible", reason="lapsed", status="authorized"
        )
    )
    await till.works()
    assert till.answer(AUTHORIZE) == PaymentDeclined(order_id=ORDER, reason="lapsed")
    assert till.books(ORDER)["status"] == "voided"
    assert till.payment(ORDER).state is PaymentState.VOIDED


async def test_the_request_does_not_change_with_the_settings(till: Till) -> None:
    """Everything that makes the request is in the row: another body under the same key would be refused."""
    await authorized(till, "tok_do_then_timeout")
    (attempt,) = till.attempts(ORDER)
    assert attempt.webhook_url == "https://payment.example/notices"
    changed = replace(attempt, webhook_url="https://elsewhere.example")
    assert (await till.calls_out(changed)).outcome == "unknown"  # never taken for a decline


async def test_a_provider_that_hangs_or_breaks_is_not_known() -> None:
    class Hangs(ScriptedProvider):
        async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
            await asyncio.Event().wait()
            raise AssertionError

    class Breaks(ScriptedProvider):
        async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
            raise RuntimeError("broken adapter")

    for provider, why in ((Hangs, "timeout"), (Breaks, "RuntimeError: broken adapter")):
        till = Till()
        await till.hears(authorize(), keys=[AUTHORIZE])
        (attempt,) = await till.takes()
        (effect,) = make_effects({"sandbox": provider(till.clock)}, timeout_s=0.01, at_once={"sandbox": 1})
        told = await effect.perform(attempt)
        assert isinstance(told, ProviderAnswered)
        assert (told.outcome, told.reason) == ("unknown", why)


async def test_what_was_prepared_is_voided_though_nobody_knows_what_became_of_its_confirmation() -> None:
    """Stripe keeps its own errors under a key: such a confirmation is asked for in vain, for ever."""

    class Silent(PreparingProvider):
        async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
            return Unknown("kept error", request.provider_payment_id)

    till = Till(Silent)
    await authorized(till)
    await till.hears(release(), keys=[RELEASE])
    await till.works()
    assert till.answer(RELEASE) == RELEASED and till.payment(ORDER).state is PaymentState.VOIDED
    assert {attempt.state for attempt in till.attempts(ORDER)} == {AttemptState.KNOWN}
    assert till.store.due == {}


async def test_confirmed_before_the_void_arrives_is_given_back() -> None:
    till = Till(PreparingProvider)
    await till.hears(authorize(), keys=[AUTHORIZE])
    await till.takes()
    await till.hears(await till.calls_out(till.calls.pop()))
    await till.takes()
    answer = await till.calls_out(till.calls.pop())  # captured there, and not heard yet
    await till.hears(release(), keys=[RELEASE])
    await till.works()
    await till.hears(answer)
    assert till.answer(RELEASE) == RELEASED
    assert till.books(ORDER)["refunded_minor"] == till.payment(ORDER).refunded_minor == 1000


async def test_the_confirmation_is_heard_while_the_void_is_under_way() -> None:
    till = Till(PreparingProvider)
    await till.hears(authorize(), keys=[AUTHORIZE])
    await till.takes()
    await till.hears(await till.calls_out(till.calls.pop()))
    await till.takes()
    answer = await till.calls_out(till.calls.pop())
    await till.hears(release(), keys=[RELEASE])
    await till.hears(answer)
    assert till.payment(ORDER).captured_minor == 1000 and till.answer(RELEASE) is None
    await till.works()
    assert till.answer(RELEASE) == RELEASED and till.books(ORDER)["refunded_minor"] == 1000


@pytest.mark.parametrize(
    ("kind", "answer", "word"),
    [
        (AttemptKind.REFUND, Declined("expired_card", "pay_1"), "impossible"),
        (AttemptKind.REFUND, Captured("pay_1", 1000), "unknown"),
        (AttemptKind.VOID, Refunded("pay_1", 1000), "unknown"),
        (AttemptKind.CONFIRM, Prepared("pay_1"), "unknown"),
    ],
)
async def test_an_answer_to_something_else_is_not_taken_for_what_was_asked(
    till: Till, kind: AttemptKind, answer: ProviderAnswer, word: str
) -> None:
    class Strange(ScriptedProvider):
        async def _strange(self, *_: object) -> ProviderAnswer:
            return answer

        authorize = capture = void = refund = find = _strange  # type: ignore[assignment]

    await till.hears(authorize(), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    told = await payment_effect({"sandbox": Strange(till.clock)}).perform(replace(attempt, kind=kind))
    assert isinstance(told, ProviderAnswered) and told.outcome == word


@pytest.mark.parametrize("kind", ["refund", "void"])
async def test_what_no_refund_and_no_void_is_answered_is_for_a_person(till: Till, kind: str) -> None:
    await authorized(till, "tok_ok" if kind == "refund" else "tok_pending")
    if kind == "refund":
        await till.hears(refund(1), keys=[REFUND])
    else:
        await till.hears(release(), keys=[RELEASE])
    attempt = till.attempts(ORDER)[-1]
    told = ProviderAnswered(order_id=ORDER, attempt_id=attempt.id, outcome="declined")
    await till.hears(told)
    (due,) = [due for due in till.store.due.values() if due.error]
    assert f"asked to {kind}, answered declined" in due.error
    assert till.answer(REFUND if kind == "refund" else RELEASE) is None


async def test_released_by_another_saga_before_it_was_asked_for(till: Till) -> None:
    await till.hears(release("cancelled"), keys=["orchestrator/cancellation/release/do"])
    await till.hears(authorize(), keys=[AUTHORIZE])
    assert till.answer(AUTHORIZE) == PaymentDeclined(order_id=ORDER, reason="released")
    assert await till.takes() == []

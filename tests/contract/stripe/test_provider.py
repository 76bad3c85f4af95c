"""What is Stripe's own: preparing, errors that are kept under a key, and its currencies."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import stripe

from services.payment.provider.port import (
    Authorized,
    Captured,
    CaptureRequest,
    Declined,
    Impossible,
    NothingToPrepare,
    Pending,
    Prepared,
    ProviderAnswer,
    Refunded,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
)
from services.payment.provider.stripe import StripeProvider, StripeProviderSettings
from services.payment.provider.stripe_words import IntentShown, answer_of
from tests.contract.stripe.conftest import Start
from tests.support.provider_rigs import PATIENCE_S, ScriptedRig
from tests.support.stripe_asks import HELD, PAID, REQUEST, count_of_intents, entries, held, prepared
from tests.support.stripe_rig import StripeRig

pytestmark = pytest.mark.asyncio


class TestPreparing:
    async def test_a_prepared_payment_asks_nobody_for_money_and_names_our_ids(self, rig: StripeRig) -> None:
        request = await prepared(rig)
        assert await entries(rig) == []
        assert await rig.provider.find(request.provider_payment_id) == Prepared(request.provider_payment_id)
        [shown] = (await rig.their_books())["payments"]
        assert shown["metadata"] == {"waybill_reference": "order-1", "waybill_attempt": "attempt"}
        assert (shown["amount"], shown["currency"], shown["status"]) == (1000, "eur", "requires_payment_method")

    async def test_prepared_twice_is_one_payment(self, rig: StripeRig) -> None:
        assert await prepared(rig) == await prepared(rig)
        assert await count_of_intents(rig) == 1

    async def test_the_prepared_payment_is_the_one_that_is_confirmed(self, rig: StripeRig) -> None:
        request = await prepared(rig)
        assert await rig.provider.authorize("attempt", request) == Captured(request.provider_payment_id, 1000)
        assert await count_of_intents(rig) == 1
        assert await entries(rig) == PAID

    async def test_confirming_may_be_an_attempt_of_its_own(self, rig: StripeRig) -> None:
        request = await prepared(rig)
        answer = await rig.provider.authorize("another", request)
        assert answer == Captured(request.provider_payment_id, 1000)

    async def test_without_preparing_one_call_makes_and_confirms(self, rig: StripeRig) -> None:
        answer = await rig.provider.authorize("attempt", REQUEST)
        assert isinstance(answer, Captured)
        assert await rig.provider.authorize("attempt", REQUEST) == answer
        assert await entries(rig) == PAID
        declined = await rig.provider.authorize("other", replace(REQUEST, token="pm_card_chargeDeclined"))
        assert isinstance(declined, Declined)
        assert await rig.provider.find(str(declined.provider_payment_id)) == declined

    @pytest.mark.parametrize("fault", ["do_then_hang", "do_then_drop"])
    async def test_prepared_and_not_answered_is_prepared_once(self, rig: StripeRig, fault: str) -> None:
        await rig.script("fault", operation="create", fault=fault)
        assert isinstance(await rig.provider.prepare("attempt", REQUEST), Unknown)
        await prepared(rig)
        assert await count_of_intents(rig) == 1

    async def test_an_error_kept_under_the_key_is_told_by_the_payment_that_was_made(self, rig: StripeRig) -> None:
        await rig.script("fault", operation="create", fault="do_then_error", times=2)
        assert await rig.provider.prepare("attempt", REQUEST) == Unknown("http 500")
        await prepared(rig)
        assert await rig.provider.authorize("at once", REQUEST) == Unknown("http 500")
        assert isinstance(await rig.provider.authorize("at once", REQUEST), Captured)
        assert await entries(rig) == PAID

    async def test_a_prepared_payment_that_is_voided_is_never_paid(self, rig: StripeRig) -> None:
        request = await prepared(rig)
        payment_id = request.provider_payment_id
        assert await rig.provider.void("void", VoidRequest(payment_id)) == Voided(payment_id, 0)
        answer = await rig.provider.authorize("attempt", request)
        assert answer == Impossible("already_voided", "voided", payment_id)
        assert await entries(rig) == []

    async def test_confirmed_again_under_another_key_is_the_same_money(self, rig: StripeRig) -> None:
        """A key that Stripe has forgotten must not make a declined payment of one that was paid."""
        request = await prepared(rig)
        answer = await rig.provider.authorize("attempt", request)
        assert await rig.provider.authorize("a key of a later day", request) == answer
        assert await entries(rig) == PAID

    async def test_who_prepares_nothing_says_so(self) -> None:
        scripted = ScriptedRig().provider
        assert not scripted.prepares
        with pytest.raises(NothingToPrepare):
            await scripted.prepare("attempt", REQUEST)


class TestOutcomes:
    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            ("pm_card_chargeDeclined", "generic_decline"),
            ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
            ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ],
    )
    async def test_a_card_that_declines_says_why(self, rig: StripeRig, token: str, reason: str) -> None:
        request = await prepared(rig, replace(REQUEST, token=token))
        answer = await rig.provider.authorize("attempt", request)
        assert answer == Declined(reason, request.provider_payment_id)
        assert await rig.provider.authorize("attempt", request) == answer
        assert await rig.provider.find(request.provider_payment_id) == answer

    @pytest.mark.parametrize("token", ["pm_sandbox_do_then_timeout", "pm_sandbox_do_then_drop"])
    async def test_done_and_not_answered_is_one_charge_however_often_it_is_asked(
        self, rig: StripeRig, token: str
    ) -> None:
        request = await prepared(rig, replace(REQUEST, token=token))
        assert isinstance(await rig.provider.authorize("attempt", request), Unknown)
        for _ in range(3):
            assert await rig.provider.authorize("attempt", request) == Captured(request.provider_payment_id, 1000)
        assert await entries(rig) == PAID

    async def test_an_error_kept_under_the_key_is_told_by_the_payment(self, rig: StripeRig) -> None:
        request = await prepared(rig, replace(REQUEST, token="pm_sandbox_do_then_error"))
        assert await rig.provider.authorize("attempt", request) == Unknown("http 500", request.provider_payment_id)
        assert await rig.provider.authorize("attempt", request) == Captured(request.provider_payment_id, 1000)
        assert await entries(rig) == PAID

    async def test_kept_errors_of_later_calls_are_told_by_the_payment_too(self, rig: StripeRig) -> None:
        payment_id = await held(rig)
        calls: list[tuple[str, Callable[[], Awaitable[ProviderAnswer]], ProviderAnswer]] = [
            ("capture", lambda: rig.provider.capture("c", CaptureRequest(payment_id, 600)), Captured(payment_id, 600)),
            ("cancel", lambda: rig.provider.void("v", VoidRequest(payment_id)), Voided(payment_id, 400)),
        ]
        for operation, call, outcome in calls:
            await rig.script("fault", operation=operation, fault="do_then_error")
            assert await call() == Unknown("http 500", payment_id)
            assert await call() == outcome
        await rig.script("fault", operation="refund", fault="do_then_error")
        refund = RefundRequest(payment_id, 100)
        assert await rig.provider.refund("r", refund) == Unknown("http 500", payment_id)
        refunded = await rig.provider.refund("r", refund)
        assert isinstance(refunded, Refunded) and refunded.provider_refund_id
        assert refunded.refunded_minor == 100
        assert (await entries(rig))[1:] == [("capture", 600), ("void", 400), ("refund", 100)]

    @pytest.mark.parametrize(("fault", "why"), [("error", "http 500"), ("busy", "http 429")])
    async def test_trouble_of_theirs_is_not_knowing(self, rig: StripeRig, fault: str, why: str) -> None:
        request = await prepared(rig)
        await rig.script("fault", operation="confirm", fault=fault)
        assert await rig.provider.authorize("attempt", request) == Unknown(why, request.provider_payment_id)
        assert await entries(rig) == []
        assert isinstance(await rig.provider.authorize("attempt", request), Captured)

    async def test_a_key_that_is_being_worked_on_is_not_knowing(self, start: Start) -> None:
        rig = await start(hang_s=3600.0)
        request = await prepared(rig, replace(REQUEST, token="pm_sandbox_do_then_timeout"))
        first = asyncio.create_task(rig.provider.authorize("attempt", request))
        await rig.notices(1)  # so it was done, and now hangs
        again = await rig.provider.authorize("attempt", request)
        assert again == Unknown("http 409", request.provider_payment_id)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    async def test_silence_is_not_knowing_and_asking_again_tells(self, start: Start) -> None:
        rig = await start(hang_s=3600.0)
        request = await prepared(rig, replace(REQUEST, token="pm_sandbox_do_then_timeout"))
        async with rig.another(timeout_s=0.3) as impatient:
            answer = await impatient.authorize("attempt", request)
        assert answer == Unknown("timeout", request.provider_payment_id)
        assert await rig.provider.find(request.provider_payment_id) == Captured(request.provider_payment_id, 1000)

    async def test_a_server_that_is_not_there_is_not_knowing(self) -> None:
        async with StripeProvider(StripeProviderSettings("sk_test_1", url="http://127.0.0.1:1")) as provider:
            answers = [
                await provider.prepare("a", REQUEST),
                await provider.authorize("a", REQUEST),
                await provider.refund("r", RefundRequest("pi_1", 5)),
                await provider.withdraw("w", "a"),
                await provider.find("pi_1"),
            ]
        assert [type(answer) for answer in answers] == [Unknown] * 5

    async def test_a_wrong_api_key_is_not_knowing(self, rig: StripeRig) -> None:
        async with rig.another(api_key="sk_test_guessed") as stranger:
            assert await stranger.prepare("attempt", REQUEST) == Unknown("http 401")

    async def test_a_key_with_another_request_is_not_knowing(self, rig: StripeRig) -> None:
        request = await prepared(rig)
        other = await rig.provider.prepare("attempt", replace(REQUEST, amount_minor=1001))
        assert other == Unknown("key_reused")
        await rig.provider.authorize("attempt", request)
        refunded = await rig.provider.refund("attempt", RefundRequest(request.provider_payment_id, 5))
        assert refunded == Unknown("key_reused", request.provider_payment_id)
        assert await entries(rig) == PAID

    async def test_nothing_withdrawn_is_not_knowing(self, rig: StripeRig) -> None:
        assert await rig.provider.withdraw("w", 'never "seen"') == Unknown("not found")

    async def test_a_status_we_do_not_know_is_unknown(self) -> None:
        shown = {
            "id": "pi_1",
            "status": "on_the_moon",
            "amount": 5,
            "amount_capturable": 0,
            "amount_received": 0,
            "currency": "eur",
            "metadata": {},
            "last_payment_error": None,
            "latest_charge": None,
            "something": "new",
        }
        assert answer_of(IntentShown.model_validate(shown)) == Unknown("unknown status on_the_moon", "pi_1")

    async def test_no_figures_about_our_calls_are_sent_to_anybody(self) -> None:
        assert stripe.enable_telemetry is False


class TestMoney:
    @pytest.mark.parametrize(
        ("currency", "amount_minor", "theirs"),
        [("EUR", 1234, 1234), ("JPY", 500, 500), ("ISK", 500, 50_000), ("MGA", 50_000, 500), ("KWD", 1230, 1230)],
    )
    async def test_amounts_are_counted_as_stripe_counts(
        self, rig: StripeRig, currency: str, amount_minor: int, theirs: int
    ) -> None:
        request = await prepared(rig, replace(HELD, currency=currency, amount_minor=amount_minor))
        payment_id = request.provider_payment_id
        assert await rig.provider.authorize("attempt", request) == Authorized(payment_id, amount_minor)
        captured = await rig.provider.capture("c", CaptureRequest(payment_id, amount_minor))
        assert captured == Captured(payment_id, amount_minor)
        refunded = await rig.provider.refund("r", RefundRequest(payment_id, amount_minor))
        assert isinstance(refunded, Refunded) and refunded.refunded_minor == amount_minor
        books = await rig.their_books()
        assert {entry["amount"] for entry in books["entries"] if entry["kind"] != "fee"} == {theirs}

    @pytest.mark.parametrize(("currency", "amount_minor"), [("MGA", 50_001), ("KWD", 1234)])
    async def test_an_amount_that_stripe_cannot_take_is_refused_by_name(
        self, rig: StripeRig, currency: str, amount_minor: int
    ) -> None:
        request = replace(HELD, currency=currency, amount_minor=amount_minor)
        assert await rig.provider.prepare("a", request) == Impossible("amount_not_payable")
        assert await rig.provider.authorize("a", request) == Impossible("amount_not_payable")
        assert await count_of_intents(rig) == 0


async def test_pending_is_settled_when_told(rig: StripeRig) -> None:
    request = await prepared(rig, replace(HELD, token="pm_sandbox_pending"))
    assert await rig.provider.authorize("attempt", request) == Pending(request.provider_payment_id)
    await rig.settle(request.provider_payment_id, paid=True)
    async with asyncio.timeout(PATIENCE_S):
        [notice] = await rig.notices(1)
    assert notice.answer == Authorized(request.provider_payment_id, 1000)

"""One suite for every payment provider: the sandbox over HTTP, the simulator's fake, and Stripe through its own SDK."""

import asyncio

import pytest

from services.payment.provider.port import (
    Authorized,
    Captured,
    CaptureRequest,
    Declined,
    Impossible,
    Prepared,
    ProviderAnswer,
    Refunded,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
)
from tests.support.provider_asks import (
    PAID,
    asked,
    assert_key_reused,
    authorize,
    authorized,
    done_once,
    entries,
    paid,
    pending,
)
from tests.support.provider_rigs import Rig

pytestmark = pytest.mark.asyncio


class TestPaymentProvider:
    @pytest.mark.parametrize("token", ["tok_ok", "tok_duplicate_webhook", "tok_webhook_first"])
    async def test_a_good_token_is_captured_at_once(self, rig: Rig, token: str) -> None:
        answer = await authorize(rig, "authorize", asked(rig, token))
        assert isinstance(answer, Captured)
        assert answer == Captured(answer.provider_payment_id, 1000, 0)
        assert await entries(rig) == PAID
        assert await rig.provider.find(answer.provider_payment_id) == answer

    @pytest.mark.parametrize("token", ["tok_ok", "tok_duplicate_webhook", "tok_webhook_first"])
    async def test_a_good_token_is_only_authorized_when_not_to_be_captured(self, rig: Rig, token: str) -> None:
        answer = await authorize(rig, "authorize", asked(rig, token, capture=False))
        assert isinstance(answer, Authorized)
        assert answer == Authorized(answer.provider_payment_id, 1000)
        assert await entries(rig) == [("authorize", 1000)]
        assert await rig.provider.find(answer.provider_payment_id) == answer

    async def test_a_declined_token_says_why(self, rig: Rig) -> None:
        answer = await authorize(rig, "authorize", asked(rig, "tok_declined"))
        assert isinstance(answer, Declined)
        assert answer.reason == rig.manners.decline_reason
        assert await entries(rig) == [("decline", 1000)]
        assert await rig.provider.find(str(answer.provider_payment_id)) == answer

    @pytest.mark.parametrize("token", ["tok_nobody_knows", "4242"])
    async def test_a_token_that_nobody_knows_is_declined(self, rig: Rig, token: str) -> None:
        answer = await authorize(rig, "authorize", asked(rig, token))
        assert isinstance(answer, Declined)
        assert answer.reason == "unknown_token"
        assert await authorize(rig, "authorize", asked(rig, token)) == answer
        # Refused before anything began, or written down as declined: no money in either case.
        assert await rig.provider.find(str(answer.provider_payment_id)) in (
            answer,
            Prepared(str(answer.provider_payment_id)),
        )
        assert {kind for kind, _ in await entries(rig)} <= {"decline"}

    async def test_an_error_does_nothing_and_the_third_ask_is_answered(self, rig: Rig) -> None:
        for _ in range(2):
            assert isinstance(await authorize(rig, "authorize", asked(rig, "tok_error")), Unknown)
            assert await entries(rig) == []
        assert isinstance(await authorize(rig, "authorize", asked(rig, "tok_error")), Captured)
        assert await entries(rig) == PAID

    async def test_errors_are_counted_per_key(self, rig: Rig) -> None:
        for key in ("first", "first", "second"):
            assert isinstance(await authorize(rig, key, asked(rig, "tok_error")), Unknown)
        assert isinstance(await authorize(rig, "second", asked(rig, "tok_error")), Unknown)

    async def test_a_timeout_without_doing_is_done_when_asked_again(self, rig: Rig) -> None:
        assert isinstance(await authorize(rig, "authorize", asked(rig, "tok_timeout")), Unknown)
        assert await entries(rig) == []
        assert isinstance(await authorize(rig, "authorize", asked(rig, "tok_timeout")), Captured)
        assert await entries(rig) == PAID

    async def test_a_timeout_after_doing_is_not_done_again(self, rig: Rig) -> None:
        assert isinstance(await authorize(rig, "authorize", asked(rig, "tok_do_then_timeout")), Unknown)
        assert await entries(rig) == PAID
        answer = await authorize(rig, "authorize", asked(rig, "tok_do_then_timeout"))
        assert isinstance(answer, Captured)
        assert await entries(rig) == PAID
        assert [payment["id"] for payment in (await rig.books())["payments"]] == [answer.provider_payment_id]

    async def test_the_books_name_key_reference_currency_and_instant(self, rig: Rig) -> None:
        payment_id = await authorized(rig)
        await rig.provider.capture("capture", CaptureRequest(payment_id, 600))
        books = await rig.books()
        known = [(e["kind"], e["payment_id"], e["key"], e["currency"], e["reference"]) for e in books["entries"]]
        assert known == [
            ("authorize", payment_id, "authorize", "EUR", "order-1"),
            ("capture", payment_id, "capture", "EUR", "order-1"),
        ]
        assert all(entry["instant"] for entry in books["entries"])
        assert books["payments"] == [
            {
                "id": payment_id,
                "key": "authorize",
                "status": "captured",
                "amount_minor": 1000,
                "captured_minor": 600,
                "refunded_minor": 0,
                "voided_minor": 0,
                "currency": "EUR",
                "reference": "order-1",
                "decline_reason": None,
            }
        ]

    # Keys

    @pytest.mark.parametrize("token", ["tok_ok", "tok_declined", "tok_pending"])
    async def test_the_same_key_and_request_bring_the_same_answer(self, rig: Rig, token: str) -> None:
        answer = await authorize(rig, "authorize", asked(rig, token))
        books = await rig.books()
        assert await authorize(rig, "authorize", asked(rig, token)) == answer
        assert await rig.books() == books

    async def test_another_key_is_another_payment(self, rig: Rig) -> None:
        first = await authorize(rig, "first", asked(rig))
        second = await authorize(rig, "second", asked(rig))
        assert isinstance(first, Captured) and isinstance(second, Captured)
        assert first.provider_payment_id != second.provider_payment_id
        assert await entries(rig) == PAID + PAID

    async def test_a_refund_asked_again_is_not_done_again(self, rig: Rig) -> None:
        payment_id = await paid(rig)
        refunded = await rig.provider.refund("refund", RefundRequest(payment_id, 300))
        assert isinstance(refunded, Refunded)
        assert refunded == Refunded(payment_id, 300, refunded.provider_refund_id)
        assert refunded.provider_refund_id
        assert await rig.provider.refund("refund", RefundRequest(payment_id, 300)) == refunded
        assert await entries(rig) == [*PAID, ("refund", 300)]

    async def test_an_impossibility_asked_again_is_the_same_answer(self, rig: Rig) -> None:
        payment_id = await authorized(rig)
        early = await rig.provider.refund("refund", RefundRequest(payment_id, 300))
        await rig.provider.capture("capture", CaptureRequest(payment_id, 1000))
        assert early == Impossible("refund_above_captured", "authorized", payment_id)
        again = await rig.provider.refund("refund", RefundRequest(payment_id, 300))
        assert isinstance(again, Impossible)
        assert again.error == early.error  # the status is the payment's: now, or then

    async def test_a_key_with_another_amount_is_refused(self, rig: Rig) -> None:
        await authorize(rig, "authorize", asked(rig))
        books = await rig.books()
        answer = await authorize(rig, "authorize", asked(rig, amount_minor=1001))
        assert_key_reused(rig, answer)
        assert await rig.books() == books

    async def test_a_key_of_another_operation_is_refused(self, rig: Rig) -> None:
        payment_id = await paid(rig)
        answer = await rig.provider.refund("authorize", RefundRequest(payment_id, 1000))
        assert_key_reused(rig, answer)
        assert await entries(rig) == PAID

    async def test_a_key_is_bound_by_a_call_that_did_nothing(self, rig: Rig) -> None:
        await authorize(rig, "authorize", asked(rig, "tok_error"))
        answer = await authorize(rig, "authorize", asked(rig, "tok_error", amount_minor=1))
        assert_key_reused(rig, answer)

    @pytest.mark.parametrize("token", ["tok_ok", "tok_webhook_first"])
    async def test_one_key_asked_at_the_same_time_is_done_once(self, rig: Rig, token: str) -> None:
        answers = await asyncio.gather(*(authorize(rig, "authorize", asked(rig, token)) for _ in range(8)))
        assert isinstance(done_once(rig, answers), Captured)
        assert await entries(rig) == PAID

    async def test_one_refund_key_asked_at_the_same_time_is_done_once(self, rig: Rig) -> None:
        payment_id = await paid(rig)
        refund = RefundRequest(payment_id, 400)
        answers = await asyncio.gather(*(rig.provider.refund("refund", refund) for _ in range(8)))
        assert isinstance(done_once(rig, answers), Refunded)
        assert await entries(rig) == [*PAID, ("refund", 400)]

    async def test_refunds_with_different_keys_together_never_exceed_what_was_captured(self, rig: Rig) -> None:
        payment_id = await paid(rig)
        refund = RefundRequest(payment_id, 400)
        answers = await asyncio.gather(*(rig.provider.refund(f"refund {n}", refund) for n in range(4)))
        assert sorted(type(answer).__name__ for answer in answers) == ["Impossible"] * 2 + ["Refunded"] * 2
        assert await entries(rig) == [*PAID, ("refund", 400), ("refund", 400)]

    # Capture, void, refund and their limits

    async def test_an_authorization_is_captured_in_parts_and_never_above(self, rig: Rig) -> None:
        payment_id = await authorized(rig)
        assert await rig.provider.capture("1", CaptureRequest(payment_id, 600)) == Captured(payment_id, 600)
        above = await rig.provider.capture("2", CaptureRequest(payment_id, 401))
        assert above == Impossible("capture_above_authorized", "captured", payment_id)
        assert await rig.provider.capture("3", CaptureRequest(payment_id, 400)) == Captured(payment_id, 1000)
        assert await entries(rig) == [("authorize", 1000), ("capture", 600), ("capture", 400)]

    async def test_an_authorization_is_voided(self, rig: Rig) -> None:
        payment_id = await authorized(rig)
        assert await rig.provider.void("void", VoidRequest(payment_id)) == Voided(payment_id, 1000)
        assert await rig.provider.find(payment_id) == Voided(payment_id, 1000)
        assert await entries(rig) == [("authorize", 1000), ("void", 1000)]

    async def test_the_rest_of_a_part_capture_is_voided(self, rig: Rig) -> None:
        payment_id = await authorized(rig)
        await rig.provider.capture("capture", CaptureRequest(payment_id, 600))
        assert await rig.provider.void("void", VoidRequest(payment_id)) == Voided(payment_id, 400)
        assert await rig.provider.find(payment_id) == Captured(payment_id, 600)
        above = await rig.provider.capture("again", CaptureRequest(payment_id, 1))
        assert above == Impossible("capture_above_authorized", "captured", payment_id)
        assert await entries(rig) == [("authorize", 1000), ("capture", 600), ("void", 400)]

    async def test_a_captured_payment_cannot_be_voided(self, rig: Rig) -> None:
        payment_id = await paid(rig)
        answer = await rig.provider.void("void", VoidRequest(payment_id))
        assert answer == Impossible("already_captured", "captured", payment_id)
        assert await entries(rig) == PAID

    async def test_a_voided_payment_can_be_neither_voided_nor_captured_nor_refunded(self, rig: Rig) -> None:
        payment_id = await authorized(rig)
        await rig.provider.void("void", VoidRequest(payment_id))
        voided = Impossible("already_voided", "voided", payment_id)
        assert await rig.provider.void("void again", VoidRequest(payment_id)) == voided
        assert await rig.provider.capture("capture", CaptureRequest(payment_id, 1)) == voided
        refund = await rig.provider.refund("refund", RefundRequest(payment_id, 1))
        assert refund == Impossible("refund_above_captured", "voided", payment_id)
        assert await entries(rig) == [("authorize", 1000), ("void", 1000)]

    async def test_a_declined_payment_can_be_neither_voided_nor_captured(self, rig: Rig) -> None:
        declined = await authorize(rig, "authorize", asked(rig, "tok_declined"))
        assert isinstance(declined, Declined) and declined.provider_payment_id
        payment_id = declined.provider_payment_id
        refused = Impossible("not_authorized", "declined", payment_id)
        assert await rig.provider.capture("capture", CaptureRequest(payment_id, 1)) == refused
        ended = Voided(payment_id, 0) if rig.manners.voids_declined else refused
        assert await rig.provider.void("void", VoidRequest(payment_id)) == ended

    async def test_a_pending_payment_cannot_be_captured(self, rig: Rig) -> None:
        payment_id = await pending(rig)
        answer = await rig.provider.capture("capture", CaptureRequest(payment_id, 1000))
        assert answer == Impossible("not_authorized", "pending", payment_id)

    async def test_refunds_in_parts_and_never_above_what_was_captured(self, rig: Rig) -> None:
        payment_id = await authorized(rig)
        await rig.provider.capture("capture", CaptureRequest(payment_id, 700))
        first = await rig.provider.refund("1", RefundRequest(payment_id, 500))
        assert isinstance(first, Refunded) and first.refunded_minor == 500
        assert await rig.provider.find(payment_id) == Captured(payment_id, 700, 500)
        above = await rig.provider.refund("2", RefundRequest(payment_id, 201))
        assert above == Impossible("refund_above_captured", "captured", payment_id)
        rest = await rig.provider.refund("3", RefundRequest(payment_id, 200))
        assert isinstance(rest, Refunded) and rest.refunded_minor == 700
        assert rest.provider_refund_id != first.provider_refund_id
        assert await rig.provider.find(payment_id) == Refunded(payment_id, 700)
        assert await entries(rig) == [("authorize", 1000), ("capture", 700), ("refund", 500), ("refund", 200)]

    async def test_a_payment_not_found_is_not_an_outcome(self, rig: Rig) -> None:
        answers: list[ProviderAnswer] = [
            await rig.provider.find("pay_nowhere"),
            await rig.provider.capture("capture", CaptureRequest("pay_nowhere", 1)),
            await rig.provider.void("void", VoidRequest("pay_nowhere")),
            await rig.provider.refund("refund", RefundRequest("pay_nowhere", 1)),
        ]
        assert answers == [Unknown("http 404", "pay_nowhere")] * 4

    # Faults after the authorization

    async def test_the_first_two_refunds_can_fail(self, rig: Rig) -> None:
        payment_id = await paid(rig, "tok_ok_refund_error")
        refund = RefundRequest(payment_id, 1000)
        for _ in range(2):
            assert isinstance(await rig.provider.refund("refund", refund), Unknown)
            assert await entries(rig) == PAID
        assert isinstance(await rig.provider.refund("refund", refund), Refunded)
        assert await entries(rig) == [*PAID, ("refund", 1000)]

    async def test_a_refund_can_be_done_and_not_answered(self, rig: Rig) -> None:
        payment_id = await paid(rig, "tok_ok_refund_timeout")
        refund = RefundRequest(payment_id, 1000)
        assert isinstance(await rig.provider.refund("refund", refund), Unknown)
        assert await entries(rig) == [*PAID, ("refund", 1000)]
        assert isinstance(await rig.provider.refund("refund", refund), Refunded)
        assert await entries(rig) == [*PAID, ("refund", 1000)]

    async def test_capture_and_void_can_fail_too(self, rig: Rig) -> None:
        payment_id = await authorized(rig, "tok_ok_capture_timeout_void_error")
        capture = CaptureRequest(payment_id, 600)
        assert isinstance(await rig.provider.capture("capture", capture), Unknown)
        assert isinstance(await rig.provider.capture("capture", capture), Captured)
        for _ in range(2):
            assert isinstance(await rig.provider.void("void", VoidRequest(payment_id)), Unknown)
        assert isinstance(await rig.provider.void("void", VoidRequest(payment_id)), Voided)
        assert await entries(rig) == [("authorize", 1000), ("capture", 600), ("void", 400)]

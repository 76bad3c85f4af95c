"""One suite for every payment provider: the sandbox over HTTP, the simulator's fake, and Stripe through its own SDK."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from services.payment.provider.port import (
    Authorized,
    AuthorizeRequest,
    Captured,
    CaptureRequest,
    Declined,
    Failed,
    Impossible,
    Pending,
    Prepared,
    ProviderAnswer,
    Refunded,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
)
from tests.support.provider_rigs import HttpRig, Rig, ScriptedRig
from tests.support.stripe_rig import StripeRig

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture(params=["http", "scripted", "stripe"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "scripted":
        yield ScriptedRig()
        return
    started = await (HttpRig() if request.param == "http" else StripeRig()).start()
    yield started
    await started.stop()


def asked(rig: Rig, token: str = "tok_ok", capture: bool = True, amount_minor: int = 1000) -> AuthorizeRequest:
    return AuthorizeRequest(amount_minor, "EUR", rig.token(token), "order-1", capture, rig.webhook_url)


async def authorize(rig: Rig, key: str, request: AuthorizeRequest) -> ProviderAnswer:
    """As payment asks: prepared first, where the provider has it so."""
    if rig.provider.prepares:
        prepared = await rig.provider.prepare(key, request)
        if not isinstance(prepared, Prepared):
            return prepared
        request = replace(request, provider_payment_id=prepared.provider_payment_id)
    return await rig.provider.authorize(key, request)


def assert_key_reused(rig: Rig, answer: ProviderAnswer) -> None:
    assert type(answer) is rig.manners.key_reused
    assert "key_reused" in (getattr(answer, "error", ""), getattr(answer, "why", ""))


def assert_withdrawn(rig: Rig, answer: ProviderAnswer) -> None:
    """What an authorization hears whose key was withdrawn before it."""
    if rig.manners.has_tombstones:
        assert isinstance(answer, Declined)
        assert answer.reason == "withdrawn"
    else:
        assert isinstance(answer, Impossible)
        assert (answer.error, answer.status) == ("already_voided", "voided")


async def withdrawn_first(rig: Rig, request: AuthorizeRequest) -> None:
    """The key is withdrawn before it asks for money."""
    if not rig.manners.has_tombstones:
        prepared = await rig.provider.prepare("authorize", request)
        assert isinstance(prepared, Prepared)
        assert await rig.provider.withdraw("withdraw", "authorize") == Voided(prepared.provider_payment_id, 0)
    else:
        assert await rig.provider.withdraw("withdraw", "authorize") == Voided(None)


def done_once(rig: Rig, answers: list[ProviderAnswer]) -> ProviderAnswer:
    """The one outcome of a key that was asked many times at once."""
    busy = "http 409" if rig.manners.busy_while_in_flight else None
    known = {answer for answer in answers if getattr(answer, "why", "") != busy}
    assert len(known) == 1, answers
    return known.pop()


async def paid(rig: Rig, token: str = "tok_ok", amount_minor: int = 1000) -> str:
    answer = await authorize(rig, "authorize", asked(rig, token, True, amount_minor))
    assert isinstance(answer, Captured)
    return answer.provider_payment_id


async def authorized(rig: Rig, token: str = "tok_ok", amount_minor: int = 1000) -> str:
    answer = await authorize(rig, "authorize", asked(rig, token, False, amount_minor))
    assert isinstance(answer, Authorized)
    return answer.provider_payment_id


async def pending(rig: Rig, token: str = "tok_pending") -> str:
    answer = await authorize(rig, "authorize", asked(rig, token))
    assert isinstance(answer, Pending)
    return answer.provider_payment_id


async def entries(rig: Rig) -> list[tuple[str, int]]:
    return [(entry["kind"], entry["amount_minor"]) for entry in (await rig.books())["entries"]]


PAID = [("authorize", 1000), ("capture", 1000)]


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

    # Withdrawing by the key of the authorization

    async def test_withdrawing_voids_an_authorization(self, rig: Rig) -> None:
        payment_id = await authorized(rig)
        assert await rig.provider.withdraw("withdraw", "authorize") == Voided(payment_id, 1000)
        assert await entries(rig) == [("authorize", 1000), ("void", 1000)]

    async def test_withdrawing_refunds_what_was_captured(self, rig: Rig) -> None:
        payment_id = await paid(rig)
        await rig.provider.refund("refund", RefundRequest(payment_id, 300))
        assert await rig.provider.withdraw("withdraw", "authorize") == Refunded(payment_id, 1000)
        assert await entries(rig) == [*PAID, ("refund", 300), ("refund", 700)]

    async def test_withdrawing_a_part_capture_voids_the_rest_and_refunds_the_part(self, rig: Rig) -> None:
        payment_id = await authorized(rig)
        await rig.provider.capture("capture", CaptureRequest(payment_id, 600))
        assert await rig.provider.withdraw("withdraw", "authorize") == Refunded(payment_id, 600)
        assert await entries(rig) == [("authorize", 1000), ("capture", 600), ("void", 400), ("refund", 600)]

    async def test_withdrawing_a_pending_payment_ends_it(self, rig: Rig) -> None:
        payment_id = await pending(rig)
        assert await rig.provider.withdraw("withdraw", "authorize") == Voided(payment_id, 0)
        await rig.settle(payment_id, paid=True)
        assert await rig.provider.find(payment_id) == Voided(payment_id, 0)
        assert await entries(rig) == [("void", 0)]
        await rig.notices(0)

    @pytest.mark.parametrize("token", ["tok_ok", "tok_error", "tok_timeout", "tok_do_then_timeout", "tok_pending"])
    async def test_a_withdrawn_key_is_declined_when_it_comes_later(self, rig: Rig, token: str) -> None:
        await withdrawn_first(rig, asked(rig, token))
        answer = await authorize(rig, "authorize", asked(rig, token))
        assert_withdrawn(rig, answer)
        assert await authorize(rig, "authorize", asked(rig, token)) == answer
        assert {kind for kind, _ in await entries(rig)} <= {"decline"}

    @pytest.mark.parametrize("token", ["tok_error", "tok_timeout"])
    async def test_a_key_whose_first_call_did_nothing_can_be_withdrawn(self, rig: Rig, token: str) -> None:
        assert isinstance(await authorize(rig, "authorize", asked(rig, token)), Unknown)
        await withdrawn_first(rig, asked(rig, token))
        assert_withdrawn(rig, await authorize(rig, "authorize", asked(rig, token)))

    async def test_a_key_that_was_done_and_not_answered_can_be_withdrawn(self, rig: Rig) -> None:
        assert isinstance(await authorize(rig, "authorize", asked(rig, "tok_do_then_timeout")), Unknown)
        assert isinstance(await rig.provider.withdraw("withdraw", "authorize"), Refunded)
        assert await entries(rig) == [*PAID, ("refund", 1000)]

    async def test_withdrawing_suffers_the_faults_of_the_refund_or_void_it_is(self, rig: Rig) -> None:
        token = "tok_ok_refund_error_void_timeout"
        await authorize(rig, "captured", asked(rig, token))
        await authorize(rig, "held", asked(rig, token, capture=False))
        books = await rig.books()
        for _ in range(2):
            assert isinstance(await rig.provider.withdraw("refund", "captured"), Unknown)
        assert await rig.books() == books
        assert isinstance(await rig.provider.withdraw("refund", "captured"), Refunded)
        assert isinstance(await rig.provider.withdraw("void", "held"), Unknown)
        assert await entries(rig) == [*PAID, ("authorize", 1000), ("refund", 1000), ("void", 1000)]
        assert isinstance(await rig.provider.withdraw("void", "held"), Voided)

    async def test_withdrawing_twice_changes_nothing_more(self, rig: Rig) -> None:
        payment_id = await paid(rig)
        first = await rig.provider.withdraw("withdraw", "authorize")
        assert await rig.provider.withdraw("withdraw", "authorize") == first
        assert await rig.provider.withdraw("withdraw again", "authorize") == Refunded(payment_id, 1000)
        assert await entries(rig) == [*PAID, ("refund", 1000)]

    async def test_withdrawing_a_declined_payment_says_declined(self, rig: Rig) -> None:
        declined = await authorize(rig, "authorize", asked(rig, "tok_declined"))
        assert await rig.provider.withdraw("withdraw", "authorize") == declined
        assert await entries(rig) == [("decline", 1000)]

    # Pending payments and webhooks

    @pytest.mark.parametrize(
        ("token", "kind", "answer_type"),
        [
            ("tok_pending_then_paid", "payment.captured", Captured),
            ("tok_pending_then_failed", "payment.failed", Failed),
        ],
    )
    async def test_a_pending_payment_settles_and_says_so(
        self, rig: Rig, token: str, kind: str, answer_type: type[Captured] | type[Failed]
    ) -> None:
        payment_id = await pending(rig, token)
        [notice] = await rig.notices(1)
        assert (notice.type, notice.provider_payment_id) == (rig.manners.events[kind], payment_id)
        assert notice.authorize_key == "authorize"
        assert (notice.reference, notice.amount_minor, notice.currency) == ("order-1", 1000, "EUR")
        assert isinstance(notice.answer, answer_type)
        assert await rig.provider.find(payment_id) == notice.answer
        assert await authorize(rig, "authorize", asked(rig, token)) == Pending(payment_id)  # the same answer

    async def test_a_pending_authorization_settles_as_authorized(self, rig: Rig) -> None:
        answer = await authorize(rig, "authorize", asked(rig, "tok_pending_then_paid", capture=False))
        assert isinstance(answer, Pending)
        [notice] = await rig.notices(1)
        assert notice.type == rig.manners.events["payment.authorized"]
        assert notice.answer == Authorized(answer.provider_payment_id, 1000)

    @pytest.mark.parametrize(
        ("paid", "answer_type", "kinds"), [(True, Captured, ["authorize", "capture"]), (False, Failed, ["fail"])]
    )
    async def test_tok_pending_waits_to_be_settled_and_is_settled_once(
        self, rig: Rig, paid: bool, answer_type: type[Any], kinds: list[str]
    ) -> None:
        payment_id = await pending(rig)
        assert await entries(rig) == []
        await rig.notices(0)
        await rig.settle(payment_id, paid)
        await rig.settle(payment_id, not paid)
        [notice] = await rig.notices(1)
        assert isinstance(notice.answer, answer_type)
        assert await rig.provider.find(payment_id) == notice.answer
        assert [kind for kind, _ in await entries(rig)] == kinds

    async def test_a_voided_pending_payment_does_not_settle(self, rig: Rig) -> None:
        payment_id = await pending(rig)
        assert await rig.provider.void("void", VoidRequest(payment_id)) == Voided(payment_id, 0)
        await rig.settle(payment_id, paid=True)
        await rig.notices(0)
        assert await rig.provider.find(payment_id) == Voided(payment_id, 0)

    async def test_a_duplicate_webhook_is_one_event_told_twice(self, rig: Rig) -> None:
        payment_id = await paid(rig, "tok_duplicate_webhook")
        first, second = await rig.notices(2)
        assert first == second
        assert first.answer == Captured(payment_id, 1000)

    async def test_the_webhook_that_comes_first_is_there_when_the_answer_is(self, rig: Rig) -> None:
        payment_id = await paid(rig, "tok_webhook_first")
        [notice] = await rig.notices(1)
        assert (notice.provider_payment_id, notice.authorize_key) == (payment_id, "authorize")

    async def test_two_events_have_two_ids(self, rig: Rig) -> None:
        for key in ("first", "second"):
            await authorize(rig, key, asked(rig, "tok_webhook_first"))
        first, second = await rig.notices(2)
        assert first.id != second.id

    async def test_an_answer_given_again_tells_nothing_again(self, rig: Rig) -> None:
        await paid(rig, "tok_webhook_first")
        await paid(rig, "tok_webhook_first")
        await rig.notices(1)

    async def test_a_plain_token_and_what_follows_it_are_silent(self, rig: Rig) -> None:
        payment_id = await paid(rig)
        await rig.provider.refund("refund", RefundRequest(payment_id, 1000))
        await rig.notices(1 if rig.manners.tells_all else 0)

    async def test_without_an_address_nothing_is_told(self, rig: Rig) -> None:
        request = replace(asked(rig, "tok_webhook_first"), webhook_url=None)
        assert isinstance(await authorize(rig, "authorize", request), Captured)
        await rig.notices(1 if rig.manners.tells_all else 0)

"""Withdrawing by the key of the authorization, which may not have arrived yet: every provider must be right."""

import pytest

from services.payment.provider.port import CaptureRequest, Refunded, RefundRequest, Unknown, Voided
from tests.support.provider_asks import (
    PAID,
    asked,
    assert_withdrawn,
    authorize,
    authorized,
    entries,
    paid,
    pending,
    withdrawn_first,
)
from tests.support.provider_rigs import Rig

pytestmark = pytest.mark.asyncio


class TestWithdrawals:
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

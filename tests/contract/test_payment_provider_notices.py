"""Payments that settle later, and the notices every provider sends: one suite for all of them."""

from dataclasses import replace
from typing import Any

import pytest

from services.payment.provider.port import Authorized, Captured, Failed, Pending, RefundRequest, Voided, VoidRequest
from tests.support.provider_asks import asked, authorize, entries, paid, pending
from tests.support.provider_rigs import Rig

pytestmark = pytest.mark.asyncio


class TestNotices:
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

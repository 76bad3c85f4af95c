"""Captures in parts, as Stripe does them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.payment.provider.port import (
    Authorized,
    Captured,
    CaptureRequest,
    Impossible,
    Refunded,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
)
from tests.support.stripe_asks import HELD, PAID, entries, held, paid, prepared
from tests.support.stripe_rig import StripeRig

pytestmark = pytest.mark.asyncio


class TestCapturesInParts:
    async def test_it_says_when_a_hold_lapses(self, rig: StripeRig) -> None:
        request = await prepared(rig, HELD)
        before = datetime.now(UTC)
        answer = await rig.provider.authorize("attempt", request)
        assert isinstance(answer, Authorized) and answer.capture_before is not None
        assert timedelta(days=6) < answer.capture_before - before < timedelta(days=8)

    async def test_what_is_not_captured_stays_capturable(self, rig: StripeRig) -> None:
        payment_id = await held(rig)
        for number, taken in enumerate((300, 600, 1000)):
            part = taken - (0, 300, 600)[number]
            captured = await rig.provider.capture(f"c{number}", CaptureRequest(payment_id, part))
            assert captured == Captured(payment_id, taken)
        assert await entries(rig) == [("authorize", 1000), ("capture", 300), ("capture", 300), ("capture", 400)]
        [shown] = (await rig.their_books())["payments"]
        assert (shown["status"], shown["amount_capturable"]) == ("succeeded", 0)

    async def test_a_capture_asked_again_is_not_done_again(self, rig: StripeRig) -> None:
        payment_id = await held(rig, "pm_sandbox_ok_capture_timeout")
        assert isinstance(await rig.provider.capture("c", CaptureRequest(payment_id, 600)), Unknown)
        for _ in range(2):
            assert await rig.provider.capture("c", CaptureRequest(payment_id, 600)) == Captured(payment_id, 600)
        assert await entries(rig) == [("authorize", 1000), ("capture", 600)]

    async def test_a_refund_asked_again_after_its_key_was_forgotten_is_not_given_twice(self, rig: StripeRig) -> None:
        """Stripe drops a key after a day."""
        payment_id = await paid(rig)
        first = await rig.provider.refund("r", RefundRequest(payment_id, 400))
        rig.server.forget_keys()
        assert await rig.provider.refund("r", RefundRequest(payment_id, 400)) == first
        assert await rig.provider.refund("r", RefundRequest(payment_id, 300)) == Unknown("key_reused", payment_id)
        assert [entry for entry in await entries(rig) if entry[0] == "refund"] == [("refund", 400)]

    @pytest.mark.parametrize(
        ("status", "answer"),
        [
            ("pending", Unknown("the refund is pending", "")),
            ("requires_action", Unknown("the refund is requires_action", "")),
            ("failed", Impossible("refund_failed", None, "")),
            ("canceled", Impossible("refund_failed", None, "")),
        ],
    )
    async def test_only_a_refund_that_succeeded_is_one(
        self, rig: StripeRig, status: str, answer: Unknown | Impossible
    ) -> None:
        payment_id = await paid(rig)
        rig.server.shelf.refund_status = status
        asked = RefundRequest(payment_id, 400)
        assert await rig.provider.refund("r", asked) == replace(answer, provider_payment_id=payment_id)
        (made,) = rig.server.shelf.refunds.values()
        made.status = "succeeded"
        assert isinstance(await rig.provider.refund("r", asked), Refunded)

    async def test_refunds_between_captures_are_told_apart_from_what_is_let_go(self, rig: StripeRig) -> None:
        payment_id = await held(rig)
        await rig.provider.capture("c1", CaptureRequest(payment_id, 500))
        first = await rig.provider.refund("r1", RefundRequest(payment_id, 200))
        assert isinstance(first, Refunded) and first.refunded_minor == 200
        assert await rig.provider.capture("c2", CaptureRequest(payment_id, 100)) == Captured(payment_id, 600, 200)
        assert await rig.provider.void("v", VoidRequest(payment_id)) == Voided(payment_id, 400)
        assert await rig.provider.find(payment_id) == Captured(payment_id, 600, 200)
        above = await rig.provider.refund("r2", RefundRequest(payment_id, 401))
        assert above == Impossible("refund_above_captured", "captured", payment_id)
        rest = await rig.provider.refund("r3", RefundRequest(payment_id, 400))
        assert isinstance(rest, Refunded) and rest.refunded_minor == 600
        again = await rig.provider.refund("r4", RefundRequest(payment_id, 1))
        assert again == Impossible("refund_above_captured", "refunded", payment_id)

    async def test_a_card_without_captures_in_parts_is_captured_whole(self, rig: StripeRig) -> None:
        payment_id = await held(rig, "pm_sandbox_single_capture")
        part = await rig.provider.capture("c1", CaptureRequest(payment_id, 600))
        assert part == Impossible("multicapture_unavailable", "authorized", payment_id)
        for _ in range(2):
            assert await rig.provider.capture("c2", CaptureRequest(payment_id, 1000)) == Captured(payment_id, 1000)
        assert await entries(rig) == PAID

    async def test_by_setting_the_first_capture_is_the_last(self, rig: StripeRig) -> None:
        async with rig.another(multicapture=False) as provider:
            answer = await provider.authorize("attempt", HELD)
            assert isinstance(answer, Authorized)
            payment_id = answer.provider_payment_id
            assert await provider.capture("c", CaptureRequest(payment_id, 600)) == Captured(payment_id, 600)
            more = await provider.capture("c2", CaptureRequest(payment_id, 400))
            assert more == Impossible("capture_above_authorized", "captured", payment_id)
            assert await provider.find(payment_id) == Captured(payment_id, 600)
        assert await entries(rig) == [("authorize", 1000), ("capture", 600), ("void", 400)]

    async def test_until_when_it_may_be_captured_is_said_on_the_charge(self, rig: StripeRig) -> None:
        await held(rig)
        [charge] = (await rig.their_books())["charges"]
        assert charge["payment_method_details"]["card"]["capture_before"] == charge["created"] + 7 * 24 * 3600

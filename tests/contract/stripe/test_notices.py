"""What Stripe sends by itself: proven before it is believed, right in any order, and of disputes too."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import stripe

from services.payment.provider.port import (
    WEBHOOK_BODY_LIMIT,
    AuthorizeRequest,
    BadNotice,
    BadSignature,
    Captured,
    CaptureRequest,
    Disputed,
    Failed,
    Pending,
    Prepared,
    Refunded,
    RefundRequest,
    Uninteresting,
    Voided,
    VoidRequest,
    WebhookNotice,
)
from services.payment.provider.stripe_notices import HEADER_LIMIT, TOLERANCE_S, hear
from services.sandbox.stripe.outgoing import signature
from tests.contract.stripe.conftest import Start
from tests.support.stripe_rig import WEBHOOK_SECRET, StripeRig

pytestmark = pytest.mark.asyncio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST = AuthorizeRequest(1000, "EUR", "pm_card_visa", "order-1", True)
ALL = frozenset({"*"})


async def asked(rig: StripeRig, token: str = "pm_card_visa", capture: bool = True, key: str = "attempt") -> str:
    request = replace(REQUEST, token=token, capture=capture)
    prepared = await rig.provider.prepare(key, request)
    assert isinstance(prepared, Prepared)
    await rig.provider.authorize(key, replace(request, provider_payment_id=prepared.provider_payment_id))
    return prepared.provider_payment_id


def event(type_: str = "payment_intent.succeeded", **changed: Any) -> bytes:
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": 1000,
        "amount_capturable": 0,
        "amount_received": 1000,
        "currency": "eur",
        "metadata": {"waybill_reference": "order-1", "waybill_attempt": "attempt"},
        "last_payment_error": None,
        "latest_charge": "ch_1",
        **changed,
    }
    created = int(NOW.timestamp())
    return orjson.dumps(
        {"id": "evt_1", "object": "event", "type": type_, "created": created, "data": {"object": intent}}
    )


BODY = event()


def headers(body: bytes = BODY, at: datetime = NOW, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    return {"Stripe-Signature": signature(secret, int(at.timestamp()), body)}


class TestProving:
    async def test_a_rightly_signed_notice_is_read(self) -> None:
        notice = hear(WEBHOOK_SECRET, headers(), BODY, NOW)
        assert notice == WebhookNotice(
            "evt_1",
            "payment_intent.succeeded",
            NOW,
            "pi_1",
            "attempt",
            "order-1",
            1000,
            "EUR",
            Captured("pi_1", 1000),
        )

    async def test_we_sign_as_the_sdk_does(self) -> None:
        signed = stripe.WebhookSignature.generate_signature_header(BODY.decode(), WEBHOOK_SECRET, 1_700_000_000)
        assert signature(WEBHOOK_SECRET, 1_700_000_000, BODY) == signed

    async def test_header_names_are_read_in_any_case(self) -> None:
        lower = {name.lower(): value for name, value in headers().items()}
        assert hear(WEBHOOK_SECRET, lower, BODY, NOW).id == "evt_1"

    async def test_one_of_several_signatures_is_enough(self) -> None:
        stamp, signed = headers()["Stripe-Signature"].split(",")
        several = {"Stripe-Signature": f"{stamp},v0=abc,v1={'0' * 64},{signed}"}
        assert hear(WEBHOOK_SECRET, several, BODY, NOW).id == "evt_1"

    @pytest.mark.parametrize("age_s", [-TOLERANCE_S, TOLERANCE_S])
    async def test_the_tolerance_is_a_tolerance(self, age_s: int) -> None:
        assert hear(WEBHOOK_SECRET, headers(at=NOW - timedelta(seconds=age_s)), BODY, NOW).id == "evt_1"

    @pytest.mark.parametrize(
        ("given", "body"),
        [
            pytest.param(headers(), BODY.replace(b"1000", b"9999"), id="body changed"),
            pytest.param(headers(secret="whsec_guessed"), BODY, id="other secret"),
            pytest.param(headers(at=NOW - timedelta(seconds=TOLERANCE_S + 1)), BODY, id="stale"),
            pytest.param(headers(at=NOW + timedelta(seconds=TOLERANCE_S + 1)), BODY, id="from the future"),
            pytest.param({"Stripe-Signature": ""}, BODY, id="empty"),
            pytest.param({"Stripe-Signature": "t=,v1="}, BODY, id="empty parts"),
            pytest.param({"Stripe-Signature": f"t={int(NOW.timestamp())}"}, BODY, id="no signature"),
            pytest.param({"Stripe-Signature": f"t={int(NOW.timestamp())},v1=ü"}, BODY, id="not ascii"),
            pytest.param({"Stripe-Signature": headers()["Stripe-Signature"].replace("v1", "v0")}, BODY, id="v0"),
            pytest.param({"Stripe-Signature": "t= 1," + headers()["Stripe-Signature"]}, BODY, id="two times"),
            pytest.param({"Stripe-Signature": headers()["Stripe-Signature"] + "," * HEADER_LIMIT}, BODY, id="long"),
            pytest.param(headers(b"\xff"), b"\xff", id="not text"),
            pytest.param({}, BODY, id="no headers"),
        ],
    )
    async def test_what_is_not_proven_is_not_believed(self, given: dict[str, str], body: bytes) -> None:
        with pytest.raises(BadSignature):
            hear(WEBHOOK_SECRET, given, body, NOW)

    @pytest.mark.parametrize("secret", ["", " "])
    async def test_without_a_secret_nothing_is_believed(self, secret: str) -> None:
        with pytest.raises(BadSignature):
            hear(secret, headers(secret=secret), BODY, NOW)

    async def test_a_body_too_large_is_refused_before_it_is_hashed(self) -> None:
        large = b"x" * (WEBHOOK_BODY_LIMIT + 1)
        with pytest.raises(BadSignature, match="too large"):
            hear(WEBHOOK_SECRET, headers(large), large, NOW)

    @pytest.mark.parametrize("body", [b"", b"{}", b"null", event(amount="much"), event(metadata=None)])
    async def test_a_signed_notice_that_cannot_be_read_is_told_apart(self, body: bytes) -> None:
        with pytest.raises(BadNotice):
            hear(WEBHOOK_SECRET, headers(body), body, NOW)

    @pytest.mark.parametrize(
        "body",
        [
            event("payout.paid"),
            event("payment_intent.created"),
            event("something.new"),
            pytest.param(event(metadata={}), id="a payment that we did not make"),
        ],
    )
    async def test_what_is_nothing_to_us_is_told_apart(self, body: bytes) -> None:
        with pytest.raises(Uninteresting):
            hear(WEBHOOK_SECRET, headers(body), body, NOW)


class TestHearing:
    async def test_the_life_of_a_payment_is_told(self, start: Start) -> None:
        rig = await start(webhook_events=ALL)
        payment_id = await asked(rig)
        await rig.provider.refund("r1", RefundRequest(payment_id, 300))
        await rig.provider.refund("r2", RefundRequest(payment_id, 700))
        heard = {notice.answer for notice in await rig.notices(3)}
        assert heard == {Captured(payment_id, 1000), Captured(payment_id, 1000, 300), Refunded(payment_id, 1000)}

    async def test_a_processing_payment_is_told_before_and_after(self, start: Start) -> None:
        rig = await start(webhook_events=ALL)
        payment_id = await asked(rig, "pm_sandbox_pending_then_failed")
        heard = {notice.type: notice.answer for notice in await rig.notices(2)}
        assert heard == {
            "payment_intent.processing": Pending(payment_id),
            "payment_intent.payment_failed": Failed("payment_intent_payment_attempt_failed", payment_id),
        }

    async def test_what_is_let_go_is_told_as_voided(self, start: Start) -> None:
        rig = await start(webhook_events=frozenset({"payment_intent.canceled", "charge.refunded"}))
        payment_id = await asked(rig, capture=False)
        await rig.provider.void("v", VoidRequest(payment_id))
        heard = {notice.type: notice.answer for notice in await rig.notices(2)}
        assert heard == {"payment_intent.canceled": Voided(payment_id, 0), "charge.refunded": Voided(payment_id, 1000)}

    async def test_the_refund_of_a_part_capture_is_no_notice(self, start: Start) -> None:
        """What was let go counts as refunded too: from the charge alone the two can't be told apart."""
        rig = await start(webhook_events=frozenset({"charge.refunded"}))
        payment_id = await asked(rig, capture=False)
        await rig.provider.capture("c", CaptureRequest(payment_id, 600))
        await rig.provider.refund("r", RefundRequest(payment_id, 100))
        await rig.notices(0)
        assert len(rig.receiver.raw) == 1

    async def test_every_notice_comes_until_it_is_taken(self, start: Start) -> None:
        rig = await start()
        rig.receiver.answers = [500, 503, 302]
        payment_id = await asked(rig)
        heard = await rig.notices(4)
        assert {notice.id for notice in heard} == {heard[0].id}
        assert {notice.answer for notice in heard} == {Captured(payment_id, 1000)}

    async def test_duplicates_are_one_event_told_often(self, start: Start) -> None:
        rig = await start(webhook_copies=3)
        await asked(rig)
        heard = await rig.notices(3)
        assert len(set(heard)) == 1

    async def test_reordered_and_late_notices_say_the_same(self, start: Start) -> None:
        kinds = frozenset({"payment_intent.succeeded", "charge.refunded", "payment_intent.amount_capturable_updated"})
        rig = await start(webhook_events=kinds, webhook_shuffled=100, webhook_late_s=0.005, webhook_copies=2)
        payments = [await asked(rig, capture=False, key=f"attempt {number}") for number in range(6)]
        for payment_id in payments:
            await rig.provider.capture(f"c {payment_id}", CaptureRequest(payment_id, 1000))
            await rig.provider.refund(f"r {payment_id}", RefundRequest(payment_id, 1000))
        await rig.script("webhooks/flush")
        heard = await rig.notices(36)
        in_order = [event_id for event_id in rig.server.shelf.events if any(event_id == told.id for told in heard)]
        came = list(dict.fromkeys(notice.id for notice in heard))
        assert sorted(came) == sorted(in_order)
        assert came != in_order
        for payment_id in payments:
            of_payment = {notice.answer for notice in heard if notice.provider_payment_id == payment_id}
            assert Refunded(payment_id, 1000) in of_payment and Captured(payment_id, 1000) in of_payment
            assert await rig.provider.find(payment_id) == Refunded(payment_id, 1000)


class TestDisputes:
    async def test_a_dispute_is_told_when_it_opens_and_when_it_is_won(self, start: Start) -> None:
        rig = await start(webhook_events=frozenset({"charge.dispute.created", "charge.dispute.closed"}))
        payment_id = await asked(rig)
        dispute_id = await rig.script("dispute", payment_intent=payment_id, amount=400, reason="product_not_received")
        [opened] = await rig.notices(1)
        assert opened.answer == Disputed(payment_id, dispute_id, 400, "open", "product_not_received")
        assert (opened.authorize_key, opened.reference, opened.currency) == ("", "", "EUR")
        await rig.script("dispute/close", dispute=dispute_id, won=True)
        [closed] = await rig.notices(1)
        assert closed.answer == Disputed(payment_id, dispute_id, 400, "won", "product_not_received")

    @pytest.mark.parametrize(
        ("token", "outcomes"),
        [
            ("pm_card_createDispute", {"open"}),
            ("pm_sandbox_dispute_won", {"open", "won"}),
            ("pm_sandbox_dispute_lost", {"open", "lost"}),
        ],
    )
    async def test_a_token_says_how_its_dispute_ends(self, start: Start, token: str, outcomes: set[str]) -> None:
        rig = await start(webhook_events=frozenset({"charge.dispute.created", "charge.dispute.closed"}))
        await asked(rig, token)
        heard = [notice.answer for notice in await rig.notices(len(outcomes))]
        assert {answer.outcome for answer in heard if isinstance(answer, Disputed)} == outcomes

    @pytest.mark.parametrize("status", ["warning_needs_response", "warning_closed"])
    async def test_an_inquiry_moves_no_money_and_is_nothing_to_us(self, status: str) -> None:
        about = {"id": "dp_1", "charge": "ch_1", "payment_intent": "pi_1", "reason": "general"}
        body = event("charge.dispute.created", **about, status=status)
        with pytest.raises(Uninteresting):
            hear(WEBHOOK_SECRET, headers(body), body, NOW)

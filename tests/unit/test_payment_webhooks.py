"""A webhook as a message: kept as it came, proven, and said on once; what is not proven is kept and moves nothing."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from contracts.payment import PaymentAuthorized, ReceiveWebhook
from services.payment.domain import PaymentState, WebhookVerdict
from services.payment.provider.port import BadSignature
from services.payment.provider.sandbox import SandboxProvider, SandboxProviderSettings
from services.payment.tables import WEBHOOKS
from services.payment.webhook import came
from tests.support.paying import AUTHORIZE, ORDER, authorized
from tests.support.till import Till

SECRET = "a secret of the tests"
READER = SandboxProvider(SandboxProviderSettings("http://provider.invalid", webhook_secret=SECRET))


@pytest.fixture
async def till() -> Till:
    till = Till(notices={"sandbox": READER})
    await authorized(till, "tok_pending")
    assert till.payment(ORDER).state is PaymentState.PENDING
    return till


def paid(till: Till) -> bytes:
    """What the provider says when the money came."""
    till.settles(till.payment(ORDER).provider_payment_id, paid=True)
    till.notices.clear()
    (row,) = till.provider.books()["payments"]
    return orjson.dumps({"id": "evt_1", "type": "payment.captured", "created": till.now.isoformat(), "payment": row})


def sent(body: bytes, at: datetime, *, secret: str = SECRET, provider: str = "sandbox") -> ReceiveWebhook:
    stamp = str(int(at.timestamp()))
    mac = hmac.digest(secret.encode(), f"evt_1.{stamp}.".encode() + body, hashlib.sha256)
    headers = {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": stamp,
        "Webhook-Signature": "v1," + base64.b64encode(mac).decode(),
        "Authorization": "Bearer not ours to keep",
        "X-Api-Key": "nor this",
    }
    return came(provider, READER, headers, body, at)


def kept(till: Till) -> list[Any]:
    return list(till.store.rows(WEBHOOKS))


async def test_a_proven_webhook_is_kept_and_pays(till: Till) -> None:
    body = paid(till)
    await till.hears(sent(body, till.now))
    await till.rings()
    assert till.answer(AUTHORIZE) == PaymentAuthorized(order_id=ORDER, captured=True)
    (row,) = kept(till)
    assert (row.verdict, row.notice_id, row.body.encode()) == (WebhookVerdict.HEARD, "evt_1", body)
    assert set(row.headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}


async def test_the_same_body_again_is_the_same_webhook_whenever_it_was_signed(till: Till) -> None:
    body = paid(till)
    await till.hears(sent(body, till.now), sent(body, till.now + timedelta(minutes=3)))
    await till.rings()
    await till.hears(sent(body, till.now + timedelta(hours=1)))
    await till.rings()
    assert len(kept(till)) == 1 and till.story().count("payment.captured") == 1


@pytest.mark.parametrize("forged", ["secret", "stale", "body", "base64"])
async def test_what_is_not_proven_moves_nothing(till: Till, forged: str) -> None:
    good = sent(paid(till), till.now)
    bad = {
        "secret": sent(paid(till), till.now, secret="x" * 30),
        "stale": good.model_copy(update={"received_at": till.now + timedelta(hours=1)}),
        "body": good.model_copy(update={"body_base64": base64.b64encode(b'{"id": "evt_1"}').decode()}),
        "base64": good.model_copy(update={"body_base64": "no base64!"}),
    }[forged]
    await till.hears(bad)
    (due,) = [due for due in till.store.due.values() if due.error]
    assert "BadSignature" in due.error
    assert kept(till) == [] and till.payment(ORDER).state is PaymentState.PENDING
    await till.hears(good)
    await till.rings()
    assert till.payment(ORDER).state is PaymentState.CAPTURED, "a forged one kept the true one out"


async def test_what_another_provider_signs_is_not_believed_about_this_payment(till: Till) -> None:
    other = SandboxProvider(SandboxProviderSettings("http://provider.invalid", webhook_secret="another secret"))
    till = Till(notices={"sandbox": READER, "stripe": other})
    await authorized(till, "tok_pending")
    await till.hears(sent(paid(till), till.now, secret="another secret", provider="stripe"))
    await till.rings()
    (due,) = [due for due in till.store.due.values() if due.error]
    assert "of stripe is about a payment of sandbox" in due.error
    assert till.payment(ORDER).state is PaymentState.PENDING


async def test_what_was_long_under_way_is_judged_by_when_it_came(till: Till) -> None:
    webhook = sent(paid(till), till.now)
    till.now += timedelta(hours=5)
    await till.hears(webhook)
    await till.rings()
    assert till.payment(ORDER).state is PaymentState.CAPTURED


async def test_a_provider_nobody_reads_waits_for_somebody(till: Till) -> None:
    await till.hears(sent(paid(till), till.now, provider="another"))
    (due,) = [due for due in till.store.due.values() if due.error]
    assert "nobody reads what 'another' sends" in due.error
    assert kept(till) == []


def test_more_than_anybody_sends_is_refused_at_the_door() -> None:
    now = datetime.fromisoformat("2026-01-01T12:00:00+00:00")
    with pytest.raises(BadSignature):
        came("sandbox", READER, {}, b"x" * 70_000, now)
    with pytest.raises(BadSignature):
        came("sandbox", READER, {"webhook-id": "x" * 5_000}, b"{}", now)
    assert came("sandbox", READER, {f"h-{n}": "" for n in range(60)}, b"{}", now).headers == {}

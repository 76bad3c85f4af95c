"""The payment service's door for the provider's notices, from outside: what is proven counts once, else refused."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from services.ops.invariants import Seen, all_hold, check, fetch_books
from services.sandbox.environment import Environment
from tests.support.processes import SERVICES, System, plan
from tests.support.shopping import checkout, deliver_goods
from tests.support.storefront import Storefront
from tests.support.until import until


@pytest.fixture(scope="module")
async def system(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    made = plan(environment.env, tmp_path_factory.mktemp("logs"), [SERVICES], WAREHOUSE_PACE_S="0.05")
    try:
        await made.start()
        await deliver_goods(environment.env, {"A-1": 1000, "A-2": 1000})
        yield made
        assert set((await made.stop()).values()) == {0}
    finally:
        await made.kill()


@pytest.fixture(scope="module")
async def shop(system: System) -> AsyncIterator[Storefront]:
    async with Storefront(system.env["STOREFRONT_AMQP_URL"]) as shop:
        yield shop


def signed(secret: str, notice: bytes, *, id_: str | None = None, at_s: int | None = None) -> dict[str, str]:
    """Headers after Standard Webhooks."""
    id_, timestamp = id_ or f"evt_{uuid4().hex}", str(int(time.time()) if at_s is None else at_s)
    mac = hmac.digest(secret.encode(), f"{id_}.{timestamp}.".encode() + notice, hashlib.sha256)
    return {
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
        "content-type": "application/json",
    }


async def knock(system: System, body: bytes, headers: dict[str, str]) -> int:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
        session.post(system.webhook_url, data=body, headers=headers) as answer,
    ):
        return answer.status


async def payment_of(system: System, order_id: str) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        payments = (await fetch_books(system.provider_url))["payments"]
        return next((payment for payment in payments if payment["reference"] == order_id), None)

    return await until(found, f"a payment of {order_id}")


def notice_of(payment: dict[str, Any], **more: Any) -> bytes:
    told = {**payment, "status": "captured", "captured_minor": payment["amount_minor"], **more}
    created = "2026-01-01T00:00:00+00:00"
    return json.dumps(
        {"id": f"evt_{uuid4().hex}", "type": "payment.captured", "created": created, "payment": told}
    ).encode()


async def pending_order(system: System, shop: Storefront) -> tuple[str, dict[str, Any]]:
    """An order that waits for its money, and its payment in the provider's books."""
    id_ = f"hook-{uuid4()}"
    await shop.place(checkout(id_, token="tok_pending"))
    accepted = await shop.until_topic(id_, "checkout.accepted")
    return id_, await payment_of(system, accepted.body["order_id"])


async def test_a_forged_notice_moves_nothing(system: System, shop: Storefront) -> None:
    id_, payment = await pending_order(system, shop)
    body = notice_of(payment)
    good = signed(system.webhook_secret, body)
    forged = {
        "another secret": (body, signed("x" * 32, body)),
        "no signature": (body, {name: value for name, value in good.items() if name != "webhook-signature"}),
        "another body": (notice_of(payment, amount_minor=1), good),
        "another id": (body, {**good, "webhook-id": "evt_other"}),
        "too old": (body, signed(system.webhook_secret, body, at_s=int(time.time()) - 3600)),
        "from the future": (body, signed(system.webhook_secret, body, at_s=int(time.time()) + 3600)),
        "a timestamp that is none": (body, {**good, "webhook-timestamp": "soon"}),
    }
    answers = {name: await knock(system, *sent) for name, sent in forged.items()}
    assert answers == dict.fromkeys(forged, 401)
    unreadable = b'{"id": "evt_1"}'
    assert await knock(system, unreadable, signed(system.webhook_secret, unreadable)) == 400
    strange = notice_of({**payment, "reference": "no order of ours"})
    assert await knock(system, strange, signed(system.webhook_secret, strange)) == 400
    good_one = f"after-{uuid4()}"
    await shop.place(checkout(good_one))
    assert (await shop.until_end(good_one)).topic == "order.confirmed"
    assert shop.end_of(id_) is None, "a forged notice confirmed an order"


async def test_too_much_at_the_door_is_refused(system: System) -> None:
    body = b"x" * 200_000
    assert await knock(system, body, signed(system.webhook_secret, body)) in (401, 413)


async def test_the_same_notice_ten_times_at_once_pays_once(system: System, shop: Storefront) -> None:
    id_, payment = await pending_order(system, shop)
    async with aiohttp.ClientSession() as session:
        settled = {"payment_id": payment["id"], "paid": True}
        async with session.post(f"{system.provider_url}/script/settle", json=settled) as answer:
            assert answer.status == 200  # the provider's own notice is on its way too
    paid = await payment_of(system, payment["reference"])
    body = notice_of(paid)
    headers = signed(system.webhook_secret, body)
    assert await asyncio.gather(*(knock(system, body, headers) for _ in range(10))) == [200] * 10
    assert (await shop.until_end(id_)).topic == "order.confirmed"
    assert await knock(system, body, headers) == 200, "long after, it is still only heard"
    confirmations = [said.id for said in shop.about(id_) if said.topic == "order.confirmed"]
    assert len(confirmations) == 1
    entries = (await fetch_books(system.provider_url))["entries"]
    kinds = [entry["kind"] for entry in entries if entry["payment_id"] == payment["id"]]
    assert kinds.count("capture") == 1 and "refund" not in kinds


async def test_the_provider_s_own_duplicates_pay_once(system: System, shop: Storefront) -> None:
    ids = [f"twice-{n}-{uuid4()}" for n in range(10)]
    for number, id_ in enumerate(ids):
        await shop.place(checkout(id_, token=("tok_duplicate_webhook", "tok_webhook_first")[number % 2]))
    for id_ in ids:
        assert (await shop.until_end(id_)).topic == "order.confirmed"
        assert len([said for said in shop.about(id_) if said.topic == "order.confirmed"]) == 1


async def test_and_all_invariants_hold(system: System, shop: Storefront) -> None:
    async def hold() -> bool:
        heard = [(said.id, said.type, said.body) for said in shop.heard]
        books = await fetch_books(system.provider_url)
        return all_hold(await check(system.env, books, settled=False, seen=Seen([], heard)))

    assert await hold()

"""The whole system with Stripe for cards, through its official SDK: orders of every outcome, a refund, disputes; theirs
and ours agree to the cent."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import pytest

from services.sandbox.control import free_port
from services.sandbox.environment import Environment
from services.sandbox.stripe.server import StripeServer, StripeSettings
from tests.support.processes import SERVICES, System, plan
from tests.support.shopping import checkout, deliver_goods
from tests.support.storefront import Storefront
from tests.support.until import until

API_KEY, WEBHOOK_SECRET = "sk_test_of_the_tests", "whsec_of_the_tests"


@pytest.fixture(scope="module")
async def stripe() -> AsyncIterator[StripeServer]:
    port = free_port()
    server = StripeServer(
        StripeSettings(
            api_key=API_KEY,
            webhook_secret=WEBHOOK_SECRET,
            webhook_url=f"http://127.0.0.1:{port}/webhooks/stripe",
            webhook_copies=2,
            hang_s=0.2,
            settle_after_s=0.2,
        )
    )
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def system(
    environment: Environment, stripe: StripeServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    made = plan(
        environment.env, tmp_path_factory.mktemp("logs"), [SERVICES],
        WAREHOUSE_PACE_S="0.05",
        PAYMENT_HTTP_PORT=stripe.settings.webhook_url.rpartition(":")[2].partition("/")[0],
        STRIPE_URL=await stripe.start(),
        STRIPE_API_KEY=API_KEY,
        STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET,
        PAYMENT_METHODS="card=stripe",
        PROVIDER_TIMEOUT_S="2",
        ASK_AGAIN_AFTER_S="0.5,1,2",
    )  # fmt: skip
    for process in made.processes.values():
        if "payment" in process.names:
            process.doors["payment"] = f"{stripe.settings.webhook_url.partition('/webhooks')[0]}/ready"  # type: ignore[index]
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


@pytest.fixture
async def owner(system: System) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(system.env["DATABASE_URL"])
    yield connection
    await connection.close()


async def script(system: System, what: str, **asked: Any) -> str:
    async with (
        aiohttp.ClientSession(system.env["STRIPE_URL"]) as session,
        session.post(f"/script/{what}", json=asked) as told,
    ):
        assert told.status == 200, await told.text()
        return str((await told.json())["done"])


OUTCOMES = {
    "pm_card_visa": "order.confirmed",
    "pm_card_chargeDeclined": "order.cancelled",
    "pm_card_chargeDeclinedInsufficientFunds": "order.cancelled",
    "pm_sandbox_error": "order.confirmed",
    "pm_sandbox_do_then_timeout": "order.confirmed",
    "pm_sandbox_pending_then_paid": "order.confirmed",
    "pm_sandbox_pending_then_failed": "order.cancelled",
    "pm_sandbox_duplicate_webhook": "order.confirmed",
    "pm_sandbox_webhook_first": "order.confirmed",
}


async def test_orders_paid_by_stripe_end_as_stripe_says(system: System, shop: Storefront, stripe: StripeServer) -> None:
    for token in OUTCOMES:
        await shop.place(checkout(f"stripe-{token}", token=token))
    ends = {token: (await shop.until_end(f"stripe-{token}")).topic for token in OUTCOMES}
    assert ends == OUTCOMES
    charged = [intent for intent in stripe.shelf.books()["payments"] if intent["status"] == "succeeded"]
    assert len(charged) == sum(end == "order.confirmed" for end in OUTCOMES.values()), "charged twice, or not at all"


async def test_a_dispute_is_heard_and_won_back(system: System, shop: Storefront, owner: asyncpg.Connection) -> None:
    await shop.place(checkout("stripe-disputed", token="pm_card_visa"))
    order_id = (await shop.until_end("stripe-disputed")).body["order_id"]
    intent = await owner.fetchval("SELECT provider_payment_id FROM payments.payments WHERE order_id = $1", order_id)
    dispute = await script(system, "dispute", payment_intent=intent)

    async def stands(state: str, disputed_minor: int) -> bool:
        found = await owner.fetchrow(
            "SELECT c.state, p.disputed_minor FROM payments.chargebacks c JOIN payments.payments p USING (order_id)"
            " WHERE c.order_id = $1",
            order_id,
        )
        return found is not None and (found["state"], found["disputed_minor"]) == (state, disputed_minor)

    await until(lambda: stands("open", 2000), "the bank has taken it back")
    await script(system, "dispute/close", dispute=dispute, won=True)
    await until(lambda: stands("won", 0), "it was won back")
    told = "SELECT count(*) FROM orders.order_events WHERE order_id = $1 AND name LIKE 'payment.charge%'"
    await until(lambda: owner.fetchval(told, order_id), "support reads of it")


async def test_theirs_and_ours_agree_to_the_cent(stripe: StripeServer, owner: asyncpg.Connection) -> None:
    await stripe.quiet()
    theirs: dict[str, int] = {}
    for entry in stripe.shelf.books()["entries"]:
        if entry["kind"] == "capture":
            theirs[entry["payment_intent"]] = theirs.get(entry["payment_intent"], 0) + entry["amount"]
    rows = await owner.fetch("SELECT provider_payment_id AS id, captured_minor FROM payments.payments")
    assert theirs == {row["id"]: row["captured_minor"] for row in rows if row["captured_minor"]}
    assert await owner.fetchval("SELECT count(*) FROM payments.parked") == 0
    assert await owner.fetchval("SELECT count(*) FROM payments.attempts WHERE kind = 'authorize'") == 0

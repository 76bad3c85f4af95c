"""Stripe as the conformance tests see it: the adapter, the official SDK, HTTP, and a Stripe of our own behind it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import aiohttp

from services.payment.provider.port import PaymentProvider, Unknown, WebhookNotice
from services.payment.provider.stripe import StripeProvider, StripeProviderSettings
from services.payment.provider.stripe_notices import hear
from services.payment.provider.stripe_words import ATTEMPT, REFERENCE
from services.sandbox.stripe.server import StripeServer, StripeSettings
from tests.support.provider_rigs import PATIENCE_S, Manners, Receiver

API_KEY = "sk_test_of_the_tests"
WEBHOOK_SECRET = "whsec_of_the_tests"
MONEY = ("authorize", "capture", "void", "refund", "decline", "fail")
WORD = {"payment_failed": "failed", "requires_capture": "authorized", "succeeded": "captured", "canceled": "voided"}

STRIPE = Manners(
    decline_reason="generic_decline",
    events=MappingProxyType(
        {
            "payment.captured": "payment_intent.succeeded",
            "payment.failed": "payment_intent.payment_failed",
            "payment.authorized": "payment_intent.amount_capturable_updated",
        }
    ),
    tells_all=True,
    key_reused=Unknown,
    busy_while_in_flight=True,
    voids_declined=True,
    has_tombstones=False,
)


class StripeRig:
    manners = STRIPE

    def __init__(self, **settings: Any) -> None:
        self.receiver = Receiver(self.hear)
        self._given = settings
        self.server: StripeServer
        self.url = ""
        self.webhook_url = ""
        self.provider: PaymentProvider
        self.client: StripeProvider
        self.session: aiohttp.ClientSession

    async def start(self) -> "StripeRig":
        await self.receiver.start()
        self.webhook_url = self.receiver.url
        # Hanging is short here: the connection is then dropped, which a client cannot tell from silence that ended.
        quick = {
            "api_key": API_KEY,
            "webhook_url": self.receiver.url,
            "webhook_secret": WEBHOOK_SECRET,
            "webhook_events": frozenset(self.manners.events.values()),
            "hang_s": 0.02,
            "settle_after_s": 0.02,
            "webhook_first_delay_s": 0.005,
            "webhook_longest_delay_s": 0.02,
        }
        self.server = StripeServer(StripeSettings(**{**quick, **self._given}))
        self.url = await self.server.start()
        self.client = await self.another(timeout_s=PATIENCE_S).__aenter__()
        self.provider = self.client
        self.session = aiohttp.ClientSession(self.url)
        return self

    def another(self, **settings: Any) -> StripeProvider:
        """A client with settings of its own."""
        return StripeProvider(
            StripeProviderSettings(
                **{"api_key": API_KEY, "webhook_secret": WEBHOOK_SECRET, "url": self.url, **settings}
            )
        )

    async def stop(self) -> None:
        await self.client.close()
        await self.session.close()
        await self.server.stop()
        await self.receiver.stop()

    def token(self, name: str) -> str:
        return f"pm_sandbox_{name.removeprefix('tok_')}"

    def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookNotice:
        return hear(WEBHOOK_SECRET, headers, body, now)

    async def script(self, what: str, **asked: Any) -> str:
        async with self.session.post(f"/script/{what}", json=asked) as told:
            assert told.status == 200, await told.text()
            done: str = (await told.json())["done"]
            return done

    async def settle(self, provider_payment_id: str, paid: bool) -> None:
        await self.script("settle", payment_intent=provider_payment_id, paid=paid)

    async def their_books(self) -> dict[str, Any]:
        async with self.session.get("/books") as response:
            books: dict[str, Any] = await response.json()
            return books

    async def books(self) -> dict[str, list[dict[str, Any]]]:
        """Theirs, in the sandbox's words. A payment that was only prepared is none yet."""
        books = await self.their_books()
        entries = [entry for entry in books["entries"] if entry["kind"] in MONEY]
        references = {payment["id"]: payment["metadata"][REFERENCE] for payment in books["payments"]}
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for entry in entries:
            sums[entry["payment_intent"], entry["kind"]] += entry["amount"]
        return {
            "payments": [_payment(shown, sums) for shown in books["payments"] if _is_begun(shown)],
            "entries": [
                {
                    "kind": entry["kind"],
                    "payment_id": entry["payment_intent"],
                    "key": entry["key"],
                    "amount_minor": entry["amount"],
                    "currency": entry["currency"].upper(),
                    "reference": references[entry["payment_intent"]],
                    "instant": entry["created"],
                }
                for entry in entries
            ],
        }

    async def notices(self, count: int) -> list[WebhookNotice]:
        async with asyncio.timeout(PATIENCE_S):
            heard = [await self.receiver.notices.get() for _ in range(count)]
            await self.server.quiet()
        assert self.receiver.notices.empty(), f"more than {count}: {self.receiver.notices.get_nowait()}"
        return heard


def _is_begun(shown: dict[str, Any]) -> bool:
    return shown["latest_charge"] is not None or shown["status"] == "canceled"


def _payment(shown: dict[str, Any], sums: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    captured = sums[shown["id"], "capture"]
    error = shown["last_payment_error"]
    return {
        "id": shown["id"],
        "key": shown["metadata"][ATTEMPT],
        "status": "captured" if captured else WORD.get(shown["status"], shown["status"]),
        "amount_minor": shown["amount"],
        "captured_minor": captured,
        "refunded_minor": sums[shown["id"], "refund"],
        "voided_minor": sums[shown["id"], "void"],
        "currency": shown["currency"].upper(),
        "reference": shown["metadata"][REFERENCE],
        "decline_reason": None if error is None else error.get("decline_code", error["code"]),
    }

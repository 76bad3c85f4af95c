"""Notices signed as Stripe signs them, sent until somebody says 2xx; by setting also twice, late and out of order."""

import asyncio
import hashlib
import hmac
import random
from collections.abc import Collection

import orjson

from services.sandbox.provider_desk import Webhook
from services.sandbox.provider_webhooks import WebhookSender
from services.sandbox.stripe.objects import Event
from shared.tasks import cancel_all


def signature(secret: str, timestamp_s: int, body: bytes) -> str:
    signed = f"{timestamp_s}.".encode() + body
    return f"t={timestamp_s},v1={hmac.digest(secret.encode(), signed, hashlib.sha256).hex()}"


def stripe_headers(secret: str, webhook: Webhook, timestamp_s: int) -> dict[str, str]:
    return {"stripe-signature": signature(secret, timestamp_s, webhook.body)}


class Outgoing:
    """`shuffled`: so many notices are held back and then go out in a seeded order; `flush` lets go of the last."""

    def __init__(
        self,
        sender: WebhookSender,
        url: str,
        wanted: Collection[str],
        copies: int,
        late_s: float,
        shuffled: int,
        seed: int,
    ) -> None:
        self._sender = sender
        self._url = url
        self._wanted = wanted
        self._copies = copies
        self._late_s = late_s
        self._shuffled = shuffled
        self._random = random.Random(seed)
        self._held: list[Webhook] = []
        self._waiting: set[asyncio.Task[None]] = set()

    async def take(self, event: Event, now: bool) -> None:
        """`now`: one try before this returns."""
        if not self._url or not ("*" in self._wanted or event.type in self._wanted):
            return
        webhook = Webhook(event.id, self._url, orjson.dumps(event.shown()))
        if now:
            await self._sender.send_once_now(webhook)
            return
        self._held += [webhook] * max(event.copies, self._copies)
        if len(self._held) >= self._shuffled:
            self.flush()

    def flush(self) -> None:
        held, self._held = self._held, []
        if self._shuffled:
            self._random.shuffle(held)
        for webhook in held:
            if self._late_s:
                task = asyncio.get_running_loop().create_task(self._later(webhook))
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)
            else:
                self._sender.send(webhook)

    async def quiet(self) -> None:
        """Wait until every notice so far has arrived or was given up."""
        self.flush()
        while self._waiting:
            await asyncio.gather(*self._waiting, return_exceptions=True)
        await self._sender.quiet()

    async def stop(self) -> None:
        await cancel_all(self._waiting)
        await self._sender.stop()

    async def _later(self, webhook: Webhook) -> None:
        await asyncio.sleep(self._random.uniform(0.0, self._late_s))
        self._sender.send(webhook)

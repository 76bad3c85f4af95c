"""Notices to the merchant, signed after Standard Webhooks and sent again until somebody says 2xx.

The same event keeps its id over all tries, so the receiver can tell a repeated notice from a new one.
"""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable

import aiohttp

from services.sandbox.provider_desk import Webhook
from shared.tasks import cancel_all

AT_ONCE = 16  # deliveries in flight: a slow receiver must not take every socket of the provider


def sign(secret: str, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()


def standard_headers(secret: str, webhook: Webhook, timestamp_s: int) -> dict[str, str]:
    return {
        "webhook-id": webhook.id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(secret, webhook.id, timestamp_s, webhook.body),
    }


Headers = Callable[[str, Webhook, int], dict[str, str]]


class WebhookSender:
    """`delivered` is told each notice that needs no further try, because it arrived or because the tries are used."""

    def __init__(
        self,
        secret: str,
        delivered: Callable[[Webhook], None],
        tries: int,
        first_delay_s: float,
        longest_delay_s: float,
        timeout_s: float,
        headers: Headers = standard_headers,
    ) -> None:
        self._secret = secret
        self._headers = headers
        self._delivered = delivered
        self._tries = tries
        self._first_delay_s = first_delay_s
        self._longest_delay_s = longest_delay_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def stop(self) -> None:
        await cancel_all(self._running)
        if self._session is not None:
            await self._session.close()

    async def quiet(self) -> None:
        """Wait until every notice sent so far has arrived or was given up."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    def send(self, webhook: Webhook, after_tries: int = 0) -> None:
        """Send in the background; what is left when the server stops is still in the books for the next start."""
        task = asyncio.get_running_loop().create_task(self._until_delivered(webhook, after_tries))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def send_once_now(self, webhook: Webhook) -> None:
        """One try before this returns, the others in the background."""
        if await self._try(webhook):
            self._delivered(webhook)
        else:
            self.send(webhook, after_tries=1)

    async def _until_delivered(self, webhook: Webhook, tries: int) -> None:
        if tries:
            await asyncio.sleep(self._delay_s(tries))
        while not await self._try(webhook):
            tries += 1
            if tries >= self._tries:
                break
            await asyncio.sleep(self._delay_s(tries))
        self._delivered(webhook)

    def _delay_s(self, tries: int) -> float:
        return min(self._first_delay_s * 2.0 ** (tries - 1), self._longest_delay_s)

    async def _try(self, webhook: Webhook) -> bool:
        # Signed anew for every try: a notice sent late must not look like an old one played again.
        signed = self._headers(self._secret, webhook, int(time.time()))
        headers = {"content-type": "application/json", **signed}
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        async with self._at_once:
            try:
                async with self._session.post(
                    webhook.url, data=webhook.body, headers=headers, allow_redirects=False
                ) as response:
                    return 200 <= response.status < 300
            except (aiohttp.ClientError, TimeoutError):  # an address that is none is a ClientError too
                return False

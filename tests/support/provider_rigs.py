"""The ways to a payment provider, behind one face, for the conformance tests; Stripe's is in `stripe_rig`."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from services.payment.provider.port import Impossible, PaymentProvider, Uninteresting, Unknown, WebhookNotice
from services.payment.provider.sandbox import SandboxProvider, SandboxProviderSettings, verify_webhook
from services.sandbox.provider import ProviderServer, ProviderSettings
from tests.support.scripted_provider import ScriptedProvider

SECRET = "a secret of the tests"
PATIENCE_S = 20.0  # only how long a broken test hangs; every wait ends with its signal


@dataclass(frozen=True)
class Manners:
    """In what one provider may differ from another, and be right all the same."""

    decline_reason: str
    events: Mapping[str, str]  # our name of a notice -> theirs
    tells_all: bool  # of every payment, whatever its token says and wherever it asks the notices to be sent
    key_reused: type[Impossible] | type[Unknown]
    busy_while_in_flight: bool  # a key that is being worked on is refused for now, instead of waited for
    voids_declined: bool  # a declined payment can be ended, so that nobody confirms it again
    has_tombstones: bool  # a key can be withdrawn before anything was heard of it


SANDBOX = Manners(
    decline_reason="card_declined",
    events=MappingProxyType(
        {
            "payment.captured": "payment.captured",
            "payment.failed": "payment.failed",
            "payment.authorized": "payment.authorized",
        }
    ),
    tells_all=False,
    key_reused=Impossible,
    busy_while_in_flight=False,
    voids_declined=False,
    has_tombstones=True,
)


class Rig(Protocol):
    provider: PaymentProvider
    webhook_url: str
    manners: Manners

    def token(self, name: str) -> str:
        """The provider's own token for what the sandbox calls by this name."""

    async def books(self) -> dict[str, list[dict[str, Any]]]: ...
    async def settle(self, provider_payment_id: str, paid: bool) -> None: ...
    async def notices(self, count: int) -> list[WebhookNotice]:
        """The notices since the last asking: exactly this many, or the test fails."""


Hear = Callable[[Mapping[str, str], bytes, datetime], WebhookNotice]


class Receiver:
    """The merchant's webhook address: verifies, keeps what came, and says the statuses it was told to say."""

    def __init__(self, hear: Hear | None = None) -> None:
        self._verify = hear or (lambda headers, body, now: verify_webhook(SECRET, headers, body, now))
        self.notices: asyncio.Queue[WebhookNotice] = asyncio.Queue()
        self.raw: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []  # for the next notices; 204 when used up
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/hook", self._hear), web.get("/elsewhere", self._elsewhere)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw.append((dict(request.headers), body))
        with contextlib.suppress(Uninteresting):
            self.notices.put_nowait(self._verify(request.headers, body, datetime.now(UTC)))
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers={"location": "/elsewhere"} if status == 302 else None)

    async def _elsewhere(self, request: web.Request) -> web.Response:
        return web.Response(status=204)  # who follows a redirect believes the notice was taken


class HttpRig:
    manners = SANDBOX

    def __init__(self, **settings: Any) -> None:
        self.receiver = Receiver()
        # Hanging is short here: the connection is then dropped, which a client cannot tell from silence that ended.
        quick = {
            "hang_s": 0.02,
            "settle_after_s": 0.02,
            "webhook_first_delay_s": 0.005,
            "webhook_longest_delay_s": 0.02,
        }
        self.server = ProviderServer(ProviderSettings(**{**quick, "webhook_secret": SECRET, **settings}))
        self.url = ""
        self.webhook_url = ""
        self.provider: PaymentProvider
        self.client: SandboxProvider
        self.session: aiohttp.ClientSession

    async def start(self) -> "HttpRig":
        await self.receiver.start()
        self.webhook_url = self.receiver.url
        self.url = await self.server.start()
        self.client = await SandboxProvider(SandboxProviderSettings(self.url, timeout_s=PATIENCE_S)).__aenter__()
        self.provider = self.client
        self.session = aiohttp.ClientSession(self.url)
        return self

    async def stop(self) -> None:
        await self.client.close()
        await self.session.close()
        await self.server.stop()
        await self.receiver.stop()

    def token(self, name: str) -> str:
        return name

    async def books(self) -> dict[str, list[dict[str, Any]]]:
        async with self.session.get("/books") as response:
            books: dict[str, list[dict[str, Any]]] = await response.json()
            return books

    async def settle(self, provider_payment_id: str, paid: bool) -> None:
        async with self.session.post("/script/settle", json={"payment_id": provider_payment_id, "paid": paid}) as told:
            assert told.status == 200, await told.text()

    async def notices(self, count: int) -> list[WebhookNotice]:
        async with asyncio.timeout(PATIENCE_S):
            heard = [await self.receiver.notices.get() for _ in range(count)]
            await self.server.quiet()
        assert self.receiver.notices.empty(), f"more than {count}: {self.receiver.notices.get_nowait()}"
        return heard


class ScriptedRig:
    manners = SANDBOX

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)
        self._scripted = ScriptedProvider(lambda: self._now, settle_after=timedelta(seconds=30))
        self._settled: list[WebhookNotice] = []
        self.provider: PaymentProvider = self._scripted
        self.webhook_url = "http://merchant.example/hook"

    def token(self, name: str) -> str:
        return name

    async def books(self) -> dict[str, list[dict[str, Any]]]:
        return self._scripted.books()

    async def settle(self, provider_payment_id: str, paid: bool) -> None:
        self._settled += self._scripted.settle(provider_payment_id, paid)

    async def notices(self, count: int) -> list[WebhookNotice]:
        heard, self._settled = self._settled + self._scripted.take_notices(), []
        if due := self._scripted.next_settlement():
            self._now = due
            heard += self._scripted.settle_due()
        assert len(heard) == count, heard
        return heard

"""A payment provider to call over real HTTP: the world outside, for the demo, the benchmarks and the tests.

What it decides is in `provider_script` and `provider_desk`; here are the addresses, the waiting and the sending.
An answer leaves only after the books hold it, and calls that arrive together share one commit.
"""

import argparse
import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import orjson
import uuid_utils
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.sandbox.provider_books import SqliteBooks
from services.sandbox.provider_desk import Desk, Reply, Webhook, refusal
from services.sandbox.provider_script import (
    Authorize,
    Call,
    Capture,
    Payment,
    Refund,
    Status,
    Void,
    Withdraw,
    script_of,
)
from services.sandbox.provider_settlements import settlements
from services.sandbox.provider_webhooks import WebhookSender
from services.sandbox.serving import serve

BODY_LIMIT = 64 * 1024  # bytes; the largest request there is has six short fields

Text = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Amount = Annotated[int, Field(gt=0, le=10**15, strict=True)]
Handle = Callable[[web.Request], Awaitable[Reply]]


class ProviderSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SANDBOX_PROVIDER_", frozen=True)

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free port
    books: str = ":memory:"
    hang_s: float = 60.0  # well above any client's timeout; then the connection is dropped without an answer
    settle_after_s: float = 0.5
    webhooks_for_all: bool = False
    webhook_secret: str = Field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    webhook_tries: int = 20
    webhook_first_delay_s: float = 0.1
    webhook_longest_delay_s: float = 10.0
    webhook_timeout_s: float = 5.0


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _AuthorizeBody(_Body):
    reference: Text
    amount_minor: Amount
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
    token: Text
    capture: bool
    webhook_url: Annotated[str, StringConstraints(max_length=2048)] | None = None


class _AmountBody(_Body):
    amount_minor: Amount


class _EmptyBody(_Body):
    pass


class _KeyBody(_Body):
    key: Text


class _SettleBody(_Body):
    payment_id: Text | None = None
    reference: Text | None = None
    paid: bool


class _LapseBody(_Body):
    reference: Text


class _SettlementsAsked(_Body):
    since: AwareDatetime
    after: Annotated[int, Field(ge=0)] = 0


class ProviderServer:
    def __init__(self, settings: ProviderSettings | None = None) -> None:
        self.settings = settings or ProviderSettings()
        self._books = SqliteBooks(self.settings.books)
        self._desk = Desk(
            self._books,
            new_id=lambda prefix: f"{prefix}_{uuid_utils.uuid7().hex}",
            settle_after=timedelta(seconds=self.settings.settle_after_s),
            webhooks_for_all=self.settings.webhooks_for_all,
        )
        self._webhooks = WebhookSender(
            self.settings.webhook_secret,
            self._delivered,
            tries=self.settings.webhook_tries,
            first_delay_s=self.settings.webhook_first_delay_s,
            longest_delay_s=self.settings.webhook_longest_delay_s,
            timeout_s=self.settings.webhook_timeout_s,
        )
        self._following: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._next_commit: asyncio.Future[None] | None = None
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        app = web.Application(client_max_size=BODY_LIMIT)
        app.add_routes(
            [
                web.post("/payments", self._answering(self._authorize)),
                web.post("/payments/void-by-key", self._answering(self._withdraw)),
                web.post("/payments/{id}/capture", self._answering(self._capture)),
                web.post("/payments/{id}/void", self._answering(self._void)),
                web.post("/payments/{id}/refunds", self._answering(self._refund)),
                web.post("/script/settle", self._answering(self._settle)),
                web.post("/script/lapse", self._answering(self._lapse)),
                web.get("/payments", self._answering(self._find_by_key)),
                web.get("/payments/{id}", self._answering(self._find)),
                web.get("/books", self._answering(self._show_books)),
                web.get("/settlements", self._answering(self._show_settlements)),
                web.get("/health", self._answering(self._health)),
            ]
        )
        # A caller who hangs up ends the handler: scripted hanging costs nothing once nobody listens.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port, backlog=1024)
        await site.start()
        for payment in self._books.settling():
            self._arm(payment)
        for webhook in self._books.unsent():
            self._webhooks.send(webhook)
        port = self._runner.addresses[0][1]
        return f"http://{self.settings.host}:{port}"

    async def stop(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        for timer in self._timers.values():
            timer.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        await asyncio.gather(*self._following)
        await self._webhooks.stop()
        self._books.close()

    async def quiet(self) -> None:
        """Wait until every notice sent so far has arrived or was given up."""
        await self._webhooks.quiet()

    def _answering(self, handle: Handle) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            try:
                reply = await handle(request)
            except ValidationError as error:
                wrong = sorted({".".join(str(part) for part in found["loc"]) for found in error.errors()})
                reply = Reply(400, orjson.dumps({"error": "bad_request", "fields": wrong}))
            following = asyncio.create_task(self._follow_up(reply))
            self._following.add(following)
            following.add_done_callback(self._following.discard)
            await asyncio.shield(following)  # what was done has its consequences, though its caller hung up
            if reply.hangs:
                await self._hang(request)
            return web.Response(status=reply.status, body=reply.body, content_type="application/json")

        return answer

    async def _follow_up(self, reply: Reply) -> None:
        await self._committed()
        if reply.settles is not None:
            self._arm(reply.settles)
        await self._notify(reply)

    async def _authorize(self, request: web.Request) -> Reply:
        body = _AuthorizeBody.model_validate_json(await request.read())
        return self._ask(
            request,
            Authorize(body.reference, body.amount_minor, body.currency, body.token, body.capture, body.webhook_url),
        )

    async def _capture(self, request: web.Request) -> Reply:
        body = _AmountBody.model_validate_json(await request.read())
        return self._ask(request, Capture(request.match_info["id"], body.amount_minor))

    async def _void(self, request: web.Request) -> Reply:
        _EmptyBody.model_validate_json(await request.read() or b"{}")
        return self._ask(request, Void(request.match_info["id"]))

    async def _refund(self, request: web.Request) -> Reply:
        body = _AmountBody.model_validate_json(await request.read())
        return self._ask(request, Refund(request.match_info["id"], body.amount_minor))

    async def _withdraw(self, request: web.Request) -> Reply:
        return self._ask(request, Withdraw(_KeyBody.model_validate_json(await request.read()).key))

    def _ask(self, request: web.Request, call: Call) -> Reply:
        key = request.headers.get("Idempotency-Key", "")
        if not 0 < len(key) <= 255:
            return refusal(400, "idempotency_key_missing")
        return self._desk.ask(key, call, _now())

    async def _settle(self, request: web.Request) -> Reply:
        body = _SettleBody.model_validate_json(await request.read())
        payment = (
            self._books.payment(body.payment_id)
            if body.payment_id is not None
            else self._books.pending_of_reference(body.reference or "")
        )
        return refusal(404, "unknown_payment") if payment is None else self._desk.settle(payment, body.paid, _now())

    async def _find(self, request: web.Request) -> Reply:
        return _shown(self._books.payment(request.match_info["id"]))

    async def _find_by_key(self, request: web.Request) -> Reply:
        return _shown(self._books.payment_of_key(request.query.get("key", "")))

    async def _show_books(self, request: web.Request) -> Reply:
        payments = [payment.shown() for payment in self._books.payments()]
        entries = [entry.shown() for entry in self._books.entries()]
        return Reply(200, orjson.dumps({"payments": payments, "entries": entries}))

    async def _lapse(self, request: web.Request) -> Reply:
        """The hold of an order's payment comes to its end."""
        body = _LapseBody.model_validate_json(await request.read())
        payment = next((one for one in self._books.payments() if one.reference == body.reference), None)
        return refusal(404, "unknown_payment") if payment is None else self._desk.lapse(payment, _now())

    async def _show_settlements(self, request: web.Request) -> Reply:
        """What was settled since an instant, a page at a time."""
        asked = _SettlementsAsked.model_validate(dict(request.query))
        return Reply(200, orjson.dumps(settlements(self._books.entries(), asked.since, asked.after)))

    async def _health(self, request: web.Request) -> Reply:
        return Reply(200, b'{"status":"ok"}')

    async def _committed(self) -> None:
        if self._next_commit is None:
            loop = asyncio.get_running_loop()
            self._next_commit = loop.create_future()
            loop.call_soon(self._commit, self._next_commit)
        await asyncio.shield(self._next_commit)  # shared: one caller hanging up must not cancel the others' commit

    def _commit(self, waiting: asyncio.Future[None]) -> None:
        self._next_commit = None
        try:
            self._books.commit()
        except sqlite3.Error as error:
            waiting.set_exception(error)
        else:
            waiting.set_result(None)

    async def _notify(self, reply: Reply) -> None:
        for webhook in reply.webhooks:
            if reply.webhooks_first:
                await self._webhooks.send_once_now(webhook)
            else:
                self._webhooks.send(webhook)

    def _delivered(self, webhook: Webhook) -> None:
        self._books.sent(webhook.id)
        self._books.commit()

    def _arm(self, payment: Payment) -> None:
        if payment.settles_at is None or payment.id in self._timers or self._stopping.is_set():
            return
        due_in_s = max(0.0, (payment.settles_at - _now()).total_seconds())
        self._timers[payment.id] = asyncio.get_running_loop().call_later(due_in_s, self._settle_due, payment.id)

    def _settle_due(self, payment_id: str) -> None:
        self._timers.pop(payment_id, None)
        payment = self._books.payment(payment_id)
        if payment is None or payment.status is not Status.PENDING:
            return
        reply = self._desk.settle(payment, paid=script_of(payment.token).settles_paid is True, now=_now())
        self._books.commit()
        for webhook in reply.webhooks:
            self._webhooks.send(webhook)

    async def _hang(self, request: web.Request) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self.settings.hang_s)
        if request.transport is not None:
            request.transport.abort()


def _shown(payment: Payment | None) -> Reply:
    return refusal(404, "unknown_payment") if payment is None else Reply(200, orjson.dumps(payment.shown()))


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description="A payment provider whose outcomes are scripted by token.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port; the address is printed")
    parser.add_argument("--books", default=":memory:", help="file the books are kept in")
    given = parser.parse_args()
    # Everything else, the webhook secret included, comes from SANDBOX_PROVIDER_… variables.
    settings = ProviderSettings(host=given.host, port=given.port, books=given.books)
    serve(lambda: ProviderServer(settings))


if __name__ == "__main__":
    main()

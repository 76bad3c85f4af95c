"""Stripe's addresses: key checked, idempotency kept, and the scripted faults on the way between desk and caller."""

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import orjson
import uuid_utils
from aiohttp import web
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.sandbox.provider_webhooks import WebhookSender
from services.sandbox.stripe import desk, lists
from services.sandbox.stripe.faults import Faults
from services.sandbox.stripe.forms import Form
from services.sandbox.stripe.keys import Answer, Keys
from services.sandbox.stripe.objects import Intent, JsonObject, expanded
from services.sandbox.stripe.outgoing import Outgoing, stripe_headers
from services.sandbox.stripe.refusals import Refusal, malformed, missing
from services.sandbox.stripe.script import ScriptDoor
from services.sandbox.stripe.shelf import Shelf
from services.sandbox.stripe.tokens import Behaviour, Fault, behaviour_of

BODY_LIMIT = 64 * 1024
KEY_LIMIT = 255
SERVED_WITH_A_FAULT = {Fault.ERROR: 500, Fault.BUSY: 429, Fault.HANG: 500}
Do = Callable[[Form, str], JsonObject]


class StripeSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SANDBOX_STRIPE_", frozen=True)

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free port
    api_key: str = Field(default_factory=lambda: f"sk_test_{secrets.token_hex(16)}", repr=False)
    hang_s: float = 60.0  # well above any client's timeout; then the connection is dropped without an answer
    settle_after_s: float = 0.5
    webhook_url: str = ""
    webhook_secret: str = Field(default_factory=lambda: f"whsec_{secrets.token_hex(16)}", repr=False)
    webhook_events: frozenset[str] = frozenset({"*"})
    webhook_tries: int = 20
    webhook_first_delay_s: float = 0.1
    webhook_longest_delay_s: float = 10.0
    webhook_timeout_s: float = 5.0
    webhook_copies: int = 1
    webhook_late_s: float = 0.0
    webhook_shuffled: int = 0
    webhook_seed: int = 0


class StripeServer:
    def __init__(
        self, settings: StripeSettings | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.settings = settings or StripeSettings()
        self.shelf = Shelf(clock, new_id=lambda prefix: f"{prefix}_{uuid_utils.uuid7().hex}")
        self.faults = Faults()
        self._keys = Keys()
        sender = WebhookSender(
            self.settings.webhook_secret,
            lambda _: None,
            tries=self.settings.webhook_tries,
            first_delay_s=self.settings.webhook_first_delay_s,
            longest_delay_s=self.settings.webhook_longest_delay_s,
            timeout_s=self.settings.webhook_timeout_s,
            headers=stripe_headers,
        )
        self._outgoing = Outgoing(
            sender,
            self.settings.webhook_url,
            self.settings.webhook_events,
            self.settings.webhook_copies,
            self.settings.webhook_late_s,
            self.settings.webhook_shuffled,
            self.settings.webhook_seed,
        )
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        app = web.Application(client_max_size=BODY_LIMIT)
        intent, listed = "/v1/payment_intents/{id}", self._listed
        app.add_routes(
            [
                web.post("/v1/payment_intents", self._post("create", lambda id_: self._create)),
                web.post(intent + "/confirm", self._post("confirm", lambda id_: self._on(id_, desk.confirm))),
                web.post(intent + "/capture", self._post("capture", lambda id_: self._on(id_, desk.capture))),
                web.post(intent + "/cancel", self._post("cancel", lambda id_: self._on(id_, desk.cancel))),
                web.post("/v1/refunds", self._post("refund", lambda id_: self._refund)),
                web.get("/v1/payment_intents/search", self._get(self._search)),
                web.get("/v1/payment_intents", self._get(listed(lambda: self.shelf.intents))),
                web.get("/v1/refunds", self._get(listed(lambda: self.shelf.refunds))),
                web.get("/v1/disputes", self._get(listed(lambda: self.shelf.disputes))),
                web.get("/v1/balance_transactions", self._get(listed(lambda: self.shelf.transactions))),
                web.get("/v1/events", self._get(listed(lambda: self.shelf.events))),
                *(
                    web.get(f"/v1/{plural}/{{id}}", self._get(self._one(prefix, name)))
                    for plural, prefix, name in (
                        ("payment_intents", "pi", "payment_intent"),
                        ("charges", "ch", "charge"),
                        ("refunds", "re", "refund"),
                        ("disputes", "dp", "dispute"),
                        ("balance_transactions", "txn", "balance transaction"),
                        ("events", "evt", "event"),
                    )
                ),
                web.get("/books", self._show_books),
                *ScriptDoor(self.shelf, self.faults, self._tell, self._outgoing.flush).routes(),
                web.route("*", "/v1/{rest:.*}", self._get(self._nowhere)),
            ]
        )
        # A caller who hangs up must not undo a call half way: what is done is kept under its key first.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port, backlog=1024)
        await site.start()
        return f"http://{self.settings.host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        for timer in self._timers.values():
            timer.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._outgoing.stop()

    def forget_keys(self) -> None:
        """As if a day had passed: what was asked under them may be asked anew."""
        self._keys = Keys()

    async def quiet(self) -> None:
        """Wait until every notice so far has arrived or was given up."""
        while self._settling:
            await asyncio.gather(*self._settling)
        await self._outgoing.quiet()

    # -- calls that change something -------------------------------------------------------------------------------

    def _post(self, operation: str, do_for: Callable[[str], Do]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            key = request.headers.get("Idempotency-Key", "") or f"none {uuid_utils.uuid7().hex}"
            try:
                self._authenticate(request)
                if len(key) > KEY_LIMIT:
                    raise malformed("Idempotency keys are at most 255 characters.", "Idempotency-Key")
                form = Form.of(await request.text())
                kept = self._keys.begin(key, request.path, form.tree)
            except Refusal as refusal:
                return _response(refusal.status, orjson.dumps(refusal.body()))
            if kept is not None:
                return _response(kept.status, kept.body, replayed=True)
            try:
                return await self._first_time(request, operation, do_for(request.match_info.get("id", "")), form, key)
            finally:
                self._keys.end(key)

        return answer

    async def _first_time(self, request: web.Request, operation: str, do: Do, form: Form, key: str) -> web.Response:
        try:
            fault = self._fault(operation, request, form, key)
            if fault in SERVED_WITH_A_FAULT:
                if fault is Fault.HANG:
                    await self._hang(request)
                return _response(SERVED_WITH_A_FAULT[fault], _API_ERROR)
            kept, first = Answer(200, orjson.dumps(self._expanded(do(form, key), form))), self._events_first(form)
        except Refusal as refusal:
            kept, first, fault = Answer(refusal.status, orjson.dumps(refusal.body())), False, Fault.NONE
            if not refusal.kept:
                self._keys.forget(key)
                return _response(kept.status, kept.body)
        if fault is Fault.DO_THEN_ERROR:
            kept = Answer(500, _API_ERROR)
        self._keys.keep(key, kept)
        self._arm()
        await self._tell(first)
        if fault is Fault.DO_THEN_HANG:
            await self._hang(request)
        elif fault is Fault.DO_THEN_DROP:
            _drop(request)
        return _response(kept.status, kept.body)

    def _create(self, form: Form, key: str) -> JsonObject:
        return desk.create(self.shelf, form, key)

    def _on(self, id_: str, do: Callable[[Shelf, Intent, Form, str], JsonObject]) -> Do:
        return lambda form, key: do(self.shelf, self.shelf.intent(id_), form, key)

    def _refund(self, form: Form, key: str) -> JsonObject:
        return desk.refund(self.shelf, form, key)

    def _fault(self, operation: str, request: web.Request, form: Form, key: str) -> Fault:
        intent: Intent | None = None
        if operation == "refund":
            intent = desk.refunded_intent(self.shelf, form)
        elif operation != "create":
            intent = self.shelf.intent(request.match_info["id"])
        return self.faults.of(operation, key, "" if intent is None else intent.id, self._behaviour(intent, form))

    def _behaviour(self, intent: Intent | None, form: Form) -> Behaviour:
        if intent is not None and intent.status == "canceled":
            return Behaviour()  # refused at once: nothing of the script is played for it
        asked = form.text("payment_method")
        behaviour = behaviour_of(asked) if asked is not None else None
        if behaviour is None and intent is not None:
            behaviour = self.shelf.behaviour(intent)
        return behaviour or Behaviour()

    def _events_first(self, form: Form) -> bool:
        return self._behaviour(None, form).event_first

    async def _tell(self, first: bool = False) -> None:
        """Send the events that nobody was told of yet."""
        while self.shelf.untold:
            # Shielded: a caller who hangs up must not take the notice of what was done along.
            await asyncio.shield(self._outgoing.take(self.shelf.untold.pop(0), now=first))

    # -- payments that settle by themselves ------------------------------------------------------------------------

    def _arm(self) -> None:
        intents, self.shelf.unsettled = self.shelf.unsettled, []
        for intent in intents:
            paid = self.shelf.behaviour(intent).settles_paid
            if paid is not None and not self._stopping.is_set():
                loop = asyncio.get_running_loop()
                self._timers[intent.id] = loop.call_later(self.settings.settle_after_s, self._settle, intent, paid)

    def _settle(self, intent: Intent, paid: bool) -> None:
        del self._timers[intent.id]
        desk.settle(self.shelf, intent, paid)
        task = asyncio.get_running_loop().create_task(self._tell())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    # -- calls that only look ----------------------------------------------------------------------------------------

    def _get(self, look: Callable[[web.Request, Form], JsonObject]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            try:
                self._authenticate(request)
                form = Form.of(request.query_string)
                return _response(200, orjson.dumps(self._expanded(look(request, form), form)))
            except Refusal as refusal:
                return _response(refusal.status, orjson.dumps(refusal.body()))

        return answer

    def _one(self, prefix: str, name: str) -> Callable[[web.Request, Form], JsonObject]:
        def look(request: web.Request, form: Form) -> JsonObject:
            id_ = request.match_info["id"]
            found = self.shelf.find(id_) if id_.startswith(f"{prefix}_") else None
            if found is None:
                raise missing(name, id_)
            return found

        return look

    def _listed(self, kept: Callable[[], Mapping[str, "lists.Shown"]]) -> Callable[[web.Request, Form], JsonObject]:
        return lambda request, form: lists.page(request.path, (found.shown() for found in kept().values()), form)

    def _search(self, request: web.Request, form: Form) -> JsonObject:
        return lists.search(request.path, (found.shown() for found in self.shelf.intents.values()), form)

    def _nowhere(self, request: web.Request, form: Form) -> JsonObject:
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        raise Refusal(404, "invalid_request_error", message, kept=False)

    async def _show_books(self, request: web.Request) -> web.Response:
        return _response(200, orjson.dumps(self.shelf.books()))

    # ------------------------------------------------------------------------------------------------------------------

    def _authenticate(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self.settings.api_key.encode()):
            raise Refusal(401, "invalid_request_error", "Invalid API Key provided.", kept=False)

    def _expanded(self, shown: JsonObject, form: Form) -> JsonObject:
        return expanded(shown, form.texts("expand"), self.shelf.find)

    async def _hang(self, request: web.Request) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self.settings.hang_s)
        _drop(request)


_API_ERROR = orjson.dumps({"error": {"type": "api_error", "message": "Sorry, there was a problem on our end."}})


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _response(status: int, body: bytes, replayed: bool = False) -> web.Response:
    headers = {"Request-Id": f"req_{uuid_utils.uuid7().hex[:14]}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)

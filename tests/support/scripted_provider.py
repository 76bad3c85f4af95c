"""The payment provider for the simulator: the sandbox's own desk, called in memory.

Nothing sleeps, nothing is posted and nothing is random: hanging is an `Unknown` at once, and the notices that the
server would send are handed out, so that the simulator decides when, in which order and how often they arrive.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

import orjson

from services.payment.provider.port import (
    AuthorizeRequest,
    Captured,
    CaptureRequest,
    NothingToPrepare,
    ProviderAnswer,
    Refunded,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
    WebhookNotice,
)
from services.payment.provider.sandbox import PaymentShown, answer_of, notice_of, refusal_of
from services.sandbox.provider_books import MemoryBooks
from services.sandbox.provider_desk import Desk, Reply
from services.sandbox.provider_script import Authorize, Call, Capture, Refund, Void, Withdraw, script_of


class ScriptedProvider:
    prepares: ClassVar[bool] = False

    def __init__(
        self,
        now: Callable[[], datetime],
        settle_after: timedelta = timedelta(seconds=30),
        webhooks_for_all: bool = False,
    ) -> None:
        self._now = now
        self._books = MemoryBooks()
        self._made = 0
        self._desk = Desk(self._books, self._new_id, settle_after, webhooks_for_all)
        self._notices: list[WebhookNotice] = []

    async def prepare(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        raise NothingToPrepare("the scripted provider")

    async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        call = Authorize(
            request.reference,
            request.amount_minor,
            request.currency,
            request.token,
            request.capture,
            request.webhook_url,
        )
        return self._ask(key, call, None)

    async def capture(self, key: str, request: CaptureRequest) -> ProviderAnswer:
        return self._ask(key, Capture(request.provider_payment_id, request.amount_minor), request.provider_payment_id)

    async def void(self, key: str, request: VoidRequest) -> ProviderAnswer:
        return self._ask(key, Void(request.provider_payment_id), request.provider_payment_id)

    async def refund(self, key: str, request: RefundRequest) -> ProviderAnswer:
        return self._ask(key, Refund(request.provider_payment_id, request.amount_minor), request.provider_payment_id)

    async def withdraw(self, key: str, authorize_key: str) -> ProviderAnswer:
        return self._ask(key, Withdraw(authorize_key), None)

    async def find(self, provider_payment_id: str) -> ProviderAnswer:
        payment = self._books.payment(provider_payment_id)
        if payment is None:
            return Unknown("http 404", provider_payment_id)
        return answer_of(PaymentShown.model_validate(payment.shown()))

    def settle(self, payment_id: str, paid: bool) -> list[WebhookNotice]:
        """What /script/settle does; the notices that would be sent, for a pending payment only."""
        payment = self._books.payment(payment_id)
        if payment is None:
            raise LookupError(payment_id)
        return _notices(self._desk.settle(payment, paid, self._now()))

    def lapse(self, payment_id: str) -> list[WebhookNotice]:
        """What /script/lapse does."""
        payment = self._books.payment(payment_id)
        if payment is None:
            raise LookupError(payment_id)
        return _notices(self._desk.lapse(payment, self._now()))

    def settle_due(self) -> list[WebhookNotice]:
        """Settle the scripted pending payments whose time has come, in order of their time."""
        now = self._now()
        due = [(p.settles_at, p.id, p.token) for p in self._books.settling() if p.settles_at and p.settles_at <= now]
        return [
            notice
            for _, payment_id, token in sorted(due)
            for notice in self.settle(payment_id, paid=script_of(token).settles_paid is True)
        ]

    def next_settlement(self) -> datetime | None:
        return min((p.settles_at for p in self._books.settling() if p.settles_at is not None), default=None)

    def take_notices(self) -> list[WebhookNotice]:
        """Notices the calls made since the last asking have caused; a duplicate stands twice."""
        taken, self._notices = self._notices, []
        return taken

    def known_as(self, booked: str) -> str:
        """What it calls a payment of its books when it speaks to us."""
        return booked

    def books(self) -> dict[str, list[dict[str, Any]]]:
        """In the shape of GET /books."""
        return {
            "payments": [payment.shown() for payment in self._books.payments()],
            "entries": [entry.shown() for entry in self._books.entries()],
        }

    def _ask(self, key: str, call: Call, payment_id: str | None) -> ProviderAnswer:
        reply = self._desk.ask(key, call, self._now())
        self._notices += _notices(reply)
        if reply.hangs:
            return Unknown("timeout", payment_id)
        if reply.status != 200:
            return refusal_of(reply.status, reply.body, payment_id)
        return _read(call, reply)

    def _new_id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}_{self._made:012}"


def _notices(reply: Reply) -> list[WebhookNotice]:
    return [notice_of(webhook.body) for webhook in reply.webhooks]


def _read(call: Call, reply: Reply) -> ProviderAnswer:
    shown = orjson.loads(reply.body)
    if isinstance(call, Withdraw):
        return Voided(None) if shown["payment"] is None else answer_of(PaymentShown.model_validate(shown["payment"]))
    payment = PaymentShown.model_validate(shown)
    match call:
        case Authorize():
            return answer_of(payment)
        case Capture():
            return Captured(payment.id, payment.captured_minor, payment.refunded_minor)
        case Void():
            return Voided(payment.id, payment.voided_minor)
        case Refund():
            return Refunded(payment.id, payment.refunded_minor, payment.refund_id)

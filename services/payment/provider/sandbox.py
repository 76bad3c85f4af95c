"""The sandbox provider: JSON over HTTP, an idempotency key in a header, notices signed as Standard Webhooks."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from services.payment.provider.port import (
    WEBHOOK_BODY_LIMIT,
    Authorized,
    AuthorizeRequest,
    BadNotice,
    BadSignature,
    Captured,
    CaptureRequest,
    Declined,
    Failed,
    Impossible,
    NothingToPrepare,
    Pending,
    ProviderAnswer,
    Refunded,
    RefundRequest,
    Settled,
    SettledKind,
    SettlementsUnavailable,
    Unknown,
    Voided,
    VoidRequest,
    WebhookNotice,
)

ANSWER_LIMIT = 1024 * 1024  # bytes of an answer that are read; a provider gone mad must not fill our memory
SETTLEMENT_PAGES = 200
"""Pages read of one report; each is a thousand lines."""

A = TypeVar("A")
Read = Callable[[bytes], A]


class PaymentShown(BaseModel):
    """A payment as the sandbox provider shows it; fields we do not know are ignored, theirs may grow."""

    model_config = ConfigDict(frozen=True)

    id: str
    key: str
    status: str
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    voided_minor: int
    currency: str
    reference: str
    decline_reason: str | None
    refund_id: str | None = None


class _Withdrawn(BaseModel):
    payment: PaymentShown | None


class _Refusal(BaseModel):
    error: str
    payment: PaymentShown | None = None


def answer_of(payment: PaymentShown) -> ProviderAnswer:
    """Where a payment stands, read from its status."""
    match payment.status:
        case "captured" if payment.refunded_minor == payment.captured_minor:
            return Refunded(payment.id, payment.refunded_minor)
        case "captured":
            return Captured(payment.id, payment.captured_minor, payment.refunded_minor)
        case "authorized":
            return Authorized(payment.id, payment.amount_minor)
        case "pending":
            return Pending(payment.id)
        case "declined":
            return Declined(payment.decline_reason or "declined", payment.id)
        case "failed":
            return Failed(payment.decline_reason or "failed", payment.id)
        case "voided":
            return Voided(payment.id, payment.voided_minor)
        case status:
            return Unknown(f"unknown status {status}", payment.id)


def refusal_of(status: int, body: bytes, provider_payment_id: str | None) -> Impossible | Unknown:
    """Only a refusal by name is an outcome; not found, too many, not allowed and broken are not knowing."""
    if status not in (400, 409, 422):
        return Unknown(f"http {status}", provider_payment_id)
    refusal = _Refusal.model_validate_json(body)
    if refusal.payment is None:
        return Impossible(refusal.error, None, provider_payment_id)
    return Impossible(refusal.error, refusal.payment.status, refusal.payment.id)


@dataclass(frozen=True)
class SandboxProviderSettings:
    url: str
    timeout_s: float = 10.0  # the whole call, waiting for a free connection included
    connections: int = 64
    webhook_secret: str = field(default="", repr=False)


class SandboxProvider:
    """`async with SandboxProvider(settings) as provider:`: one session, so connections are kept and bounded."""

    prepares: ClassVar[bool] = False

    def __init__(self, settings: SandboxProviderSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.connections),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def prepare(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        raise NothingToPrepare("the sandbox provider")

    async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        body = {
            "reference": request.reference,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "token": request.token,
            "capture": request.capture,
            "webhook_url": request.webhook_url,
        }
        return await self._post("/payments", key, body, _status_answer)

    async def capture(self, key: str, request: CaptureRequest) -> ProviderAnswer:
        path = _path(request.provider_payment_id) + "/capture"
        body = {"amount_minor": request.amount_minor}
        return await self._post(path, key, body, _captured_answer, request.provider_payment_id)

    async def void(self, key: str, request: VoidRequest) -> ProviderAnswer:
        path = _path(request.provider_payment_id) + "/void"
        return await self._post(path, key, {}, _voided_answer, request.provider_payment_id)

    async def refund(self, key: str, request: RefundRequest) -> ProviderAnswer:
        path = _path(request.provider_payment_id) + "/refunds"
        body = {"amount_minor": request.amount_minor}
        return await self._post(path, key, body, _refunded_answer, request.provider_payment_id)

    async def withdraw(self, key: str, authorize_key: str) -> ProviderAnswer:
        return await self._post("/payments/void-by-key", key, {"key": authorize_key}, _withdrawn_answer)

    async def find(self, provider_payment_id: str) -> ProviderAnswer:
        return await self._call("GET", _path(provider_payment_id), {}, None, _status_answer, provider_payment_id)

    async def list_settlements(self, since: datetime) -> list[Settled]:
        found: list[Settled] = []
        after = 0
        for _ in range(SETTLEMENT_PAGES):
            asked = urlencode({"since": since.isoformat(), "after": after})
            page = await self._call("GET", f"/settlements?{asked}", {}, None, _SettlementPage.model_validate_json)
            if isinstance(page, Impossible | Unknown):
                raise SettlementsUnavailable(page.error if isinstance(page, Impossible) else page.why)
            found += [line.settled() for line in page.lines]
            if page.next is None:
                return found
            after = page.next
        raise SettlementsUnavailable(f"more than {len(found):,} lines: ask for less at once")

    proof: ClassVar[frozenset[str]] = frozenset({"webhook-id", "webhook-timestamp", "webhook-signature"})

    def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookNotice:
        return verify_webhook(self._settings.webhook_secret, headers, body, now)

    async def _post(
        self, path: str, key: str, body: dict[str, Any], read: Read[ProviderAnswer], payment_id: str | None = None
    ) -> ProviderAnswer:
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        return await self._call("POST", path, headers, orjson.dumps(body), read, payment_id)

    async def _call(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
        read: Read[A],
        payment_id: str | None = None,
    ) -> A | Impossible | Unknown:
        if self._session is None:
            raise RuntimeError("the provider's session is not open: use it with `async with`")
        try:
            async with self._session.request(
                method, self._settings.url + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = bytearray()
                async for chunk in response.content.iter_any():
                    answer += chunk
                    if len(answer) > ANSWER_LIMIT:
                        return Unknown("answer too large", payment_id)
            if response.status == 200:
                return read(bytes(answer))
            return refusal_of(response.status, bytes(answer), payment_id)
        except TimeoutError:
            return Unknown("timeout", payment_id)
        except (aiohttp.ClientError, OSError) as error:
            return Unknown(f"connection: {type(error).__name__}", payment_id)
        except ValidationError:
            return Unknown("unreadable answer", payment_id)


class _SettledLine(BaseModel):
    id: str
    kind: SettledKind
    payment_id: str
    reference: str
    amount_minor: int
    fee_minor: int
    currency: str
    instant: datetime

    def settled(self) -> Settled:
        return Settled(
            self.id,
            self.kind,
            self.payment_id,
            self.reference,
            self.amount_minor,
            self.fee_minor,
            self.currency,
            self.instant,
        )


class _SettlementPage(BaseModel):
    lines: list[_SettledLine]
    next: int | None


def _path(provider_payment_id: str) -> str:
    return f"/payments/{quote(provider_payment_id, safe='')}"


def _status_answer(body: bytes) -> ProviderAnswer:
    return answer_of(PaymentShown.model_validate_json(body))


def _captured_answer(body: bytes) -> ProviderAnswer:
    payment = PaymentShown.model_validate_json(body)
    return Captured(payment.id, payment.captured_minor, payment.refunded_minor)


def _voided_answer(body: bytes) -> ProviderAnswer:
    payment = PaymentShown.model_validate_json(body)
    return Voided(payment.id, payment.voided_minor)


def _refunded_answer(body: bytes) -> ProviderAnswer:
    payment = PaymentShown.model_validate_json(body)
    return Refunded(payment.id, payment.refunded_minor, payment.refund_id)


def _withdrawn_answer(body: bytes) -> ProviderAnswer:
    payment = _Withdrawn.model_validate_json(body).payment
    return Voided(None) if payment is None else answer_of(payment)


class _Notice(BaseModel):
    id: str
    type: str
    created: datetime
    payment: PaymentShown


def verify_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, now: datetime, tolerance_s: int = 300
) -> WebhookNotice:
    """Standard Webhooks; raises BadSignature for what is not proven, BadNotice for what is proven and unreadable."""
    if len(body) > WEBHOOK_BODY_LIMIT:
        raise BadSignature("body too large")
    given = {name.lower(): value for name, value in headers.items()}
    try:
        webhook_id, timestamp, signatures = (
            given[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        )
    except KeyError as missing:
        raise BadSignature(f"no header {missing}") from None
    # Not int(): it takes " 1_0 " too, and the signed text would no longer be the number that was compared.
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise BadSignature("timestamp is not a number")
    if abs(now.timestamp() - int(timestamp)) > tolerance_s:
        raise BadSignature("too old or too new")
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256))
    # Several signatures stand side by side while a secret is being changed.
    found = [part[3:].encode() for part in signatures.split(" ") if part.startswith("v1,")]
    if not any(hmac.compare_digest(expected, signature) for signature in found):
        raise BadSignature("no signature matches")
    return notice_of(body)


def notice_of(body: bytes) -> WebhookNotice:
    """Read a notice that is already trusted."""
    try:
        told = _Notice.model_validate_json(body)
    except ValidationError as error:
        raise BadNotice(str(error)) from None
    return WebhookNotice(
        told.id,
        told.type,
        told.created,
        told.payment.id,
        told.payment.key,
        told.payment.reference,
        told.payment.amount_minor,
        told.payment.currency,
        answer_of(told.payment),
    )

"""One call at the provider's desk, from the idempotency key to what is answered, without an await.

Because nothing is awaited between reading a key and keeping its answer, two calls with one key are served one
after the other and never done twice. The desk reads and writes its books through `Books`: SQLite in the server,
dictionaries in the simulator's fake.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from services.sandbox import provider_script as script
from services.sandbox.provider_script import (
    FAULTY_CALLS,
    Authorize,
    Call,
    Capture,
    Done,
    Entry,
    Fault,
    Impossible,
    Payment,
    Refund,
    Status,
    Void,
    Withdraw,
    script_of,
)


@dataclass(frozen=True)
class Kept:
    """What is remembered under an idempotency key; no answer yet when the call failed before anything was done."""

    content_hash: str
    status: int | None
    body: bytes | None


@dataclass(frozen=True)
class Webhook:
    id: str
    url: str
    body: bytes


class Books(Protocol):
    def kept(self, key: str) -> Kept | None: ...
    def keep(self, key: str, kept: Kept) -> None: ...
    def payment(self, payment_id: str) -> Payment | None: ...
    def payment_of_key(self, key: str) -> Payment | None: ...
    def pending_of_reference(self, reference: str) -> Payment | None: ...
    def put(self, payment: Payment) -> None: ...
    def enter(self, entries: Sequence[Entry]) -> None: ...
    def send(self, webhook: Webhook) -> None: ...
    def withdraw(self, key: str) -> None: ...
    def is_withdrawn(self, key: str) -> bool: ...
    def count(self, what: str) -> int:
        """Count one more call of this kind and say the how manieth it is."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    hangs: bool = False  # the answer exists, and does not get out
    webhooks: tuple[Webhook, ...] = ()
    webhooks_first: bool = False  # the notice goes out before the reply
    settles: Payment | None = None  # a pending payment that changes by itself, at settles_at


@dataclass(frozen=True)
class Desk:
    books: Books
    new_id: Callable[[str], str]  # prefix -> fresh id
    settle_after: timedelta
    webhooks_for_all: bool = False

    def ask(self, key: str, call: Call, now: datetime) -> Reply:
        content_hash = hashlib.sha256(repr(call).encode()).hexdigest()
        kept = self.books.kept(key)
        if kept is not None and kept.content_hash != content_hash:
            return refusal(409, "key_reused")
        if kept is not None and kept.status is not None and kept.body is not None:
            return Reply(kept.status, kept.body)
        payment = self._payment_of(call)
        if payment is None and isinstance(call, Capture | Void | Refund):
            return refusal(404, "unknown_payment")
        fault = self._fault(key, call, payment)
        if fault in (Fault.ERROR_TWICE, Fault.HANG_ONCE):
            self.books.keep(key, Kept(content_hash, None, None))
            return Reply(503, b'{"error":"unavailable"}', hangs=fault is Fault.HANG_ONCE)
        reply = self._do(key, call, payment, hangs=fault is Fault.DO_THEN_HANG_ONCE, now=now)
        self.books.keep(key, Kept(content_hash, reply.status, reply.body))
        return reply

    def settle(self, payment: Payment, paid: bool, now: datetime) -> Reply:
        done = script.settle(payment, paid, now)
        return self._written(done, payment, hangs=False, answer=done.payment.shown(), now=now)

    def lapse(self, payment: Payment, now: datetime) -> Reply:
        """What is held for too long is let go, and that is always told."""
        done = script.lapse(payment, now)
        return self._written(done, payment, hangs=False, answer=done.payment.shown(), now=now, told=True)

    def _payment_of(self, call: Call) -> Payment | None:
        match call:
            case Authorize():
                return None
            case Withdraw():
                return self.books.payment_of_key(call.key)
            case Capture() | Void() | Refund():
                return self.books.payment(call.payment_id)

    def _fault(self, key: str, call: Call, payment: Payment | None) -> Fault:
        """The scripted fault of this very call, if its turn has not passed; counted only where one is scripted."""
        if isinstance(call, Authorize):
            # A withdrawn key is declined at once: nothing of the script is played for it.
            fault = Fault.NONE if self.books.is_withdrawn(key) else script_of(call.token).fault
            what = f"authorize {key}"
        elif payment is None:
            return Fault.NONE
        else:
            operation = _operation(call, payment)
            fault = script_of(payment.token).later_faults.get(operation, Fault.NONE)
            what = f"{operation} {payment.id}"
        if fault is Fault.NONE or self.books.count(what) > FAULTY_CALLS[fault]:
            return Fault.NONE
        return fault

    def _do(self, key: str, call: Call, payment: Payment | None, hangs: bool, now: datetime) -> Reply:
        match call:
            case Authorize():
                withdrawn = self.books.is_withdrawn(key)
                done = script.authorize(call, key, self.new_id("pay"), withdrawn, now, self.settle_after)
                return self._written(done, None, hangs, done.payment.shown(), now)
            case Withdraw():
                if payment is None:
                    self.books.withdraw(call.key)
                    return Reply(200, _json({"withdrawn": call.key, "payment": None}))
                done = script.withdraw(payment, key, now)
                return self._written(
                    done, payment, hangs, {"withdrawn": call.key, "payment": done.payment.shown()}, now
                )
            case Capture() | Void() | Refund():
                assert payment is not None  # ask() refused an unknown payment
                outcome = self._change(key, call, payment, now)
                if isinstance(outcome, Impossible):
                    return Reply(409, _json({"error": outcome.error, "payment": payment.shown()}), hangs)
                answer: dict[str, Any] = dict(outcome.payment.shown())
                if isinstance(call, Refund):
                    answer |= {"refund_id": self.new_id("ref"), "refund_amount_minor": call.amount_minor}
                return self._written(outcome, payment, hangs, answer, now)

    def _change(self, key: str, call: Capture | Void | Refund, payment: Payment, now: datetime) -> Done | Impossible:
        match call:
            case Capture():
                return script.capture(payment, call.amount_minor, key, now)
            case Void():
                return script.void(payment, key, now)
            case Refund():
                return script.refund(payment, call.amount_minor, key, now)

    def _written(
        self,
        done: Done,
        before: Payment | None,
        hangs: bool,
        answer: dict[str, Any],
        now: datetime,
        told: bool = False,
    ) -> Reply:
        payment = done.payment
        if payment != before:
            self.books.put(payment)
        self.books.enter(done.entries)
        webhooks = self._notices(done, before, now, told)
        for webhook in {webhook.id: webhook for webhook in webhooks}.values():
            self.books.send(webhook)
        return Reply(
            200,
            _json(answer),
            hangs,
            webhooks,
            webhooks_first=script_of(payment.token).webhook_first,
            settles=payment if payment.settles_at is not None else None,
        )

    def _notices(self, done: Done, before: Payment | None, now: datetime, told: bool) -> tuple[Webhook, ...]:
        """A token with webhooks tells the result of its authorization; with webhooks_for_all everything is told."""
        payment = done.payment
        is_result = before is None or (before.status is Status.PENDING and payment.status is not Status.VOIDED)
        times = script_of(payment.token).webhooks if is_result else 0
        if self.webhooks_for_all or told:
            times = max(times, 1)
        if payment.webhook_url is None or not done.entries or times == 0:
            return ()
        event_id = self.new_id("evt")
        event = {
            "id": event_id,
            "type": _EVENT_OF_ENTRY[done.entries[-1].kind],
            "created": now.isoformat(),
            "payment": payment.shown(),
        }
        return (Webhook(event_id, payment.webhook_url, _json(event)),) * times


_EVENT_OF_ENTRY = {
    "authorize": "payment.authorized",
    "capture": "payment.captured",
    "void": "payment.voided",
    "refund": "payment.refunded",
    "decline": "payment.failed",
    "fail": "payment.failed",
}


def refusal(status: int, error: str) -> Reply:
    return Reply(status, _json({"error": error}))


def _operation(call: Capture | Void | Refund | Withdraw, payment: Payment) -> str:
    match call:
        case Capture():
            return "capture"
        case Void():
            return "void"
        case Refund():
            return "refund"
        case Withdraw():
            return "refund" if payment.captured_minor else "void"


def _json(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value)

"""A token says how the provider will behave, and what a payment can become is decided here, without any I/O.

The HTTP server and the in-memory fake of the simulator both decide with these functions, so a schedule found
with one can be replayed with the other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType


class Status(StrEnum):
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    PENDING = "pending"
    DECLINED = "declined"
    FAILED = "failed"
    VOIDED = "voided"


class Fault(StrEnum):
    """What goes wrong on the way, before the same call asked again is answered as it should be."""

    NONE = "none"
    ERROR_TWICE = "error"  # two 5xx, nothing done
    HANG_ONCE = "hang"  # one call without an answer, nothing done
    DO_THEN_HANG_ONCE = "do_then_hang"  # one call without an answer, and it was done


FAULTY_CALLS: Mapping[Fault, int] = MappingProxyType(
    {Fault.NONE: 0, Fault.ERROR_TWICE: 2, Fault.HANG_ONCE: 1, Fault.DO_THEN_HANG_ONCE: 1}
)


@dataclass(frozen=True)
class Script:
    decline_reason: str | None = None
    pending: bool = False
    settles_paid: bool | None = None  # None: stays pending until somebody settles it
    fault: Fault = Fault.NONE
    webhooks: int = 0  # how often the notice of the result is sent
    webhook_first: bool = False
    later_faults: Mapping[str, Fault] = field(default_factory=dict)  # by operation: capture, void, refund


SCRIPTS: Mapping[str, Script] = MappingProxyType(
    {
        "tok_ok": Script(),
        "tok_declined": Script(decline_reason="card_declined"),
        "tok_error": Script(fault=Fault.ERROR_TWICE),
        "tok_timeout": Script(fault=Fault.HANG_ONCE),
        "tok_do_then_timeout": Script(fault=Fault.DO_THEN_HANG_ONCE),
        "tok_pending": Script(pending=True, webhooks=1),
        "tok_pending_then_paid": Script(pending=True, settles_paid=True, webhooks=1),
        "tok_pending_then_failed": Script(pending=True, settles_paid=False, webhooks=1),
        "tok_duplicate_webhook": Script(webhooks=2),
        "tok_webhook_first": Script(webhooks=1, webhook_first=True),
    }
)
UNKNOWN_TOKEN = Script(decline_reason="unknown_token")

_LATER = re.compile(r"_(capture|void|refund)_(error|timeout)$")
_LATER_FAULTS = {"error": Fault.ERROR_TWICE, "timeout": Fault.DO_THEN_HANG_ONCE}


@lru_cache(maxsize=1024)  # tokens come from outside: an endless variety of them must not fill the memory
def script_of(token: str) -> Script:
    """`tok_ok_refund_error_void_timeout` is tok_ok whose refunds and voids misbehave as named."""
    later: dict[str, Fault] = {}
    while ending := _LATER.search(token):
        later[ending[1]] = _LATER_FAULTS[ending[2]]
        token = token[: ending.start()]
    script = SCRIPTS.get(token)
    return UNKNOWN_TOKEN if script is None else replace(script, later_faults=later)


@dataclass(frozen=True)
class Payment:
    id: str
    key: str  # the idempotency key it was authorized with
    status: Status
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    voided_minor: int  # the part of the authorization that was given up
    currency: str
    reference: str
    token: str
    capture: bool
    webhook_url: str | None
    decline_reason: str | None
    settles_at: datetime | None  # when a scripted pending payment changes by itself

    def shown(self) -> dict[str, str | int | None]:
        """As the outside sees it; the key is shown so that a notice that overtakes its answer can be matched."""
        return {
            "id": self.id,
            "key": self.key,
            "status": self.status.value,
            "amount_minor": self.amount_minor,
            "captured_minor": self.captured_minor,
            "refunded_minor": self.refunded_minor,
            "voided_minor": self.voided_minor,
            "currency": self.currency,
            "reference": self.reference,
            "decline_reason": self.decline_reason,
        }


@dataclass(frozen=True)
class Entry:
    """One line of the books. Per payment: authorized = captured + voided + still open, and refunded <= captured."""

    kind: str  # authorize | capture | void | refund | decline | fail
    payment_id: str
    key: str  # the idempotency key of the call that did it
    amount_minor: int
    currency: str
    reference: str
    instant: datetime

    def shown(self) -> dict[str, str | int]:
        return {
            "kind": self.kind,
            "payment_id": self.payment_id,
            "key": self.key,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "reference": self.reference,
            "instant": self.instant.isoformat(),
        }


@dataclass(frozen=True)
class Authorize:
    reference: str
    amount_minor: int
    currency: str
    token: str
    capture: bool
    webhook_url: str | None


@dataclass(frozen=True)
class Capture:
    payment_id: str
    amount_minor: int


@dataclass(frozen=True)
class Void:
    payment_id: str


@dataclass(frozen=True)
class Refund:
    payment_id: str
    amount_minor: int


@dataclass(frozen=True)
class Withdraw:
    """Cancel whatever the authorize call with this key made, or will make."""

    key: str


Call = Authorize | Capture | Void | Refund | Withdraw


@dataclass(frozen=True)
class Done:
    payment: Payment
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Impossible:
    error: str


def authorize(
    call: Authorize, key: str, payment_id: str, withdrawn: bool, now: datetime, settle_after: timedelta
) -> Done:
    script = script_of(call.token)
    asked = Payment(
        id=payment_id,
        key=key,
        status=Status.PENDING,
        amount_minor=call.amount_minor,
        captured_minor=0,
        refunded_minor=0,
        voided_minor=0,
        currency=call.currency,
        reference=call.reference,
        token=call.token,
        capture=call.capture,
        webhook_url=call.webhook_url,
        decline_reason=None,
        settles_at=None,
    )
    reason = "withdrawn" if withdrawn else script.decline_reason
    if reason is not None:
        declined = replace(asked, status=Status.DECLINED, decline_reason=reason)
        return Done(declined, (_entry("decline", declined, key, call.amount_minor, now),))
    if script.pending:
        return Done(replace(asked, settles_at=None if script.settles_paid is None else now + settle_after), ())
    return _paid(asked, key, now)


def settle(payment: Payment, paid: bool, now: datetime) -> Done:
    """The outcome of a pending payment; one that was settled or voided before stays as it is."""
    if payment.status is not Status.PENDING:
        return Done(payment, ())
    if paid:
        return _paid(payment, payment.key, now)
    failed = replace(payment, status=Status.FAILED, decline_reason="payment_failed", settles_at=None)
    return Done(failed, (_entry("fail", failed, payment.key, payment.amount_minor, now),))


def capture(payment: Payment, amount_minor: int, key: str, now: datetime) -> Done | Impossible:
    if payment.status is Status.VOIDED:
        return Impossible("already_voided")
    if payment.status not in (Status.AUTHORIZED, Status.CAPTURED):
        return Impossible("not_authorized")
    if amount_minor > open_minor(payment):
        return Impossible("capture_above_authorized")
    captured = replace(payment, status=Status.CAPTURED, captured_minor=payment.captured_minor + amount_minor)
    return Done(captured, (_entry("capture", captured, key, amount_minor, now),))


def void(payment: Payment, key: str, now: datetime) -> Done | Impossible:
    """Give up what was not captured; a payment of which a part was captured stays captured."""
    match payment.status:
        case Status.PENDING:  # nothing was authorized yet, so nothing is given up: the entry is of zero
            voided = replace(payment, status=Status.VOIDED, settles_at=None)
            return Done(voided, (_entry("void", voided, key, 0, now),))
        case Status.AUTHORIZED:
            voided = replace(payment, status=Status.VOIDED, voided_minor=payment.amount_minor)
            return Done(voided, (_entry("void", voided, key, payment.amount_minor, now),))
        case Status.CAPTURED if rest := open_minor(payment):
            trimmed = replace(payment, voided_minor=payment.voided_minor + rest)
            return Done(trimmed, (_entry("void", trimmed, key, rest, now),))
        case Status.CAPTURED:
            return Impossible("already_captured")
        case Status.VOIDED:
            return Impossible("already_voided")
        case Status.DECLINED | Status.FAILED:
            return Impossible("not_authorized")


def lapse(payment: Payment, now: datetime) -> Done:
    """The bank lets go of what it holds; what is not held stays as it is."""
    done = void(payment, payment.key, now) if open_minor(payment) else None
    return done if isinstance(done, Done) else Done(payment, ())


def refund(payment: Payment, amount_minor: int, key: str, now: datetime) -> Done | Impossible:
    if amount_minor > payment.captured_minor - payment.refunded_minor:
        return Impossible("refund_above_captured")
    refunded = replace(payment, refunded_minor=payment.refunded_minor + amount_minor)
    return Done(refunded, (_entry("refund", refunded, key, amount_minor, now),))


def withdraw(payment: Payment, key: str, now: datetime) -> Done:
    """Void what is open and refund what was captured; where no money is held, nothing changes."""
    voided = void(payment, key, now)
    kept, entries = (voided.payment, voided.entries) if isinstance(voided, Done) else (payment, ())
    if rest := kept.captured_minor - kept.refunded_minor:
        refunded = refund(kept, rest, key, now)
        if isinstance(refunded, Done):
            return Done(refunded.payment, entries + refunded.entries)
    return Done(kept, entries)


def open_minor(payment: Payment) -> int:
    """What is authorized and neither captured nor given up."""
    if payment.status not in (Status.AUTHORIZED, Status.CAPTURED):
        return 0
    return payment.amount_minor - payment.captured_minor - payment.voided_minor


def _paid(payment: Payment, key: str, now: datetime) -> Done:
    authorized = replace(payment, status=Status.AUTHORIZED, settles_at=None)
    entry = _entry("authorize", authorized, key, payment.amount_minor, now)
    if not payment.capture:
        return Done(authorized, (entry,))
    captured = replace(authorized, status=Status.CAPTURED, captured_minor=payment.amount_minor)
    return Done(captured, (entry, _entry("capture", captured, key, payment.amount_minor, now)))


def _entry(kind: str, payment: Payment, key: str, amount_minor: int, now: datetime) -> Entry:
    return Entry(kind, payment.id, key, amount_minor, payment.currency, payment.reference, now)

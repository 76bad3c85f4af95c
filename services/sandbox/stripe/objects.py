"""The objects as Stripe shows them: times are Unix seconds, amounts whole smallest units, currencies lower case.

A field that names another object holds its id, and the object itself where the caller asked to have it expanded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]


@dataclass
class Charge:
    id: str
    payment_intent: str
    amount: int
    currency: str
    created: int
    metadata: dict[str, str]
    multicapture: bool
    paid: bool
    capture_before: int | None = None
    failure_code: str | None = None
    pending: bool = False
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0  # what was released without being captured counts as refunded, as Stripe counts it
    disputed: bool = False
    balance_transaction: str | None = None

    def shown(self) -> JsonObject:
        card = {
            "brand": "visa",
            "last4": "4242",
            "capture_before": None if self.captured else self.capture_before,
            "multicapture": {"status": "available" if self.multicapture else "unavailable"},
        }
        return {
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount_captured,
            "amount_refunded": self.amount_refunded,
            "balance_transaction": self.balance_transaction,
            "captured": self.captured,
            "created": self.created,
            "currency": self.currency,
            "disputed": self.disputed,
            "failure_code": self.failure_code,
            "livemode": False,
            "metadata": dict(self.metadata),
            "paid": self.paid,
            "payment_intent": self.payment_intent,
            "payment_method_details": {"type": "card", "card": card},
            "refunded": self.amount_refunded == self.amount,
            "status": "pending" if self.pending else "succeeded" if self.paid else "failed",
        }


@dataclass
class Intent:
    id: str
    amount: int
    currency: str
    created: int
    capture_method: str
    metadata: dict[str, str]
    payment_method: str | None
    multicapture: bool
    status: str = "requires_payment_method"
    amount_capturable: int = 0
    amount_received: int = 0
    charge: Charge | None = None
    error: JsonObject | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    confirm_key: str = ""

    def shown(self) -> JsonObject:
        return {
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": self.amount_capturable,
            "amount_received": self.amount_received,
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method,
            "client_secret": f"{self.id}_secret_sandbox",
            "confirmation_method": "automatic",
            "created": self.created,
            "currency": self.currency,
            "last_payment_error": self.error,
            "latest_charge": None if self.charge is None else self.charge.id,
            "livemode": False,
            "metadata": dict(self.metadata),
            "next_action": None,
            "payment_method": self.payment_method,
            "payment_method_types": ["card"],
            "status": self.status,
        }


@dataclass
class Refund:
    id: str
    charge: str
    payment_intent: str
    amount: int
    currency: str
    created: int
    metadata: dict[str, str]
    balance_transaction: str | None
    status: str = "succeeded"

    def shown(self) -> JsonObject:
        return {**_plain(self), "object": "refund", "reason": None}


@dataclass
class Dispute:
    id: str
    charge: str
    payment_intent: str
    amount: int
    currency: str
    created: int
    reason: str
    status: str = "needs_response"
    balance_transactions: list[str] = field(default_factory=list)

    def shown(self) -> JsonObject:
        return {
            **_plain(self),
            "object": "dispute",
            "is_charge_refundable": False,
            "livemode": False,
            "metadata": {},
        }


@dataclass
class BalanceTransaction:
    id: str
    type: str
    reporting_category: str
    amount: int
    fee: int
    currency: str
    created: int
    available_on: int
    source: str

    def shown(self) -> JsonObject:
        fees = [{"amount": self.fee, "currency": self.currency, "type": "stripe_fee"}] if self.fee else []
        return {
            **_plain(self),
            "object": "balance_transaction",
            "fee_details": fees,
            "net": self.amount - self.fee,
            "status": "pending",
        }


@dataclass
class Event:
    id: str
    type: str
    created: int
    about: JsonObject
    copies: int = 1

    def shown(self) -> JsonObject:
        return {
            "id": self.id,
            "object": "event",
            "created": self.created,
            "data": {"object": self.about},
            "livemode": False,
            "pending_webhooks": 1,
            "type": self.type,
        }


def _plain(of: object) -> JsonObject:
    return {name: value.copy() if isinstance(value, dict | list) else value for name, value in vars(of).items()}


def expanded(shown: JsonObject, paths: Sequence[str], find: Callable[[str], JsonObject | None]) -> JsonObject:
    """`data.source.payment_intent`: each part is an id that becomes its object, a list to go through, or neither."""
    for path in paths:
        _expand(shown, path.split("."), find)
    return shown


def _expand(shown: JsonObject, path: Sequence[str], find: Callable[[str], JsonObject | None]) -> None:
    if not path or path[0] not in shown:
        return
    value = shown[path[0]]
    if isinstance(value, str):
        value = find(value)
        if value is not None:
            shown[path[0]] = value
    for inner in value if isinstance(value, list) else [value]:
        if isinstance(inner, dict):
            _expand(inner, path[1:], find)

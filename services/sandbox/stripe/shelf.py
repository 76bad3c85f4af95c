"""Everything this Stripe knows, in memory, in the order it was made; and the events that tell of each change."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from services.sandbox.stripe.ledger import Entry, Ledger
from services.sandbox.stripe.objects import BalanceTransaction, Charge, Dispute, Event, Intent, JsonObject, Refund
from services.sandbox.stripe.refusals import missing
from services.sandbox.stripe.tokens import Behaviour, behaviour_of

AVAILABLE_AFTER_S: Final = 2 * 24 * 3600
FEE_PER_MILLE: Final = 15
FEE_FIXED: Final = 25


@dataclass
class Shelf:
    clock: Callable[[], datetime]
    new_id: Callable[[str], str]  # prefix -> fresh id
    intents: dict[str, Intent] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    transactions: dict[str, BalanceTransaction] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    untold: list[Event] = field(default_factory=list)
    unsettled: list[Intent] = field(default_factory=list)
    """What the server has to send, and to settle by itself, since it looked last."""
    refund_status: str = "succeeded"
    """Of refunds made from now on: a bank may be slow, or refuse them."""

    def now(self) -> int:
        return int(self.clock().timestamp())

    def intent(self, id_: str, param: str | None = None) -> Intent:
        found = self.intents.get(id_)
        if found is None:
            raise missing("payment_intent", id_, param=param)
        return found

    def behaviour(self, intent: Intent) -> Behaviour:
        return (behaviour_of(intent.payment_method) if intent.payment_method else None) or Behaviour()

    def find(self, id_: str) -> JsonObject | None:
        """Any object by its id; the prefix says what it is."""
        match id_.partition("_")[0]:
            case "pi":
                found: Any = self.intents.get(id_)
            case "ch":
                found = self.charges.get(id_)
            case "re":
                found = self.refunds.get(id_)
            case "dp":
                found = self.disputes.get(id_)
            case "txn":
                found = self.transactions.get(id_)
            case "evt":
                found = self.events.get(id_)
            case _:
                found = None
        shown: JsonObject | None = None if found is None else found.shown()
        return shown

    def enter(self, kind: str, intent: Intent, source: str, key: str, amount: int) -> None:
        self.ledger.enter(Entry(kind, intent.id, source, key, amount, intent.currency, self.now()))

    def tell(self, type_: str, intent: Intent, about: JsonObject) -> None:
        event = Event(self.new_id("evt"), type_, self.now(), about, self.behaviour(intent).copies)
        self.events[event.id] = event
        self.untold.append(event)

    def book(
        self, type_: str, category: str, amount: int, fee: int, intent: Intent, source: str, key: str
    ) -> BalanceTransaction:
        """A line of the merchant's balance; the fee is a line of the books too."""
        now = self.now()
        booked = BalanceTransaction(
            self.new_id("txn"), type_, category, amount, fee, intent.currency, now, now + AVAILABLE_AFTER_S, source
        )
        self.transactions[booked.id] = booked
        if fee:
            self.enter("fee", intent, source, key, fee)
        return booked

    def books(self) -> dict[str, Any]:
        return {
            "payments": [intent.shown() for intent in self.intents.values()],
            "charges": [charge.shown() for charge in self.charges.values()],
            "refunds": _shown(self.refunds.values()),
            "disputes": _shown(self.disputes.values()),
            "balance_transactions": _shown(self.transactions.values()),
            "entries": self.ledger.entries(),
            "accounts": self.ledger.totals(),
        }


def _shown(objects: Iterable[Refund | Dispute | BalanceTransaction]) -> list[JsonObject]:
    return [found.shown() for found in objects]


def fee_of(amount: int) -> int:
    return amount * FEE_PER_MILLE // 1000 + FEE_FIXED

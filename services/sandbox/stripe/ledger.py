"""Stripe's own books: every line takes an amount from one account and gives it to another, so they balance always.

Append-only, and apart from everything Waybill believes: a test compares the two to the cent.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

CUSTOMER: Final = "customer"  # the customers' banks
HELD: Final = "held"  # authorized and not yet taken
BALANCE: Final = "balance"  # the merchant's, at Stripe
FEES: Final = "fees"  # what Stripe keeps
DISPUTED: Final = "disputed"  # taken back from the merchant while the banks argue

MOVES: Final = {
    # kind             from      to
    "authorize": (CUSTOMER, HELD),
    "void": (HELD, CUSTOMER),
    "capture": (HELD, BALANCE),
    "refund": (BALANCE, CUSTOMER),
    "fee": (BALANCE, FEES),
    "dispute": (BALANCE, DISPUTED),
    "dispute_won": (DISPUTED, BALANCE),
    "dispute_lost": (DISPUTED, CUSTOMER),
    "decline": (CUSTOMER, CUSTOMER),  # nothing moved, and it is written that nothing did
    "fail": (CUSTOMER, CUSTOMER),
}


@dataclass(frozen=True)
class Entry:
    kind: str
    payment_intent: str
    source: str  # the object this is about: charge, refund or dispute
    key: str  # the idempotency key of the call that did it; empty when no call of the merchant's did
    amount: int
    currency: str
    created: int

    def shown(self) -> dict[str, Any]:
        taken_from, given_to = MOVES[self.kind]
        return {**vars(self), "from": taken_from, "to": given_to}


class Ledger:
    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def enter(self, entry: Entry) -> None:
        self._entries.append(entry)

    def entries(self) -> list[dict[str, Any]]:
        return [entry.shown() for entry in self._entries]

    def totals(self) -> dict[str, dict[str, int]]:
        """Per currency and account: what came in less what went out; the sum over the accounts is zero."""
        totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for entry in self._entries:
            taken_from, given_to = MOVES[entry.kind]
            totals[entry.currency][taken_from] -= entry.amount
            totals[entry.currency][given_to] += entry.amount
        return {currency: dict(accounts) for currency, accounts in totals.items()}

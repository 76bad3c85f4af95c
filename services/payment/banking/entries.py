"""An entry of a bank's statement is kept for ever, under the bank's own name for it; its state says who knows what it
is.

What no rule matches is open until a person assigns it to an order, sends it back or dismisses it.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from contracts.statement import BookedEntry
from shared.machine import Machine


class EntryState(StrEnum):
    MATCHED = "matched"  # a rule knew what it is, and it was booked
    OPEN = "open"  # a person must say what it is
    UNRELATED = "unrelated"  # money that left and names nothing of ours: rent, wages, fees
    ASSIGNED = "assigned"  # a person said which order it pays for
    SENDING_BACK = "sending_back"  # a person said that it goes back; it has not left yet
    SENT_BACK = "sent_back"  # a statement shows that it left
    DISMISSED = "dismissed"


ENTRY: Final = Machine(
    "statement entry",
    EntryState,
    start=(EntryState.MATCHED, EntryState.OPEN, EntryState.UNRELATED),
    moves=[
        (EntryState.OPEN, "assign", EntryState.ASSIGNED),
        (EntryState.OPEN, "send back", EntryState.SENDING_BACK),  # all of it, or what it is too much
        (EntryState.OPEN, "dismiss", EntryState.DISMISSED),
        (EntryState.SENDING_BACK, "pay out", EntryState.SENT_BACK),
    ],
)


class Flow(StrEnum):
    """Which way money went, and whether it went there for the first time."""

    CAME_IN = "came in"
    WENT_OUT = "went out"
    TAKEN_BACK = "taken back"  # it had come in
    CAME_BACK = "came back"  # it had gone out


def flow_of(amount_minor: int, reversal: bool) -> Flow:
    if amount_minor > 0:
        return Flow.CAME_BACK if reversal else Flow.CAME_IN
    return Flow.TAKEN_BACK if reversal else Flow.WENT_OUT


@dataclass(frozen=True, slots=True)
class Statement:
    """What was imported under one name of the bank's. Counters are of entries seen for the first time."""

    id: UUID
    account: str
    name: str
    imported_by: str
    entries: int = 0
    matched: int = 0
    unrelated: int = 0
    repeated: int = 0
    """Entries heard before: of an import of the same file, all."""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """`outcome` is what the rules said when it came; `problem` what stood in the way of the last thing asked of it.
    `kept_minor` pays for an order while the rest goes back."""

    id: UUID
    statement_id: UUID
    account: str
    bank_reference: str
    booked_on: date
    amount_minor: int
    currency: str
    reversal: bool
    reference: str
    end_to_end_id: str
    remittance: str
    counterparty: str
    counterparty_account: str
    outcome: str
    state: EntryState
    order_id: UUID | None = None
    kept_minor: int = 0
    decided_by: str = ""
    reason: str = ""
    problem: str = ""
    version: int = 0

    @property
    def flow(self) -> Flow:
        return flow_of(self.amount_minor, self.reversal)


class Purpose(StrEnum):
    """What one of our references stands for."""

    PAYMENT = "payment"  # a customer pays an order
    REFUND = "refund"  # money given back
    SEND_BACK = "send_back"  # an entry that a person sends back


@dataclass(frozen=True, slots=True)
class Quoted:
    """A reference we gave out, and what for: written when it is first told to anybody, and never changed."""

    reference: str
    purpose: Purpose
    order_id: UUID | None = None
    attempt_id: UUID | None = None
    refund_id: UUID | None = None
    entry_id: UUID | None = None


def entry_id(account: str, bank_reference: str) -> UUID:
    """The same entry of the same account is the same row, whichever statement tells of it."""
    return uuid5(NAMESPACE_OID, f"waybill entry\n{account}\n{bank_reference}")


def statement_id(account: str, name: str) -> UUID:
    return uuid5(NAMESPACE_OID, f"waybill statement\n{account}\n{name}")


def says_otherwise(entry: Entry, told: BookedEntry) -> bool:
    """Another amount, day or direction under a name that was used before."""
    kept = (entry.amount_minor, entry.currency, entry.booked_on, entry.reversal)
    return kept != (told.amount_minor, told.currency, told.booked_on, told.reversal)

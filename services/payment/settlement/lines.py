"""A provider's report and its lines, and how each differs from our books: rows, each with its states."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from services.payment.ledger import EntryKind
from shared.machine import Machine

PAGE_LINES: Final = 200
"""Lines matched in one decision, with all that their orders' ledgers hold."""


class LineKind(StrEnum):
    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_REVERSAL = "refund_reversal"  # it could not be given back after all: always for a person
    DISPUTE = "dispute"
    DISPUTE_REVERSAL = "dispute_reversal"
    FEE = "fee"  # of the provider itself, of no payment
    PAYOUT = "payout"


OURS: Final[Mapping[LineKind, EntryKind]] = MappingProxyType(
    {
        LineKind.PAYMENT: EntryKind.CAPTURE,
        LineKind.REFUND: EntryKind.REFUND,
        LineKind.DISPUTE: EntryKind.CHARGEBACK,
        LineKind.DISPUTE_REVERSAL: EntryKind.CHARGEBACK_REVERSED,
    }
)
"""What a line must be found as in our ledger; a fee and a payout are learned from the provider alone."""

COMES_IN: Final = frozenset({LineKind.PAYMENT, LineKind.REFUND_REVERSAL, LineKind.DISPUTE_REVERSAL})
"""Lines that add to what the provider owes us; all others take from it, so their amounts are negative."""
SETTLED_KINDS: Final = tuple(OURS.values())


class LineState(StrEnum):
    OPEN = "open"
    MATCHED = "matched"
    DIFFERING = "differing"
    ACCEPTED = "accepted"


LINE: Final = Machine(
    "settlement line",
    LineState,
    start=LineState.OPEN,
    moves=[
        (LineState.OPEN, "match", LineState.MATCHED),
        (LineState.OPEN, "differ", LineState.DIFFERING),
        (LineState.DIFFERING, "accept", LineState.ACCEPTED),
        # what was missing here was booked after all
        (LineState.DIFFERING, "match", LineState.MATCHED),
        (LineState.ACCEPTED, "match", LineState.MATCHED),
        (LineState.ACCEPTED, "differ", LineState.DIFFERING),
    ],
)


class SettlementState(StrEnum):
    STAGED = "staged"  # kept whole; its lines are being matched, page by page
    MATCHED = "matched"


SETTLEMENT: Final = Machine(
    "settlement",
    SettlementState,
    start=SettlementState.STAGED,
    moves=[(SettlementState.STAGED, "end", SettlementState.MATCHED)],
)


class DifferenceState(StrEnum):
    FOUND = "found"
    ACCEPTED = "accepted"
    CLEARED = "cleared"  # what was missing came after all


DIFFERENCE: Final = Machine(
    "settlement difference",
    DifferenceState,
    start=DifferenceState.FOUND,
    moves=[
        (DifferenceState.FOUND, "accept", DifferenceState.ACCEPTED),
        (DifferenceState.FOUND, "clear", DifferenceState.CLEARED),
        (DifferenceState.ACCEPTED, "clear", DifferenceState.CLEARED),  # what was accepted is taken back
    ],
)


class Class(StrEnum):
    """In what way two books differ."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    AMOUNT = "amount"
    FEE = "fee"
    TIMING = "timing"
    """Not settled yet, and within the grace: nobody's fault, and never written down."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """One report of one provider. `covers_from`: what we did before it is not expected in it."""

    id: UUID
    provider: str
    reference: str
    hash: str
    lines: int
    pages: int
    covers_from: datetime
    state: SettlementState = SettlementState.STAGED
    pages_done: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """What a provider says it settled. `id` is the provider and its own id of the line; `matches` the transfer of our
    ledger that it settles."""

    id: str
    settlement_id: UUID
    page: str
    row_no: int
    provider: str
    kind: LineKind
    provider_payment_id: str
    reference: str
    order_id: UUID | None
    amount_minor: int
    fee_minor: int
    currency: str
    occurred_at: datetime
    state: LineState = LineState.OPEN
    matches: UUID | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """`entry` and `entry_minor` are what would be booked; no entry where nothing would."""

    id: UUID
    kind: Class
    provider: str
    order_id: UUID | None
    line_id: str | None
    transfer_id: UUID | None
    currency: str
    ours_minor: int
    theirs_minor: int
    entry: EntryKind | None
    entry_minor: int
    found_at: datetime
    state: DifferenceState = DifferenceState.FOUND
    accepted_by: str = ""
    version: int = 0


def page_key(settlement_id: UUID, page: int) -> str:
    return f"{settlement_id}/{page}"


def line_key(provider: str, provider_line_id: str) -> str:
    return f"{provider}/{provider_line_id}"

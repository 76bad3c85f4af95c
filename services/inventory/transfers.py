"""A transfer takes units off one warehouse's shelves and puts them on another's; between the two they are in transit.

Everything sent is taken in when it arrives, and what did not come, or came too much, is a correction there: so every
closed transfer leaves the books with nothing in transit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from contracts.warehousing import ReceiveTransfer, RequestTransfer
from services.inventory.domain import Shelf
from shared.frozen import replace
from shared.machine import Machine


class TransferState(StrEnum):
    REQUESTED = "requested"
    SENT = "sent"
    RECEIVED = "received"
    CANCELLED = "cancelled"
    LOST = "lost"


REQUESTED, SENT, RECEIVED, CANCELLED, LOST = TransferState

TRANSFER: Final = Machine(
    "transfer",
    TransferState,
    start=REQUESTED,
    moves=[
        # from        on         to
        (REQUESTED, "send", SENT),
        (REQUESTED, "cancel", CANCELLED),
        (SENT, "receive", RECEIVED),
        (SENT, "lose", LOST),  # nothing of it came
    ],
)


class NotOfThisTransfer(Exception):
    """Something arrived that was never sent with it: that is a correction of its shelf, and nobody's transfer."""


class TransferIsOver(Exception):
    """What is asked of a transfer can never be done any more: a person must know why it is asked."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """`lines` are SKU and quantity as requested; `arrived` what came, by SKU. `refusal`: why the last wish about it was
    refused, by name; `reason`: why it was cancelled, or did not come as sent."""

    id: str
    origin: str
    destination: str
    lines: list[dict[str, Any]]
    arrived: dict[str, int]
    state: TransferState
    refusal: str
    reason: str
    requested_by: str
    requested_at: datetime
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    version: int = 0

    @property
    def units(self) -> dict[str, int]:
        return {line["sku"]: line["quantity"] for line in self.lines}


def requested(wish: RequestTransfer, now: datetime) -> Transfer:
    lines = [{"sku": line.sku, "quantity": line.quantity} for line in wish.lines]
    return Transfer(wish.transfer_id, wish.origin, wish.destination, lines, {}, REQUESTED, "", "", wish.by, now)


def same_wish(transfer: Transfer, wish: RequestTransfer) -> bool:
    given = (wish.origin, wish.destination, {line.sku: line.quantity for line in wish.lines})
    return (transfer.origin, transfer.destination, transfer.units) == given


def sent(transfer: Transfer, shelves: Mapping[str, Shelf | None], now: datetime) -> Transfer:
    """Gone, if every unit is promised to nobody; else as it was, and what is missing is named."""
    free = {sku: 0 if shelf is None else max(0, shelf.free) for sku, shelf in shelves.items()}
    missing = {sku: units - free[sku] for sku, units in transfer.units.items() if units > free[sku]}
    if missing:
        return replace(transfer, refusal=f"not_free: {_told(missing.items())} too few in {transfer.origin}")
    return replace(transfer, state=TRANSFER.to(transfer.state, "send"), refusal="", sent_at=now)


def arrived(transfer: Transfer, word: ReceiveTransfer, now: datetime) -> Transfer:
    """Ended: received, with what came of each SKU; or lost."""
    units = _units_that_came(transfer, word)
    on = "receive" if any(units.values()) else "lose"
    state = TRANSFER.to(transfer.state, on)
    return replace(transfer, state=state, arrived=units, refusal="", reason=word.reason, ended_at=now)


def as_it_ended(transfer: Transfer, word: ReceiveTransfer) -> bool:
    """Whether this word says what was heard before."""
    return transfer.arrived == _units_that_came(transfer, word)


def cancelled(transfer: Transfer, reason: str, now: datetime) -> Transfer:
    """Ended, or refused by name when it has left."""
    if transfer.state is not REQUESTED:
        return replace(transfer, refusal=f"already_{transfer.state}: it cannot be cancelled any more")
    return replace(transfer, state=TRANSFER.to(REQUESTED, "cancel"), refusal="", reason=reason, ended_at=now)


def _units_that_came(transfer: Transfer, word: ReceiveTransfer) -> dict[str, int]:
    differing = {line.sku: line.quantity for line in word.differing}
    if strangers := differing.keys() - transfer.units.keys():
        raise NotOfThisTransfer(f"{', '.join(sorted(strangers))} was not sent with {transfer.id}")
    return transfer.units | differing


def _told(units: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{quantity} {sku}" for sku, quantity in sorted(units))

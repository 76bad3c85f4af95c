"""What a provider says it settled, held line by line against our ledger: a line that says something else is a
difference, and each difference proposes the entry that would make our books say the same.

Nothing is booked for a difference until a person accepts it; what is only not settled yet is no fault until the grace
has passed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID, uuid5

from services.payment.ledger import EntryKind, Transfer
from services.payment.settlement.lines import OURS, Class, Difference, DifferenceState, Line, LineKind

GRACE_DAYS: Final = 7
"""So long a provider may take to settle what it did."""
FEE_ROUNDING_MINOR: Final = 1
"""A fee that differs from the tariff by so much was rounded otherwise."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a provider takes for a payment: a share in hundredths of a percent, and a fixed part."""

    basis_points: int
    fixed_minor: int = 0

    def fee(self, amount_minor: int) -> int:
        return (amount_minor * self.basis_points + 5_000) // 10_000 + self.fixed_minor


def tariffs_of(text: str) -> dict[str, Tariff]:
    """sandbox=140+25,other=290: by provider. Raises ValueError for anything else."""
    found: dict[str, Tariff] = {}
    for part in text.split(","):
        provider, _, agreed = part.partition("=")
        share, _, fixed = agreed.partition("+")
        if not provider.strip():
            raise ValueError(f"{part!r} is no tariff: write provider=140+25")
        found[provider.strip()] = Tariff(int(share), int(fixed or 0))
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """One difference, before it is a row."""

    kind: Class
    ours_minor: int
    theirs_minor: int
    entry: EntryKind | None
    entry_minor: int


def difference_key(of: Line | Transfer, kind: Class) -> UUID:
    """The same difference has the same id, however often it is found."""
    return uuid5(of.settlement_id, f"{of.id}/{kind}") if isinstance(of, Line) else uuid5(of.id, kind)


def adjusting(difference_minor: int) -> tuple[EntryKind | None, int]:
    """The entry that moves so much onto the clearing account, from what is not explained."""
    if difference_minor == 0:
        return None, 0
    return (EntryKind.SURPLUS if difference_minor > 0 else EntryKind.SHORTFALL), abs(difference_minor)


def signed(transfer: Transfer) -> int:
    """As a provider counts it: what adds to what it owes us is positive."""
    comes_in = transfer.kind in (EntryKind.CAPTURE, EntryKind.CHARGEBACK_REVERSED)
    return transfer.amount_minor if comes_in else -transfer.amount_minor


def pair(lines: Iterable[Line], transfers: Iterable[Transfer], settled: Iterable[UUID]) -> dict[str, Transfer]:
    """Which movement each line settles, by line id. Equal amounts find each other first, so that one wrong line does
    not take the movement of a right one; each movement is settled once."""
    taken = set(settled)
    open_ = sorted(transfers, key=lambda one: (one.occurred_at, one.id))
    waiting = [line for line in lines if line.kind in OURS]
    found: dict[str, Transfer] = {}
    for exact in (True, False):
        for line in waiting:
            if line.id in found:
                continue
            for one in open_:
                if one.id not in taken and _may_settle(line, one) and (not exact or signed(one) == line.amount_minor):
                    found[line.id] = one
                    taken.add(one.id)
                    break
    return found


def _may_settle(line: Line, transfer: Transfer) -> bool:
    return (transfer.order_id, transfer.kind, transfer.currency, transfer.provider) == (
        line.order_id,
        OURS[line.kind],
        line.currency,
        line.provider,
    )


def compare(line: Line, ours: Transfer | None, tariff: Tariff | None) -> tuple[Found, ...]:
    """How a line differs from what our ledger says; nothing where it does not."""
    if line.kind is LineKind.PAYOUT:  # the payout itself is booked as it is told
        return _fee(0, line.fee_minor)
    if line.kind is LineKind.FEE:
        return _fee(0, line.fee_minor - line.amount_minor)
    if ours is None:  # its fee is part of what nobody here knows of
        entry, entry_minor = adjusting(line.amount_minor - line.fee_minor)
        return (Found(Class.MISSING_HERE, 0, line.amount_minor, entry, entry_minor),)
    found: list[Found] = []
    if line.amount_minor != (booked := signed(ours)):
        found.append(Found(Class.AMOUNT, booked, line.amount_minor, *adjusting(line.amount_minor - booked)))
    return (*found, *_fee(expected_fee(line, tariff), line.fee_minor))


def _fee(expected_minor: int, told_minor: int) -> tuple[Found, ...]:
    more = told_minor - expected_minor
    if not more:
        return ()
    return (
        Found(Class.FEE, expected_minor, told_minor, EntryKind.FEE if more > 0 else EntryKind.FEE_RETURNED, abs(more)),
    )


def expected_fee(line: Line, tariff: Tariff | None) -> int:
    """By the tariff, for payments; what was charged, where that is the same but for rounding, or no tariff is known."""
    if tariff is None:
        return line.fee_minor
    expected = tariff.fee(line.amount_minor) if line.kind is LineKind.PAYMENT else 0
    return line.fee_minor if abs(line.fee_minor - expected) <= FEE_ROUNDING_MINOR else expected


def compare_unsettled(ours: Transfer, now: datetime, grace_days: int) -> Found:
    """What we booked and no report has: not yet, or not at all."""
    booked = signed(ours)
    if now - ours.occurred_at <= timedelta(days=grace_days):
        return Found(Class.TIMING, booked, 0, None, 0)
    return Found(Class.MISSING_THERE, booked, 0, *adjusting(-booked))


def difference(of: Line | Transfer, found: Found, now: datetime) -> Difference:
    """The row of what was found."""
    line_id, transfer_id = (of.id, of.matches) if isinstance(of, Line) else (None, of.id)
    return Difference(
        id=difference_key(of, found.kind),
        kind=found.kind,
        provider=of.provider,
        order_id=of.order_id,
        line_id=line_id,
        transfer_id=transfer_id,
        currency=of.currency,
        ours_minor=found.ours_minor,
        theirs_minor=found.theirs_minor,
        entry=found.entry,
        entry_minor=found.entry_minor,
        found_at=now,
    )


OPPOSITE: Final[Mapping[EntryKind, EntryKind]] = MappingProxyType(
    {EntryKind.SURPLUS: EntryKind.SHORTFALL, EntryKind.SHORTFALL: EntryKind.SURPLUS}
)
"""What takes back an accepted entry."""


def all_ended(differences: Sequence[Difference]) -> bool:
    return all(one.state is not DifferenceState.FOUND for one in differences)

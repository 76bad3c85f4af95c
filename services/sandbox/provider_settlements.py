"""What the sandbox provider settles: every capture and refund of its books at once, less a fee on what it took."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from services.sandbox.provider_script import Entry

PAGE: Final = 1_000
FEE_BASIS_POINTS: Final = 140
FEE_FIXED_MINOR: Final = 25
KINDS: Final = {"capture": "payment", "refund": "refund"}


def fee_of(amount_minor: int) -> int:
    """1.40 % and a quarter, to the nearest minor unit."""
    return (amount_minor * FEE_BASIS_POINTS + 5_000) // 10_000 + FEE_FIXED_MINOR


def settlements(entries: Sequence[Entry], since: datetime, after: int) -> dict[str, Any]:
    """A page of lines since an instant; `next` is what to ask after for the next one, None at the end. A line's id is
    its place in the books, so it is the same whenever it is asked for."""
    lines: list[dict[str, Any]] = []
    for number, entry in enumerate(entries[after:], after + 1):
        if entry.kind not in KINDS or entry.instant < since:
            continue
        if len(lines) == PAGE:
            return {"lines": lines, "next": number - 1}
        lines.append(_line(number, entry))
    return {"lines": lines, "next": None}


def _line(number: int, entry: Entry) -> dict[str, Any]:
    came_in = entry.kind == "capture"
    return {
        "id": f"stl_{number:09}",
        "kind": KINDS[entry.kind],
        "payment_id": entry.payment_id,
        "reference": entry.reference,
        "amount_minor": entry.amount_minor if came_in else -entry.amount_minor,
        "fee_minor": fee_of(entry.amount_minor) if came_in else 0,
        "currency": entry.currency,
        "instant": entry.instant.isoformat(),
    }

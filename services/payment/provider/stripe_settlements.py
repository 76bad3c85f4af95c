"""Our balance at Stripe, line by line: what was booked, what it cost, and which payment of ours it belongs to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import stripe
from pydantic import BaseModel

from services.payment.provider.port import Settled, SettledKind, SettlementsUnavailable
from services.payment.provider.stripe_money import from_stripe
from services.payment.provider.stripe_refusals import NOT_READ
from services.payment.provider.stripe_words import REFERENCE

LINES_LIMIT: Final = 100_000  # in one asking; 1,000 pages of Stripe's, which is minutes: ask from a later instant
KINDS: Final[dict[str, SettledKind]] = {
    "charge": "payment",
    "payment": "payment",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_reversal",
    "payment_failure_refund": "refund_reversal",
}
KINDS_OF_ADJUSTMENTS: Final[dict[str, SettledKind]] = {"dispute": "dispute", "dispute_reversal": "dispute_reversal"}


class _Payment(BaseModel):
    id: str
    metadata: dict[str, str]


class _Source(BaseModel):
    payment_intent: _Payment | None = None


class _Line(BaseModel):
    id: str
    type: str
    reporting_category: str
    amount: int
    fee: int
    currency: str
    created: int
    source: Any


async def list_settlements(lines: stripe.BalanceTransactionService, since: datetime) -> Sequence[Settled]:
    found: list[Settled] = []
    try:
        page = await lines.list_async(
            {
                "created": {"gte": int(since.timestamp())},
                "limit": 100,
                "expand": ["data.source.payment_intent"],
            }
        )
        async for line in page.auto_paging_iter():
            settled = _settled(_Line.model_validate(line.to_dict()))
            if settled is not None:
                found.append(settled)
            if len(found) > LINES_LIMIT:
                raise SettlementsUnavailable(f"more than {LINES_LIMIT} lines since {since.isoformat()}")
    except NOT_READ as error:
        raise SettlementsUnavailable(type(error).__name__) from error
    return found[::-1]


def _settled(line: _Line) -> Settled | None:
    """None: a payout, a fee of Stripe's own, a line of money that is not a payment's."""
    kind = KINDS_OF_ADJUSTMENTS.get(line.reporting_category) if line.type == "adjustment" else KINDS.get(line.type)
    if kind is None:
        return None
    source = _Source.model_validate(line.source)
    if source.payment_intent is None:
        return None
    return Settled(
        id=line.id,
        kind=kind,
        provider_payment_id=source.payment_intent.id,
        reference=source.payment_intent.metadata.get(REFERENCE, ""),
        amount_minor=from_stripe(line.amount, line.currency),
        fee_minor=from_stripe(line.fee, line.currency),
        currency=line.currency.upper(),
        occurred_at=datetime.fromtimestamp(line.created, UTC),
    )

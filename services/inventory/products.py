"""What a SKU is, as far as inventory cares: where its units come from, what it weighs, who cannot ship it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from contracts.product import DescribeProduct, Supply


@dataclass(frozen=True, slots=True)
class Product:
    """One described SKU; see `DescribeProduct` for the columns. `described_at`: the word about it we go by."""

    sku: str
    supply: Supply = Supply.STOCK
    weight_g: int = 0
    limit_units: int = 0
    lead_days: int = 0
    release_at: datetime | None = None
    parts: dict[str, Any] = field(default_factory=dict)
    substitutes: list[Any] = field(default_factory=list)
    not_from: list[Any] = field(default_factory=list)
    described_at: datetime | None = None
    version: int = 0


def described(standing: Product | None, word: DescribeProduct) -> Product | None:
    """What a SKU is from now on; None when we know a later word."""
    if standing is not None and standing.described_at is not None and standing.described_at >= word.as_of:
        return None
    return Product(
        sku=word.sku,
        supply=word.supply,
        weight_g=word.weight_g,
        limit_units=word.limit,
        lead_days=word.lead_days,
        release_at=word.release_at,
        parts=dict(word.parts),
        substitutes=list(word.substitutes),
        not_from=list(word.not_from),
        described_at=word.as_of,
        version=0 if standing is None else standing.version,
    )

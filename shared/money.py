"""Money is whole minor units and an ISO 4217 code; a split of it always adds up to what was split.

Decimals are those of ISO 4217, not of the locale tables people read: CLDR shows Iraqi dinars without decimals, ISO
counts them in thousandths, and minor units are counted the ISO way.
"""

from collections.abc import Sequence
from copy import copy
from decimal import Decimal
from functools import lru_cache

from babel.core import Locale
from babel.numbers import NumberPattern
from iso4217 import Currency


@lru_cache(maxsize=512)  # more than ISO has
def decimals(currency: str) -> int | None:
    """Decimals of the currency's minor unit; None for a code that is no money (unknown, gold, testing)."""
    try:
        return Currency(currency).exponent
    except ValueError:
        return None


def allocate(amount_minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split an amount in proportion to weights by largest remainder: the parts add up to it, to the last unit.

    A weight of zero gets nothing, unless all are zero: then they count the same. Ties go to the earlier part.
    """
    if amount_minor < 0 or any(weight < 0 for weight in weights):
        raise ValueError("amounts and weights are not negative")
    if not weights:
        raise ValueError("nothing to split over")
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    parts = [amount_minor * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda n: (-(amount_minor * weights[n] % whole), n))
    for n in by_remainder[: amount_minor - sum(parts)]:
        parts[n] += 1
    return tuple(parts)


def for_people(amount_minor: int, currency: str, locale: str = "en") -> str:
    """``EUR 1234`` as ``€12.34``: for letters and tables, never to be read back."""
    digits = decimals(currency)
    if digits is None:
        return f"{amount_minor} {currency}"
    parsed = Locale.parse(locale)
    pattern: NumberPattern = copy(parsed.currency_formats["standard"])
    pattern.frac_prec = (digits, digits)
    return str(pattern.apply(Decimal(amount_minor).scaleb(-digits), parsed, currency=currency, currency_digits=False))

"""Stripe counts most currencies as ISO 4217 does, and some not: amounts are turned at this border and nowhere else."""

from typing import Final

# ISO says no decimals, and Stripe kept two for them; the last two digits have to be zero.
TIMES_100: Final = frozenset({"ISK", "UGX"})
# ISO says two decimals, and Stripe counts whole ariary.
WHOLE_ONLY: Final = frozenset({"MGA"})
# Three decimals, of which the card networks carry two: the last digit has to be zero.
IN_TENS: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def to_stripe(amount_minor: int, currency: str) -> int | None:
    """None: Stripe cannot take this amount in this currency."""
    if currency in TIMES_100:
        return amount_minor * 100
    if currency in WHOLE_ONLY:
        return None if amount_minor % 100 else amount_minor // 100
    if currency in IN_TENS and amount_minor % 10:
        return None
    return amount_minor


def from_stripe(amount: int, currency: str) -> int:
    """`currency` in either case, as Stripe writes it in lower case."""
    match currency.upper():
        case code if code in TIMES_100:
            return amount // 100
        case code if code in WHOLE_ONLY:
            return amount * 100
        case _:
            return amount

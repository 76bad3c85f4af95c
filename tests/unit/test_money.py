"""Decimals are ISO's, and people read them in their own way."""

import pytest

from shared.money import allocate, decimals, for_people


@pytest.mark.parametrize(
    ("currency", "expected"), [("JPY", 0), ("EUR", 2), ("KWD", 3), ("IQD", 3), ("LBP", 2), ("XAU", None), ("ABC", None)]
)
def test_decimals_are_those_of_iso_4217(currency: str, expected: int | None) -> None:
    assert decimals(currency) == expected


@pytest.mark.parametrize(
    ("amount_minor", "currency", "locale", "expected"),
    [
        (123456, "EUR", "en", "€1,234.56"),
        (123456, "EUR", "de", "1.234,56\xa0€"),
        (123456, "JPY", "en", "¥123,456"),
        (1234567, "IQD", "en", "IQD1,234.567"),
        (5, "USD", "en", "$0.05"),
        (7, "XAU", "en", "7 XAU"),
    ],
)
def test_people_read_amounts_with_the_currency_s_decimals(
    amount_minor: int, currency: str, locale: str, expected: str
) -> None:
    assert for_people(amount_minor, currency, locale) == expected


def test_the_largest_remainder_gets_the_odd_unit() -> None:
    assert allocate(100, [1, 1, 1]) == (34, 33, 33)
    assert allocate(10, [100, 250, 650]) == (1, 3, 6)
    assert allocate(5, [0, 0]) == (3, 2)
    assert allocate(5, [0, 7]) == (0, 5)


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValueError):
        allocate(1, [])
    with pytest.raises(ValueError):
        allocate(-1, [1])
    with pytest.raises(ValueError):
        allocate(1, [1, -1])

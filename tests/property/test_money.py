"""Whatever is split adds up, and no part is further than one unit from its exact share."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from contracts.values import MAX_AMOUNT_MINOR, MAX_LINES
from shared.money import allocate, decimals, for_people

amounts = st.integers(0, MAX_AMOUNT_MINOR)
weights = st.lists(st.integers(0, MAX_AMOUNT_MINOR), min_size=1, max_size=MAX_LINES)


@given(amounts, weights)
def test_parts_add_up_and_are_within_a_unit_of_their_share(amount: int, weights: list[int]) -> None:
    parts = allocate(amount, weights)
    assert sum(parts) == amount
    exact = weights if any(weights) else [1] * len(weights)
    for part, weight in zip(parts, exact, strict=True):
        assert abs(part - Fraction(amount * weight, sum(exact))) < 1


@given(weights.filter(any), st.data())
def test_a_discount_never_exceeds_the_line_it_falls_on(weights: list[int], data: st.DataObject) -> None:
    discount = data.draw(st.integers(0, sum(weights)))
    assert all(part <= weight for part, weight in zip(allocate(discount, weights), weights, strict=True))


@given(amounts, st.sampled_from(["JPY", "EUR", "KWD"]))
def test_no_digit_is_lost_on_the_way_to_people(amount: int, currency: str) -> None:
    digits = [character for character in for_people(amount, currency) if character.isdigit()]
    assert int("".join(digits)) == amount
    assert len(digits) > (decimals(currency) or 0)

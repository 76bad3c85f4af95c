"""References are ISO 11649, survive every way of typing them, and no single slip makes one into another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payment.creditor_reference import (
    LENGTH,
    LETTERS,
    MAX_FOUND,
    check_digits,
    is_reference,
    printed,
    reference_of,
    references_in,
)

keys = st.uuids().map(str)
noise = st.text(max_size=40)


@pytest.mark.parametrize(("body", "digits"), [("539007547034", "18"), ("2348236", "45"), ("C2H5OH", "97")])
def test_check_digits_are_those_of_the_standard(body: str, digits: str) -> None:
    number = "".join(str(int(letter, 36)) for letter in f"{body}RF{check_digits(body)}")
    assert int(number) % 97 == 1
    assert body != "539007547034" or check_digits(body) == digits  # the example that every bank prints


@given(key=keys)
def test_a_reference_is_short_valid_and_always_the_same(key: str) -> None:
    reference = reference_of(key)
    assert reference == reference_of(key)
    assert is_reference(reference)
    assert len(reference) == LENGTH <= 25
    assert set(reference[4:]) <= set(LETTERS)
    assert references_in(printed(reference)) == (reference,)


@given(key=keys, before=noise, after=noise, data=st.data())
def test_however_it_is_typed_it_is_found(key: str, before: str, after: str, data: st.DataObject) -> None:
    reference = reference_of(key)
    typed = "".join(
        data.draw(st.sampled_from((letter, letter.lower()))) + data.draw(st.sampled_from(("", "", " ", "-", "\n")))
        for letter in reference
    )
    assert reference in references_in(f"{before} {typed} {after}")


@given(key=keys, at=st.integers(2, LENGTH - 1), letter=st.sampled_from(LETTERS + "0123456789IO"))
def test_one_wrong_letter_is_no_reference(key: str, at: int, letter: str) -> None:
    reference = reference_of(key)
    wrong = reference[:at] + letter + reference[at + 1 :]
    assert wrong == reference or not is_reference(wrong)


@given(key=keys, at=st.integers(2, LENGTH - 2))
def test_two_letters_swapped_are_no_reference(key: str, at: int) -> None:
    reference = reference_of(key)
    swapped = reference[:at] + reference[at + 1] + reference[at] + reference[at + 2 :]
    assert swapped == reference or not is_reference(swapped)


@given(text=st.text(max_size=500))
def test_any_text_may_be_looked_through(text: str) -> None:
    assert all(is_reference(found) for found in references_in(text))


def test_what_is_looked_for_is_bounded() -> None:
    everything = " ".join(reference_of(str(number)) for number in range(100))
    assert len(references_in(everything)) == MAX_FOUND

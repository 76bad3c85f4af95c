"""Our `replace` does what the standard one does."""

import dataclasses
from uuid import uuid4

import pytest

from services.inventory.domain import Shelf
from shared.frozen import replace
from tests.support.toy import Purse, PurseState


def test_it_is_the_standard_replace() -> None:
    purse = Purse(uuid4(), PurseState.PAYING, 5, {"tags": []}, version=3)
    for changes in ({}, {"coins": 6}, {"state": PurseState.PAID, "version": 4}):
        assert replace(purse, **changes) == dataclasses.replace(purse, **changes)
    assert replace(purse) is not purse


def test_checks_of_the_class_still_hold() -> None:
    shelf = Shelf("A-1", "leipzig", on_hand=5, held=0, allocated=0, safety_stock=0)
    assert replace(shelf, held=2).held == 2
    with pytest.raises(TypeError, match="no field 'helt'"):
        replace(shelf, helt=2)

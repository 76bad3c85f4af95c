"""A table that must have a row for everything that can be, and one only: it is checked when it is imported."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=tuple[str, ...])
Does = TypeVar("Does")


class NotTotal(Exception):
    """Something has no row, or two."""


def total(cells: Iterable[tuple[Key, Does]], keys: Iterable[Key], between: str = " ") -> Mapping[Key, Does]:
    """Raises `NotTotal` and names what is missing or there twice, its words with `between` between them."""
    table: dict[Key, Does] = {}
    for key, does in cells:
        if key in table:
            raise NotTotal(f"{between.join(key)} is there twice")
        table[key] = does
    if missing := [between.join(key) for key in keys if key not in table]:
        raise NotTotal(f"no row for: {', '.join(missing)}")
    return table

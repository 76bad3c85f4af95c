"""What every reader of statements shares: the limits, what is wrong where, and how a file's words become an entry.

A statement is read whole before anything is said of it. One problem anywhere and nothing of the file is booked, for
half a statement looks like a whole one from then on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any, Final, Protocol

from pydantic import ValidationError

from contracts.statement import BookedEntry
from contracts.values import MAX_AMOUNT_MINOR
from shared.money import decimals
from shared.problems import Problems

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_ENTRIES: Final = 50_000
"""Of one file: a thousand messages. A larger one is several."""
MAX_FIELD: Final = 4_000
"""Characters of one field; the longest that ISO 20022 has are 500, several of them in a row 2,000."""
_AMOUNT: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{0,5}))?")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])")
_BLANK: Final = re.compile(r"\s+")


class Broken(Exception):
    """Nothing more can be read; why is among the problems."""


class Wrong(Exception):
    """One entry."""

    def __init__(self, place: str, value: Any, why: str) -> None:
        self.place, self.value, self.why = place, value, why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Booked:
    """An entry, and of which statement of which account. `line` is where it begins in the file."""

    account: str
    statement: str
    line: int
    entry: BookedEntry


@dataclass(slots=True)
class Found:
    """What a file holds, as far as it was read."""

    entries: int = 0
    not_booked: int = 0
    """Announced and not booked yet: the bank will tell of it again."""
    of_nothing: int = 0
    """Booked with an amount of zero: nothing moved."""
    problems: Problems = field(default_factory=Problems)


class Reader(Protocol):
    """Bytes in, entries out. Both raise `Broken`."""

    found: Found

    def take(self, chunk: bytes) -> list[Booked]: ...

    def end(self) -> list[Booked]: ...


class Seen:
    """What is kept of a whole file while it is read: its size, its hash, and which names its entries have."""

    def __init__(self) -> None:
        self._bytes = 0
        self._hash = sha256()
        self._entries = 0
        self._names: dict[tuple[str, str], int] = {}

    def bytes(self, chunk: bytes, found: Found) -> None:
        self._bytes += len(chunk)
        self._hash.update(chunk)
        if self._bytes > MAX_BYTES:
            found.problems.add(0, "", "", f"too large: a file has at most {MAX_BYTES // 1024 // 1024} MB")
            raise Broken

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()

    def entry(self, line: int, found: Found) -> None:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            found.problems.add(line, "", "", f"too many entries: a file has at most {MAX_ENTRIES:,}; make it several")
            raise Broken

    def times(self, account: str, name: str) -> int:
        """How often this account's entry of this name was there, this time included."""
        count = self._names[account, name] = self._names.get((account, name), 0) + 1
        return count


def plain(text: str, most: int) -> str:
    """What a person wrote, on one line, without what no terminal can show, and cut where it is too long."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return _BLANK.sub(" ", shown).strip()[:most].strip()


def minor(place: str, amount: str, currency: str) -> int:
    """An amount without sign in minor units, to the last of them. Raises `Wrong`."""
    places = decimals(currency) if re.fullmatch("[A-Z]{3}", currency) else None
    if places is None:
        raise Wrong(place, currency, "no currency: three letters of ISO 4217")
    matched = _AMOUNT.fullmatch(amount)
    if matched is None:
        raise Wrong(place, amount, "not an amount: digits, and a point before the decimals")
    whole, rest = matched[1], (matched[2] or "")
    if rest[places:].strip("0"):
        raise Wrong(place, amount, f"{currency} has {places} decimals")
    found = int(whole + rest[:places].ljust(places, "0"))
    if found > MAX_AMOUNT_MINOR:
        raise Wrong(place, amount, "beyond any amount of ours")
    return found


def day(place: str, text: str) -> date:
    """A date, or an instant's date as the bank wrote it. Raises `Wrong`."""
    try:
        if _DAY.match(text):
            return date.fromisoformat(text[:10])
    except ValueError:  # the thirtieth of February
        pass
    raise Wrong(place, text, "not a date: 2026-03-02")


def entry_of(place: str, fields: Mapping[str, Any]) -> BookedEntry:
    """Raises `Wrong` for what no entry may say."""
    try:
        return BookedEntry.model_validate(fields)
    except ValidationError as invalid:
        error = invalid.errors(include_url=False)[0]
        where = "/".join(filter(None, (place, *(str(part) for part in error["loc"]))))
        raise Wrong(where, error["input"], error["msg"].removeprefix("Value error, ")) from None

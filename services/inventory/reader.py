"""A feed is read line by line as it comes, in memory that does not grow with it; what is wrong is told by its row.

A row is a line of the file, counted from 1: of CSV the first is the header. Nothing here knows a database.
"""

import csv
import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

import orjson

from contracts.feeds import MAX_COUNT, FeedFormat, FeedMode
from shared.problems import Problems, shortened

COLUMNS: Final = ("sku", "warehouse", "quantity")
MAX_LINE_BYTES: Final = 4096
"""A row is some fifty bytes; a longer line is refused without being kept."""
MAX_ROWS: Final = 10_000_000
_SKU: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WAREHOUSE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,10}")
_BOM: Final = b"\xef\xbb\xbf"
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")


class Malformed(Exception):
    """Nothing more can be read: what follows has no meaning without what is wrong here."""


class _Wrong(Exception):
    """One row."""

    def __init__(self, column: str, value: Any, why: str) -> None:
        self.column, self.value, self.why = column, value, why
        super().__init__(why)


class Reader:
    """Bytes in, good rows out, as lines for COPY: row, sku, warehouse, quantity, tab-separated.

    `rows` counts the good ones, `hash` is of them all. `broken`: it was not read to its end.
    """

    def __init__(self, format_: FeedFormat, mode: FeedMode) -> None:
        self.problems = Problems()
        self.rows = self.row = 0
        self._hash = blake2b(mode.value.encode(), digest_size=16)
        self._least = 0 if mode is FeedMode.ABSOLUTE else -MAX_COUNT
        self._order: tuple[int, ...] | None = None
        self._csv = format_ is FeedFormat.CSV
        self.broken = self._begun = self._skipping = False
        self._rest = b""

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()

    def take(self, chunk: bytes) -> bytes:
        """The good rows that this chunk completes. Raises `Malformed`, with the problem listed."""
        return self._copied(self._lines(chunk))

    def end(self) -> bytes:
        """The row after the last line end, and the judgement of the whole."""
        rest, self._rest = self._rest, b""
        copied = self._copied([rest] if rest and not self._skipping else [])
        if not self.rows and not self.problems.count:
            self.problems.add(0, "", "", "empty: there is no row in it")
        return copied

    def _lines(self, chunk: bytes) -> Iterator[bytes | None]:
        """Whole lines; None for one that is too long, told once, however many chunks it fills."""
        lines = chunk.split(b"\n")
        lines[0] = self._rest + lines[0]
        self._rest = b""
        for line in lines[:-1]:
            if self._skipping:
                self._skipping = False
                continue
            yield None if len(line) > MAX_LINE_BYTES else line
        last = lines[-1]
        if self._skipping:
            return
        if len(last) > MAX_LINE_BYTES + 1:  # its carriage return may be one more
            self._skipping = True
            yield None
        else:
            self._rest = last

    def _copied(self, lines: Any) -> bytes:
        out: list[str] = []
        for line in lines:
            self.row += 1
            if line is None:
                self.problems.add(self.row, "", "", f"too long: a row has at most {MAX_LINE_BYTES} bytes")
                if not self._begun:
                    raise Malformed
                continue
            try:
                if not self._begun:
                    line = self._first(line)
                    if line is None:
                        continue
                values = self._values(line)
                if values is not None:
                    out.append(self._checked(*values))
            except _Wrong as wrong:
                self.problems.add(self.row, wrong.column, wrong.value, wrong.why)
        self.rows += len(out)
        if self.rows > MAX_ROWS:
            self.problems.add(self.row, "", "", f"too many rows: a feed has at most {MAX_ROWS:,}")
            raise Malformed
        copied = "".join(out).encode()
        self._hash.update(copied)
        return copied

    def _first(self, line: bytes) -> bytes | None:
        """What the first line says of all others: the encoding, and in CSV the columns. None when it is no row."""
        if line.startswith(_WIDE):
            self.problems.add(self.row, "", "", "not UTF-8: it begins as UTF-16 does")
            raise Malformed
        line = line.removeprefix(_BOM)
        if not self._csv:
            self._begun = True
            return line
        if not line.strip():
            return None
        try:
            names = [name.strip().lower() for name in _fields(_text(line))]
        except _Wrong as wrong:
            self.problems.add(self.row, wrong.column, wrong.value, wrong.why)
            raise Malformed from None
        lacks = [name for name in COLUMNS if name not in names]
        more = [name for name in names if name not in COLUMNS or names.count(name) > 1]
        for name in lacks:
            self.problems.add(self.row, name, line, f"wrong columns: there is no {name}")
        for name in dict.fromkeys(more):
            self.problems.add(self.row, shortened(name), line, "wrong columns: they are sku, warehouse, quantity")
        if lacks or more:
            raise Malformed
        order = tuple(names.index(name) for name in COLUMNS)
        self._order = None if order == (0, 1, 2) else order
        self._begun = True
        return None

    def _values(self, line: bytes) -> tuple[Any, Any, Any] | None:
        """What a line says, unchecked; None when it is blank."""
        if not line or line == b"\r":
            return None
        if not self._csv:
            return _object(line)
        text = _text(line)
        values = _fields(text)
        if len(values) != 3:
            raise _Wrong("", text, f"{len(values)} columns where there are 3")
        if self._order is not None:
            values = [values[at] for at in self._order]
        sku, warehouse, quantity = values
        if _NUMBER.fullmatch(quantity := quantity.strip()) is None:
            raise _Wrong("quantity", quantity, "not a whole number")
        return sku.strip(), warehouse.strip(), int(quantity)

    def _checked(self, sku: Any, warehouse: Any, quantity: Any) -> str:
        if type(sku) is not str or _SKU.fullmatch(sku) is None:
            raise _Wrong("sku", sku, "not a SKU: letters, digits, . _ -, at most 64")
        if type(warehouse) is not str or _WAREHOUSE.fullmatch(warehouse) is None:
            raise _Wrong("warehouse", warehouse, "not a warehouse: small letters, digits, -, at most 32")
        if type(quantity) is not int:
            raise _Wrong("quantity", quantity, "not a whole number")
        if not self._least <= quantity <= MAX_COUNT:
            why = "negative: a count is not" if quantity < 0 and not self._least else f"beyond {MAX_COUNT:,}"
            raise _Wrong("quantity", quantity, why)
        return f"{self.row}\t{sku}\t{warehouse}\t{quantity}\n"


def _text(line: bytes) -> str:
    try:
        return line.decode().removesuffix("\r")
    except UnicodeDecodeError as broken:
        raise _Wrong("", line, f"not UTF-8: byte {broken.start + 1} of the row") from None


def _fields(text: str) -> list[str]:
    """A row of CSV is one line: a quoted field does not go on in the next."""
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise _Wrong("", text, f"not CSV: {error}") from None


def _object(line: bytes) -> tuple[Any, Any, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        why = "not UTF-8" if "utf-8" in str(error).lower() or "surrogate" in str(error).lower() else "not JSON"
        raise _Wrong("", line, f"{why}: {error.msg}"[:200]) from None
    if type(found) is not dict:
        raise _Wrong("", line, "not an object of sku, warehouse, quantity")
    if len(found) != 3 or not found.keys() >= {*COLUMNS}:
        lacks = next((name for name in COLUMNS if name not in found), "")
        more = next((name for name in found if name not in COLUMNS), "")
        raise _Wrong(lacks or shortened(more), line, f"no {lacks}" if lacks else "one too many")
    return found["sku"], found["warehouse"], found["quantity"]

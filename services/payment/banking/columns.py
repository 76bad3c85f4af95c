"""A statement as CSV, for banks and books without camt.053: a header that names the columns, then an entry a line.

The separator is the header's: a comma, or a semicolon, with which an amount may have a decimal comma. A file without a
column `statement` is named after its content, so the same file is the same statement.
"""

import csv
from collections.abc import Iterator
from typing import Any, Final

from services.payment.banking.reading import Booked, Broken, Found, Seen, Wrong, day, entry_of, minor, plain
from shared.money import decimals

NEEDED: Final = ("account", "entry", "booked_on", "amount", "currency")
MORE: Final = ("statement", "reference", "end_to_end_id", "text", "name", "name_account", "reversal")
MAX_LINE_BYTES: Final = 16 * 1024
_FLAGS: Final = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
_BOM: Final = b"\xef\xbb\xbf"


class ColumnsReader:
    """A `Reader` of CSV. Entries come at the end, for only then the file has a name."""

    def __init__(self) -> None:
        self.found = Found()
        self._seen = Seen()
        self._line = 0
        self._rest = b""
        self._names: list[str] = []
        self._separator = ","
        self._booked: list[tuple[str, str, int, Any]] = []

    def take(self, chunk: bytes) -> list[Booked]:
        self._seen.bytes(chunk, self.found)
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._read(line)
        if len(self._rest) > MAX_LINE_BYTES:
            self._read(self._rest)  # which says so, and ends
        return []

    def end(self) -> list[Booked]:
        if self._rest:
            self._read(self._rest)
        if not self._names:
            self.found.problems.add(0, "", "", "empty: the first line names the columns")
            raise Broken
        named = f"csv-{self._seen.hash[:24]}"
        return [Booked(account, name or named, line, entry) for account, name, line, entry in self._booked]

    def _read(self, line: bytes) -> None:
        self._line += 1
        if len(line) > MAX_LINE_BYTES:
            self.found.problems.add(
                self._line, "", line[:100], f"too long: a line has at most {MAX_LINE_BYTES:,} bytes"
            )
            raise Broken
        if self._line == 1:
            line = line.removeprefix(_BOM)
        try:
            text = line.decode().removesuffix("\r")
        except UnicodeDecodeError as broken:
            self.found.problems.add(self._line, "", line, f"not UTF-8: byte {broken.start + 1} of the line")
            raise Broken from None
        if not text.strip():
            return
        try:
            if not self._names:
                self._header(text)
                return
            self._seen.entry(self._line, self.found)
            self._booked += self._entry(dict(zip(self._names, self._values(text), strict=True)))
        except Wrong as wrong:
            self.found.problems.add(self._line, wrong.place, wrong.value, wrong.why)
            if not self._names:
                raise Broken from None

    def _header(self, text: str) -> None:
        self._separator = ";" if ";" in text else ","
        names = [name.strip().lower() for name in self._split(text)]
        for lacks in (name for name in NEEDED if name not in names):
            self.found.problems.add(self._line, lacks, text, f"wrong columns: there is no {lacks}")
        for more in dict.fromkeys(name for name in names if name not in (*NEEDED, *MORE) or names.count(name) > 1):
            self.found.problems.add(
                self._line, more[:40], text, f"wrong columns: they are {', '.join((*NEEDED, *MORE))}"
            )
        if self.found.problems.count:
            raise Broken
        self._names = names

    def _split(self, text: str) -> list[str]:
        """An entry is one line: a quoted field does not go on in the next."""
        try:
            return next(csv.reader([text], delimiter=self._separator, strict=True))
        except csv.Error as error:
            raise Wrong("", text, f"not CSV: {error}") from None

    def _values(self, text: str) -> list[str]:
        values = [value.strip() for value in self._split(text)]
        if len(values) != len(self._names):
            raise Wrong("", text, f"{len(values)} columns where there are {len(self._names)}")
        return values

    def _digits(self, told: dict[str, str]) -> str:
        """With semicolons the comma is the decimal sign, and a point could only part the thousands. Three noughts after
        it are refused where the currency has fewer decimals: 1.000 may have been meant for a thousand."""
        digits = told["amount"][told["amount"].startswith(("-", "+")) :]
        if self._separator == ";":
            if "." in digits:
                raise Wrong("amount", told["amount"], "a point: with semicolons an amount is 1234,56")
            digits = digits.replace(",", ".")
        places = decimals(told["currency"])
        if places is not None and places < 3 and digits.partition(".")[2] == "000":
            raise Wrong("amount", told["amount"], f"one or a thousand? {told['currency']} has {places} decimals")
        return digits

    def _entry(self, told: dict[str, str]) -> Iterator[tuple[str, str, int, Any]]:
        for column in ("account", "entry"):
            if not told[column]:
                raise Wrong(column, "", "missing")
        account, name = plain(told["account"], 70), plain(told["entry"], 100)
        amount = minor("currency" if not told["currency"] else "amount", self._digits(told), told["currency"])
        booked_on = day("booked_on", told["booked_on"])
        reversal = _FLAGS.get(told.get("reversal", "").lower())
        if reversal is None:
            raise Wrong("reversal", told["reversal"], "neither true nor false")
        if self._seen.times(account, name) > 1:
            raise Wrong("entry", name, "there twice: an entry has a name of its own")
        if amount == 0:
            self.found.of_nothing += 1
            return
        fields = {
            "bank_reference": name,
            "booked_on": booked_on,
            "amount_minor": -amount if told["amount"].startswith("-") else amount,
            "currency": told["currency"],
            "reversal": reversal,
            "reference": plain(told.get("reference", ""), 35),
            "end_to_end_id": plain(told.get("end_to_end_id", ""), 35),
            "remittance": plain(told.get("text", ""), 560),
            "counterparty": plain(told.get("name", ""), 140),
            "counterparty_account": plain(told.get("name_account", ""), 70),
        }
        self.found.entries += 1
        yield account, plain(told.get("statement", ""), 70), self._line, entry_of("", fields)

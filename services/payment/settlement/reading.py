"""A provider's statement, read row by row into lines to keep: all right, or each wrong value named by its row and
column. Nothing here knows a database.

A row is a line of the file, counted from 1; the header is the first. A report from a provider's API goes through the
same checks, its rows counted from 1 too.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from contracts.values import MAX_AMOUNT_MINOR
from services.payment.provider.port import Settled
from services.payment.settlement.lines import COMES_IN, LineKind
from shared.money import decimals
from shared.problems import Problems

COLUMNS: Final = (
    *("line_id", "kind", "provider_payment_id", "reference"),
    *("amount_minor", "fee_minor", "currency", "occurred_at"),
)
MAX_BYTES: Final = 32 * 1024 * 1024
MAX_ROWS: Final = 200_000
MAX_FIELD: Final = 200
"""Characters."""


@dataclass(frozen=True, slots=True)
class Stated:
    """One line as its provider states it."""

    row: int
    id: str
    kind: LineKind
    provider_payment_id: str
    reference: str
    amount_minor: int
    fee_minor: int
    currency: str
    occurred_at: datetime

    @property
    def order_id(self) -> UUID | None:
        """Our payments go to a provider under their order's id."""
        try:
            return UUID(self.reference)
        except ValueError:
            return None


@dataclass(slots=True)
class Statement:
    lines: list[Stated] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    @property
    def hash(self) -> str:
        """Of what it says, whatever the order of its columns."""
        told = "\n".join(repr((line.id, *_content(line))) for line in self.lines)
        return blake2b(told.encode(), digest_size=16).hexdigest()


def read(body: bytes) -> Statement:
    """A CSV file."""
    statement = Statement()
    if len(body) > MAX_BYTES:
        statement.problems.add(0, "", "", f"too large: a statement has at most {MAX_BYTES:,} bytes")
        return statement
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        row = body.count(b"\n", 0, broken.start) + 1
        statement.problems.add(row, "", body[broken.start : broken.end], "not UTF-8")
        return statement
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        _rows(reader, statement)
    except csv.Error as error:
        statement.problems.add(reader.line_num, "", "", f"not CSV: {error}")
    if not statement.lines and not statement.problems.count:
        statement.problems.add(0, "", "", "empty: there is no line in it")
    _twice(statement)
    return statement


def _rows(reader: Any, statement: Statement) -> None:
    """Raises csv.Error where the file is broken."""
    names = [name.strip().lower() for name in next(reader, [])]
    for name in COLUMNS:
        if name not in names:
            statement.problems.add(1, name, ",".join(names), f"wrong columns: there is no {name}")
    for name in dict.fromkeys(names):
        if name not in COLUMNS or names.count(name) > 1:
            statement.problems.add(1, name, name, f"wrong columns: they are {', '.join(COLUMNS)}")
    if statement.problems.count:
        return
    for values in reader:
        if not any(values):
            continue
        if len(statement.lines) == MAX_ROWS:
            statement.problems.add(reader.line_num, "", "", f"too many rows: a statement has at most {MAX_ROWS:,}")
            return
        if len(values) != len(COLUMNS):
            why = f"{len(values)} columns where there are {len(COLUMNS)}"
            statement.problems.add(reader.line_num, "", ",".join(values), why)
            continue
        _take(statement, reader.line_num, dict(zip(names, (value.strip() for value in values), strict=True)))


def of_provider(settled: Sequence[Settled]) -> Statement:
    """What a provider's API told, held to the same."""
    statement = Statement()
    for row, one in enumerate(settled, 1):
        told = {name: str(getattr(one, name)) for name in COLUMNS if name not in ("line_id", "occurred_at")}
        _take(statement, row, {**told, "line_id": one.id, "occurred_at": one.occurred_at.isoformat()})
    _twice(statement)
    return statement


def _take(statement: Statement, row: int, values: Mapping[str, str]) -> None:
    """One row that is right, or what is wrong with it."""
    found: dict[str, Any] = {}
    wrong = False
    for name in COLUMNS:
        try:
            found[name] = PARSED[name](values[name])
        except ValueError as why:
            wrong = True
            statement.problems.add(row, name, values[name], str(why))
    if wrong:
        return
    kind, amount_minor = found["kind"], found["amount_minor"]
    if (amount_minor > 0) is not (kind in COMES_IN):
        sign = "positive" if kind in COMES_IN else "negative"
        statement.problems.add(row, "amount_minor", values["amount_minor"], f"not {sign}: a {kind} is")
        return
    statement.lines.append(Stated(row, found.pop("line_id"), **found))


def _twice(statement: Statement) -> None:
    first: dict[str, int] = {}
    for line in statement.lines:
        other = first.setdefault(line.id, line.row)
        if other != line.row:
            statement.problems.add(line.row, "line_id", line.id, f"twice in this statement, also in row {other}")


def same(line: Stated, kept: Mapping[str, Any]) -> bool:
    """Whether a line that is kept already says the same."""
    return _content(line) == (
        kept["kind"],
        kept["provider_payment_id"],
        kept["reference"],
        kept["amount_minor"],
        kept["fee_minor"],
        kept["currency"],
        kept["occurred_at"],
    )


def _content(line: Stated) -> tuple[object, ...]:
    return (
        line.kind.value,
        line.provider_payment_id,
        line.reference,
        line.amount_minor,
        line.fee_minor,
        line.currency,
        line.occurred_at,
    )


# -- one value -----------------------------------------------------------------------------------------------------


def _text(value: str) -> str:
    if len(value) > MAX_FIELD:
        raise ValueError(f"too long: at most {MAX_FIELD} characters")
    if not value.isascii() or not value.isprintable():
        raise ValueError("not printable ASCII")
    return value


def _name(value: str) -> str:
    if not value:
        raise ValueError("empty")
    return _text(value)


def _kind(value: str) -> LineKind:
    if value not in set(LineKind):
        raise ValueError(f"unknown kind: {', '.join(LineKind)} are known")
    return LineKind(value)


def _minor(value: str) -> int:
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(MAX_AMOUNT_MINOR)):
        raise ValueError("not a whole number of minor units")
    if int(digits) > MAX_AMOUNT_MINOR:
        raise ValueError(f"beyond {MAX_AMOUNT_MINOR:,}")
    return int(value)


def _amount(value: str) -> int:
    if (amount := _minor(value)) == 0:
        raise ValueError("zero: a line settles something")
    return amount


def _currency(value: str) -> str:
    if len(value) != 3 or decimals(value) is None:
        raise ValueError("unknown currency")
    return value


def _instant(value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("not an instant as 2026-03-02T12:00:00Z") from None
    if found.tzinfo is None:
        raise ValueError("no time zone: write it as 2026-03-02T12:00:00Z")
    return found


PARSED: Final[Mapping[str, Callable[[str], Any]]] = {
    "line_id": _name,
    "kind": _kind,
    "provider_payment_id": _text,
    "reference": _text,
    "amount_minor": _amount,
    "fee_minor": lambda value: _minor(value) if value else 0,
    "currency": _currency,
    "occurred_at": _instant,
}


def earliest(lines: Iterable[Stated]) -> datetime | None:
    return min((line.occurred_at for line in lines), default=None)

"""What a SQL table promises, read from its declaration and held in memory too: CHECK, UNIQUE and foreign keys.

Only the plain SQL our CHECKs are written in is understood (comparisons, AND, OR, NOT, IN, IS NULL, arithmetic). What is
not understood is listed in `Promises.not_understood`, and holds in PostgreSQL only.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.table import Table

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]
_TOKEN: Final = re.compile(r"\s*('(?:[^']|'')*'|[A-Za-z_][\w.]*|\d+(?:\.\d+)?|<>|!=|>=|<=|[-+*/%=<>(),])")
_WORDS: Final = {word: word for word in ("and", "or", "not", "in", "is")} | {
    "null": "None",
    "true": "True",
    "false": "False",
}
_SIGNS: Final = {"=": "==", "<>": "!="}
_CALLS: Final[dict[str, Any]] = {"length": len, "abs": abs}


class NotUnderstood(Exception):
    """SQL beyond the plain kind."""


@dataclass(frozen=True)
class Check:
    """`nullable` are the columns whose NULL makes the answer unknown, where the SQL does not ask for NULL itself."""

    name: str
    nullable: tuple[str, ...]
    asks: Callable[[Any], Any]

    def holds(self, row: Any) -> bool | None:
        """None: unknown, which a CHECK lets pass as SQL does."""
        for column in self.nullable:
            if getattr(row, column) is None:
                return None
        try:
            return bool(self.asks(row))
        except TypeError:
            return None


@dataclass(frozen=True)
class Promise:
    """A unique key; `value` is None for a row that its WHERE leaves out or that has a NULL in it."""

    name: str
    columns: tuple[str, ...]
    where: Check | None

    def value(self, row: Any) -> tuple[Any, ...] | None:
        if self.where is not None and self.where.holds(row) is not True:
            return None
        value = tuple(getattr(row, column) for column in self.columns)
        return None if None in value else value


@dataclass(frozen=True)
class Foreign:
    name: str
    columns: tuple[str, ...]
    table: str
    deferred: bool


@dataclass(frozen=True)
class Promises:
    checks: tuple[Check, ...]
    unique: tuple[Promise, ...]
    foreign: tuple[Foreign, ...]
    not_understood: tuple[str, ...]


def promises_of(table: Table[Any]) -> Promises:
    """Everything `table` promises beyond its primary key and its machines."""
    checks: list[Check] = []
    unique: list[Promise] = []
    foreign: list[Foreign] = []
    lost: list[str] = []
    understand = _understander(table)
    for constraint in table.sql.constraints:
        name = str(constraint.name or "")
        if isinstance(constraint, sa.CheckConstraint):
            try:
                checks.append(understand(name, constraint.sqltext))
            except NotUnderstood:
                lost.append(name)
        elif isinstance(constraint, sa.UniqueConstraint):
            unique.append(Promise(name, tuple(column.name for column in constraint.columns), None))
        elif isinstance(constraint, sa.ForeignKeyConstraint):
            to = constraint.elements[0]
            deferred = (constraint.initially or to.initially) == "DEFERRED"
            foreign.append(Foreign(name, tuple(constraint.column_keys), to.target_fullname.split(".")[-2], deferred))
    for index in table.sql.indexes:
        if not index.unique:
            continue
        name, where = str(index.name), index.dialect_options["postgresql"]["where"]
        try:
            partly = None if where is None else understand(name, where)
            unique.append(Promise(name, tuple(column.name for column in index.columns), partly))
        except NotUnderstood:
            lost.append(name)
    return Promises(tuple(checks), tuple(unique), tuple(foreign), tuple(lost))


def _understander(table: Table[Any]) -> Callable[[str, Any], Check]:
    def understand(name: str, sql: Any) -> Check:
        if not isinstance(sql, str):
            sql = str(sql.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))
        nullable = frozenset(column.name for column in table.sql.columns if column.nullable)
        return _check_of(name, sql, frozenset(table.columns), nullable)

    return understand


def _check_of(name: str, sql: str, columns: frozenset[str], nullable: frozenset[str]) -> Check:
    used: dict[str, None] = {}
    parts: list[str] = []
    lists: list[int] = []
    at, depth = 0, 0
    while at < len(sql.rstrip()):
        found = _TOKEN.match(sql, at)
        if found is None:
            raise NotUnderstood(sql)
        at, token = found.end(), found.group(1)
        if token == "(":
            depth += 1
            if parts and parts[-1] == "in":
                lists.append(depth)
        elif token == ")":
            if lists and lists[-1] == depth:
                parts.append(",")
                lists.pop()
            depth -= 1
        parts.append(_word(token, columns, used))
    try:
        asks = eval(f"lambda row: {' '.join(parts)}", {"__builtins__": {}, **_CALLS})
    except SyntaxError:
        raise NotUnderstood(sql) from None
    asks_for_null = "is" in parts
    return Check(name, () if asks_for_null else tuple(column for column in used if column in nullable), asks)


def _word(token: str, columns: frozenset[str], used: dict[str, None]) -> str:
    if token[0] == "'":
        return repr(token[1:-1].replace("''", "'"))
    if token[0].isalpha() or token[0] == "_":
        column = token.rpartition(".")[2]
        if column in columns:
            used[column] = None
            return f"row.{column}"
        if token.lower() in _CALLS:
            return token.lower()
        word = _WORDS.get(token.lower())
        if word is None:
            raise NotUnderstood(token)
        return word
    return _SIGNS.get(token, token)

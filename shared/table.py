"""A table is declared once: its SQLAlchemy form for migrations and SQL, its frozen row for decisions.

The column names of the SQL table are the field names of the row class, less the two instants the database keeps itself.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import Enum, StrEnum
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar, Final, Generic, TypeVar, cast, get_type_hints

import sqlalchemy as sa

R = TypeVar("R")
Key = tuple[Any, ...]

KEPT_BY_DATABASE = frozenset({"created_at", "updated_at"})


class Discipline(Enum):
    """How concurrent writers of a row are kept apart."""

    VERSIONED = "versioned"  # compare-and-set on `version`; one version per move
    LOCKED = "locked"  # FOR NO KEY UPDATE at load, in key order: for hot rows
    APPEND = "append"  # inserted, never changed


@dataclass(frozen=True, eq=False)
class Table(Generic[R]):
    """`key` are the primary key's columns. `fixed` columns are written at insert and never sent again."""

    row: type[R]
    sql: sa.Table
    key: tuple[str, ...]
    discipline: Discipline
    fixed: frozenset[str] = frozenset()

    _by_row: ClassVar[dict[type[Any], "Table[Any]"]] = {}

    def __post_init__(self) -> None:
        columns = {column.name for column in self.sql.columns} - KEPT_BY_DATABASE
        names = {field.name for field in fields(cast(Any, self.row))}
        if columns != names:
            raise TypeError(f"{self.sql.name}: row and columns differ in {sorted(columns ^ names)}")
        if self.discipline is Discipline.VERSIONED and "version" not in names:
            raise TypeError(f"{self.sql.name}: a versioned table needs a version")
        Table._by_row[self.row] = self

    @staticmethod
    def of(row: R) -> "Table[R]":
        """The table a row belongs to; KeyError for a class nobody declared."""
        return cast("Table[R]", Table._by_row[type(row)])

    @cached_property
    def name(self) -> str:
        return self.sql.name

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cast(Any, self.row)))

    @cached_property
    def key_of(self) -> Callable[[R], Key]:
        """The key of a row, as a tuple."""
        get = attrgetter(*self.key)
        return get if len(self.key) > 1 else lambda row: (get(row),)

    def enums(self) -> dict[str, type[StrEnum]]:
        """Columns that are text in SQL and an enum in the row."""
        hints = get_type_hints(self.row)
        found: dict[str, type[StrEnum]] = {}
        for name, hint in hints.items():
            for part in (hint, *getattr(hint, "__args__", ())):
                if isinstance(part, type) and issubclass(part, StrEnum):
                    found[name] = part
        return found


_NOTHING: Final = frozenset((None,))


@dataclass(frozen=True, slots=True)
class Need:
    """Rows a decision wants to see: those whose column `by` is one of `values`; of each value only the first
    `limit` by the column `order`, then by key, where a limit is given."""

    table: Table[Any]
    by: str
    values: frozenset[Any]
    order: str = ""
    limit: int = 0

    @staticmethod
    def of(table: Table[Any], by: str, *values: Any) -> "Need":
        return Need(table, by, frozenset(values) - _NOTHING)

    @staticmethod
    def first(limit: int, table: Table[Any], by: str, *values: Any, order: str) -> "Need":
        """A bounded range; `by` is a column that nobody asks for in whole."""
        if table.discipline is Discipline.LOCKED:
            raise TypeError(f"{table.name}: hot rows are named by key")
        return Need(table, by, frozenset(values) - _NOTHING, order, limit)

    def for_values(self, values: Iterable[Any]) -> "Need":
        """The same question about other values."""
        return Need(self.table, self.by, frozenset(values), self.order, self.limit)

    @property
    def hot(self) -> bool:
        """Whether loading waits for locks."""
        return self.table.discipline is Discipline.LOCKED

"""What a batch sees: the loaded rows, and over them an overlay per message that is merged on return and
dropped on raise.

Rows are frozen. `put` records a move; every move of one versioned row becomes one version and one UPDATE, so that the
transition trigger sees each of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from contracts.message import Message
from shared.frozen import replace
from shared.store import Changes
from shared.table import Discipline, Key, Need, Table

R = TypeVar("R")


class NotLoaded(Exception):
    """A decision looked at a row its `needs` did not name: a mistake in the program, found at once."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Rings `message` at `at`, unless set anew or cleared before. One per (name, owner)."""

    name: str
    owner: str
    at: datetime
    message: Message


@dataclass(slots=True)
class _Overlay:
    moves: dict[tuple[Table[Any], Key], list[Any]] = field(default_factory=dict)
    added: list[Any] = field(default_factory=list)
    timers: dict[tuple[str, str], Timer | None] = field(default_factory=dict)


class Rows:
    """The rows one decision sees and changes."""

    def __init__(self) -> None:
        self._stored: dict[Table[Any], dict[Key, Any]] = {}
        self._current: dict[Table[Any], dict[Key, Any]] = {}
        self._scopes: dict[tuple[Table[Any], str], dict[Any, dict[Key, None]]] = {}
        self._asked: dict[tuple[Table[Any], str], Need] = {}
        self._moves: dict[tuple[Table[Any], Key], list[Any]] = {}
        self._added: list[Any] = []
        self._timers: dict[tuple[str, str], Timer | None] = {}
        self._movers: dict[tuple[str, Key], set[int]] = {}
        self._placed: set[tuple[Table[Any], Key]] = set()
        self._overlay = _Overlay()

    # -- loading (the frame) -------------------------------------------------------------------------------------

    def missing(self, needs: Iterable[Need]) -> list[Need]:
        """What of `needs` is not loaded yet, merged to one need per table and column, tables in a fixed order."""
        merged: dict[tuple[Table[Any], str], set[Any]] = {}
        asked: dict[tuple[Table[Any], str], Need] = {}
        for need in needs:
            wanted = merged.get((need.table, need.by))
            if wanted is None:
                wanted = merged[(need.table, need.by)] = set()
                asked[(need.table, need.by)] = need
            wanted |= need.values
        for place, wanted in merged.items():
            if (have := self._scopes.get(place)) is not None:
                wanted -= have.keys()
        return [
            asked[place].for_values(values)
            for place, values in sorted(merged.items(), key=lambda item: (item[0][0].name, item[0][1]))
            if values
        ]

    def loaded(self, need: Need, found: Iterable[Any]) -> None:
        scope = self._scopes.setdefault((need.table, need.by), {})
        self._asked[(need.table, need.by)] = need
        for value in need.values:
            scope.setdefault(value, {})
        stored = self._stored.setdefault(need.table, {})
        current = self._current.setdefault(need.table, {})
        for row in found:
            key = need.table.key_of(row)
            stored.setdefault(key, row)
            current.setdefault(key, row)
            scope[getattr(row, need.by)][key] = None

    def seen(self) -> list[Need]:
        """Everything loaded so far, as needs."""
        return [self._asked[place].for_values(scope) for place, scope in self._scopes.items()]

    def loaded_again(self, need: Need, found: Sequence[Any]) -> None:
        """The same rows as they stand now, before anything was decided on them."""
        for rows in (self._stored[need.table], self._current[need.table]):
            for row in found:
                rows.pop(need.table.key_of(row), None)
        self.loaded(need, found)

    # -- deciding (handlers) -------------------------------------------------------------------------------------

    def get(self, table: Table[R], *key: Any) -> R | None:
        """The row with this key, as the messages before this one left it; None when there is none."""
        row = self._newest(table, key)
        if row is None and not self.looked_for(table, key):
            raise NotLoaded(f"{table.name} {key}")
        return cast("R | None", row)

    def looked_for(self, table: Table[Any], key: Key) -> bool:
        """Whether a row with this key was asked for, so that its absence means something."""
        for column, value in zip(table.key, key, strict=True):
            scope = self._scopes.get((table, column))
            if scope is not None and value in scope:
                return True
        return False

    def _newest(self, table: Table[Any], key: Key) -> Any:
        if moves := self._overlay.moves.get((table, key)):
            return moves[-1]
        return self._current.get(table, {}).get(key)

    def where(self, table: Table[R], by: str, value: Any) -> list[R]:
        """Every row whose column `by` is `value`, in key order."""
        scope = self._scopes.get((table, by))
        if scope is None or value not in scope:
            raise NotLoaded(f"{table.name} by {by} = {value}")
        keys: Iterable[Key] = scope[value]
        if self._overlay.moves:
            fresh = [key for of, key in self._overlay.moves if of is table]
            keys = {*keys, *fresh}
        rows = [self._newest(table, key) for key in sorted(keys)]
        return [row for row in rows if row is not None and getattr(row, by) == value]

    def loaded_rows(self, table: Table[R]) -> list[R]:
        """Every row of a table loaded so far for this batch: for the keys of a second stage."""
        return list(self._stored.get(table, {}).values())

    def put(self, row: Any) -> None:
        """A new row, or the next state of a loaded one (its version is counted here)."""
        table = Table.of(row)
        if table.discipline is Discipline.APPEND:
            self._overlay.added.append(row)
            return
        key = table.key_of(row)
        # a row born here under a fresh id has nothing to be loaded; should its key exist, the insert conflicts
        newborn = table.discipline is Discipline.VERSIONED and row.version == 0
        before = self.get(table, *key) if not newborn or self.looked_for(table, key) else self._newest(table, key)
        if table.discipline is Discipline.VERSIONED:
            row = _with_version(row, before, 1 if before is None else cast(Any, before).version + 1)
        self._overlay.moves.setdefault((table, key), []).append(row)

    def set_timer(self, name: str, owner: Any, at: datetime, message: Message) -> None:
        """Ring at `at`; a timer of the same name and owner set before is replaced."""
        self._overlay.timers[(name, str(owner))] = Timer(name, str(owner), at, message)

    def clear_timer(self, name: str, owner: Any) -> None:
        self._overlay.timers[(name, str(owner))] = None

    # -- merging (the frame) -------------------------------------------------------------------------------------

    def merge(self, index: int) -> None:
        """Keep what message `index` of the batch changed."""
        overlay, self._overlay = self._overlay, _Overlay()
        for (table, key), moves in overlay.moves.items():
            self._moves.setdefault((table, key), []).extend(moves)
            self._movers.setdefault((table.name, key), set()).add(index)
            self._current.setdefault(table, {})[key] = moves[-1]
            if (table, key) in self._placed:
                continue  # a row does not change the columns it is found by
            self._placed.add((table, key))
            for (scoped, by), values in self._scopes.items():
                if scoped is table and (found := values.get(getattr(moves[-1], by))) is not None:
                    found[key] = None
        self._added.extend(overlay.added)
        self._timers.update(overlay.timers)

    def drop(self) -> None:
        """Forget what the message being decided changed."""
        self._overlay = _Overlay()

    def movers(self, rows: Iterable[tuple[str, Key]]) -> set[int]:
        """Which messages of the batch moved any of these rows."""
        found: set[int] = set()
        for row in rows:
            found |= self._movers.get(row, set())
        return found

    def timers(self) -> dict[tuple[str, str], Timer | None]:
        return self._timers

    def changes(self) -> Changes:
        """Inserts first, then waves of moves, hot rows last value only; every list in key order."""
        changes = Changes()
        for (table, key), moves in sorted(self._moves.items(), key=lambda item: (item[0][0].name, item[0][1])):
            stored = self._stored.get(table, {}).get(key)
            if table.discipline is Discipline.LOCKED:
                group = changes.inserts if stored is None else changes.locked
                group.setdefault(table, []).append(moves[-1])
                continue
            later = moves
            if stored is None:
                changes.inserts.setdefault(table, []).append(moves[0])
                later = moves[1:]
            for number, row in enumerate(later):
                while len(changes.waves) <= number:
                    changes.waves.append({})
                changes.waves[number].setdefault(table, []).append(row)
        for row in self._added:
            changes.inserts.setdefault(Table.of(row), []).append(row)
        return changes


def _with_version(row: Any, before: Any, version: int) -> Any:
    """The row under its version. A row that is no other's, fresh from a decision, is stamped in place: copying every
    moved row a second time was the largest single cost of deciding."""
    if row is before or row.version not in (0, version - 1):
        return replace(row, version=version)
    object.__setattr__(row, "version", version)
    return row

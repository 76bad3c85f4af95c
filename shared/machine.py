"""A machine is a table of moves. What is not in the table is refused, by name; the table checks itself at import.

The same table becomes the SQL transition trigger, the Mermaid diagram in the docs and the property test.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Moved(Generic[S]):
    """The move is in the table; `to` is the new state."""

    to: S


@dataclass(frozen=True, slots=True)
class Already(Generic[S]):
    """Asked twice: the thing already stands where this move leads. Give the same answer again."""

    at: S


@dataclass(frozen=True, slots=True)
class Refused(Generic[S]):
    """The table has no such move from here."""

    at: S
    on: str

    def __str__(self) -> str:
        return f"{self.on} is not possible in state {self.at}"


class IllegalMove(Exception):
    """Raised by `Machine.to` where the caller had no refusal to offer."""


class BadMachine(Exception):
    """The table contradicts itself: found at import."""


@dataclass(frozen=True)
class Machine(Generic[S]):
    """`moves` are rows (from, on, to). `start` are the states a new thing may be born in, the usual one first."""

    name: str
    states: type[S]
    start: tuple[S, ...]
    moves: tuple[tuple[S, str, S], ...]

    def __init__(self, name: str, states: type[S], start: S | Iterable[S], moves: Iterable[tuple[S, str, S]]) -> None:
        starts = (start,) if isinstance(start, states) else tuple(start)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "states", states)
        object.__setattr__(self, "start", starts)
        object.__setattr__(self, "moves", tuple(moves))
        self._check()

    def _check(self) -> None:
        seen: set[tuple[S, str]] = set()
        for origin, on, _ in self.moves:
            if (origin, on) in seen:
                raise BadMachine(f"{self.name}: {origin} --{on}--> is there twice")
            seen.add((origin, on))
        reached = set(self.start)
        while True:
            more = {to for origin, _, to in self.moves if origin in reached} - reached
            if not more:
                break
            reached |= more
        if unreachable := set(self.states) - reached:
            raise BadMachine(f"{self.name}: nothing leads to {', '.join(sorted(unreachable))}")

    @cached_property
    def _table(self) -> Mapping[tuple[S, str], S]:
        return {(origin, on): to for origin, on, to in self.moves}

    @cached_property
    def _targets(self) -> Mapping[str, frozenset[S]]:
        targets: dict[str, set[S]] = {}
        for _, on, to in self.moves:
            targets.setdefault(on, set()).add(to)
        return {on: frozenset(states) for on, states in targets.items()}

    @cached_property
    def pairs(self) -> frozenset[tuple[S, S]]:
        """Every (from, to) the table allows: what the database trigger knows."""
        return frozenset((origin, to) for origin, _, to in self.moves)

    @cached_property
    def final(self) -> frozenset[S]:
        return frozenset(self.states) - {origin for origin, _, _ in self.moves}

    def move(self, at: S, on: str) -> "Moved[S] | Already[S] | Refused[S]":
        """What `on` does to a thing in state `at`."""
        to = self._table.get((at, on))
        if to is not None:
            return Moved(to)
        if at in self._targets.get(on, frozenset()):
            return Already(at)
        return Refused(at, on)

    def to(self, at: S, on: str) -> S:
        """The new state; raises `IllegalMove` unless the table has the move."""
        match self.move(at, on):
            case Moved(to):
                return to
            case Already():
                raise IllegalMove(f"{self.name}: {on} was already done, it is {at}")
            case Refused() as refused:
                raise IllegalMove(f"{self.name}: {refused}")

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2"]
        lines += [f"    [*] --> {state.value}" for state in self.start]
        lines += [f"    {origin.value} --> {to.value}: {on}" for origin, on, to in self.moves]
        lines += [f"    {state.value} --> [*]" for state in sorted(self.final)]
        return "\n".join(lines)

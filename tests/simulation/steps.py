"""Coroutines driven by hand: a task runs until its next step and stops there, for as long as the scheduler likes."""

import types
from collections.abc import Coroutine, Generator
from typing import Any, Final

COMMITTED: Final = "committed"


@types.coroutine
def pause(name: str) -> Generator[str, None, None]:
    """A step: anybody else may go first, or the process may die here."""
    yield name


class Task:
    """`at` is the step it stands before."""

    __slots__ = ("at", "coroutine", "name", "owner")

    def __init__(self, name: str, owner: Any, coroutine: Coroutine[str, None, None]) -> None:
        self.name, self.owner, self.coroutine = name, owner, coroutine
        self.at = "start"

    def step(self) -> bool:
        """Go on to the next step; False when it is done."""
        try:
            self.at = self.coroutine.send(None)
        except StopIteration:
            return False
        return True

    def throw(self, error: Exception) -> bool:
        """Its call fails."""
        try:
            self.at = self.coroutine.throw(error)
        except StopIteration:
            return False
        return True

    def die(self) -> None:
        self.coroutine.close()

"""An effect is the only place that touches the outside, and it touches it between two transactions, never inside one.

A decision wrote an attempt row in state `open`; a worker commits open -> calling, calls with the attempt's id as the
idempotency key, and what it learned is a message decided like any other. A crash anywhere leaves the row in `calling`:
a timer set by the decision brings it back to `open`, and the same request goes out again under the same key.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from contracts.message import Message
from shared.store import Store
from shared.table import Table

A = TypeVar("A")

Perform = Callable[[Any], Awaitable[Message]]


@dataclass(frozen=True)
class Effect(Generic[A]):
    """`perform` asks the outside about one attempt and returns what it learned, as a local message of this service.

    It bounds its own time and never raises for trouble of the outside: not knowing is an outcome too.
    `at_once` bounds the calls in flight per process. `only`, a column and its value, takes some of a table's attempts:
    whoever is called in several ways, or calls several others, has an effect for each, so that one who hangs holds
    nobody else up.
    """

    attempts: Table[A]
    perform: Callable[[A], Awaitable[Message]]
    at_once: int
    only: tuple[str, str] | None = None

    def has_work_in(self, written: Mapping[str, Iterable[Any]]) -> bool:
        """Whether one of these rows, by table name, is an attempt to take: looking in vain is a transaction too."""
        opened = (row for row in written.get(self.attempts.name, ()) if row.state == "open")
        if self.only is None:
            return any(True for _ in opened)
        column, value = self.only
        return any(getattr(row, column) == value for row in opened)

    async def take(self, store: Store, free: int) -> list[A]:
        """Attempts that are now ours to call; at most `free`."""
        return await store.take_open(self.attempts, min(free, self.at_once), self.only)

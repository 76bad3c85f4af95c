"""What a batch needs of a database, and nothing more: PostgreSQL has it in production, memory has it in the simulator.

Both pass the same contract tests. A transaction is READ COMMITTED; its calls come in the order of this file.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from shared.table import Key, Need, Table

Claim = tuple[str, UUID]
"""A message of a queue: (queue, message id)."""


class Conflict(Exception):
    """Somebody else moved a row between our load and our write. `rows` are (table name, key) pairs."""

    def __init__(self, rows: Iterable[tuple[str, Key]]) -> None:
        self.rows = frozenset(rows)
        super().__init__(", ".join(f"{table} {key}" for table, key in sorted(self.rows, key=str)))


class ConstraintFired(Exception):
    """The database refused a write by a constraint: some decision of this batch is wrong."""


class Unavailable(Exception):
    """Database away, deadlock, lock timeout: nobody's fault; pause and come again."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message to publish. `destination` is a queue of our own exchange, or a routing key when `public`."""

    id: UUID
    subject: str
    destination: str
    public: bool
    head: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class DueRow:
    """Work for later: a timer (named, one per owner), a retry of a message, or a follow-up said to ourselves."""

    id: UUID
    queue: str
    not_before: datetime
    head: Mapping[str, str]
    body: str
    name: str = ""
    owner: str = ""
    attempts: int = 0
    first_tried: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """What a command was answered. `state`: pending (asked, no answer yet), answered, withdrawn (its undo came
    first)."""

    command_key: str
    content_hash: str
    state: str
    answer_type: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A message nobody could handle, kept with its reason until a person decides."""

    id: UUID
    queue: str
    command_key: str
    head: dict[str, str]
    body: bytes
    reason: str
    error: str
    attempts: int


@dataclass(slots=True)
class Changes:
    """Everything one batch writes, already in the order it is written."""

    inserts: dict[Table[Any], list[Any]] = field(default_factory=dict)
    waves: list[dict[Table[Any], list[Any]]] = field(default_factory=list)
    locked: dict[Table[Any], list[Any]] = field(default_factory=dict)
    answers: dict[str, AnswerRow] = field(default_factory=dict)
    first_answers: set[str] = field(default_factory=set)
    """Of `answers`, the keys nobody had answered at load: one that exists at write is a conflict. Otherwise a *do* and
    its *undo*, decided by two replicas at once, would not see each other."""
    timers_cleared: set[tuple[str, str]] = field(default_factory=set)
    due: list[DueRow] = field(default_factory=list)
    waiting: list[tuple[str, UUID]] = field(default_factory=list)
    settled: list[tuple[str, UUID]] = field(default_factory=list)
    parked: list[ParkedRow] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)

    def timers_set(self) -> set[tuple[str, str]]:
        """Timers set anew, by (name, owner). The retry of one that rang replaces nothing: a newer one may be
        waiting."""
        return {(row.name, row.owner) for row in self.due if row.name and row.first_tried is None}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the database showed: a list of rows for each need, and the answers to command keys."""

    rows: Sequence[list[Any]] = ()
    answers: Sequence[AnswerRow] = ()


class Transaction(Protocol):
    async def claim_inbox(
        self, ids: Sequence[Claim], needs: Sequence[Need] = (), command_keys: Sequence[str] = ()
    ) -> tuple[set[Claim], Seen]:
        """Insert (queue, message id) pairs, sorted; returns those nobody had claimed, and in the same look what `load`
        would show. `needs` are not of hot rows, for these wait."""
        ...

    async def claim_due(self, queues: Sequence[str], limit: int) -> list[DueRow]:
        """Take due rows away; they come back if this transaction does not commit."""
        ...

    async def now(self) -> datetime:
        """The database's clock."""
        ...

    async def load(self, needs: Sequence[Need], command_keys: Sequence[str] = ()) -> Seen:
        """Hot rows first, locked, in the order given; then everything else in one look."""
        ...

    async def write(self, changes: Changes) -> None:
        """Raises `Conflict` or `ConstraintFired`; nothing of the batch is kept then."""
        ...

    async def commit(self) -> None: ...


class Store(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Rolls back unless `commit` was called. Raises `Unavailable` when the database is away."""
        ...

    async def count_attempt(self, queue: str, message_id: UUID) -> int:
        """Commit one more attempt at a message on its own, before it is decided; returns the attempts so far."""
        ...

    async def take_open(self, table: Table[Any], limit: int, only: tuple[str, str] | None = None) -> list[Any]:
        """Move up to `limit` attempt rows from state `open` to `calling`, committed, one version each; returns them.
        `only`: those with this value in this column."""
        ...


class Outbox(Protocol):
    """The relay's side of a store."""

    async def waiting(
        self, shards: Sequence[int], limit: int, but: Collection[str] = (), published: Sequence[int] = ()
    ) -> list[tuple[int, OutboxRow]]:
        """(position, row), oldest position first, but for some destinations; no locks, no transaction held.
        First the rows at the positions in `published` are deleted: the broker has confirmed them."""
        ...

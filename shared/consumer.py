"""A consumer is the table of what a service hears: message type, the rows it needs, the decision it takes.

A decision is a pure synchronous function ``(message, rows, moment) -> what to say``. It holds no session, bus, ack, try
or log: the frame has them. An exception means "again, or park"; a refusal is an answer.
"""

import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from contracts.message import Kind, Message
from shared.ids import NewId
from shared.table import Need
from shared.working_set import Rows

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Moment:
    """The arguments time and chance come in: the database's clock at load, fresh ids, and who is asking."""

    now: datetime
    new_id: NewId
    source: str
    command_key: str | None = None
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A command with its key: the same key on every ask brings the same answer."""

    command: Message
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a command heard earlier, under that command's key."""

    key: str
    reply: Message


@dataclass(frozen=True, slots=True)
class Publish:
    """A public event for one storefront. `sequence` is gapless per order where the event is about an order.

    `again` is the id it was first said under: a replay keeps ids."""

    storefront: str
    event: Message
    sequence: int | None = None
    again: UUID | None = None


Said = Message | Ask | Answer | Publish
Says = None | Said | Sequence[Said]
_WITH_A_WORD: Final = frozenset((Ask, Answer, Publish))


class NotYet(Exception):
    """What this message is about is not known here yet: try again for `RETRY_FOR_S`, then say `otherwise` and keep the
    rows of `keeping`, or park."""

    def __init__(self, why: str, otherwise: Sequence[Said] = (), keeping: Sequence[Any] = ()) -> None:
        self.otherwise, self.keeping = tuple(otherwise), tuple(keeping)
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Sender:
    """What the envelope says: who sent it, and under which command key."""

    source: str
    command_key: str | None


Handler = Callable[[Any, Rows, Moment], Says]
Needs = Callable[[Any, Sender], Iterable[Need]]
NeedsThen = Callable[[Any, Rows], Iterable[Need]]


@dataclass(frozen=True, slots=True)
class Hearing:
    """One row of the registration table."""

    message_type: type[Message]
    decide: Handler
    needs: Needs
    then: NeedsThen | None
    says: tuple[type[Message], ...]


@dataclass
class Consumer:
    """`queues` are those it consumes; the first is its own. `outside` are queues foreign senders publish to."""

    name: str
    queues: tuple[str, ...] = ()
    outside: frozenset[str] = frozenset()
    hearings: dict[str, Hearing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queues = self.queues or (self.name,)

    def hears(
        self,
        message_type: type[M],
        *,
        needs: Callable[[M], Iterable[Need]] | None = None,
        needs_sender: Callable[[M, Sender], Iterable[Need]] | None = None,
        then: NeedsThen | None = None,
    ) -> Callable[[Callable[[M, Rows, Moment], Any]], Callable[[M, Rows, Moment], Any]]:
        """Register the decision for a message. `needs` names rows by the message (`needs_sender` also by who sent it,
        under which command key); `then` by the rows loaded first."""
        if (needs is None) == (needs_sender is None):
            raise TypeError(f"{message_type.__name__}: give needs or needs_sender")

        def named(message: M, sender: Sender) -> Iterable[Need]:
            return needs_sender(message, sender) if needs_sender is not None else needs(message)  # type: ignore[misc]

        def register(decide: Callable[[M, Rows, Moment], Any]) -> Callable[[M, Rows, Moment], Any]:
            key = message_type.full_type
            if key in self.hearings:
                raise TypeError(f"{self.name} hears {key} twice")
            if message_type.heard_by and message_type.heard_by not in self.queues:
                raise TypeError(f"{message_type.__name__} goes to {message_type.heard_by}, not to {self.name}")
            self.hearings[key] = Hearing(message_type, decide, named, then, _said_types(decide))
            return decide

        return register


def _said_types(decide: Callable[..., Any]) -> tuple[type[Message], ...]:
    """Which messages a decision may say, read from its return type."""
    hints = typing.get_type_hints(decide, include_extras=True)
    found: dict[type[Message], None] = {}

    def walk(hint: Any) -> None:
        if isinstance(hint, type) and issubclass(hint, Message) and hint.full_type:
            found[hint] = None
        for part in typing.get_args(hint):
            walk(part)

    walk(hints.get("return"))
    return tuple(found)


def listed(said: Says) -> list[Said]:
    """What a decision returned, as a list."""
    if said is None:
        return []
    return list(said) if isinstance(said, list | tuple) else [cast(Said, said)]


def bare(item: Said) -> Message | None:
    """The message itself, where it is said without a word about its key or its listener.

    Asked by exact type: `isinstance` of a pydantic model is dear, and everything said comes by here."""
    return None if type(item) in _WITH_A_WORD else cast(Message, item)


def subject_of(message: Message) -> str:
    """What a message is about: its order; the relay keeps order per subject and destination."""
    for name in ("order_id", "checkout_id", "fulfillment_id", "reference"):
        value = getattr(message, name, None)
        if value is not None:
            return str(value)
    return message.topic


def reply_queue(command_key: str) -> str:
    """A command key is ``queue/run/step/direction``: the asker's queue comes first."""
    return command_key.partition("/")[0]


def do_key_of(undo_key: str) -> str | None:
    """The key of the *do* an *undo* takes back; None when this is no undo."""
    stem, _, direction = undo_key.rpartition("/")
    return f"{stem}/do" if direction == "undo" else None


def travels_by_key(kind: Kind) -> bool:
    """Commands and replies carry a command key."""
    return kind in (Kind.COMMAND, Kind.REPLY)

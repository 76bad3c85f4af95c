"""A message as a batch hears it, and what became of a batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.message import MESSAGES, Kind
from shared.envelope import Envelope
from shared.store import Claim, DueRow, ParkedRow


@dataclass(slots=True)
class Heard:
    """One message to decide: from a queue, or from `due`. `alone`: it was delivered before, or came from a
    dead queue."""

    queue: str
    envelope: Envelope
    id: UUID
    foreign: bool = False
    alone: bool = False
    due: DueRow | None = None
    trouble: str = ""
    """Why the frame already knows it can't be read (a broken pack, a forged source): a `reason: detail`."""

    @property
    def claim(self) -> Claim:
        return (self.queue, self.id)


@dataclass(slots=True)
class Done:
    """What became of a batch, for metrics and for waking the relay, the effects and the due clock."""

    heard: int = 0
    decided: int = 0
    duplicates: int = 0
    set_aside: int = 0
    parked: int = 0
    said: int = 0
    conflicts: int = 0
    due_claimed: int = 0
    next_due: list[datetime] = field(default_factory=list)
    parked_rows: list[ParkedRow] = field(default_factory=list)
    set_aside_rows: list[DueRow] = field(default_factory=list)
    """Both for logging."""
    decided_types: dict[str, int] = field(default_factory=dict)
    written: dict[str, list[Any]] = field(default_factory=dict)
    """Rows of the service's own tables, by table name."""

    def add(self, part: "Done") -> None:
        """What became of a part of the batch, once it is committed."""
        self.heard += part.heard
        self.decided += part.decided
        self.duplicates += part.duplicates
        self.set_aside += part.set_aside
        self.parked += part.parked
        self.said += part.said
        self.due_claimed += part.due_claimed
        self.next_due += part.next_due
        self.parked_rows += part.parked_rows
        self.set_aside_rows += part.set_aside_rows
        for name, rows in part.written.items():
            self.written.setdefault(name, []).extend(rows)
        for topic, count in part.decided_types.items():
            self.decided_types[topic] = self.decided_types.get(topic, 0) + count


def heard_again(row: DueRow) -> Heard:
    head: Mapping[str, str] = row.head
    return Heard(row.queue, Envelope(head, row.body.encode()), row.id, foreign="foreign" in head, due=row)


def key_of_command(envelope: Envelope) -> str:
    """Replies carry the key of the command they answer, several of them the same: only a command is its key."""
    known = MESSAGES.get(envelope.type)
    return (envelope.command_key or "") if known is not None and known.kind is Kind.COMMAND else ""

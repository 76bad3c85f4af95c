"""A run is a saga under way: one row with a version, and everything needed to ask again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.orchestrator.saga import Phase


@dataclass(frozen=True, slots=True)
class Run:
    """`position` is the stage it stands in, `pending` the steps whose answer it waits for, `asked` every step
    whose *do*
    was ever said; `asks` counts how often the pending ones were asked; `changing` is null once it has ended, so that a
    unique index allows one changing run per order."""

    id: UUID
    saga: str
    order_id: UUID
    changing: UUID | None
    storefront: str
    request: dict[str, Any]
    facts: dict[str, Any]
    phase: Phase
    position: int
    pending: list[str]
    asked: list[str]
    asks: int
    next_ask_at: datetime
    reason: str
    stuck_since: datetime | None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a foreign sender asked for under an id of its own, and what it was told. The same again gets the
    same answer."""

    key: str
    content_hash: str
    order_id: UUID | None
    run_id: UUID | None
    answer_type: str
    answer: str
    version: int = 0

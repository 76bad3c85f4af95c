"""Ids are UUIDv7: unique, and sorted by time, so that indexes and partitions stay warm at one end."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID, uuid5

from uuid_utils.compat import uuid7

NewId = Callable[[], UUID]
FOREIGN = UUID("6f0e2bb2-62a5-4d7b-9a52-0d6a3f1c5a10")


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid7()


@lru_cache(maxsize=16_384)
def id_from(text: str) -> UUID:
    """An id written as text; one order's are read again and again. Raises ValueError."""
    return UUID(text)


def foreign_id(source: str, message_id: str) -> UUID:
    """A stable id for a message whose sender makes ids of its own kind."""
    return uuid5(FOREIGN, f"{source}\n{message_id}")


def instant_of(id_: UUID) -> datetime:
    """The instant a UUIDv7 was made (millisecond resolution)."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC)


def first_id_of(instant: datetime) -> UUID:
    """The smallest UUIDv7 of an instant: a partition bound."""
    return UUID(int=int(instant.timestamp() * 1000) << 80)

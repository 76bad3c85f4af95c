"""A message is a frozen, versioned value; its class says who hears it and what kind of saying it is.

Nothing here knows a broker. The frame reads `type`, `kind` and `heard_by` from the class to route an instance.
"""

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Kind(StrEnum):
    """How a message travels, and what may be expected of it."""

    REQUEST = "request"  # from outside (storefront, warehouse) to us
    COMMAND = "command"  # asks one of our services (or a warehouse) to do something; carries a command key
    REPLY = "reply"  # answers a command; goes back to who asked, under the same command key
    FACT = "fact"  # something that happened, told to the one service that keeps or acts on it
    EVENT = "event"  # public, on the topic exchange, gapless `sequence` per order
    LOCAL = "local"  # never leaves its service: a timer that rang, what an effect learned


MESSAGES: dict[str, type["Message"]] = {}
"""Every declared message by its full CloudEvents type (``waybill.inventory.hold_stock.v1``)."""


class Message(BaseModel):
    """Base of everything said. Unknown fields are ignored, so that a newer sender can add optional ones."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)

    topic: ClassVar[str] = ""
    """``domain.name`` in snake case, the grep word of the message."""
    version: ClassVar[int] = 1
    kind: ClassVar[Kind]
    heard_by: ClassVar[str] = ""
    """The queue that hears it; replies and events have none (the asker, the topic exchange)."""
    full_type: ClassVar[str] = ""
    interim: ClassVar[bool] = False
    """An interim reply does not settle its command: another answer follows under the same command key."""

    def __init_subclass__(
        cls, *, topic: str = "", version: int = 1, heard_by: str = "", interim: bool = False, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if not topic:
            return  # an abstract base of a family
        cls.topic, cls.version, cls.interim = topic, version, interim
        cls.heard_by = heard_by or cls.heard_by
        cls.full_type = f"waybill.{topic}.v{version}"
        if cls.full_type in MESSAGES:
            raise TypeError(f"two messages are named {cls.full_type}")
        MESSAGES[cls.full_type] = cls


class Request(Message):
    kind = Kind.REQUEST
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Command(Message):
    kind = Kind.COMMAND


class Reply(Message):
    kind = Kind.REPLY


class Fact(Message):
    kind = Kind.FACT


class Event(Message):
    kind = Kind.EVENT


class Local(Message):
    kind = Kind.LOCAL

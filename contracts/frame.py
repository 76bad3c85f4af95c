"""What the frame itself says, whatever the service: a command withdrawn or reused, a message that could not be read."""

from typing import Annotated

from pydantic import Field

from contracts.message import Event, Reply
from contracts.values import Reference


class CommandWithdrawn(Reply, topic="saga.command_withdrawn"):
    """A command arrived after its undo: it is refused, for ever."""


class KeyReused(Reply, topic="saga.key_reused"):
    """A command key came back with other content: refused, nothing was done."""


class MessageRefused(Event, topic="checkout.message_refused"):
    """A message of this sender could not be read: malformed_json, wrong_schema, unknown_type, unknown_version,
    too_large,
    forged_source. `message_id` is its CloudEvents id where there was one. It is kept with the parked messages."""

    message_id: Annotated[str, Field(max_length=200)]
    message_type: Annotated[str, Field(max_length=200)] = ""
    reason: Reference
    detail: Annotated[str, Field(max_length=2000)] = ""

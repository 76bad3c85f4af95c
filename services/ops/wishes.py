"""An operator's wish is a message among a service's due work: kept, and decided, like any other.

Nothing here changes a business row.
"""

import asyncio
import getpass
import json as json_
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import sqlalchemy as sa
import typer
from pydantic import BaseModel, ValidationError
from rich.text import Text

from contracts.message import Message
from services.ops.places import Place, fail, reading, rows
from services.ops.told import QUIET, console, tell_json
from shared.envelope import head_of
from shared.ids import new_id

DECIDED_WITHIN_S: Final = 10.0
"""How long an operator waits for a service to take a wish; it stays said when nobody does."""
LOOK_AGAIN_S: Final = 0.3
SHOWN_WRONG: Final = 5
M = TypeVar("M", bound=BaseModel)

_SAY: Final = """INSERT INTO {s}.due (id, queue, not_before, head, body)
    VALUES (:id, :queue, now(), CAST(:head AS jsonb), :body)"""
_WAITING: Final = """SELECT id, error FROM {s}.due WHERE id = ANY(:ids)
    UNION ALL SELECT id, error FROM {s}.parked WHERE id = ANY(:ids) AND state = 'parked'"""


@dataclass(frozen=True, slots=True)
class Handed:
    """`decided`: all of it was taken and done. `why_not`: it was set aside, and why; empty while nobody has looked."""

    decided: bool
    why_not: str = ""


async def hand_over(place: Place, messages: Sequence[Message], subject: str) -> Handed:
    """Say all or none, and what became of them within a few seconds."""
    given = [_row(message, subject) for message in messages]
    ids: list[UUID] = [one["id"] for one in given]  # type: ignore[misc]
    async with reading(place) as connection:
        await connection.execute(sa.text(_SAY.format(s=place.schema)), given)
    ends = asyncio.get_running_loop().time() + DECIDED_WITHIN_S
    while True:
        async with reading(place) as connection:
            left = await rows(connection, _WAITING.format(s=place.schema), ids=ids)
        if not left:
            return Handed(True)
        if why := next((row["error"] for row in left if row["error"]), ""):
            return Handed(False, why)
        if asyncio.get_running_loop().time() > ends:
            return Handed(False)
        await asyncio.sleep(LOOK_AGAIN_S)


def _row(message: Message, subject: str) -> dict[str, object]:
    id_ = new_id()
    head = head_of(message, id_=id_, source="operator", subject=subject, now=datetime.now(UTC), cause={})
    return {"id": id_, "queue": message.heard_by, "head": json_.dumps(head), "body": message.model_dump_json()}


def who() -> str:
    """Who sits at the keyboard, as a reference."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return "".join(letter for letter in name if letter.isascii() and letter.isalnum())[:50] or "operator"


def worded(message_type: type[M], **fields: object) -> M:
    """The message, or a clear word about which field is not as it may be."""
    try:
        return message_type(**fields)
    except ValidationError as invalid:
        wrong = (
            ": ".join(filter(None, (".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, "))))
            for error in invalid.errors(include_url=False)[:SHOWN_WRONG]
        )
        raise fail("; ".join(wrong)) from None


def decide(place: Place, messages: Sequence[Message], subject: str, *, question: str, yes: bool) -> Handed:
    """Asked of the operator, handed over, and what became of it."""
    if not yes:
        typer.confirm(question, abort=True)
    return asyncio.run(hand_over(place, messages, subject))


def tell(place: Place, handed: Handed, told: dict[str, Any], json: bool) -> None:
    """What became of a wish; exit status 1 when it was refused."""
    if json:
        tell_json({**told, "decided": handed.decided, "why_not": handed.why_not})
    elif handed.why_not:
        console.print(Text(f"refused: {handed.why_not}", "bold red"))
        console.print("it is tried again for some minutes, then `oms parked` has it", style=QUIET)
    else:
        console.print("done" if handed.decided else f"said; {place.service} has not decided it yet (is it running?)")
    if handed.why_not:
        raise typer.Exit(1)

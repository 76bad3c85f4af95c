"""`oms parked`: messages set aside for a person: listed, explained, replayed or dismissed. Nothing is ever deleted."""

import asyncio
import json as json_
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import sqlalchemy as sa
import typer
from rich.syntax import Syntax
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ops.places import FOREIGN_QUEUES, Place, fail, reachable, reading, rows
from services.ops.told import QUIET, ago, console, many, plain, shown, table, tell_json
from shared.ids import new_id

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Messages set aside for a person.")

INBOX_KEPT_FOR: Final = timedelta(days=14)
"""What is older may have been decided before, and nobody remembers."""
SHOWN_AT_ONCE: Final = 200

_COLUMNS: Final = "id, queue, command_key, head, reason, error, attempts, state, parked_at, updated_at"
_LIST: Final = """SELECT {columns} FROM {s}.parked WHERE state = ANY(:states) ORDER BY parked_at DESC LIMIT :limit"""
_ONE: Final = """SELECT {columns}, body FROM {s}.parked WHERE id = :id"""
_REPLAY: Final = """INSERT INTO {s}.due (id, queue, not_before, head, body)
    VALUES (:id, :queue, now(), CAST(:head AS jsonb), :body)"""
_MARK: Final = """UPDATE {s}.parked SET state = :state, updated_at = now(),
        command_key = CASE WHEN :state = 'replayed' THEN '' ELSE command_key END
    WHERE id = :id AND state = 'parked' RETURNING id"""
"""A replayed row gives up its command key (its head keeps it): should the message fail again, it is parked anew."""

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids as `oms parked list` shows them.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those replayed or dismissed.")] = False,
    json: Json = False,
) -> None:
    """What is parked, newest first, over all services the environment names."""
    states = ["parked", "replayed", "dismissed"] if everything else ["parked"]
    found = asyncio.run(_list(states))
    if json:
        tell_json([{"service": place.service, **row} for place, row in found])
        return
    if not found:
        console.print("nothing is parked")
        return
    table(
        f"{many(len(found), 'message')}, newest first",
        ("why, and its id", "where, and what", "since", "error"),
        (
            (
                Text.assemble((row["reason"], "bold"), "\n", row["id"]),
                f"{place.service}\n{str(row['head'].get('type', '')).removeprefix('waybill.')}",
                ago(datetime.fromisoformat(row["parked_at"]))
                + (f"\n{row['state']}" if row["state"] != "parked" else ""),
                Text(row["error"][:160], QUIET),
            )
            for place, row in found
        ),
        whole=("why, and its id", "since"),
    )


@app.command()
def show(which: Annotated[str, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """One parked message: why, from whom, and what it says."""
    place, row = asyncio.run(_one(which))
    if json:
        tell_json({"service": place.service, **row})
        return
    console.print(Text.assemble((f"{row['reason']} ", "bold red"), row["error"]))
    for name in ("id", "state", "queue", "command_key", "attempts", "parked_at"):
        if row[name] not in ("", None):
            console.print(Text.assemble((f"{name.replace('_', ' '):>12} ", QUIET), shown(row[name])))
    table("\nHead", ("attribute", "value"), sorted(row["head"].items()))
    console.print(Text("\nBody", "bold"))
    console.print(_readable(row["body"]))


@app.command()
def replay(which: Ids, yes: Yes = False, json: Json = False) -> None:
    """Put messages back to their service, to be decided once more, at once."""
    found = [asyncio.run(_one(one)) for one in which]
    old = [row for _, row in found if _age(row) > INBOX_KEPT_FOR]
    if old and not yes:
        console.print(
            f"{len(old)} of them are older than {INBOX_KEPT_FOR.days} days: whether they were decided before is no "
            "longer remembered. Commands still get their first answer; facts may count twice."
        )
        typer.confirm("Replay them all the same?", abort=True)
    done = [_told(row, asyncio.run(_replay(place, row)), "replayed") for place, row in found]
    _tell(done, json)


@app.command()
def dismiss(which: Ids, json: Json = False) -> None:
    """Mark messages as seen to: they stay, and are no longer listed."""
    found = [asyncio.run(_one(one)) for one in which]
    done = [_told(row, asyncio.run(_dismiss(place, row)), "dismissed") for place, row in found]
    _tell(done, json)


async def _list(states: Sequence[str]) -> list[tuple[Place, dict[str, Any]]]:
    found: list[tuple[Place, dict[str, Any]]] = []
    for place in reachable():
        async with reading(place) as connection:
            query = _LIST.format(s=place.schema, columns=_COLUMNS)
            listed = await rows(connection, query, states=list(states), limit=SHOWN_AT_ONCE)
            found += [(place, row) for row in plain(listed)]
    return sorted(found, key=lambda item: str(item[1]["parked_at"]), reverse=True)


async def _one(which: str) -> tuple[Place, dict[str, Any]]:
    try:
        id_ = UUID(which)
    except ValueError:
        raise fail(f"{which!r} is no id of a parked message; `oms parked list` shows them") from None
    for place in reachable():
        async with reading(place) as connection:
            found = await rows(connection, _ONE.format(s=place.schema, columns=_COLUMNS), id=id_)
        if found:
            return place, plain(found)[0]
    raise fail(f"no parked message has the id {which}")


async def _replay(place: Place, row: dict[str, Any]) -> bool:
    """Due at once, and marked; false when somebody else was quicker."""
    head = row["head"] | ({"foreign": "1"} if row["queue"] in FOREIGN_QUEUES or row["head"].get("source") == "" else {})
    async with reading(place) as connection:
        if not await _mark(connection, place, row, "replayed"):
            return False
        given = {"id": new_id(), "queue": row["queue"], "head": json_.dumps(head), "body": row["body"]}
        await connection.execute(sa.text(_REPLAY.format(s=place.schema)), given)
        return True


async def _dismiss(place: Place, row: dict[str, Any]) -> bool:
    async with reading(place) as connection:
        return await _mark(connection, place, row, "dismissed")


async def _mark(connection: AsyncConnection, place: Place, row: dict[str, Any], state: str) -> bool:
    return bool(await rows(connection, _MARK.format(s=place.schema), id=UUID(row["id"]), state=state))


def _told(row: dict[str, Any], done: bool, what: str) -> dict[str, Any]:
    return {"id": row["id"], "done": done, "what": what if done else f"it was {row['state']} already"}


def _tell(done: list[dict[str, Any]], json: bool) -> None:
    if json:
        tell_json(done)
        return
    for one in done:
        console.print(Text.assemble((one["id"], "bold"), f" {one['what']}"))


def _age(row: dict[str, Any]) -> timedelta:
    """Of a message whose id is ours, since it was said; else since it was parked."""
    parked_at = datetime.fromisoformat(row["parked_at"])
    id_ = UUID(row["id"])
    said_at = datetime.fromtimestamp((id_.int >> 80) / 1000, UTC) if id_.version == 7 else parked_at
    return datetime.now(UTC) - said_at


def _readable(body: str) -> Syntax | Text:
    try:
        return Syntax(json_.dumps(json_.loads(body), indent=2), "json", background_color="default", word_wrap=True)
    except ValueError:
        return Text(body[:4000])

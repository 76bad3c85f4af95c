"""`oms feed`: stock feeds from files, what became of them, and the sources they come from.

The file is staged here, through inventory's own role; the running service applies it, and this only watches.
"""

import asyncio
import getpass
import importlib
import json as json_
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.text import Text

from contracts.feeds import DescribeSource, FeedFormat, FeedMode, Pulled, SourceMode
from services.ops.feed_file import ENDED, FEED_COLUMNS, PLACE, connected, imported, staging
from services.ops.places import fail, reading, rows
from services.ops.told import QUIET, ago, console, many, plain, problems, shown, table, tell_json
from shared.envelope import head_of
from shared.ids import new_id

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Stock feeds: files of counts, and the sources that send them.",
)

SHOWN_AT_ONCE: Final = 200
PROBLEMS_SHOWN: Final = 20
"""On a terminal; `--json` has all that are listed."""

_LIST: Final = f"""SELECT {FEED_COLUMNS} FROM inventory.feeds WHERE :source = '' OR source = :source
    ORDER BY created_at DESC LIMIT :limit"""
_ONE: Final = f"SELECT {FEED_COLUMNS}, as_of, report FROM inventory.feeds WHERE id = :id"
_SOURCES: Final = """SELECT s.code AS source, s.state, s.mode, s.warehouses, s.last_sequence, s.heard_at,
        s.stale_after_s, s.stale_at, s.buffer, s.missing, s.applying,
        p.url AS pull, p.every_s, p.problem AS pull_problem
    FROM inventory.sources s LEFT JOIN inventory.pulls p ON p.source = s.code AND p.every_s > 0 ORDER BY s.code"""
_SAY: Final = """INSERT INTO inventory.due (id, queue, not_before, head, body)
    VALUES ($1, 'inventory', clock_timestamp(), $2::jsonb, $3)"""

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="The feed: CSV or JSON lines, one row an item; - is standard input.")],
    source: Annotated[str, typer.Option(help="Who counted, as `oms feed sources` lists it.")],
    sequence: Annotated[int, typer.Option(min=1, help="The source's own number of this feed, growing.")],
    mode: Annotated[FeedMode, typer.Option(help="absolute: so many lie there. delta: so many more, or fewer.")],
    format_: Annotated[
        FeedFormat | None, typer.Option("--format", help="csv or jsonl; by the file's name when not given.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Apply the good rows of a feed that has bad ones.")
    ] = False,
    new: Annotated[bool, typer.Option("--new", help="Open shelves for SKUs that nobody knows.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change and whom it would oversell; change nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Follow until the service has applied it.")] = True,
    json: Json = False,
) -> None:
    """Import a feed: all of it or nothing, unless --partial.

    The columns are sku, warehouse, quantity. A sequence that was imported before is recognised; with other rows it is
    refused. Exit status 1 when the feed was refused, or not applied yet.
    """
    engine, origin = staging(), importlib.import_module("services.inventory.feeds").Origin.IMPORT
    asked = engine.Asked(
        source, sequence, mode, format_ or _format_of(file), origin, partial=partial, new=new, dry_run=dry_run
    )
    told = asyncio.run(imported(file, asked, wait, quiet=json))
    if json:
        tell_json(told)
    else:
        _tell_import(told)
    fine = told["outcome"] in ("recognised", "older") or (told["outcome"] == "dry_run" and told["would"])
    applied = told["outcome"] == "staged" and (not wait or told["feed"]["state"] in ("applied", "skipped"))
    raise typer.Exit(0 if fine or applied else 1)


@app.command("list")
def list_(
    source: Annotated[str, typer.Option(help="Only of this source.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest so many.")] = SHOWN_AT_ONCE,
    json: Json = False,
) -> None:
    """Feeds and reports, the latest first, and what became of them."""
    found = asyncio.run(_rows(_LIST, source=source, limit=limit))
    if json:
        tell_json(found)
        return
    table(
        many(len(found), "feed"),
        ("feed", "source", "sequence", "by", "mode", "state", "rows", "bad", "up", "down", "new", "short", "when"),
        (
            (
                feed["id"], feed["source"], feed["sequence"], feed["origin"], feed["mode"], _state(feed), _far(feed),
                feed["problems"], feed["raised"], feed["lowered"], feed["opened"], feed["short_units"],
                ago(datetime.fromisoformat(feed["created_at"])),
            )
            for feed in found
        ),
        right=("sequence", "rows", "bad", "up", "down", "new", "short"),
        whole=("feed",),
    )  # fmt: skip


@app.command()
def show(which: Annotated[str, typer.Argument(metavar="FEED", help="A feed's id.")], json: Json = False) -> None:
    """One feed: how far it is, what it did, and what was wrong in it."""
    try:
        id_ = UUID(which)
    except ValueError:
        raise fail(f"{which!r} is no id of a feed; `oms feed list` shows them") from None
    found = asyncio.run(_rows(_ONE, id=id_))
    if not found:
        raise fail(f"no feed has the id {which}")
    if json:
        tell_json(found[0])
        return
    feed = found[0]
    console.print(Text.assemble((f"{feed['source']} {feed['sequence']}", "bold"), "  ", _state(feed)))
    for name, value in feed.items():
        if name not in ("report", "source", "sequence", "state", "reason") and value not in (None, 0, ""):
            console.print(Text.assemble((f"{name.replace('_', ' '):>12} ", QUIET), shown(value)))
    problems(feed["problems"], feed["report"], PROBLEMS_SHOWN * 10)


@app.command()
def sources(json: Json = False) -> None:
    """Who reports stock, when each was last heard, and who is silent for too long."""
    found = asyncio.run(_rows(_SOURCES))
    if json:
        tell_json(found)
        return
    if not found:
        console.print("no source is described; `oms feed describe` does")
        return
    table(
        many(len(found), "source"),
        ("source", "state", "mode", "warehouses", "sequence", "missing", "heard", "stale after", "buffer", "pull"),
        (
            (
                one["source"], Text(one["state"], "bold red" if one["state"] == "stale" else ""), one["mode"],
                ", ".join(one["warehouses"]), one["last_sequence"] or "", _missing(one["missing"]),
                f"{ago(datetime.fromisoformat(one['heard_at']))} ago" if one["heard_at"] else "never",
                f"{one['stale_after_s']} s" if one["stale_after_s"] else "never", one["buffer"], _pull(one),
            )
            for one in found
        ),
        right=("sequence", "buffer"),
        whole=("source",),
    )  # fmt: skip


@app.command()
def describe(
    source: Annotated[str, typer.Argument(help="Its name; of one that reports by message, its broker user.")],
    warehouse: Annotated[list[str], typer.Option(help="A warehouse it counts; may be given several times.")],
    mode: Annotated[SourceMode, typer.Option(help="What its quantities may mean.")] = SourceMode.ABSOLUTE,
    stale_after_s: Annotated[int, typer.Option(min=0, help="Silent for so long it is stale. 0: never.")] = 0,
    buffer: Annotated[int, typer.Option(min=0, help="Units of each shelf kept back while it is stale.")] = 0,
    pull: Annotated[str, typer.Option(help="Fetch its feed from here: an absolute path or an http(s) URL.")] = "",
    every_s: Annotated[int, typer.Option(min=1, help="How often.")] = 3600,
    pull_mode: Annotated[FeedMode, typer.Option(help="What the quantities fetched mean.")] = FeedMode.ABSOLUTE,
    format_: Annotated[FeedFormat | None, typer.Option("--format", help="Of what is fetched.")] = None,
    timeout_s: Annotated[int, typer.Option(min=1, help="A fetch takes at most so long.")] = 300,
    partial: Annotated[bool, typer.Option("--partial", help="Apply the good rows of what is fetched.")] = False,
    new: Annotated[bool, typer.Option("--new", help="What is fetched may open shelves for unknown SKUs.")] = False,
) -> None:
    """Say who reports the stock of which warehouses; said again, it replaces what was said."""
    try:
        said = DescribeSource(
            source=source, mode=mode, warehouses=tuple(warehouse), stale_after_s=stale_after_s, buffer=buffer,
            pull=Pulled(
                url=pull, format=format_ or _format_of(pull), mode=pull_mode, every_s=every_s, timeout_s=timeout_s,
                partial=partial, new=new,
            ) if pull else None,
            as_of=datetime.now(UTC),
        )  # fmt: skip
    except ValidationError as invalid:
        wrong = invalid.errors(include_url=False)[0]
        raise fail(f"{'.'.join(str(part) for part in wrong['loc'])}: {wrong['msg']}") from None
    asyncio.run(_describe(said))
    console.print(f"said; `oms feed sources` shows {source} once the service has heard it")


# -- saying and asking -------------------------------------------------------------------------------------------------


def _format_of(name: str) -> FeedFormat:
    return FeedFormat.JSONL if name.endswith((".jsonl", ".ndjson", ".json")) else FeedFormat.CSV


async def _describe(said: DescribeSource) -> None:
    id_ = new_id()
    head = head_of(said, id_=id_, source=_who(), subject=said.source, now=datetime.now(UTC), cause={})
    async with connected() as connection:
        await connection.execute(_SAY, id_, json_.dumps(head), said.model_dump_json())


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return "".join(letter for letter in name if letter.isascii() and letter.isalnum())[:50] or "operator"


async def _rows(query: str, **parameters: object) -> list[dict[str, Any]]:
    async with reading(PLACE) as connection:
        return plain(await rows(connection, query, **parameters))


# -- telling ---------------------------------------------------------------------------------------------------------


def _tell_import(told: Mapping[str, Any]) -> None:
    match told["outcome"]:
        case "refused":
            console.print(Text(told["detail"], "bold red"))
            return
        case "recognised":
            console.print("recognised: this feed was imported before, nothing is done again")
        case "older":
            console.print("skipped: a later sequence of this source was heard already")
        case "rejected":
            console.print(Text("rejected: nothing of it is applied", "bold red"))
        case "dry_run":
            _tell_would(told["would"])
        case _:
            _tell_feed(told["feed"])
    problems(told["problems"], told["report"], PROBLEMS_SHOWN)


def _tell_feed(feed: Mapping[str, Any]) -> None:
    console.print(Text.assemble(("feed ", QUIET), str(feed["id"]), "  ", _state(feed), f"  {_far(feed)} rows"))
    if feed["state"] not in ENDED:
        console.print("it is staged, and not all applied yet: `oms feed show` tells how far (is inventory running?)")
        return
    did = [
        f"{feed[name]:,} {word}"
        for name, word in (
            ("raised", "up"), ("lowered", "down"), ("opened", "new"), ("clamped", "would have gone below zero"),
            ("short_units", "units promised that are not there"),
        ) if feed[name]
    ]  # fmt: skip
    console.print(", ".join(did) or "nothing changed")


def _tell_would(would: Mapping[str, Any]) -> None:
    if not would:
        console.print(Text("would be rejected", "bold red"))
        return
    console.print(
        f"would change {would['changed']:,} of {would['rows']:,}: {would['up']:,} up, {would['down']:,} down, "
        f"{would['new']:,} new"
    )
    if not would["short_shelves"]:
        console.print("would oversell nobody")
        return
    console.print(
        Text(f"would leave {would['short_units']:,} units short on {would['short_shelves']:,} shelves", "bold red")
    )
    table(
        "",
        ("sku", "warehouse", "counted", "promised", "short", "order, latest first", "status", "units"),
        (
            (
                *((shelf["sku"], shelf["warehouse"], shelf["counted"], shelf["promised"], shelf["short_by"])
                  if not number else ("", "", "", "", "")),
                *((order["order_id"], order["status"], order["units"]) if order else ("", "", "")),
            )
            for shelf in would["short"] for number, order in enumerate(shelf["orders"] or [None])
        ),
        right=("counted", "promised", "short", "units"),
    )  # fmt: skip


def _state(feed: Mapping[str, Any]) -> Text:
    told = f"{feed['state']}: {feed['reason']}" if feed["reason"] else feed["state"]
    return Text(told, {"applied": "green", "rejected": "red"}.get(feed["state"], ""))


def _far(feed: Mapping[str, Any]) -> str:
    return f"{feed['rows']:,}" if feed["state"] in ENDED else f"{feed['rows_done']:,}/{feed['rows']:,}"


def _missing(runs: list[list[int]]) -> str:
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs[-5:])


def _pull(one: Mapping[str, Any]) -> str:
    if not one["pull"]:
        return ""
    told = f"{one['pull']} every {one['every_s']} s"
    return f"{told}: {one['pull_problem']}" if one["pull_problem"] else told

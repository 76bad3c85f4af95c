"""`oms stock audit`: the ledger proved over every row: movements make counters, promises make holds, or who does not.

The rules are the invariants' own (`LEDGER` in rules.py); one look at one instant, one scan for each.
"""

import asyncio
from typing import Annotated, Final

import sqlalchemy as sa
import typer
from rich.text import Text

from services.ops.invariants import Invariant, all_hold, ask
from services.ops.places import BY_SERVICE, reading
from services.ops.rules.stock import LEDGER
from services.ops.told import console, many, table, tell_json

PROVED_WITHIN_S: Final = 1800.0
"""One rule over a table of a hundred million movements, on a slow machine."""


def audit(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Rows named of each rule; all are counted.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Prove that movements add up to counters and holds to reservations, and name every row that does not.

    Reads INVENTORY_DATABASE_URL. Exit status 1 when something does not add up.
    """
    found = asyncio.run(_prove(limit))
    if json:
        tell_json([one.shown() for one in found])
    else:
        _show(found)
    raise typer.Exit(0 if all_hold(found) else 1)


async def _prove(limit: int) -> list[Invariant]:
    async with reading(BY_SERVICE["inventory"], within_s=PROVED_WITHIN_S) as connection:
        await connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        return [await ask(connection, rule, examples=limit) for rule in LEDGER]


def _show(found: list[Invariant]) -> None:
    table(
        "Ledger",
        ("rule", "in words", "checked", "broken", ""),
        (
            (
                one.name,
                one.what,
                f"{one.checked:,}",
                Text(f"{one.broken:,}", "bold red" if one.broken else ""),
                Text("✓", "green") if one.holds else Text("✗", "bold red"),
            )
            for one in found
        ),
        right=("checked", "broken"),
    )
    for one in found:
        if one.broken:
            console.print(Text(f"\n{one.name}: {many(one.broken, 'row')}", "bold red"))
            for row in one.examples:
                console.print(Text(f"  {row}"))
            if one.broken > len(one.examples):
                console.print(f"  and {one.broken - len(one.examples):,} more; --limit names more of them")

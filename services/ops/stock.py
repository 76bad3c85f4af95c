"""`oms stock`: what lies where, what is promised to whom, and what an operator may do about it.

Reading is SQL through inventory's own role; writing hands inventory a message among its due work.
"""

import asyncio
import json as json_
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.text import Text

from services.ops import stock_transfers, stock_wishes
from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.stock_audit import audit
from services.ops.stock_show import show
from services.ops.told import QUIET, console, many, plain, shown, table, tell_json

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Stock: what lies where, and who holds it.")

MOST_ROWS: Final = 1_000
_LOW: Final = """SELECT sku, warehouse, on_hand, held, allocated, short, safety_stock,
           on_hand - held - allocated - safety_stock AS available, count(*) OVER () AS found
    FROM inventory.shelves
    WHERE on_hand - held - allocated - safety_stock < :below AND (:warehouse = '' OR warehouse = :warehouse)
    ORDER BY available, sku, warehouse LIMIT :limit"""
_HOLDS: Final = """SELECT r.order_id, r.status, r.held_until, mine.units, mine.picks
    FROM inventory.reservations r CROSS JOIN LATERAL (
        SELECT sum(pick.quantity - pick.shipped)::bigint AS units,
               jsonb_agg(jsonb_build_object('warehouse', pick.warehouse, 'units', pick.quantity - pick.shipped)
                         ORDER BY pick.warehouse) AS picks
        FROM jsonb_to_recordset(r.picks) AS pick(warehouse text, sku text, quantity bigint, shipped bigint)
        WHERE pick.sku = :sku AND pick.quantity > pick.shipped) AS mine
    WHERE r.status IN ('held', 'committed') AND r.picks @> CAST(:named AS jsonb) AND mine.units > 0
      AND r.order_id > :after
    ORDER BY r.order_id LIMIT :limit"""
_MOVES: Final = """SELECT m.id, m.occurred_at, m.warehouse, m.kind, m.quantity, m.on_hand_delta, m.held_delta,
           m.allocated_delta, m.order_id, m.reference, c.reason, c.corrected_by
    FROM inventory.shelves s CROSS JOIN LATERAL (
        SELECT * FROM inventory.movements WHERE sku = s.sku AND warehouse = s.warehouse
        ORDER BY occurred_at DESC LIMIT :limit) AS m
    LEFT JOIN inventory.corrections c
      ON m.kind = 'correction' AND c.reference = m.reference AND c.sku = m.sku AND c.warehouse = m.warehouse
    WHERE s.sku = :sku AND (:warehouse = '' OR s.warehouse = :warehouse)
    ORDER BY m.occurred_at DESC, m.id DESC LIMIT :limit"""

Sku = Annotated[str, typer.Argument(metavar="SKU")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Limit = Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="Rows at most.")]
Where = Annotated[str, typer.Option(metavar="W", help="Only this warehouse.")]

app.command()(show)


@app.command()
def low(
    below: Annotated[
        int, typer.Option(metavar="N", min=-MOST_ROWS, help="Less than so many could be promised; 0: below safety.")
    ] = 1,
    warehouse: Where = "",
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """Shelves with little or nothing to promise, or less than their safety stock; the worst first."""
    found = _ask(_LOW, below=below, warehouse=warehouse, limit=limit)
    count = found[0]["found"] if found else 0
    shelves = [{name: value for name, value in row.items() if name != "found"} for row in found]
    if json:
        tell_json({"below": below, "found": count, "shelves": shelves})
        return
    if not shelves:
        console.print(f"no shelf has less than {below} to promise")
        return
    numbers = ("on hand", "held", "allocated", "short", "safety", "available")
    table(
        f"{count:,} shelves with less than {below} to promise, the worst first",
        ("sku", "warehouse", *numbers),
        (
            (
                row["sku"],
                row["warehouse"],
                *(row[name] for name in ("on_hand", "held", "allocated", "short", "safety_stock")),
                Text(str(row["available"]), "bold red" if row["available"] < 0 else ""),
            )
            for row in shelves
        ),
        right=numbers,
        whole=("sku",),
    )
    _more(count - len(shelves))


@app.command()
def holds(
    sku: Sku,
    after: Annotated[str, typer.Option(metavar="ORDER", help="The page after this order.")] = "",
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """Which orders hold this SKU or were allocated it: how many units, from where, until when."""
    try:
        begin = UUID(after) if after else UUID(int=0)
    except ValueError:
        raise fail(f"{after!r} is no id of an order") from None
    found = _ask(_HOLDS, sku=sku, named=json_.dumps([{"sku": sku}]), after=begin, limit=limit)
    following = found[-1]["order_id"] if len(found) == limit else None
    if json:
        tell_json({"sku": sku, "holds": found, "after": following})
        return
    if not found:
        console.print(f"no order holds {sku}" + (" after that one" if after else ""))
        return
    table(
        f"{many(len(found), 'order')} with {sku}",
        ("order", "status", "units", "from", "until"),
        (
            (
                row["order_id"],
                row["status"],
                row["units"],
                ", ".join(f"{pick['units']} {pick['warehouse']}" for pick in row["picks"]),
                shown(datetime.fromisoformat(row["held_until"])) if row["status"] == "held" else "it ships",
            )
            for row in found
        ),
        right=("units",),
        whole=("order",),
    )
    if following:
        console.print(f"more: --after {following}", style=QUIET)


@app.command()
def moves(sku: Sku, warehouse: Where = "", limit: Limit = 50, json: Json = False) -> None:
    """The latest movements of a SKU: what changed its counters, because of what."""
    found = _ask(_MOVES, sku=sku, warehouse=warehouse, limit=limit)
    if json:
        tell_json({"sku": sku, "movements": found})
        return
    if not found:
        console.print(f"nothing of {sku} has moved" + (f" in {warehouse}" if warehouse else ""))
        return
    table(
        f"{sku}, latest first",
        ("when", "warehouse", "what", "units", "on hand", "held", "allocated", "because of"),
        (
            (
                shown(datetime.fromisoformat(row["occurred_at"])),
                row["warehouse"],
                row["kind"],
                row["quantity"],
                *(_signed(row[name]) for name in ("on_hand_delta", "held_delta", "allocated_delta")),
                _because(row),
            )
            for row in found
        ),
        right=("units", "on hand", "held", "allocated"),
        whole=("when",),
    )


app.command()(audit)
app.command(context_settings={"ignore_unknown_options": True})(stock_wishes.correct)
app.command()(stock_wishes.count)
app.command()(stock_wishes.safety)
app.command()(stock_wishes.receive)
app.add_typer(stock_transfers.app, name="transfer")


def _ask(query: str, **parameters: object) -> list[dict[str, Any]]:
    async def ask() -> list[dict[str, Any]]:
        async with reading(BY_SERVICE["inventory"]) as connection:
            return plain(await rows(connection, query, **parameters))

    return asyncio.run(ask())


def _signed(delta: int) -> Text:
    return Text(f"{delta:+d}") if delta else Text("0", QUIET)


def _because(row: Mapping[str, Any]) -> str:
    why = " ".join(str(part) for part in (row["reference"], row["order_id"] and f"order {row['order_id']}") if part)
    return f"{why}: {row['reason']} ({row['corrected_by']})" if row["reason"] else why


def _more(left: int) -> None:
    if left > 0:
        console.print(f"and {left:,} more", style=QUIET)

"""`oms stock show`: what lies where of one SKU, what may be promised of it now, and what later, with the date."""

import asyncio
from collections.abc import Mapping, Sequence
from json import dumps
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.told import QUIET, console, many, plain, table, tell_json

_SHELVES: Final = """WITH here AS (SELECT warehouse, on_hand, held, allocated, short, safety_stock, moved_at
          FROM inventory.shelves WHERE sku = :sku),
      coming AS (SELECT t.destination AS warehouse, sum(line.quantity)::bigint AS in_transit
          FROM inventory.transfers t, jsonb_to_recordset(t.lines) AS line(sku text, quantity bigint)
          WHERE t.state = 'sent' AND line.sku = :sku GROUP BY t.destination),
      stood AS (SELECT warehouse, coalesce(on_hand, 0) AS on_hand, coalesce(held, 0) AS held,
             coalesce(allocated, 0) AS allocated, coalesce(short, 0) AS short,
             coalesce(safety_stock, 0) AS safety_stock, coalesce(in_transit, 0) AS in_transit,
             coalesce(w.kept_back, 0) AS kept_back
          FROM here FULL JOIN coming USING (warehouse) LEFT JOIN inventory.warehouses w ON w.code = warehouse)
    SELECT warehouse, on_hand, held, allocated, short, safety_stock, kept_back,
           on_hand - held - allocated - safety_stock - kept_back AS available,
           greatest(on_hand - held - allocated - safety_stock - kept_back, 0) AS available_to_promise, in_transit
    FROM stood ORDER BY warehouse"""
_PRODUCT: Final = """SELECT p.supply, p.parts, p.limit_units, coalesce(b.units, 0) AS waiting,
           p.release_at > now() AS unreleased,
           CASE WHEN p.supply IN ('backorder', 'made_to_order', 'preorder')
                THEN coalesce(p.release_at, now() + make_interval(days => p.lead_days)) END AS promised_at
    FROM inventory.products p LEFT JOIN inventory.backlogs b ON b.sku = p.sku WHERE p.sku = :sku"""
_KITS: Final = """SELECT s.warehouse, min(greatest(s.on_hand - s.held - s.allocated - s.safety_stock - w.kept_back, 0)
                  / part.each)::bigint AS kits
    FROM jsonb_each_text(CAST(:parts AS jsonb)) AS named(sku, each_text)
    CROSS JOIN LATERAL (SELECT named.each_text::bigint AS each) AS part
    JOIN inventory.shelves s ON s.sku = named.sku JOIN inventory.warehouses w ON w.code = s.warehouse
    GROUP BY s.warehouse HAVING count(*) = :kinds ORDER BY s.warehouse"""
SUMS: Final = (
    *("on_hand", "held", "allocated", "short", "safety_stock", "kept_back"),
    *("available_to_promise", "in_transit"),
)


def show(
    sku: Annotated[str, typer.Argument(metavar="SKU")],
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """One SKU, by warehouse and in total: what lies there, who holds it, what may be promised now, what is on its way,
    and what may be promised for later, with the date."""
    shelves, product, kits = asyncio.run(_ask(sku))
    if not shelves and product is None:
        raise fail(f"no warehouse has ever stored {sku!r}")
    total = {name: sum(row[name] for row in shelves) for name in SUMS}
    later = _later(product, total["available_to_promise"])
    if product is not None and product["supply"] == "kit":
        total["available_to_promise"] = sum(row["kits"] for row in kits)
    elif later is not None:  # who waits already is served first
        total["available_to_promise"] = later.pop("now")
    if json:
        tell_json({"sku": sku, "total": total, "warehouses": shelves, "kits": kits, "later": later})
        return
    if shelves:
        numbers = ("on hand", "held", "allocated", "short", "kept back", "to promise", "in transit")
        table(
            sku,
            ("warehouse", *numbers),
            [_line(row, row["warehouse"]) for row in shelves] + [_line(total, Text("in total", "bold"))],
            right=numbers,
        )
    for sentence in _sentences(sku, product, later, kits):
        console.print(sentence, highlight=False, markup=False)


async def _ask(sku: str) -> tuple[list[dict[str, Any]], dict[str, Any] | None, list[dict[str, Any]]]:
    async with reading(BY_SERVICE["inventory"]) as connection:
        shelves = plain(await rows(connection, _SHELVES, sku=sku))
        product = next(iter(plain(await rows(connection, _PRODUCT, sku=sku))), None)
        kits: list[dict[str, Any]] = []
        if product is not None and product["parts"]:
            parts = dumps(product["parts"])
            kits = plain(await rows(connection, _KITS, parts=parts, kinds=len(product["parts"])))
        return shelves, product, kits


def _later(product: Mapping[str, Any] | None, lies_there: int) -> dict[str, Any] | None:
    """What an order placed now would be promised beyond what lies there (`units`; None: no limit), and for when."""
    if product is None or product["promised_at"] is None:
        return None
    waiting, limit = product["waiting"], product["limit_units"]
    unlimited = product["supply"] == "made_to_order" and limit == 0
    over = product["supply"] == "preorder" and not product["unreleased"]
    return {
        "supply": product["supply"],
        "waiting": waiting,
        "units": None if unlimited else 0 if over else max(0, limit - waiting),
        "promised_at": product["promised_at"],
        "now": 0 if product["unreleased"] else max(0, lies_there - waiting),
    }


def _sentences(
    sku: str, product: Mapping[str, Any] | None, later: Mapping[str, Any] | None, kits: Sequence[Mapping[str, Any]]
) -> list[str]:
    told = []
    if product is not None and product["parts"]:
        parts = ", ".join(f"{each} x {part}" for part, each in product["parts"].items())
        told.append(f"{sku} is a kit of {parts}.")
        where = ", ".join(f"{row['kits']} in {row['warehouse']}" for row in kits if row["kits"])
        told.append(f"To be put together of what lies there: {where or 'none'}.")
    if later is not None:
        how = {"backorder": "backordered", "preorder": "pre-ordered", "made_to_order": "made to order"}
        units = "any number" if later["units"] is None else f"{later['units']:,} more"
        if later["waiting"]:
            told.append(
                f"{many(later['waiting'], 'unit')} of it {'is' if later['waiting'] == 1 else 'are'} waited for."
            )
        told.append(f"{units} can be {how[later['supply']]} now, promised for {later['promised_at'][:10]}.")
    return told


def _line(row: Mapping[str, Any], name: str | Text) -> Sequence[Any]:
    """`kept back`: safety stock, and what is kept while a source of its warehouse is silent."""
    short = Text(str(row["short"]), "bold red" if row["short"] else QUIET)
    return (
        name,
        row["on_hand"],
        row["held"],
        row["allocated"],
        short,
        row["safety_stock"] + row["kept_back"],
        Text(str(row["available_to_promise"]), "bold"),
        row["in_transit"],
    )

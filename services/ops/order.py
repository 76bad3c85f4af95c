"""`oms order`: one order's whole story, as support tells it. The order service hears it from everybody."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.text import Text

from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.told import QUIET, amount, console, money, plain, span, table, tell_json

app = typer.Typer(add_completion=False)

_ORDER: Final = """SELECT id, storefront, checkout_id, customer_reference, email, currency, goods_minor, discount_minor,
    tax_minor, shipping_minor, shipping_tax_minor, total_minor, refunded_minor, state, refund_standing, created_at,
    updated_at, version, shipping_address FROM orders.orders"""
_LINES: Final = """SELECT line_no, sku, quantity, unit_price_minor, discount_minor, tax_minor, subtotal_minor, status,
    shipped_quantity, delivered_quantity, cancelled_quantity, substitutes
    FROM orders.order_items WHERE order_id = :id ORDER BY line_no"""
_SHIPMENTS: Final = """SELECT fulfillment_id, warehouse, status, carrier, tracking_number, picks
    FROM orders.order_shipments WHERE order_id = :id ORDER BY warehouse"""
_STORY: Final = """SELECT sequence, public_sequence, occurred_at, name, actor_kind, actor, reason, metadata, message_id
    FROM orders.order_events WHERE order_id = :id ORDER BY occurred_at, sequence"""


@app.command()
def order(
    which: Annotated[str, typer.Argument(metavar="ID", help="An order's id, or the checkout id its storefront gave.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """One order: header, lines, shipments, and its story over all services.

    Reads ORDER_DATABASE_URL.
    """
    found = asyncio.run(find(which))
    if not found:
        raise fail(f"no order has the id or checkout id {which!r}")
    if json:
        tell_json(found[0] if len(found) == 1 else found)
        return
    for one in found:
        show(one)


async def find(which: str, env: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """A checkout id is one storefront's own; two storefronts may have used the same."""
    found = []
    async with reading(BY_SERVICE["order"], env) as connection:
        try:
            headers = await rows(connection, f"{_ORDER} WHERE id = :id", id=UUID(which))
        except ValueError:
            headers = await rows(connection, f"{_ORDER} WHERE checkout_id = :id ORDER BY id LIMIT 20", id=which)
        for header in headers:
            parts = {
                name: plain(await rows(connection, query, id=header["id"]))
                for name, query in (("lines", _LINES), ("shipments", _SHIPMENTS), ("story", _STORY))
            }
            found.append({**plain([header])[0], **parts, "waits": still_waits(parts["story"])})
    return found


def still_waits(story: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the order was promised for later and has not come, as its story has it."""
    left: dict[str, dict[str, Any]] = {}
    for line in story:
        if line["name"] in OFF:
            left.clear()
        for wait in line["metadata"].get("waits", ()):
            left[wait["sku"]] = dict(wait)
        if line["name"] == SETTLED and line["metadata"]["outcome"] == "wait":
            _wait_too(left, line["metadata"])
        if line["name"] == ARRIVED:
            for pick in line["metadata"]["picks"]:
                left[pick["sku"]]["quantity"] -= pick["quantity"]
    return [wait for wait in left.values() if wait["quantity"] > 0]


def _wait_too(left: dict[str, dict[str, Any]], settled: Mapping[str, Any]) -> None:
    """Units that were not there after all are waited for like others, from the day the customer chose so."""
    standing = left.get(settled["sku"], {"sku": settled["sku"], "quantity": 0, "kind": "shortage"})
    quantity = standing["quantity"] + int(settled["quantity"])
    left[settled["sku"]] = {**standing, "quantity": quantity, "promised_at": settled["promised_at"]}


def show(one: dict[str, Any]) -> None:
    """As support reads it."""
    currency = one["currency"]
    console.print(Text.assemble((f"Order {one['id']}", "bold"), f"  {one['state']}, {one['refund_standing']}"))
    parts = (
        ("goods", "goods_minor"),
        ("discount", "discount_minor"),
        ("tax", "tax_minor"),
        ("shipping", "shipping_minor"),
        ("shipping tax", "shipping_tax_minor"),
        ("total", "total_minor"),
        ("refunded", "refunded_minor"),
    )
    amounts = [f"{name} {money(one[column], currency)}" for name, column in parts if one[column] or name == "total"]
    address = one["shipping_address"]
    for name, value in (
        ("storefront", f"{one['storefront']}, checkout {one['checkout_id']}"),
        ("customer", " ".join(part for part in (one["customer_reference"], one["email"]) if part)),
        ("ships to", ", ".join(address[part] for part in ("name", "line1", "city", "country") if address.get(part))),
        ("money", ", ".join(amounts)),
        ("placed", one["created_at"]),
    ):
        console.print(Text.assemble((f"{name:>11} ", QUIET), value))
    waits = {wait["sku"]: _wait(wait) for wait in one["waits"]}
    amounts_told = [name for name in ("discount", "tax") if any(line[f"{name}_minor"] for line in one["lines"])]
    instead = any(line["substitutes"] for line in one["lines"])
    table(
        f"\nLines ({currency})",
        (
            *("SKU", "units", "each", *amounts_told, "subtotal", "status", "arrived"),
            *(["instead"] if instead else []),
            *(["waits for"] if waits else []),
        ),
        (
            (
                line["sku"],
                line["quantity"],
                *(amount(line[f"{part}_minor"], currency) for part in ("unit_price", *amounts_told, "subtotal")),
                line["status"],
                line["delivered_quantity"],
                *([_instead(line)] if instead else []),
                *([waits.get(line["sku"], "")] if waits else []),
            )
            for line in one["lines"]
        ),
        right=("units", "each", *amounts_told, "subtotal", "arrived"),
        whole=("SKU", "status"),
    )
    if one["shipments"]:
        table(
            "\nShipments",
            ("shipment", "warehouse", "status", "carrier", "tracking number"),
            (
                (part["fulfillment_id"], part["warehouse"], part["status"], part["carrier"], part["tracking_number"])
                for part in one["shipments"]
            ),
            whole=("shipment", "status"),
        )
    days = {line["occurred_at"][:10] for line in one["story"]}
    table(
        f"\nStory, {min(days)} UTC" if len(days) == 1 else "\nStory, UTC",
        ("when", "what", "who", "why, and with what"),
        (
            (
                line["occurred_at"][11 if len(days) == 1 else 0 : 23].replace("T", " ").rstrip("Z"),
                Text(line["name"], "bold" if line["public_sequence"] else ""),
                line["actor"],
                Text(why, QUIET),
            )
            for line, why in zip(one["story"], _reasons(one["story"], currency), strict=True)
        ),
        whole=("when", "what"),
    )
    console.print(Text("bold: told to the storefront", QUIET))


OFF: Final = frozenset({"order.cancelled", "order.payment_failed"})
"""After that nothing is waited for any more."""
ARRIVED: Final = "order.stock_arrived"
SETTLED: Final = "order.shortage_settled"
UNTOLD: Final = frozenset(
    {"items", "fulfillment_id", "warehouse", "currency", "refund_id", "shortage_id", "later", "dispute_id"}
)
"""Metadata for machines, or said elsewhere in the line."""


def _reasons(story: list[dict[str, Any]], currency: str) -> list[str]:
    """Why each line is there, and with what; what the lines before have told is not told again."""
    told: set[str] = set()
    found = []
    for line in story:
        fresh = [part for part in _parts(line, currency) if part not in told]
        told.update(fresh)
        found.append("; ".join(([line["reason"]] if line["reason"] else []) + fresh))
    return found


def _instead(line: Mapping[str, Any]) -> str:
    return ", ".join(f"{units} {sku}" for sku, units in line["substitutes"].items())


def _wait(wait: Mapping[str, Any]) -> str:
    return f"{wait['quantity']} by {wait['promised_at'][:10]} ({wait['kind']})"


def _parts(line: dict[str, Any], currency: str) -> list[str]:
    facts = line["metadata"]
    said = []
    for name, value in facts.items():
        if name in UNTOLD or value in ("", [], {}):
            continue
        if name == "waits":
            said += [f"later {wait['sku']}: {_wait(wait)}" for wait in value]
        elif name == "promised_at":
            said.append(f"promised for {value[:10]}")
        elif name in ("picks", "kind") and isinstance(value, str):
            said.append(value)
        elif name == "picks" and isinstance(value, list):
            said.append(", ".join(f"{pick['quantity']} {pick['sku']} from {pick['warehouse']}" for pick in value))
        elif name == "missing_minor" and currency:
            said.append(f"{money(int(value), currency)} is missing")
        elif name == "why":
            said.append(value.replace("_", " "))
        elif name == "answer_by":
            said.append(f"answer by {value[:16].replace('T', ' ')}")
        elif name == "wait_s":
            said.append(f"may take {span(float(value))}")
        elif name.endswith("_minor") and currency:
            word = name.removesuffix("_minor").removesuffix("amount")
            said.append(f"{word} {money(int(value), currency)}".strip())
        else:
            said.append(f"{name.replace('_', ' ')} {value}")
    return said

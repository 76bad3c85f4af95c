"""`oms route explain`: why an order comes from where it does, in words and numbers, as it was decided at the time."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.text import Text

from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.told import QUIET, amount, console, plain, tell_json

_ROUTES: Final = """SELECT strategy, chosen, cost_minor, gap_permille, candidates, note, decided_at, message_id
    FROM inventory.routes WHERE order_id = :id ORDER BY decided_at, id LIMIT 100"""
_NAMES: Final = "SELECT code, name FROM inventory.warehouses"
_ORDER: Final = "SELECT id, currency, shipping_address FROM orders.orders"
_LINES: Final = "SELECT sku, sum(quantity) AS units FROM orders.order_items WHERE order_id = :id GROUP BY sku"
BY: Final = {"priority": "by the priority list", "nearest": "the nearest", "cheapest": "the cheapest"}
WHY_NOT_TOLD: Final = 12
"""Other warehouses named in one sentence; --json has all that were kept."""


def explain(
    which: Annotated[str, typer.Argument(metavar="ORDER", help="An order's id, or its checkout id.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Why an order comes from these warehouses and not from others.

    Reads INVENTORY_DATABASE_URL; and ORDER_DATABASE_URL for the currency, and to find a checkout id.
    """
    order, found, names = asyncio.run(_find(which))
    if not found:
        raise fail(f"no order was routed under {which!r}")
    for one in found:
        one["in_words"] = in_words(one, names, order["currency"])
    if json:
        tell_json({"order_id": order["id"], "currency": order["currency"], "decisions": found})
        return
    console.print(Text(f"Order {order['id']}", "bold"))
    for one in found:
        console.print(Text.assemble((f"{one['decided_at']}  ", QUIET), one["in_words"]))


async def _find(which: str) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, str]]:
    order = await order_of(which) or {"id": which, "currency": ""}
    try:
        id_ = UUID(str(order["id"]))
    except ValueError:
        raise fail(f"no order has the id or checkout id {which!r}") from None
    async with reading(BY_SERVICE["inventory"]) as connection:
        found = plain(await rows(connection, _ROUTES, id=id_))
        names = {row["code"]: row["name"] for row in await rows(connection, _NAMES)}
    return order, found, names


async def order_of(which: str) -> dict[str, Any] | None:
    """An order as its service has it, with its units by SKU; None when it has none, or cannot be asked from here."""
    if BY_SERVICE["order"].url(os.environ) is None:
        return None
    async with reading(BY_SERVICE["order"]) as connection:
        try:
            found = plain(await rows(connection, f"{_ORDER} WHERE id = :id", id=UUID(which)))
        except ValueError:
            found = plain(await rows(connection, f"{_ORDER} WHERE checkout_id = :id LIMIT 2", id=which))
        if len(found) != 1:
            return None
        lines = await rows(connection, _LINES, id=UUID(found[0]["id"]))
    return {**found[0], "units": {row["sku"]: int(row["units"]) for row in lines}}


def in_words(route: Mapping[str, Any], names: Mapping[str, str], currency: str) -> str:
    """Leipzig, 4.10; Lyon would cost 5.60; Gdansk lacks 1 x A-12 (the cheapest, to Paris, FR; exact)."""

    def name(code: str) -> str:
        return names.get(code) or code

    def cost(minor: int) -> str:
        return amount(minor, currency) if currency else f"{minor} minor units"

    known = {one["warehouse"]: one for one in route["candidates"]}
    giving = list(dict.fromkeys(warehouse for warehouse, _, _ in route["chosen"]))
    parts = []
    for code in giving:
        priced = known.get(code, {}).get("cost_minor")
        parts.append(name(code) if priced is None else f"{name(code)}, {cost(priced)}")
    chosen = " and ".join(parts)
    if len(giving) > 1:
        chosen += f", together {cost(route['cost_minor'])}" if route["cost_minor"] is not None else ""
        chosen += f" ({_split(route['chosen'], name)})"
    others = [_why_not(one, name, cost) for one in route["candidates"] if one["warehouse"] not in giving]
    if len(others) > WHY_NOT_TOLD:
        others[WHY_NOT_TOLD:] = [f"{len(others) - WHY_NOT_TOLD} more"]
    how = [BY[route["strategy"]], *([route["note"]] if route["note"] else []), *_proof(route)]
    return f"{'; '.join([chosen, *others])} ({'; '.join(how)})"


def _why_not(one: Mapping[str, Any], name: Any, cost: Any) -> str:
    told = name(one["warehouse"])
    if one.get("why"):
        why = one["why"]
        return f"{told} is {why}" if why == "at capacity" else f"{told} {why}"
    if "cost_minor" in one:
        return f"{told} would cost {cost(one['cost_minor'])}"
    return f"{told} is {one['km']} km away" if "km" in one else f"{told} is nobody knows how far"


def _split(chosen: Sequence[Sequence[Any]], name: Any) -> str:
    return ", ".join(f"{units} x {sku} from {name(warehouse)}" for warehouse, sku, units in chosen)


def _proof(route: Mapping[str, Any]) -> list[str]:
    if route["strategy"] != "cheapest":
        return []
    gap = route["gap_permille"]
    if gap is None:
        return ["how much dearer than the best is not known"]
    return ["exact"] if gap == 0 else [f"at most {gap / 10:.1f} % above the best"]

"""`oms order` of an order that waits for some of it and has a kit: what support reads meanwhile, and afterwards."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.inventory import ReceiveStock, StockReceipt
from contracts.product import DescribeProduct, Supply
from services.sandbox.operators import Operators
from tests.support.shopping import cart
from tests.support.terminal import System
from tests.support.until import until

LEAD_DAYS = 14


def received(reference: str, **units: int) -> ReceiveStock:
    lines = tuple(StockReceipt(sku=sku, warehouse="lyon", quantity=many) for sku, many in units.items())
    return ReceiveStock(reference=reference, receipts=lines)


@pytest.fixture
async def operators(system: System, tmp_path: Path) -> Operators:
    found, now = Operators(system.env, tmp_path), datetime.now(UTC)
    await found.tell(
        DescribeProduct(sku="LAMP", supply=Supply.BACKORDER, limit=10, lead_days=LEAD_DAYS, as_of=now),
        DescribeProduct(sku="PICNIC", supply=Supply.KIT, parts={"MUG": 2, "FLASK": 1}, as_of=now),
        received("first", LAMP=1, MUG=10, FLASK=10),
    )
    await found.until_counted("inventory.shelves WHERE sku IN ('LAMP', 'MUG', 'FLASK')", 3)
    return found


def placed(system: System, tmp_path: Path) -> str:
    """The id of an order for three lamps, of which one is there, and two kits."""
    file = tmp_path / "cart.jsonl"
    file.write_text(json.dumps(cart(("LAMP", 3, 1000), ("PICNIC", 2, 1000), token="tok_ok")) + "\n")
    told = system.json("shop", "--file", str(file))
    assert told["heard"] == {"accepted": 1, "confirmed backorder": 1}
    return str(next(iter(told["orders"])))


def names(told: dict[str, Any]) -> list[str]:
    return [line["name"] for line in told["story"]]


async def test_who_waits_reads_for_what_and_until_when(system: System, operators: Operators, tmp_path: Path) -> None:
    checkout_id = placed(system, tmp_path)
    await until(
        lambda: "fulfillment.delivered" in names(system.json("order", checkout_id)), "the first part is delivered"
    )
    waiting = system.json("order", checkout_id)
    assert [(wait["sku"], wait["quantity"], wait["kind"]) for wait in waiting["waits"]] == [("LAMP", 2, "backorder")]
    by = waiting["waits"][0]["promised_at"][:10]
    assert date.fromisoformat(by) - datetime.now(UTC).date() in (timedelta(LEAD_DAYS - 1), timedelta(LEAD_DAYS))
    text = system.text("order", checkout_id)
    assert f"2 by {by} (backorder)" in " ".join(text.split()), text
    assert "fulfillment.in_production" in text, "the kits are put together"
    assert "{'" not in text and max(map(len, text.splitlines())) <= 100

    await operators.tell(received("later", LAMP=5))
    await until(lambda: "order.delivered" in names(system.json("order", checkout_id)), "all of it is delivered")
    assert system.json("order", checkout_id)["waits"] == []
    text = system.text("order", checkout_id)
    assert "waits for" not in text
    told = " ".join(text.split())
    assert f"promised for {by}" in told and f"later LAMP: 2 by {by} (backorder)" in told, text

"""A transfer that had paid is called back before anything left: what `oms` says of order, stock and runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.inventory import ReceiveStock, StockReceipt
from services.ops.invariants import check
from services.ops.quiet import until_quiet
from services.sandbox.operators import Operators
from services.sandbox.servers import Servers
from tests.support.shopping import cart
from tests.support.statements import Line, table
from tests.support.terminal import System, a_system
from tests.support.until import until


@pytest.fixture(scope="module")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Paid by transfer, and a warehouse that takes orders and does nothing."""
    settings = {"PAYMENT_METHODS": "transfer=bank", "WAREHOUSE_PACE_S": "0"}
    with a_system(servers, tmp_path_factory.mktemp("bank"), **settings) as made:
        yield made


def placed(system: System, folder: Path) -> str:
    """The id of an order that waits for its transfer."""
    file = folder / "cart.jsonl"
    file.write_text(json.dumps(cart(("LAMP", 2, 1000), method="transfer", token="none")) + "\n")
    told = system.json("shop", "--file", str(file), "--wait", "3", fails=True)
    return str(next(iter(told["orders"])))


def story(system: System, order: str) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in system.json("order", order)["story"]}


def books(system: System, folder: Path, line: Line) -> None:
    file = folder / f"{line.id}.csv"
    file.write_text(table([line]))
    assert system.json("statement", "import", str(file), "--by", "grace")["decided"]


async def test_it_is_cancelled_and_its_stock_is_free(system: System, tmp_path: Path) -> None:
    operators = Operators(system.env, tmp_path)
    receipt = StockReceipt(sku="LAMP", warehouse="lyon", quantity=5)
    await operators.tell(ReceiveStock(reference="first", receipts=(receipt,)))
    await operators.until_counted("inventory.shelves WHERE sku = 'LAMP'", 1)
    order = placed(system, tmp_path)
    await until(lambda: "payment.pending" in story(system, order), "the transfer is awaited")
    quote = story(system, order)["payment.pending"]["metadata"]["quote"]
    books(system, tmp_path, Line("20.00", structured=quote, id="came"))
    await operators.until_counted("fulfillment.fulfillments", 1)
    books(system, tmp_path, Line("-20.00", structured=quote, id="back", reversal=True))
    await until(lambda: "order.cancelled" in story(system, order), "the order is off")
    await operators.until_counted("sagas.runs WHERE phase = 'completed'", 2)
    assert story(system, order)["order.cancelled"]["reason"] == "payment_failed"
    await operators.until_counted("inventory.shelves WHERE sku = 'LAMP' AND (on_hand, allocated) = (5, 0)", 1)
    await operators.until_counted("fulfillment.fulfillments WHERE state = 'cancelled'", 1)
    text = " ".join(system.text("order", order).split())
    assert "20.00 EUR is missing" in text and "cancelled LAMP: 2" in text and "{'" not in text, text
    assert system.json("sagas", "stuck") == []
    assert await until_quiet(system.env, 60) == {}
    found = await check(system.env, {})  # nobody was asked for money: the bank's books are its statements
    assert [one.examples for one in found if not one.holds] == []
    [[run]] = await operators.rows("SELECT id::text FROM sagas.runs WHERE saga = 'late_payment_failure'")
    shown = system.text("sagas", "show", run)
    assert "late_payment_failure" in shown and "release-payment" in shown

"""`oms stock` as an operator types it, against a running inventory: what it shows and asks, and what comes of it."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.inventory import CommitStock, HoldStock, ReceiveStock, ShipStock, StockReceipt
from contracts.message import Kind, Message
from contracts.product import DescribeProduct, Supply
from contracts.values import Pick, SkuQuantity
from contracts.warehousing import InspectedLine, ReturnStock, Verdict
from services.sandbox.environment import Environment, prepare
from services.sandbox.processes import running
from services.sandbox.servers import Servers
from shared.envelope import head_of
from shared.ids import new_id
from tests.support.terminal import System, bare, oms
from tests.support.until import until


@pytest.fixture(scope="module")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    environment: Environment = prepare(servers, f"stock_{uuid4().hex[:8]}")
    env = {**bare(), **environment.env}
    try:
        with running([["inventory"]], env, tmp_path_factory.mktemp("stock")):
            yield System(env)
    finally:
        environment.drop()


@pytest.fixture
async def owner(system: System) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who may change rows by hand."""
    connection = await asyncpg.connect(system.env["DATABASE_URL"])
    yield connection
    await connection.close()


async def stocked(owner: asyncpg.Connection, sku: str, warehouse: str, units: int) -> None:
    receipts = (StockReceipt(sku=sku, warehouse=warehouse, quantity=units),)
    await say(owner, ReceiveStock(reference=f"d-{new_id()}", receipts=receipts))


def shelf(system: System, sku: str, warehouse: str) -> dict[str, Any]:
    (found,) = [row for row in system.json("stock", "show", sku)["warehouses"] if row["warehouse"] == warehouse]
    return dict(found)


async def say(owner: asyncpg.Connection, message: Message) -> None:
    """As another service would, and until it is decided."""
    id_, key = new_id(), None
    if message.kind is Kind.COMMAND:
        key = f"orchestrator/{getattr(message, 'order_id', '')}/{message.topic}/do"
    head = head_of(message, id_=id_, source="test", subject="", now=datetime.now(UTC), cause={}, command_key=key)
    await owner.execute(
        "INSERT INTO inventory.due (id, queue, not_before, head, body) VALUES ($1, 'inventory', now(), $2, $3)",
        id_, json.dumps(head), message.model_dump_json(),
    )  # fmt: skip

    async def decided() -> bool:
        row = await owner.fetchrow("SELECT error FROM inventory.due WHERE id = $1", id_)
        assert row is None or not row["error"], row
        return row is None

    await until(decided, message.topic, within_s=20)


async def held(owner: asyncpg.Connection, sku: str, units: int, *, shipped_from: str = "") -> UUID:
    """An order that holds units, or has them already."""
    order_id = new_id()
    await say(owner, HoldStock(order_id=order_id, lines=(SkuQuantity(sku=sku, quantity=units),), hold_for_s=900))
    if shipped_from:
        pick = Pick(warehouse=shipped_from, sku=sku, quantity=units)
        await say(owner, CommitStock(order_id=order_id))
        await say(owner, ShipStock(order_id=order_id, fulfillment_id=new_id(), picks=(pick,)))
    return order_id


async def test_a_sku_is_shown_by_warehouse_and_in_total(system: System, owner: asyncpg.Connection) -> None:
    await stocked(owner, "SHOWN", "berlin", 10)
    await stocked(owner, "SHOWN", "hamburg", 4)
    await held(owner, "SHOWN", 3)
    assert system.json("stock", "safety", "SHOWN", "hamburg", "6", "--yes")["decided"] is True
    told = system.json("stock", "show", "SHOWN")
    assert told["total"] == {
        "on_hand": 14, "held": 3, "allocated": 0, "short": 0, "safety_stock": 6, "kept_back": 0,
        "available_to_promise": 7, "in_transit": 0,
    }  # fmt: skip
    assert [(row["warehouse"], row["available"]) for row in told["warehouses"]] == [("berlin", 7), ("hamburg", -2)]
    text = system.text("stock", "show", "SHOWN")
    assert "to promise" in text and "hamburg" in text
    assert max(map(len, text.splitlines())) <= 100
    (low,) = [row for row in system.json("stock", "low", "--below", "0")["shelves"] if row["sku"] == "SHOWN"]
    assert (low["warehouse"], low["available"]) == ("hamburg", -2)
    assert "SHOWN" in system.text("stock", "low")
    assert system.json("stock", "low", "--below", "1000", "--limit", "1")["found"] >= 2
    assert "has ever stored" in oms(system.env, "stock", "show", "NOTHING").stderr


async def test_what_can_be_promised_for_later_is_shown_with_its_date(system: System, owner: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    release = now + timedelta(days=40)
    described: tuple[dict[str, Any], ...] = (
        {"sku": "LATER", "supply": Supply.BACKORDER, "limit": 10, "lead_days": 14},
        {"sku": "SOON", "supply": Supply.PREORDER, "limit": 5, "release_at": release},
        {"sku": "MADE", "supply": Supply.MADE_TO_ORDER, "lead_days": 21},
        {"sku": "BOX", "supply": Supply.KIT, "parts": {"LID": 1, "JAR": 2}},
    )
    for what in described:
        await say(owner, DescribeProduct.model_validate({**what, "as_of": now}))
    await stocked(owner, "LATER", "berlin", 4)
    await stocked(owner, "SOON", "berlin", 7)
    await stocked(owner, "LID", "berlin", 7)
    await stocked(owner, "JAR", "berlin", 9)
    await stocked(owner, "JAR", "hamburg", 9)
    await held(owner, "LATER", 6)

    told = system.json("stock", "show", "LATER")
    assert (told["total"]["available_to_promise"], told["later"]["units"], told["later"]["waiting"]) == (0, 8, 2)
    assert told["later"]["promised_at"][:10] in {f"{now + timedelta(days=days):%Y-%m-%d}" for days in (14, 15)}
    told = system.json("stock", "show", "SOON")
    assert (told["total"]["available_to_promise"], told["later"]["units"]) == (0, 5)  # none leaves before its date
    assert told["later"]["promised_at"][:10] == f"{release:%Y-%m-%d}"
    assert system.json("stock", "show", "MADE")["later"]["units"] is None
    told = system.json("stock", "show", "BOX")
    assert told["kits"] == [{"warehouse": "berlin", "kits": 4}] and told["total"]["available_to_promise"] == 4

    assert "2 units of it are waited for" in system.text("stock", "show", "LATER")
    assert "8 more can be backordered now" in system.text("stock", "show", "LATER")
    assert f"pre-ordered now, promised for {release:%Y-%m-%d}" in system.text("stock", "show", "SOON")
    assert "any number can be made to order now" in system.text("stock", "show", "MADE")
    assert "4 in berlin" in system.text("stock", "show", "BOX")


async def test_who_holds_a_sku_is_listed_by_the_page(system: System, owner: asyncpg.Connection) -> None:
    await stocked(owner, "WANTED", "berlin", 10)
    first, second = sorted([await held(owner, "WANTED", 3), await held(owner, "WANTED", 2)])
    page = system.json("stock", "holds", "WANTED", "--limit", "1")
    assert [row["order_id"] for row in page["holds"]] == [str(first)]
    following = system.json("stock", "holds", "WANTED", "--limit", "1", "--after", page["after"])
    assert [row["order_id"] for row in following["holds"]] == [str(second)]
    assert following["holds"][0]["picks"][0]["warehouse"] == "berlin"
    assert system.json("stock", "holds", "WANTED")["after"] is None
    await held(owner, "WANTED", 1, shipped_from="berlin")
    assert len(system.json("stock", "holds", "WANTED")["holds"]) == 2
    assert "no order holds" in system.text("stock", "holds", "NOTHING")
    assert str(first) in system.text("stock", "holds", "WANTED")


async def test_a_correction_is_previewed_asked_and_told_with_its_reason(
    system: System, owner: asyncpg.Connection
) -> None:
    await stocked(owner, "WRONG", "berlin", 10)
    await say(owner, CommitStock(order_id=await held(owner, "WRONG", 8)))  # a hold nobody paid for would be given up
    asked = oms(system.env, "stock", "correct", "WRONG", "berlin", "-5", "--reason", "fell", said="n\n")
    assert asked.returncode == 1
    assert "10 → 5" in asked.stdout and "0 → 3" in asked.stdout
    assert shelf(system, "WRONG", "berlin")["on_hand"] == 10
    told = system.json("stock", "correct", "WRONG", "berlin", "-5", "--reason", "fell off", "--yes")
    assert told["before"]["on_hand"] == 10
    assert (told["decided"], told["after"]) == (True, {"on_hand": 5, "short": 3, "safety_stock": 0, "available": -3})
    assert (shelf(system, "WRONG", "berlin")["on_hand"], shelf(system, "WRONG", "berlin")["short"]) == (5, 3)
    moved = system.json("stock", "moves", "WRONG")["movements"]
    assert [(row["kind"], row["reason"]) for row in moved] == [
        ("correction", "fell off"), ("allocate", None), ("hold", None), ("receipt", None),
    ]  # fmt: skip
    assert "fell off" in system.text("stock", "moves", "WRONG", "--warehouse", "berlin").replace("\n", " ")
    assert "cannot be missing" in oms(system.env, "stock", "correct", "WRONG", "berlin", "-6", "--reason", "x").stderr
    assert "has never stored" in oms(system.env, "stock", "correct", "WRONG", "bonn", "1", "--reason", "x").stderr
    assert (
        "a correction of nothing" in oms(system.env, "stock", "correct", "WRONG", "berlin", "0", "--reason", "x").stderr
    )


async def test_what_inventory_refuses_is_told(system: System, owner: asyncpg.Connection) -> None:
    await stocked(owner, "TWICE", "berlin", 10)
    given = ("stock", "correct", "TWICE", "berlin", "1", "--reference", "fixed", "--yes", "--reason")
    assert system.json(*given, "found")["decided"] is True
    refused = system.json(*given, "another", fails=True)
    assert (refused["decided"], refused["why_not"]) == (False, "ReferenceReused: fixed")
    assert shelf(system, "TWICE", "berlin")["on_hand"] == 11


async def test_a_stock_take_from_a_file(system: System, tmp_path: Path, owner: asyncpg.Connection) -> None:
    await stocked(owner, "CUP", "attic", 10)
    await stocked(owner, "JAR", "attic", 5)
    file = tmp_path / "count.csv"
    file.write_text("sku,counted,remark\nCUP,9,one broken\nJAR,5,\nPAN,2,nobody knew\n")
    asked = oms(system.env, "stock", "count", "attic", str(file), said="n\n")
    assert "3 counted, 2 differ" in asked.stdout and "10 → 9" in asked.stdout
    told = system.json("stock", "count", "attic", str(file), "--yes", "--reference", "spring")
    assert (told["counted"], told["differ"], told["outcomes"]) == (3, 2, {"corrected": 2})
    on_hand = {sku: shelf(system, sku, "attic")["on_hand"] for sku in ("CUP", "JAR", "PAN")}
    assert on_hand == {"CUP": 9, "JAR": 5, "PAN": 2}


async def test_what_moved_since_the_count_is_not_counted_away(system: System, owner: asyncpg.Connection) -> None:
    """Nine of ten were counted; then seven came."""
    await stocked(owner, "CUP", "cellar", 10)
    as_of = await owner.fetchval("SELECT clock_timestamp()")
    await stocked(owner, "CUP", "cellar", 7)
    told = system.json("stock", "count", "cellar", "CUP=9", "--as-of", as_of.strftime("%Y-%m-%dT%H:%M:%S.%f"), "--yes")
    assert told["lines"] == [{"outcome": "corrected", "sku": "CUP", "difference": -1}]
    assert shelf(system, "CUP", "cellar")["on_hand"] == 16
    future = oms(system.env, "stock", "count", "cellar", "CUP=9", "--as-of", "2999-01-01T00:00:00", "--yes")
    assert "in the future" in future.stderr


def test_a_large_stock_take_is_several_messages(system: System, tmp_path: Path) -> None:
    given = ("stock", "receive", "MANY-1=1", "--warehouse", "barn", "--reference", "first", "--yes")
    received = system.json(*given)
    assert received["decided"] is True
    assert received["shelves"][0]["after"]["on_hand"] == 1
    file = tmp_path / "count.csv"
    file.write_text("sku,counted\n" + "".join(f"MANY-{n},{n}\n" for n in range(1_201)))
    told = system.json("stock", "count", "barn", str(file), "--yes", "--reference", "large")
    assert (told["decided"], told["counted"], told["outcomes"]) == (True, 1_201, {"corrected": 1_199})
    assert shelf(system, "MANY-1200", "barn")["on_hand"] == 1_200


async def test_a_transfer_from_request_to_arrival(system: System, owner: asyncpg.Connection) -> None:
    await stocked(owner, "MOVED", "berlin", 10)
    await held(owner, "MOVED", 7)
    transfer = ("stock", "transfer")
    told = system.json(*transfer, "request", "berlin", "lyon", "MOVED=5", "--id", "t-1", "--yes")
    assert (told["decided"], told["state"]) == (True, "requested")
    refused = system.json(*transfer, "send", "t-1", "--yes", fails=True)
    assert (refused["state"], refused["why_not"]) == ("requested", "not_free: 2 MOVED too few in berlin")
    assert "not_free" in system.text(*transfer, "list").replace("\n", "")
    await stocked(owner, "MOVED", "berlin", 2)
    shown = oms(system.env, *transfer, "send", "t-1", said="y\n")
    assert shown.returncode == 0 and "5 → 0" in shown.stdout, shown
    there = system.json("stock", "show", "MOVED")
    assert (there["total"]["on_hand"], there["total"]["in_transit"]) == (7, 5)
    assert [row["in_transit"] for row in there["warehouses"] if row["warehouse"] == "lyon"] == [5]
    late = system.json(*transfer, "cancel", "t-1", "--reason", "no", "--yes", fails=True)
    assert late["why_not"].startswith("already_sent")
    done = system.json(*transfer, "receive", "t-1", "MOVED=4", "--reason", "one broke", "--yes")
    assert (done["state"], done["arrived"], done["reason"]) == ("received", {"MOVED": 4}, "one broke")
    assert shelf(system, "MOVED", "lyon")["on_hand"] == 4
    assert [one["id"] for one in system.json(*transfer, "list")] == []
    assert [one["id"] for one in system.json(*transfer, "list", "--all")] == ["t-1"]
    assert "no transfer has the id" in oms(system.env, *transfer, "send", "t-9").stderr


async def test_the_audit_proves_the_ledger_and_names_a_row_changed_by_hand(
    system: System, owner: asyncpg.Connection
) -> None:
    await stocked(owner, "PROVED", "berlin", 10)
    order_id = await held(owner, "PROVED", 2, shipped_from="berlin")
    lines = (InspectedLine(sku="PROVED", quantity=1, verdict=Verdict.RESTOCK),)
    await say(
        owner,
        ReturnStock(order_id=order_id, return_id="r-1", warehouse="berlin", lines=lines, as_of=datetime.now(UTC)),
    )
    assert shelf(system, "PROVED", "berlin")["on_hand"] == 9
    await held(owner, "PROVED", 3)
    whole = system.json("stock", "audit")
    assert {one["name"]: one["examples"] for one in whole if not one["holds"]} == {}
    assert min(one["checked"] for one in whole) >= 1
    assert "counters are the sum of movements" in " ".join(system.text("stock", "audit").split())

    await owner.execute("UPDATE inventory.shelves SET on_hand = on_hand + 1, held = held + 1 WHERE sku = 'PROVED'")
    try:
        broken = {one["name"]: one for one in system.json("stock", "audit", fails=True) if not one["holds"]}
        assert set(broken) == {"counters are the sum of movements", "held stock is reserved"}
        counters = broken["counters are the sum of movements"]
        assert (counters["broken"], counters["examples"]) == (
            1, ["PROVED in berlin: shelf 10/4/0, movements 9/3/0"],
        )  # fmt: skip
        done = oms(system.env, "stock", "audit", "--limit", "1")
        assert done.returncode == 1
        assert "PROVED in berlin: held 4, reserved 3" in done.stdout
    finally:
        await owner.execute("UPDATE inventory.shelves SET on_hand = on_hand - 1, held = held - 1 WHERE sku = 'PROVED'")
    assert all(one["holds"] for one in system.json("stock", "audit"))


def test_what_nobody_decides_stays_said(system: System, servers: Servers) -> None:
    """No inventory runs: the wish waits among its due work."""
    environment = prepare(servers, f"still_{uuid4().hex[:8]}")
    try:
        still = System({**bare(), **environment.env})
        given = ("stock", "receive", "TEA=1", "--warehouse", "berlin", "--reference", "d-1", "--yes")
        assert "has not decided it yet" in still.text(*given)
    finally:
        environment.drop()

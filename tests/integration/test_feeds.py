"""Feeds on real servers, as operators use them: imported by the command line into a running service, pulled, reported.

Nothing is half-applied, whatever is wrong in a feed and whenever the service dies.
"""

import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import pytest
from aiohttp import web

from services.ops.maintain import maintained
from services.sandbox.control import free_port
from services.sandbox.environment import Environment
from tests.support.feed_desk import HEADER, Desk
from tests.support.processes import ServiceProcess
from tests.support.replicas import books_of
from tests.support.until import until


@pytest.fixture(scope="module")
async def service(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServiceProcess]:
    port = free_port()
    env = {**os.environ, **environment.env, "INVENTORY_HTTP_PORT": str(port)}
    log = tmp_path_factory.mktemp("logs") / "inventory.log"
    process = ServiceProcess(("inventory",), env, log, {"inventory": f"http://127.0.0.1:{port}/ready"})
    await process.start()
    await process.until_ready()
    yield process
    assert await process.stop() == 0


@pytest.fixture(scope="module")
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    async with books_of(environment, "inventory") as connection:
        yield connection


@pytest.fixture
def desk(environment: Environment, owner: asyncpg.Connection, service: ServiceProcess, tmp_path: Path) -> Desk:
    return Desk(environment.env, owner, tmp_path)


async def test_a_feed_is_imported_recognised_and_never_said_otherwise(desk: Desk) -> None:
    await desk.described()
    file = desk.file(("A", 5), ("B", 0), ("C", 7))
    status, told = await desk.imports(file, 1, "--new")
    assert (status, told["outcome"], told["feed"]["state"]) == (0, "staged", "applied")
    assert (told["feed"]["raised"], told["feed"]["opened"]) == (2, 3)
    assert await desk.shelves() == {"A": (5, 0, 0, 0), "B": (0, 0, 0, 0), "C": (7, 0, 0, 0)}
    status, told = await desk.imports(file, 1)
    assert (status, told["outcome"]) == (0, "recognised")
    status, told = await desk.imports(desk.file(("A", 6)), 1)
    assert (status, told["outcome"], told["reason"]) == (1, "refused", "sequence_reused")
    await desk.imports(desk.file(("A", 9)), 5)
    status, told = await desk.imports(desk.file(("A", 1)), 3)
    assert (status, told["outcome"]) == (0, "older")
    assert (await desk.shelves())["A"] == (9, 0, 0, 0)
    assert (await desk.source_row())["missing"] == [[2, 4]]
    await desk.check_the_books()


async def test_json_lines_and_deltas_from_standard_names(desk: Desk) -> None:
    await desk.described("--mode", "delta")
    path = desk.folder / "feed.jsonl"
    path.write_text("".join(json.dumps({"sku": "A", "warehouse": desk.warehouse, "quantity": n}) + "\n" for n in (3,)))
    status, told = await desk.imports(path, 1, "--new", mode="delta")
    assert (status, told["feed"]["state"]) == (0, "applied")
    path.write_text(json.dumps({"sku": "A", "warehouse": desk.warehouse, "quantity": -5}))
    status, told = await desk.imports(path, 2, mode="delta")
    assert (status, told["feed"]["clamped"]) == (0, 1)
    assert await desk.shelves() == {"A": (0, 0, 0, 0)}
    status, told = await desk.imports(path, 3, mode="absolute")
    assert (status, told["reason"]) == (1, "wrong_mode")


BAD: Final = (
    # row, column, the first words of why
    ("A,{w},-1", "quantity", "negative"),
    ("A,{w},x", "quantity", "not a whole number"),
    ("NOBODY,{w},1", "sku", "unknown SKU"),
    ("A,atlantis,1", "warehouse", "unknown warehouse"),
    ("A,{w}", "", "2 columns"),
    ("x" * 10_000_000, "", "too long"),
    ('"A,{w},1', "", "not CSV"),
)


async def test_bad_rows_reject_the_whole_feed_and_are_named_by_row_and_column(desk: Desk) -> None:
    await desk.described()
    await desk.imports(desk.file(("A", 5), ("B", 5)), 1, "--new")
    file = desk.file(("B", 9))
    file.write_text(file.read_text() + "".join(f"{row.replace('{w}', desk.warehouse)}\n" for row, _, _ in BAD))
    status, told = await desk.imports(file, 2)
    assert (status, told["outcome"], told["problems"]) == (1, "rejected", len(BAD))
    found = [(one["row"], one["column"], one["why"]) for one in told["report"]]
    assert [(row, column) for row, column, _ in found] == [(3 + n, bad[1]) for n, bad in enumerate(BAD)]
    assert all(why.startswith(bad[2]) for (_, _, why), bad in zip(found, BAD, strict=True)), found
    assert all(len(one["value"]) <= 41 for one in told["report"])
    assert told["peak_mb"] < 120, "ten million characters were kept"
    assert await desk.shelves() == {"A": (5, 0, 0, 0), "B": (5, 0, 0, 0)}
    assert await desk.owner.fetchval("SELECT count(*) FROM feed_pages WHERE feed_id = $1", told["feed"]["id"]) == 0
    status, out, _ = await desk.oms("show", told["feed"]["id"], "--json")
    assert (status, json.loads(out)["report"]) == (0, told["report"])
    status, told = await desk.imports(file, 2, "--partial")  # the sequence was not used up
    assert (status, told["feed"]["state"], told["feed"]["rows_done"]) == (0, "applied", 1)
    assert await desk.shelves() == {"A": (5, 0, 0, 0), "B": (9, 0, 0, 0)}
    await desk.check_the_books()


@pytest.mark.parametrize(
    ("body", "row", "column"),
    [
        (b"", 0, ""),
        ("sku,warehouse,quantity\n".encode("utf-16"), 1, ""),
        (b"sku,place,quantity\n", 1, "warehouse"),
        (b"\xff\xfe\x00", 1, ""),
        (b"sku,warehouse,quantity\nA,\xff,1\n", 2, ""),
    ],
    ids=["empty", "UTF-16", "wrong columns", "binary", "broken encoding"],
)
async def test_what_is_no_feed_at_all_is_rejected(desk: Desk, body: bytes, row: int, column: str) -> None:
    await desk.described()
    path = desk.folder / "feed.csv"
    path.write_bytes(body)
    status, told = await desk.imports(path, 1, "--partial")
    assert (status, told["outcome"]) == (1, "rejected")
    assert (told["report"][0]["row"], told["report"][0]["column"]) == (row, column)


async def test_duplicates_are_named_in_both_rows_and_neither_is_taken(desk: Desk) -> None:
    await desk.described()
    file = desk.file(("A", 5), ("B", 1), ("A", 6))
    status, told = await desk.imports(file, 1, "--new")
    assert (status, told["problems"]) == (1, 2)
    assert [(one["row"], one["column"], one["why"]) for one in told["report"]] == [
        (2, "sku", "twice in this feed, also in row 4"),
        (4, "sku", "twice in this feed, also in row 2"),
    ]
    status, told = await desk.imports(file, 1, "--new", "--partial")
    assert (status, await desk.shelves()) == (0, {"B": (1, 0, 0, 0)})


async def test_a_source_nobody_described_and_a_file_that_is_not_there(desk: Desk) -> None:
    status, told = await desk.imports(desk.file(("A", 1)), 1)
    assert (status, told["reason"]) == (1, "unknown_source")
    await desk.described()
    named = ("--source", desk.source, "--sequence", "1", "--mode", "absolute")
    status, _, said = await desk.oms("import", "/nowhere.csv", *named)
    assert status == 2 and "/nowhere.csv cannot be read" in said


PROMISE: Final = """INSERT INTO reservations
        (order_id, status, held_until, hold_key, picks, fulfillments, version, created_at)
    VALUES ($1, 'held', now() + interval '1 day', $1::uuid::text, $2::jsonb, '[]', 1,
            now() + $3 * interval '1 second')"""


async def everything(owner: asyncpg.Connection) -> list[Any]:
    tables = ("feeds", "feed_pages", "shelves", "movements", "sources", "due", "warehouses")
    return [
        await owner.fetchval(f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} t") for name in tables
    ]


async def test_a_dry_run_tells_whom_it_would_oversell_and_changes_nothing(desk: Desk) -> None:
    await desk.described()
    await desk.imports(desk.file(("A", 5), ("B", 5), ("C", 5)), 1, "--new")
    orders = [uuid4() for _ in range(3)]
    for number, order in enumerate(orders):
        pick = {"warehouse": desk.warehouse, "sku": "A", "quantity": 1 + number, "shipped": 0}
        await desk.owner.execute(PROMISE, order, json.dumps([pick]), number)
    await desk.owner.execute(
        "UPDATE shelves SET on_hand = 6, held = 6 WHERE warehouse = $1 AND sku = 'A'", desk.warehouse
    )
    before = await everything(desk.owner)
    file = desk.file(("A", 2), ("B", 9), ("C", 5), ("D", 1))
    status, told = await desk.imports(file, 2, "--dry-run", "--new")
    would = told["would"]
    assert status == 0
    assert [would[name] for name in ("rows", "changed", "up", "down", "new")] == [4, 3, 2, 1, 1]
    assert (would["short_shelves"], would["short_units"]) == (1, 4)
    (short,) = would["short"]
    assert (short["sku"], short["counted"], short["promised"], short["short_by"]) == ("A", 2, 6, 4)
    assert [(one["order_id"], one["units"]) for one in short["orders"]] == [
        (str(orders[2]), 3), (str(orders[1]), 2), (str(orders[0]), 1)
    ]  # fmt: skip
    assert await everything(desk.owner) == before
    status, out, _ = await desk.oms(
        "import", str(file), "--source", desk.source, "--sequence", "2", "--mode", "absolute", "--dry-run", "--new"
    )
    assert status == 0 and "would leave 4 units short on 1 shelves" in out and str(orders[2])[:8] in out
    # undone, for the books of this schema are looked at by others
    await desk.owner.execute(
        "UPDATE shelves SET on_hand = 5, held = 0 WHERE warehouse = $1 AND sku = 'A'", desk.warehouse
    )
    await desk.owner.execute("DELETE FROM reservations WHERE order_id = ANY($1)", orders)


async def test_the_latest_promises_are_found_by_the_index(owner: asyncpg.Connection, service: ServiceProcess) -> None:
    """Of two thousand orders under way, which do not stay: of a handful any index is as good."""
    pick = {"warehouse": "w", "quantity": 1, "shipped": 0}
    undone = owner.transaction()
    await undone.start()
    try:
        orders = [(uuid4(), json.dumps([{**pick, "sku": f"A-{number}"}]), number) for number in range(2_000)]
        await owner.executemany(PROMISE, orders)
        await owner.execute("ANALYZE reservations")
        await owner.execute("SELECT gin_clean_pending_list('promised_from_shelves')")
        plan = await owner.fetch(
            "EXPLAIN SELECT order_id FROM reservations WHERE status IN ('held', 'committed')"
            ' AND picks @> \'[{"sku": "A-7", "warehouse": "w"}]\''
        )
    finally:
        await undone.rollback()
    assert "promised_from_shelves" in str(plan)


async def test_a_service_killed_in_the_middle_goes_on_where_it_was(desk: Desk, service: ServiceProcess) -> None:
    """Some thousand shelves over many pages; killed as soon as a few pages are applied, twice."""
    await desk.described()
    rows = [(f"SKU-{number:05}", number % 97) for number in range(20_000)]
    status, told = await desk.imports(desk.file(*rows), 1, "--new", "--no-wait")
    assert (status, told["feed"]["state"]) == (0, "staged")
    id_ = told["feed"]["id"]
    for _ in range(2):
        seen = await done(desk, id_)
        await until(lambda seen=seen: more(desk, id_, seen), "it is being applied")  # type: ignore[misc]
        await service.kill()
        stopped = await done(desk, id_)
        assert seen < stopped < len(rows) and stopped % 500 == 0
        assert len(await desk.shelves()) == stopped, "a page is whole or not there"
        await service.start()
        await service.until_ready()

    async def ended() -> bool:
        return bool(await desk.owner.fetchval("SELECT state = 'applied' FROM feeds WHERE id = $1", id_))

    await until(ended, "the feed is applied", within_s=60)
    assert {sku: counts[0] for sku, counts in (await desk.shelves()).items()} == dict(rows)
    await desk.check_the_books()


async def done(desk: Desk, id_: str) -> int:
    return int(await desk.owner.fetchval("SELECT rows_done FROM feeds WHERE id = $1", id_))


async def more(desk: Desk, id_: str, than: int) -> bool:
    return await done(desk, id_) > than


# -- by message ----------------------------------------------------------------------------------------------------


async def test_a_report_by_message_is_counted_once(desk: Desk, environment: Environment) -> None:
    desk.source = "stock-source"  # the broker's user is the source
    await desk.described("--stale-after-s", "2", "--buffer", "4")
    body = {
        "sequence": 1,
        "mode": "absolute",
        "lines": [{"sku": "R", "warehouse": desk.warehouse, "quantity": 6}],
        "as_of": datetime.now(UTC).isoformat(),
    }

    async def published(body: dict[str, Any]) -> None:
        async with await aio_pika.connect(environment.env["STOCK_SOURCE_AMQP_URL"]) as connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            door = await channel.get_exchange("waybill.stock", ensure=False)
            head = {"specversion": "1.0", "id": str(uuid4()), "source": desk.source, "type": "waybill.stock.report.v1"}
            message = aio_pika.Message(
                json.dumps(body).encode(),
                headers={f"cloudEvents:{name}": value for name, value in head.items()},
                user_id=desk.source,
                content_type="application/json",
                delivery_mode=2,
            )
            await door.publish(message, "stock.reports", mandatory=True)

    async def at(quantity: int) -> bool:
        return (await desk.shelves()).get("R") == (quantity, 0, 0, 0)

    async def kept_back() -> int:
        return int(await desk.owner.fetchval("SELECT kept_back FROM warehouses WHERE code = $1", desk.warehouse))

    await published(body)
    await published(body)
    await until(lambda: at(6), "the report is counted")

    async def stale() -> bool:
        return await kept_back() == 4

    await until(stale, "the source is stale and its warehouse keeps units back")
    assert (await desk.source_row())["state"] == "stale"
    await published({**body, "sequence": 2, "lines": [{"sku": "R", "warehouse": desk.warehouse, "quantity": 7}]})
    await until(lambda: at(7), "heard again")
    assert await desk.owner.fetchval("SELECT count(*) FROM feeds WHERE source = 'stock-source'") == 2
    assert await desk.owner.fetchval("SELECT count(*) FROM movements WHERE warehouse = $1", desk.warehouse) == 2
    await desk.described("--stale-after-s", "0")
    await desk.check_the_books()


# -- pulls ---------------------------------------------------------------------------------------------------------


async def test_a_feed_is_pulled_every_so_often(desk: Desk) -> None:
    served: list[str] = ["down"]

    async def stock(_: web.Request) -> web.Response:
        if served[-1] == "down":
            raise web.HTTPServiceUnavailable
        return web.Response(text=served[-1])

    app = web.Application()
    app.router.add_get("/stock.csv", stock)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/stock.csv"

    async def told() -> str:
        return str(await desk.owner.fetchval("SELECT problem FROM pulls WHERE source = $1", desk.source) or "")

    async def has(quantity: int) -> bool:
        return (await desk.shelves()).get("P") == (quantity, 0, 0, 0)

    async def says(word: str) -> bool:
        return word in await told()

    try:
        await desk.described("--pull", url, "--every-s", "1", "--new")
        await until(lambda: says("503"), "a provider that is down is told")
        served.append(f"{HEADER}P,{desk.warehouse},4\n")
        await until(lambda: has(4), "the feed is pulled and applied")
        served.append(f"{HEADER}P,{desk.warehouse},none\n")
        await until(lambda: says("rejected"), "a bad feed is told, and changes nothing")
        assert await has(4)
        served.append(f"{HEADER}P,{desk.warehouse},9\n")
        await until(lambda: has(9), "the next good one is applied")
        assert (await desk.source_row())["pull"] == url
        path = desk.file(("P", 11))
        await desk.described("--pull", str(path), "--every-s", "1")
        await until(lambda: has(11), "a file is pulled as well")
    finally:
        await desk.described()
        await runner.cleanup()
    await desk.check_the_books()


async def test_rows_of_old_feeds_go_and_nothing_else_does(desk: Desk, environment: Environment) -> None:
    await desk.described()
    _, old = await desk.imports(desk.file(("M", 5)), 1, "--new")
    _, fresh = await desk.imports(desk.file(("M", 6)), 2)
    await desk.owner.execute(
        "UPDATE feeds SET ended_at = now() - interval '16 days' WHERE id = $1", UUID(old["feed"]["id"])
    )
    done = await maintained(environment.env["DATABASE_URL"], datetime.now(UTC).date())
    assert done["inventory"].feeds == 1
    kept = "SELECT count(*) FROM feed_pages WHERE feed_id = $1"
    pages = [await desk.owner.fetchval(kept, UUID(told["feed"]["id"])) for told in (old, fresh)]
    assert (pages, await desk.shelves()) == ([0, 1], {"M": (6, 0, 0, 0)})
    await desk.check_the_books()

"""Three replicas of inventory on one real PostgreSQL, begun by a start gun: what is sold is what there was."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from contracts.inventory import HoldLapsed, ReceiveStock, StockReceipt
from services.inventory.handlers import consumer
from services.sandbox.environment import Environment
from shared.batch import Batches
from tests.support.replicas import REPLICAS, books_of, replicas_of, start_gun
from tests.support.stock_books import answers, check_the_books, on_its_way
from tests.support.stock_room import commit, hold, order, ship
from tests.support.warehousing import give_back, request, send


@pytest.fixture
async def replicas(environment: Environment) -> AsyncIterator[list[Batches]]:
    async with replicas_of(environment, consumer) as made:
        yield made


@pytest.fixture
async def books(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    async with books_of(environment, "inventory") as connection:
        yield connection


async def stocked(replicas: Sequence[Batches], sku: str, quantity: int) -> None:
    halves = (("berlin", quantity // 2), ("hamburg", quantity - quantity // 2))
    receipts = tuple(StockReceipt(sku=sku, warehouse=warehouse, quantity=units) for warehouse, units in halves)
    await replicas[0].run([on_its_way(ReceiveStock(reference=f"delivery-of-{sku}", receipts=receipts))])


async def test_ten_thousand_buyers_of_five_hundred_units(replicas: list[Batches], books: asyncpg.Connection) -> None:
    buyers, units = range(1, 10_001), 500
    await stocked(replicas, "console", units)
    asked = [on_its_way(hold(number, ("console", 1))) for number in buyers]
    # every message goes to two replicas, as after a lost acknowledgement
    shares = [[*asked[n::REPLICAS], *asked[n + 1 :: REPLICAS]] for n in range(REPLICAS)]
    await start_gun(replicas, shares)
    assert await answers(books, "hold", buyers) == {"stock_held": units, "stock_short": len(buyers) - units}
    assert await books.fetchval("SELECT sum(held) FROM shelves WHERE sku = 'console'") == units
    assert await books.fetchval("SELECT count(*) FROM movements WHERE sku = 'console' AND kind = 'hold'") == units
    await check_the_books(books)


async def test_expiry_against_commit_at_the_same_instant(replicas: list[Batches], books: asyncpg.Connection) -> None:
    """Holds past their time: timers, commits and new buyers are let go at once, in three replicas."""
    first, rivals = range(20_001, 20_301), range(30_001, 30_301)
    await stocked(replicas, "lamp", len(first))
    await start_gun(replicas, [[on_its_way(hold(n, ("lamp", 1), for_s=0.001)) for n in first], [], []])
    timers = [on_its_way(HoldLapsed(order_id=order(number))) for number in first]
    commits = [on_its_way(commit(number)) for number in reversed(first)]
    buyers = [on_its_way(hold(number, ("lamp", 1))) for number in rivals]
    await start_gun(replicas, [timers, commits, buyers], due=True)
    kept = await answers(books, "commit", first)
    sold = await answers(books, "hold", rivals)
    assert kept["stock_committed"] + kept["stock_gone"] == len(first)
    assert sold["stock_held"] + sold["stock_short"] == len(rivals)
    assert kept["stock_committed"] + sold["stock_held"] <= len(first)
    row = await books.fetchrow("SELECT sum(held) AS held, sum(allocated) AS allocated FROM shelves WHERE sku = 'lamp'")
    assert row is not None
    assert (row["held"], row["allocated"]) == (sold["stock_held"], kept["stock_committed"])
    await check_the_books(books)


async def test_returns_of_one_order_at_once(replicas: list[Batches], books: asyncpg.Connection) -> None:
    """Every unit comes back in three parcels at once: as many are taken as were shipped."""
    units, number = 40, 40_001
    await replicas[0].run([on_its_way(receipt("mug", units))])
    await replicas[0].run([on_its_way(hold(number, ("mug", units)))])
    await replicas[0].run([on_its_way(commit(number))])
    await replicas[0].run([on_its_way(ship(number, ("mug", "berlin", units)))])
    parcels = [on_its_way(give_back(number, f"r-{n}", ("mug", 1, "restock"))) for n in range(REPLICAS * units)]
    await start_gun(replicas, [parcels[n::REPLICAS] for n in range(REPLICAS)])
    assert await books.fetchval("SELECT on_hand FROM shelves WHERE sku = 'mug'") == units
    assert await books.fetchval("SELECT count(*) FROM returns") == units
    waiting = await books.fetch("SELECT split_part(error, ':', 1) AS why FROM due WHERE name = ''")
    assert Counter(row["why"] for row in waiting) == {"more_than_shipped": (REPLICAS - 1) * units}
    await books.execute("DELETE FROM due WHERE name = ''")
    await check_the_books(books)


async def test_transfers_against_buyers(replicas: list[Batches], books: asyncpg.Connection) -> None:
    """Both want the same free units: what left and what is held is never more than lay there."""
    units, each = 60, 2
    await replicas[0].run([on_its_way(receipt("vase", units))])
    ids, buyers = [f"t-{n}" for n in range(30)], range(50_001, 50_061)
    await replicas[0].run([on_its_way(request(id_, ("vase", each))) for id_ in ids])
    sends = [on_its_way(send(id_)) for id_ in ids]
    await start_gun(replicas, [sends, sends[::-1], [on_its_way(hold(number, ("vase", 1))) for number in buyers]])
    row = await books.fetchrow("SELECT on_hand, held FROM shelves WHERE sku = 'vase' AND warehouse = 'berlin'")
    sent = await books.fetchval("SELECT count(*) FROM transfers WHERE state = 'sent'")
    refused = await books.fetchval("SELECT count(*) FROM transfers WHERE state = 'requested' AND refusal <> ''")
    assert row is not None
    assert row["on_hand"] == units - sent * each and row["held"] <= row["on_hand"]
    assert sent + refused == len(ids)
    held = await answers(books, "hold", buyers)
    assert held["stock_held"] == row["held"] and sent * each + row["held"] >= units - each + 1
    await check_the_books(books)


def receipt(sku: str, units: int) -> ReceiveStock:
    receipts = (StockReceipt(sku=sku, warehouse="berlin", quantity=units),)
    return ReceiveStock(reference=f"delivery-of-{sku}", receipts=receipts)

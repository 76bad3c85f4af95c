"""Two replicas that route by cost on one real PostgreSQL, begun by a start gun: no unit twice, no shipment above the
capacity of its day, and every order that was held has its reasons."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from services.inventory.effects import make_effect
from services.sandbox.environment import Environment
from shared.postgres import PostgresStore
from tests.support.priced import PARIS, by_cost, prepared
from tests.support.replicas import books_of, start_gun, stores_of
from tests.support.routes import LARGE, a_large_room
from tests.support.stock_books import answers, check_the_books, on_its_way
from tests.support.stock_room import hold, release

REPLICAS = 2


@pytest.fixture
async def stores(environment: Environment) -> AsyncIterator[list[PostgresStore]]:
    async with stores_of(environment, "inventory", REPLICAS) as made:
        yield made


@pytest.fixture
async def books(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    async with books_of(environment, "inventory") as connection:
        yield connection


async def test_a_flash_sale_over_three_warehouses_with_a_daily_capacity_is_exact(
    stores: list[PostgresStore], books: asyncpg.Connection
) -> None:
    """1,000 buyers of 300 units; Leipzig could give 200 of them and takes 120 shipments."""
    buyers, room = range(1, 1_001), 120
    both = by_cost(stores)
    await prepared(both[0], {"console": (200, 60, 40)}, room)
    asked = [on_its_way(hold(number, ("console", 1), ship_to=PARIS)) for number in buyers]
    # every message goes to both replicas, as after a lost acknowledgement, from either end
    await start_gun(both, [asked, asked[::-1]])
    assert await answers(books, "hold", buyers) == {"stock_held": room + 100, "stock_short": 1_000 - room - 100}
    taken = await books.fetch(
        "SELECT c->>0 AS warehouse, count(*) AS routes FROM routes, jsonb_array_elements(chosen) c GROUP BY 1"
    )
    assert {row["warehouse"]: row["routes"] for row in taken} == {"leipzig": room, "lyon": 60, "gdansk": 40}
    assert await books.fetchval("SELECT shipments FROM dispatches WHERE warehouse = 'leipzig'") == room
    assert await books.fetchval("SELECT count(*) FROM bookings") == room
    assert await books.fetchval("SELECT count(*) FROM routes r JOIN reservations USING (order_id)") == room + 100
    await check_the_books(books)
    # those released give their places back, to buyers who come at the same instant
    held = await books.fetch("SELECT order_id FROM bookings ORDER BY order_id LIMIT 50")
    numbers = [row["order_id"].int >> 64 for row in held]
    releases = [on_its_way(release(number)) for number in numbers]
    rivals = range(2_001, 2_201)
    await start_gun(both, [releases, [on_its_way(hold(n, ("console", 1), ship_to=PARIS)) for n in rivals]])
    sold = (await answers(books, "hold", rivals))["stock_held"]
    counted = await books.fetchval("SELECT shipments FROM dispatches WHERE warehouse = 'leipzig'")
    standing = "SELECT count(*) FROM bookings b JOIN reservations r USING (order_id) WHERE r.status = 'held'"
    assert counted == await books.fetchval(standing) == room - len(numbers) + sold
    await check_the_books(books)


async def test_the_solver_is_asked_outside_of_every_lock_and_its_proposals_are_applied(
    stores: list[PostgresStore], books: asyncpg.Connection
) -> None:
    """Orders no decision may prove, two replicas, and a worker that computes while both go on selling."""
    numbers = range(5_001, 5_013)
    both = by_cost(stores, work=1)
    for word in a_large_room(datetime.now(UTC)):
        await both[0].run([on_its_way(word)])
    asked = [on_its_way(hold(number, *LARGE.items(), ship_to=PARIS)) for number in numbers]
    await start_gun(both, [asked[::2], asked[1::2]])
    assert await books.fetchval("SELECT count(*) FROM questions") > 1, "there is nothing to be proposed"
    effect = make_effect(5.0)
    for _ in range(len(asked) * 4):
        questions = [question for store in stores for question in await effect.take(store, 1)]
        if not questions:
            break
        learned = [on_its_way(await effect.perform(question)) for question in questions]
        await start_gun(both, [learned[:1], learned[1:]])
    else:
        raise AssertionError("questions without an end")
    told = await answers(books, "hold", numbers)
    assert sum(told.values()) == len(asked), "every order is answered"
    there = "SELECT sku, sum(on_hand) AS units FROM shelves WHERE sku = ANY($1::text[]) GROUP BY 1"
    fill = min(row["units"] // LARGE[row["sku"]] for row in await books.fetch(there, list(LARGE)))
    assert told["stock_held"] == min(fill, len(asked))
    states = {row["state"] for row in await books.fetch("SELECT DISTINCT state FROM questions")}
    assert states == {"known"}
    assert await books.fetchval("SELECT count(*) FROM routes WHERE note LIKE 'proposed by the solver%'") > 0
    await check_the_books(books)

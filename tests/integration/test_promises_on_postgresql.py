"""Whom a shortage hits, asked of a real PostgreSQL as the inventory service's own role, by every rule."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from services.inventory.search import SqlPromiseBook
from services.inventory.shortages import Rule
from services.sandbox.environment import Environment
from shared.ids import new_id
from shared.statements import to_json
from tests.support.replicas import books_of

SKU, KIT, WHERE = "TEA-1", "SET-1", "north"
TERMS: Final = (
    {"customer_class": "gold", "prices_minor": {SKU: 300}},
    {"customer_class": "basic", "prices_minor": {SKU: 100}},
    {"customer_class": "gold", "prices_minor": {SKU: 200}},
)
"""Of three orders, first placed first."""
EXPECTED: Final = {Rule.LATEST: [2, 1, 0], Rule.CUSTOMER_CLASS: [1, 2, 0], Rule.SMALLEST_REFUND: [1, 2, 0]}


@pytest.fixture
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    async with books_of(environment, "inventory") as connection:
        await connection.execute("TRUNCATE reservations, products CASCADE")
        yield connection


async def promise(owner: asyncpg.Connection, terms: dict[str, Any], sku: str = SKU, where: str = WHERE) -> UUID:
    order_id = new_id()
    await owner.execute(
        """INSERT INTO reservations (order_id, hold_key, status, picks, held_until, terms, fulfillments, version)
           VALUES ($1, $2, 'held', $3::jsonb, $4, $5::jsonb, '[]', 1)""",
        order_id, str(order_id), to_json([{"warehouse": where, "sku": sku, "quantity": 1}]), datetime.now(UTC),
        to_json(terms),
    )  # fmt: skip
    return order_id


@pytest.mark.parametrize("rule", Rule)
async def test_each_rule_sorts_those_who_were_promised_units_of_the_shelf(
    environment: Environment, owner: asyncpg.Connection, rule: Rule
) -> None:
    placed = [await promise(owner, terms) for terms in TERMS]
    await promise(owner, TERMS[0], where="south")
    await promise(owner, TERMS[0], sku="TEA-2")
    book = SqlPromiseBook(environment.env["INVENTORY_DATABASE_URL"], rule)
    assert await book.promised(SKU, WHERE, 10) == [placed[at] for at in EXPECTED[rule]]
    assert await book.promised(SKU, WHERE, 1) == [placed[EXPECTED[rule][0]]]


async def test_who_was_promised_a_kit_was_promised_its_parts(
    environment: Environment, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        """INSERT INTO products (sku, supply, weight_g, limit_units, lead_days, parts, substitutes, not_from, version)
           VALUES ($1, 'kit', 0, 0, 0, $2::jsonb, '[]', '[]', 1)""",
        KIT, to_json({SKU: 2}),
    )  # fmt: skip
    kit = await promise(owner, {}, sku=KIT)
    book = SqlPromiseBook(environment.env["INVENTORY_DATABASE_URL"], Rule.LATEST)
    assert await book.promised(SKU, WHERE, 10) == [kit]

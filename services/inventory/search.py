"""Whom a shortage hits is asked of the whole table of reservations, outside of any lock; the decision looks again."""

from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

import asyncpg

from contracts.shortage import PromisesFound
from services.inventory.shortages import FOUND_AT_ONCE, Rule, ShelfShortage
from services.inventory.tables import SCHEMA, SHORTAGES
from shared.effects import Effect
from shared.statements import to_json

AT_ONCE: Final = 2
CONNECT_WITHIN_S: Final = 10.0
ORDERS: Final = {
    Rule.LATEST: "r.order_id DESC",
    Rule.CUSTOMER_CLASS: "coalesce(r.terms ->> 'customer_class', ''), r.order_id DESC",
    Rule.SMALLEST_REFUND: "coalesce((r.terms -> 'prices_minor' ->> $5)::bigint, 0), r.order_id DESC",
}
"""The rules of shortages.py, as the database sorts by them."""


class PromiseBook(Protocol):
    """Who was promised units of a shelf, and has not all of them: first whom the rule takes first."""

    async def promised(self, sku: str, warehouse: str, limit: int) -> Sequence[UUID]: ...


class SqlPromiseBook:
    """By the index over the picks of reservations under way; kits are found by their own SKUs."""

    def __init__(self, database_url: str, rule: Rule) -> None:
        self._url = database_url
        self._sql = f"""
            SELECT r.order_id FROM {SCHEMA}.reservations r
            WHERE r.status IN ('held', 'committed') AND (r.picks @> $1::jsonb OR r.picks @> ANY($2::jsonb[]))
              AND NOT EXISTS (SELECT FROM {SCHEMA}.short_lines s
                              WHERE s.order_id = r.order_id AND s.warehouse = $3 AND s.state IN ('asked', 'kept'))
            ORDER BY {ORDERS[rule]} LIMIT $4"""
        self._by_price = rule is Rule.SMALLEST_REFUND

    async def promised(self, sku: str, warehouse: str, limit: int) -> Sequence[UUID]:
        connection = await asyncpg.connect(self._url, timeout=CONNECT_WITHIN_S)
        try:
            kits = await connection.fetch(f"SELECT sku FROM {SCHEMA}.products WHERE parts ? $1", sku)
            named = [to_json([{"warehouse": warehouse, "sku": one}]) for one in (sku, *(kit["sku"] for kit in kits))]
            by = [sku] if self._by_price else []  # PostgreSQL refuses an argument no statement uses
            rows = await connection.fetch(self._sql, named[0], named[1:], warehouse, limit, *by)
            return [UUID(bytes=row["order_id"].bytes) for row in rows]
        finally:
            await connection.close(timeout=CONNECT_WITHIN_S)


def search_effect(book: PromiseBook) -> Effect[ShelfShortage]:
    """A search that fails is made again by its timer."""

    async def perform(shortage: ShelfShortage) -> PromisesFound:
        order_ids = await book.promised(shortage.sku, shortage.warehouse, FOUND_AT_ONCE)
        return PromisesFound(shortage_id=shortage.id, order_ids=tuple(order_ids))

    return Effect(SHORTAGES, perform, AT_ONCE)

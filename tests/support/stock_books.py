"""Inventory's own books on a real PostgreSQL: what it answered, and whether its shelves add up."""

from collections import Counter
from collections.abc import Sequence

import asyncpg

from contracts.message import Kind, Message
from shared.heard import Heard
from tests.support.replicas import heard
from tests.support.stock_room import key_of, order


def on_its_way(message: Message) -> Heard:
    """A command has the key a run would give it."""
    return heard(message, key_of(message) if message.kind is Kind.COMMAND else None)


async def answers(books: asyncpg.Connection, step: str, orders: Sequence[int]) -> Counter[str]:
    keys = [f"orchestrator/{order(number)}/{step}/do" for number in orders]
    rows = await books.fetch("SELECT answer_type FROM answers WHERE command_key = ANY($1::text[])", keys)
    return Counter(row["answer_type"].split(".")[2] for row in rows)


async def check_the_books(books: asyncpg.Connection) -> None:
    """By SQL alone, sharing nothing with the decisions."""
    wrong = await books.fetch(
        """WITH moved AS (SELECT sku, warehouse, sum(on_hand_delta) a, sum(held_delta) b, sum(allocated_delta) c
                          FROM movements GROUP BY 1, 2),
           promised AS (SELECT p->>'sku' AS sku, p->>'warehouse' AS warehouse,
                               coalesce(sum((p->>'quantity')::int) FILTER (WHERE status = 'held'), 0) AS held,
                               coalesce(sum((p->>'quantity')::int - (p->>'shipped')::int)
                                        FILTER (WHERE status = 'committed'), 0) AS allocated
                        FROM reservations, jsonb_array_elements(picks) p GROUP BY 1, 2)
           SELECT s.sku, s.warehouse FROM shelves s
           LEFT JOIN moved m USING (sku, warehouse) LEFT JOIN promised p USING (sku, warehouse)
           WHERE (s.on_hand, s.held, s.allocated) IS DISTINCT FROM (m.a, m.b, m.c)
              OR (s.held, s.allocated) IS DISTINCT FROM (coalesce(p.held, 0), coalesce(p.allocated, 0))"""
    )
    assert wrong == []
    assert await books.fetchval("SELECT count(*) FROM parked") == 0
    waiting = await books.fetch("SELECT error, count(*) FROM due WHERE error <> '' GROUP BY 1")
    assert waiting == [], waiting
    standing = "SELECT count(*) FROM reservations r WHERE status = 'held' AND NOT EXISTS"
    timer = "(SELECT FROM due d WHERE d.name = 'hold' AND d.owner = r.order_id::text)"
    assert await books.fetchval(f"{standing} {timer}") == 0

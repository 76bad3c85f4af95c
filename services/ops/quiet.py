"""Quiet: nothing is under way any more, in any service. What is still moving is named."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from services.ops.rules.rule import SCHEMAS
from shared.provision import sqlalchemy_url

LOOKS: Final = 3
"""So many quiet looks in a row: what travels through the broker is in no table while it does."""
PAUSE_S: Final = 0.3

_MOVING: Final = " UNION ALL ".join(
    [
        *(f"SELECT '{schema}: to be said' AS what, count(*) AS many FROM {schema}.outbox" for schema in SCHEMAS),
        *(
            f"SELECT '{schema}: due', count(*) FROM {schema}.due WHERE error <> '' OR not_before <= now()"
            for schema in SCHEMAS
        ),
        "SELECT 'runs under way', count(*) FROM sagas.runs WHERE changing IS NOT NULL",
        "SELECT 'shortages looked into', count(*) FROM inventory.shortages WHERE state <> 'settled'",
        "SELECT 'shortages not settled', count(*) FROM inventory.short_lines WHERE state IN ('asked', 'taken_back')",
        "SELECT 'calls to the provider', count(*) FROM payments.attempts WHERE state NOT IN ('known', 'withdrawn')",
        "SELECT 'shipments under way', count(*) FROM fulfillment.fulfillments"
        " WHERE state NOT IN ('delivered', 'cancelled', 'rejected', 'lost')",
        "SELECT 'orders behind their shipments', count(*) FROM fulfillment.fulfillments f"
        " JOIN orders.orders o ON o.id = f.order_id"
        " WHERE f.state = 'delivered' AND o.state IN ('paid', 'processing', 'fulfilled', 'shipped')"
        " AND NOT EXISTS (SELECT FROM fulfillment.fulfillments g WHERE g.order_id = o.id AND g.state <> 'delivered')",
        "SELECT 'stock not taken off its shelf', count(*) FROM fulfillment.fulfillments f"
        " JOIN inventory.reservations r ON r.order_id = f.order_id"
        " WHERE f.state = 'delivered' AND NOT r.fulfillments ? f.id::text",
    ]
)


async def until_quiet(env: Mapping[str, str], within_s: float, *, but: Collection[str] = ()) -> dict[str, int]:
    """Wait until nothing moves; what still did after `within_s`, by name (empty: it is quiet). `but`: names of what may
    move for ever."""
    engine = create_async_engine(sqlalchemy_url(env["DATABASE_URL"]))
    ends = asyncio.get_running_loop().time() + within_s
    quiet = 0
    try:
        while True:
            async with engine.connect() as connection:
                rows = (
                    await connection.execute(sa.text(f"SELECT what, many FROM ({_MOVING}) AS m WHERE many > 0"))
                ).all()
            moving = {row.what: int(row.many) for row in rows if row.what not in but}
            quiet = 0 if moving else quiet + 1
            if quiet >= LOOKS or asyncio.get_running_loop().time() > ends:
                return moving
            await asyncio.sleep(PAUSE_S)
    finally:
        await engine.dispose()

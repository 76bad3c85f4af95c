"""Replicas of the order service on one real PostgreSQL: facts at the same instant, and rules the database holds."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from contracts.message import Kind, Message
from contracts.order import ConfirmOrder, OpenRefund, SettleRefund
from contracts.story import StoryFact
from contracts.values import FulfillmentStatus
from services.order.handlers import consumer
from services.sandbox.environment import Environment
from shared.batch import Batches
from shared.heard import Heard
from shared.ids import new_id
from tests.support.orders import SHOP, place, progressed
from tests.support.replicas import REPLICAS, books_of, heard, replicas_of, start_gun

ORDERS, REFUNDS = 20, 10
LINE = ("pending", "acknowledged", "picking", "labeled", "shipped", "delivered")


@pytest.fixture
async def replicas(environment: Environment) -> AsyncIterator[list[Batches]]:
    async with replicas_of(environment, consumer) as made:
        yield made


@pytest.fixture
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    async with books_of(environment, "order") as connection:
        yield connection


@pytest.fixture
async def role(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    async with books_of(environment, "order", role="order") as connection:
        yield connection


def on_its_way(message: Message) -> Heard:
    return heard(message, f"orchestrator/{new_id()}/step/do" if message.kind is Kind.COMMAND else None)


async def together(replicas: list[Batches], messages: list[Message], batch: int) -> None:
    """Every replica decides its share in batches, all at the same time."""
    shares = [[on_its_way(message) for message in messages[number::REPLICAS]] for number in range(REPLICAS)]
    await start_gun(replicas, shares, batch=batch)


async def test_facts_heard_by_three_replicas_at_once_are_each_told_once(
    replicas: list[Batches], owner: asyncpg.Connection
) -> None:
    ids = [new_id() for _ in range(ORDERS)]
    await replicas[0].run([on_its_way(place(id_)) for id_ in ids])
    await replicas[0].run([on_its_way(ConfirmOrder(order_id=id_)) for id_ in ids])
    facts: list[Message] = []
    for number, id_ in enumerate(ids):
        for sku, quantity, shipment in (("cup", 3, 1), ("pot", 1, 2)):
            of = number * 10 + shipment + 1000
            for status in LINE:
                fact = progressed(FulfillmentStatus(status), [(sku, quantity)], shipment=of, order_id=id_)
                facts += [fact, fact]
        facts += [StoryFact(order_id=id_, name=f"x.{n}", actor="payment", occurred_at=datetime.now(UTC)) for n in "ab"]
    random.Random(7).shuffle(facts)
    await together(replicas, facts, batch=25)

    assert await owner.fetchval("SELECT count(*) FROM orders WHERE state = 'delivered'") == ORDERS
    assert await owner.fetchval("SELECT count(*) FROM order_items WHERE status = 'delivered'") == 2 * ORDERS
    gaps = """SELECT count(*) FROM orders o JOIN (SELECT order_id, count(*) AS lines, max(sequence) AS last,
                count(public_sequence) AS public, max(public_sequence) AS last_public FROM order_events
                GROUP BY order_id) e ON e.order_id = o.id
              WHERE (lines, last, public, last_public)
                IS DISTINCT FROM (last_sequence, last_sequence, last_public_sequence, last_public_sequence)"""
    assert await owner.fetchval(gaps) == 0
    once = "SELECT count(*) FROM (SELECT FROM order_events WHERE name LIKE 'fulfillment.%'"
    once += " GROUP BY order_id, metadata->>'fulfillment_id', name HAVING count(*) > 1) twice"
    assert await owner.fetchval(once) == 0
    said = "SELECT count(*) FROM outbox WHERE public AND head::jsonb->>'type' = 'waybill.order.delivered.v1'"
    assert await owner.fetchval(said) == ORDERS
    assert await owner.fetchval("SELECT count(*) FROM parked") == 0


async def test_refunds_at_the_same_instant_never_exceed_the_total(
    replicas: list[Batches], owner: asyncpg.Connection
) -> None:
    id_ = new_id()
    await replicas[0].run([on_its_way(place(id_))])
    await replicas[0].run([on_its_way(ConfirmOrder(order_id=id_))])
    refunds = [UUID(int=id_.int + number + 1) for number in range(REFUNDS)]
    opening: list[Message] = [
        OpenRefund(order_id=id_, refund_id=refund, storefront=SHOP, amount_minor=2000, currency="EUR")
        for refund in refunds
    ]
    await together(replicas, opening, batch=1)
    await together(replicas, [SettleRefund(order_id=id_, refund_id=refund) for refund in refunds], batch=1)
    row = await owner.fetchrow(
        "SELECT refunded_minor, refund_reserved_minor, refund_standing FROM orders WHERE id=$1", id_
    )
    assert tuple(row) == (6000, 0, "partially_refunded")
    assert await owner.fetchval("SELECT count(*) FROM order_refunds WHERE order_id=$1", id_) == 3


@pytest.mark.parametrize(
    ("statement", "promise"),
    [
        ("UPDATE orders SET state = 'shipped'", "orders_state_moves_only_by_its_table"),
        ("UPDATE orders SET refund_standing = 'refunded'", "refund_standing_tells_the_sum"),
        ("UPDATE orders SET total_minor = total_minor + 1", "totals_add_up"),
        ("UPDATE orders SET refund_reserved_minor = total_minor + 1", "refunds_stay_within_the_total"),
        ("UPDATE order_items SET status = 'delivered'", "order_items_status_moves_only_by_its_table"),
        ("UPDATE order_items SET subtotal_minor = subtotal_minor - 1", "subtotal_adds_up"),
        ("UPDATE order_items SET shipped_quantity = 1", "what_arrived_left_and_was_labeled"),
    ],
)
async def test_a_hand_written_update_cannot_break_a_rule(
    replicas: list[Batches], role: asyncpg.Connection, statement: str, promise: str
) -> None:
    id_ = new_id()
    await replicas[0].run([on_its_way(place(id_))])
    column = "id" if "UPDATE orders" in statement else "order_id"
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await role.execute(f"{statement} WHERE {column} = '{id_}'")
    assert refused.value.constraint_name == promise


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE order_events SET reason = ''",
        "DELETE FROM order_events",
        "DELETE FROM orders",
        "DELETE FROM order_items",
        "DELETE FROM order_refunds",
        "TRUNCATE order_events",
    ],
)
async def test_the_service_s_role_cannot_rewrite_the_story(role: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await role.execute(statement)

"""Replicas of the payment service on one real PostgreSQL: workers take attempts while the same orders are released."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from contracts.payment import RefundPayment, ReleasePayment
from services.payment.handlers import make_consumer
from services.sandbox.environment import Environment
from shared.batch import Batches
from shared.heard import Heard
from shared.ids import new_id
from tests.support.payment_workers import IMPATIENT, authorize, until_quiet, works
from tests.support.replicas import REPLICAS, books_of, heard, replicas_of
from tests.support.scripted_provider import ScriptedProvider

ORDERS = 60


@pytest.fixture
async def replicas(environment: Environment) -> AsyncIterator[list[Batches]]:
    async with replicas_of(environment, make_consumer(IMPATIENT)) as made:
        yield made


@pytest.fixture
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    async with books_of(environment, "payment") as connection:
        yield connection


def release(order: UUID) -> Heard:
    return heard(ReleasePayment(order_id=order, reason="expired"), f"orchestrator/{order}/pay/undo")


async def test_releases_racing_with_workers_leave_no_money_anywhere(
    replicas: list[Batches], owner: asyncpg.Connection
) -> None:
    provider = ScriptedProvider(lambda: datetime.now(UTC))
    orders = [new_id() for _ in range(ORDERS)]
    tokens = ("tok_ok", "tok_do_then_timeout", "tok_pending", "tok_declined", "tok_ok_refund_timeout")
    await replicas[0].run([authorize(order, tokens[n % len(tokens)]) for n, order in enumerate(orders)])

    async def releases() -> None:
        for first in range(0, ORDERS, 10):
            await replicas[0].run([release(order) for order in orders[first : first + 10]])

    await asyncio.gather(releases(), *(works(replica, provider) for replica in replicas for _ in range(4)))
    await until_quiet(replicas, provider, owner)

    books = provider.books()["payments"]
    assert all(row["status"] != "pending" and row["captured_minor"] == row["refunded_minor"] for row in books)
    assert len({row["reference"] for row in books}) == len(books)
    answers = "SELECT count(*) FROM answers WHERE state = 'answered' AND command_key LIKE '%' || $1"
    assert await owner.fetchval(answers, "/undo") == ORDERS
    assert await owner.fetchval(answers, "/do") == ORDERS
    captured = sum(row["captured_minor"] for row in books)
    assert await owner.fetchval("SELECT sum(captured_minor)::bigint FROM payments") == captured
    assert await owner.fetchval("SELECT sum(refunded_minor)::bigint FROM payments") == captured
    assert await owner.fetchval("SELECT count(*) FROM parked") == 0


async def test_refunds_at_the_same_instant_never_exceed_what_was_captured(
    replicas: list[Batches], owner: asyncpg.Connection
) -> None:
    provider, order = ScriptedProvider(lambda: datetime.now(UTC)), new_id()
    await replicas[0].run([authorize(order, "tok_ok")])
    await until_quiet(replicas, provider, owner)

    async def refund(replica: Batches, number: int) -> None:
        id_ = new_id()
        command = RefundPayment(order_id=order, refund_id=id_, amount_minor=400, currency="EUR")
        await replica.run([heard(command, f"orchestrator/refund {number}/pay/do")])

    await asyncio.gather(*(refund(replicas[number % REPLICAS], number) for number in range(9)))
    await until_quiet(replicas, provider, owner)
    (payment,) = provider.books()["payments"]
    assert payment["refunded_minor"] == 800
    assert await owner.fetchval("SELECT refunded_minor FROM payments WHERE order_id = $1", order) == 800
    states = await owner.fetch("SELECT state, count(*) FROM refunds WHERE order_id = $1 GROUP BY state", order)
    assert {row[0]: row[1] for row in states} == {"refunded": 2}


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE payments SET state = 'authorized' WHERE state = 'returned'", "payments_state_moves_only_by_its_table"),
        ("UPDATE payments SET refunded_minor = captured_minor + 1", "refunded_never_above_captured"),
        ("UPDATE payments SET captured_minor = amount_minor + 1", "captured_never_above_amount"),
        ("UPDATE attempts SET state = 'open', outcome = '' WHERE state = 'known'", "attempts_state_moves"),
    ],
)
async def test_a_hand_written_update_cannot_move_money(
    replicas: list[Batches], owner: asyncpg.Connection, statement: str, rule: str
) -> None:
    provider, order = ScriptedProvider(lambda: datetime.now(UTC)), new_id()
    await replicas[0].run([authorize(order, "tok_ok")])
    await until_quiet(replicas, provider, owner)
    await replicas[0].run([release(order)])
    await until_quiet(replicas, provider, owner)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await owner.execute(statement)
    assert rule in str(refused.value.constraint_name)

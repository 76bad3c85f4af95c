"""Paid per shipment on a real PostgreSQL: parcels in any order, by replicas, while holds lapse and refunds come."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from contracts.payment import CaptureDue, RefundPayment, ReleasePayment
from services.payment.handlers import make_consumer
from services.sandbox.environment import Environment
from shared.batch import Batches
from shared.heard import Heard
from shared.ids import new_id
from tests.support.payment_play import open_minor
from tests.support.payment_workers import AMOUNT, IMPATIENT, authorize, until_quiet, works
from tests.support.replicas import REPLICAS, books_of, heard, replicas_of
from tests.support.scripted_provider import ScriptedProvider

ORDERS = 24
PASSES = 300
POLICY = replace(IMPATIENT, per_shipment=frozenset({"bnpl"}), authorize_again=True)
TOKENS = ("tok_ok", "tok_ok_capture_timeout", "tok_do_then_timeout_void_error", "tok_ok_capture_error_refund_timeout")


@pytest.fixture
async def replicas(environment: Environment) -> AsyncIterator[list[Batches]]:
    async with replicas_of(environment, make_consumer(POLICY)) as made:
        yield made


@pytest.fixture
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    async with books_of(environment, "payment") as connection:
        yield connection


async def test_parcels_lapses_and_refunds_at_once_take_no_more_than_is_due(
    replicas: list[Batches], owner: asyncpg.Connection
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    provider = ScriptedProvider(lambda: datetime.now(UTC))
    orders = [new_id() for _ in range(ORDERS)]
    await replicas[0].run([authorize(order, TOKENS[n % len(TOKENS)], "bnpl") for n, order in enumerate(orders)])
    await until_quiet(replicas, provider, owner)

    words: list[Heard] = []
    for order in orders:
        words += [heard(CaptureDue(order_id=order, due_minor=due, currency="EUR")) for due in (300, 700, AMOUNT, 700)]
        refund = RefundPayment(order_id=order, refund_id=new_id(), amount_minor=250, currency="EUR")
        words.append(heard(refund, f"orchestrator/{refund.refund_id}/refund/do"))
    released = chance.sample(orders, ORDERS // 4)
    words += [heard(ReleasePayment(order_id=one, reason="off"), f"orchestrator/{one}/off/do") for one in released]
    chance.shuffle(words)

    async def lets_go() -> None:
        for payment in provider.books()["payments"]:
            if chance.random() < 0.5:
                provider.lapse(payment["id"])  # its notice is lost: the next call finds out

    for first in range(0, len(words), 12):
        some = words[first : first + 12]
        await asyncio.gather(
            *(replica.run(some[number::REPLICAS]) for number, replica in enumerate(replicas)),
            *(works(replica, provider) for replica in replicas),
            lets_go(),
        )
    await until_quiet(replicas, provider, owner)

    rows = {row["order_id"]: row for row in await owner.fetch("SELECT * FROM payments")}
    for order in orders:
        row, books = rows[order], [one for one in provider.books()["payments"] if one["reference"] == str(order)]
        said = f"seed {seed}: {dict(row)} {books}"
        taken, back = (sum(one[name] for one in books) for name in ("captured_minor", "refunded_minor"))
        assert (row["captured_minor"], row["refunded_minor"]) == (taken, back), said
        assert taken <= AMOUNT and row["held_minor"] == sum(map(open_minor, books)) == 0, said
        if order in released:
            assert taken == back and row["state"] in ("voided", "returned"), said
        elif not row["missing_minor"]:
            assert taken - back == AMOUNT - 250, said
    assert await owner.fetchval("SELECT count(*) FROM parked") == 0
    commands = ORDERS + ORDERS + len(released)
    assert await owner.fetchval("SELECT count(*) FROM answers WHERE state = 'answered'") == commands
    assert await owner.fetchval("SELECT max(asked_again) FROM payments") > 0


async def test_a_hold_is_captured_before_it_lapses(replicas: list[Batches], owner: asyncpg.Connection) -> None:
    provider, order = ScriptedProvider(lambda: datetime.now(UTC)), new_id()
    soon = replace(POLICY, authorize_again=False, authorized_for_s=3_600.0, lapse_margin_s=3_599.9)
    replica = Batches(make_consumer(soon), replicas[0].store, new_id)
    await replica.run([authorize(order, "tok_ok", "bnpl")])
    for _ in range(PASSES):
        await works(replica, provider)
        if await owner.fetchval("SELECT state FROM payments WHERE order_id = $1", order) == "captured":
            break
    assert provider.books()["payments"][0]["captured_minor"] == AMOUNT


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE payments SET held_minor = 1 WHERE state = 'captured'", "ended_means_nothing_held"),
        ("UPDATE payments SET due_minor = amount_minor + 1", "never_due_above_amount"),
        ("UPDATE payments SET waived_minor = 1", "what_is_waived_or_missing_is_not_taken"),
        ("UPDATE refunds SET waived_minor = amount_minor + 1", "no_more_is_waived_than_refunded"),
        (
            "INSERT INTO captures SELECT gen_random_uuid(), order_id, 1, 'EUR', 'captured', 1, now(), now(), false"
            " FROM (SELECT order_id FROM payments LIMIT 1) one CROSS JOIN generate_series(1, 2)",
            "one_whole_capture_per_order",
        ),
    ],
)
async def test_a_hand_written_update_cannot_take_more(
    replicas: list[Batches], owner: asyncpg.Connection, statement: str, rule: str
) -> None:
    provider, order = ScriptedProvider(lambda: datetime.now(UTC)), new_id()
    await replicas[0].run([authorize(order, "tok_ok", "bnpl")])
    await until_quiet(replicas, provider, owner)
    refund = RefundPayment(order_id=order, refund_id=new_id(), amount_minor=100, currency="EUR")
    await replicas[0].run([heard(refund, f"orchestrator/{refund.refund_id}/refund/do")])
    await replicas[0].run([heard(CaptureDue(order_id=order, due_minor=AMOUNT, currency="EUR"))])
    await until_quiet(replicas, provider, owner)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        await owner.execute(statement)
    assert rule in str(refused.value.constraint_name)

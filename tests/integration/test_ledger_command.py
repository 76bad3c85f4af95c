"""`oms ledger` as an operator types it, over payments on a real PostgreSQL."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from contracts.payment import RefundPayment, ReleasePayment
from services.payment.handlers import make_consumer
from services.sandbox.environment import Environment, prepare
from services.sandbox.servers import Servers
from tests.support.payment_workers import IMPATIENT, authorize, works
from tests.support.processes import ROOT
from tests.support.replicas import heard, replicas_of
from tests.support.scripted_provider import ScriptedProvider

KEPT, RETURNED, REFUND = UUID(int=1), UUID(int=2), UUID(int=3)


@pytest.fixture(scope="module")
def environment(servers: Servers) -> Iterator[Environment]:
    """Two orders of 10.00: of one 4.00 went back, of the other all."""
    made = prepare(servers, "ledger_command_test")

    async def pay() -> None:
        provider = ScriptedProvider(lambda: datetime.now(UTC))
        refund = RefundPayment(order_id=KEPT, refund_id=REFUND, amount_minor=400, currency="EUR")
        release = ReleasePayment(order_id=RETURNED, reason="cancelled")
        after = [heard(refund, "orchestrator/refund/pay/do"), heard(release, "orchestrator/x/release/do")]
        async with replicas_of(made, make_consumer(IMPATIENT), 1) as (batches,):
            await batches.run([authorize(KEPT, "tok_ok"), authorize(RETURNED, "tok_ok")])
            await works(batches, provider)
            await batches.run(after)
            await works(batches, provider)

    asyncio.run(pay())
    yield made
    made.drop()


@pytest.fixture(scope="module")
def oms(environment: Environment) -> Any:
    env = {**environment.env, "COLUMNS": "200", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}

    def run(*arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "services", "ledger", *arguments],
            cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) is fails, done.stderr[-2000:]
        return done.stderr if fails else done.stdout

    return run


def test_an_order_shows_its_entries_and_where_its_money_is(oms: Any) -> None:
    told = json.loads(oms(str(KEPT), "--json"))
    assert [(one["kind"], one["amount_minor"]) for one in told["entries"]] == [
        ("capture", 1000),
        ("refund_reserved", 400),
        ("refund", 400),
    ]
    assert {one["account"]: one["debit_minor"] - one["credit_minor"] for one in told["accounts"]} == {
        "order_funds": -600,
        "provider_clearing:sandbox": 600,
        "refunds_payable": 0,
    }
    shown = oms(str(KEPT))
    assert "refund_reserved" in shown and "6.00 debit" in shown and "even" in shown


def test_the_trial_balance_is_even_and_no_money_is_left_of_what_was_returned(oms: Any) -> None:
    told = json.loads(oms("--json"))
    assert told["balanced"] is True
    (currency,) = told["currencies"].values()
    assert currency["debit_minor"] == currency["credit_minor"] == 2 * 1000 + 2 * 400 + 2 * 1000
    assert {one["account"]: one["debit_minor"] - one["credit_minor"] for one in currency["accounts"]} == {
        "order_funds": -600,
        "provider_clearing:sandbox": 600,
        "refunds_payable": 0,
    }
    assert "Trial balance" in oms()


def test_an_order_nobody_paid_for_is_said_so(oms: Any) -> None:
    assert "no money moved" in oms(str(UUID(int=9)), fails=True)
    assert "no order has the id or checkout id" in oms("cart-of-nobody", fails=True)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE payments.transfers SET amount_minor = 1", "DELETE FROM payments.transfers", "TRUNCATE payments.transfers"],
)
async def test_nobody_changes_what_is_booked(environment: Environment, statement: str) -> None:
    connection = await asyncpg.connect(environment.env["PAYMENT_DATABASE_URL"])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("debit", "credit", "amount", "kind", "reference", "constraint"),
    [
        ("bank", "provider_clearing", 0, "payout", "p", "a_transfer_moves_something"),
        ("bank", "order_funds", 5, "payout", "p", "each_kind_has_its_accounts"),
        ("bank", "bank", 5, "payout", "p", "a_transfer_has_two_sides"),
        ("provider_clearing", "order_funds", 5, "gift", "p", "each_kind_has_its_accounts"),
        ("refunds_payable", "provider_clearing", 5, "refund", str(REFUND), "nothing_is_booked_twice"),
    ],
)
async def test_the_database_refuses_what_is_no_movement_by_name(
    environment: Environment, debit: str, credit: str, amount: int, kind: str, reference: str, constraint: str
) -> None:
    connection = await asyncpg.connect(environment.env["PAYMENT_DATABASE_URL"])
    try:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
            await connection.execute(
                "INSERT INTO payments.transfers (id, occurred_at, currency, debit, credit, amount_minor, kind,"
                " reference, provider) VALUES (gen_random_uuid(), now(), 'EUR', $1, $2, $3, $4, $5, 'sandbox')",
                debit, credit, amount, kind, reference,
            )  # fmt: skip
        assert refused.value.constraint_name == constraint
    finally:
        await connection.close()

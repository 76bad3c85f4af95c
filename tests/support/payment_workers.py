"""The workers of payment's replicas, which work when a test says so."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from contracts.payment import AuthorizePayment
from services.payment.effects import payment_effect
from services.payment.policy import PaymentPolicy
from services.payment.webhook import told_by
from shared.batch import Batches
from shared.heard import Heard
from tests.support.replicas import heard
from tests.support.scripted_provider import ScriptedProvider

AMOUNT: Final = 1000
"""Cents."""
IMPATIENT: Final = PaymentPolicy(attempt_overdue_s=0.05, schedule_s=(0.01, 0.05))
"""The clock is the real one: what usually waits for seconds must not keep a test waiting."""
QUIET_WITHIN_S = 90.0
"""What waits for another message is tried again after seconds."""


def authorize(order: UUID, token: str, method: str = "card") -> Heard:
    command = AuthorizePayment(order_id=order, amount_minor=AMOUNT, currency="EUR", method=method, token=token)
    return heard(command, f"orchestrator/{order}/pay/do")


async def works(replica: Batches, provider: ScriptedProvider) -> None:
    """One pass of a worker: takes, calls, tells; and what the provider tells by itself."""
    effect = payment_effect({"sandbox": provider})
    taken = await effect.take(replica.store, 7)
    told = [heard(await effect.perform(attempt)) for attempt in taken]
    notices = [heard(told_by(notice, "sandbox")) for notice in provider.take_notices()]
    await replica.run([*told, *notices], due=True)


async def until_quiet(replicas: Sequence[Batches], provider: ScriptedProvider, owner: asyncpg.Connection) -> None:
    """Of every attempt it is known what became of it, and nothing waits for another message."""
    waiting = (
        "SELECT (SELECT count(*) FROM attempts WHERE state IN ('open', 'calling', 'unknown'))"
        " + (SELECT count(*) FROM due WHERE error <> '')"
    )
    deadline = time.monotonic() + QUIET_WITHIN_S
    while time.monotonic() < deadline:
        await asyncio.gather(*(works(replica, provider) for replica in replicas))
        if await owner.fetchval(waiting) == 0:
            return
    errors = await owner.fetch("SELECT DISTINCT error FROM due WHERE error <> ''")
    raise AssertionError(f"never quiet: {errors}")

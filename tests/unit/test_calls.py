"""The loop of an effect: bounded, woken, drained; and one that hangs holds nobody else up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from contracts.message import Message
from contracts.payment import AuthorizePayment, ProviderAnswered
from services.payment.attempt import Attempt, AttemptState
from services.payment.handlers import make_consumer
from services.payment.policy import PaymentPolicy
from services.payment.tables import ATTEMPTS, MACHINES, TABLES
from shared.batch import Batches
from shared.calls import Calls
from shared.effects import Effect
from shared.heard import Done, Heard
from shared.observability import logger
from tests.support.company import Ids, envelope_of
from tests.support.memory import MemoryStore
from tests.support.till import START

WITHIN_S = 10.0


class Outside:
    """A payment service whose methods go to two providers, and what each is asked."""

    def __init__(self) -> None:
        self.store = MemoryStore(lambda: START, tables=TABLES, machines=MACHINES)
        self.new_id = Ids(lambda: START)
        policy = replace(PaymentPolicy(), providers={"slow": "stripe"})
        self.batches = Batches(make_consumer(policy), self.store, self.new_id)
        self.asked: dict[str, list[Attempt]] = {"stripe": [], "sandbox": []}
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self.called = asyncio.Event()

    def said(self, message: Message, command_key: str | None = None, *, alone: bool = False) -> Heard:
        id_ = self.new_id()
        envelope = envelope_of(message, id_=id_, source="orchestrator", now=START, command_key=command_key)
        return Heard("payment", envelope, id_, foreign=command_key is None, alone=alone)

    async def order(self, method: str, many: int, *, alone: bool = False) -> Done:
        """`alone`: each in a transaction of its own."""
        said = []
        for _ in range(many):
            id_ = self.new_id()
            command = AuthorizePayment(order_id=id_, amount_minor=100, currency="EUR", method=method, token="tok_ok")
            said.append(self.said(command, f"orchestrator/{id_}/pay/do", alone=alone))
        return await self.batches.run(said)

    def calls(self, provider: str, at_once: int, answers: asyncio.Event) -> Calls:
        async def perform(attempt: Attempt) -> Message:
            self.asked[provider].append(attempt)
            self.called.set()
            await answers.wait()
            return ProviderAnswered(order_id=attempt.order_id, attempt_id=attempt.id, outcome="captured")

        effect: Effect[Any] = Effect(ATTEMPTS, perform, at_once, only=("provider", provider))
        return Calls(effect, self.store, self.heard.put, logger("test"))

    def states(self, provider: str) -> list[AttemptState]:
        return [row.state for row in self.store.rows(ATTEMPTS) if row.provider == provider]


@pytest.fixture
async def running() -> AsyncIterator[list[tuple[Calls, asyncio.Task[None]]]]:
    found: list[tuple[Calls, asyncio.Task[None]]] = []
    yield found
    for calls, task in found:
        calls.end()
        await asyncio.wait_for(task, WITHIN_S)


async def test_one_that_hangs_holds_nobody_else_up(running: list[tuple[Calls, asyncio.Task[None]]]) -> None:
    outside, never, at_once = Outside(), asyncio.Event(), asyncio.Event()
    at_once.set()
    await outside.order("slow", 5)
    await outside.order("card", 3)
    for provider, answers in (("stripe", never), ("sandbox", at_once)):
        calls = outside.calls(provider, 2, answers)
        running.append((calls, asyncio.create_task(calls.run(WITHIN_S))))
    heard = [await asyncio.wait_for(outside.heard.get(), WITHIN_S) for _ in range(3)]
    assert {message.outcome for message in heard if isinstance(message, ProviderAnswered)} == {"captured"}
    assert len(outside.asked["sandbox"]) == 3
    assert len(outside.asked["stripe"]) == 2, "never more at once than its bound"
    assert outside.states("stripe").count(AttemptState.OPEN) == 3
    never.set()
    for _ in range(5):
        await asyncio.wait_for(outside.heard.get(), WITHIN_S)


async def test_what_is_under_way_is_finished_and_nothing_more_is_taken(
    running: list[tuple[Calls, asyncio.Task[None]]],
) -> None:
    outside, answers = Outside(), asyncio.Event()
    await outside.order("card", 3)
    calls = outside.calls("sandbox", 1, answers)
    task = asyncio.create_task(calls.run(WITHIN_S))
    await asyncio.wait_for(outside.called.wait(), WITHIN_S)
    calls.end()
    answers.set()
    await asyncio.wait_for(task, WITHIN_S)
    assert len(outside.asked["sandbox"]) == 1 and outside.heard.qsize() == 1
    assert outside.states("sandbox").count(AttemptState.OPEN) == 2


async def test_only_what_is_to_be_called_wakes_a_loop() -> None:
    """Looking for attempts is a transaction of its own: a batch of answers, or of another's, must not cause one."""
    outside = Outside()
    sandbox, stripe = (outside.calls(provider, 1, asyncio.Event()) for provider in ("sandbox", "stripe"))
    anybodys = Calls(replace(sandbox.effect, only=None), outside.store, outside.heard.put, logger("test"))
    everybody = (sandbox, stripe, anybodys)
    ordered = await outside.order("card", 1)
    for calls in everybody:
        calls.look_at(ordered)
    assert [calls.wake.is_set() for calls in everybody] == [True, False, True]
    for calls in everybody:
        calls.wake.clear()
    (attempt,) = await sandbox.effect.take(outside.store, 1)
    learned = ProviderAnswered(order_id=attempt.order_id, attempt_id=attempt.id, outcome="captured")
    answered = await outside.batches.run([outside.said(learned)])
    for calls in everybody:
        calls.look_at(answered)
    assert answered.written["attempts"] and not any(calls.wake.is_set() for calls in everybody)


async def test_nothing_is_forgotten_of_what_a_batch_committed_in_parts() -> None:
    done = await Outside().order("card", 2, alone=True)
    assert len(done.written["attempts"]) == len(done.next_due) == done.heard == done.decided == 2
    assert done.decided_types == {AuthorizePayment.topic: 2}

"""Commands, calls, answers, notices, crashes and time in any order: money is taken once, and comes free when released.

The provider's own books are the judge. In the end everything under way is let happen, and then every command has its
answer, and our rows agree with the books.
"""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contracts.message import Message
from contracts.payment import (
    AuthorizePayment,
    PaymentAuthorized,
    PaymentRefunded,
    PaymentReleased,
    ProviderAnswered,
    ProviderNotified,
    RefundPayment,
    ReleasePayment,
)
from services.payment.domain import ENDED, FIRST, AttemptState, PaymentState
from services.payment.tables import ATTEMPTS, CAPTURES, PAYMENTS, REFUNDS
from tests.support.preparing_provider import PreparingProvider
from tests.support.scripted_provider import ScriptedProvider
from tests.support.till import Till, TwoStepProvider
from tests.support.world import finish

TOKENS: Final = (
    "tok_ok",
    "tok_declined",
    "tok_error",
    "tok_timeout",
    "tok_do_then_timeout",
    "tok_pending",
    "tok_pending_then_paid",
    "tok_pending_then_failed",
    "tok_duplicate_webhook",
    "tok_webhook_first",
    "tok_ok_refund_error",
    "tok_do_then_timeout_refund_timeout",
    "tok_pending_void_timeout",
    "tok_ok_capture_error_void_timeout",
)
ORDER: Final = UUID(int=0xA)
AMOUNT: Final = 1000
ROUNDS: Final = 60
PAY, UNDO, CANCEL = "orchestrator/run/pay/do", "orchestrator/run/pay/undo", "orchestrator/cancel/release/do"


class Play:
    """One order; each step is one thing that may happen. `pick` says to which of several it happens."""

    def __init__(self, provider: type[ScriptedProvider], token: str) -> None:
        self.till = Till(provider)
        self.token = token
        self.asked: dict[str, Message] = {}
        self.answers: list[ProviderAnswered] = []
        self.heard: list[ProviderAnswered | ProviderNotified] = []
        self.lost = 0

    def hear(self, *messages: Message, keys: Sequence[str] = ()) -> None:
        finish(self.till.hears(*messages, keys=keys))

    def ask(self, key: str, command: Message) -> None:
        self.asked.setdefault(key, command)
        self.hear(self.asked[key], keys=[key])

    # -- commands ------------------------------------------------------------------------------------------------

    def authorize(self, _: int) -> None:
        self.ask(
            PAY,
            AuthorizePayment(order_id=ORDER, amount_minor=AMOUNT, currency="EUR", method="card", token=self.token),
        )

    def undo(self, _: int) -> None:
        self.ask(UNDO, ReleasePayment(order_id=ORDER, reason="undone"))

    def cancel(self, _: int) -> None:
        self.ask(CANCEL, ReleasePayment(order_id=ORDER, reason="cancelled"))

    def refund(self, pick: int) -> None:
        number = len(self.asked) + 1
        amount = (1, 400, AMOUNT)[pick % 3]
        command = RefundPayment(order_id=ORDER, refund_id=UUID(int=number), amount_minor=amount, currency="EUR")
        self.ask(f"orchestrator/refund {number}/refund/do", command)

    def ask_again(self, pick: int) -> None:
        if self.asked:
            key = sorted(self.asked)[pick % len(self.asked)]
            self.hear(self.asked[key], keys=[key])

    # -- the provider --------------------------------------------------------------------------------------------

    def take(self, _: int) -> None:
        finish(self.till.takes(3))

    def call(self, pick: int) -> None:
        if self.till.calls:
            attempt = self.till.calls.pop(pick % len(self.till.calls))
            self.answers.append(finish(self.till.calls_out(attempt)))

    def call_and_die(self, pick: int) -> None:
        """The provider heard it; nobody heard the provider."""
        if self.till.calls:
            finish(self.till.calls_out(self.till.calls.pop(pick % len(self.till.calls))))
            self.lost += 1

    def call_twice(self, pick: int) -> None:
        """Another worker, taken for dead, makes the same call later."""
        if self.till.calls:
            self.answers.append(finish(self.till.calls_out(self.till.calls[pick % len(self.till.calls)])))

    def die(self, pick: int) -> None:
        if self.till.calls:
            self.till.calls.pop(pick % len(self.till.calls))
            self.lost += 1

    def answer(self, pick: int) -> None:
        self._tell(self.answers, pick)

    def notice(self, pick: int) -> None:
        self._tell(self.till.notices, pick)

    def _tell(self, waiting: list[ProviderAnswered] | list[ProviderNotified], pick: int) -> None:
        if waiting:
            told = waiting.pop(pick % len(waiting))
            self.heard.append(told)
            self.hear(told)

    def say_again(self, pick: int) -> None:
        if self.heard:
            self.hear(self.heard[pick % len(self.heard)])

    def settle(self, pick: int) -> None:
        for pending in self.pending():
            self.till.settles(pending, paid=pick % 3 > 0)

    def time(self, _: int) -> None:
        soonest = self.till.store.next_due()
        if soonest is not None:
            self.till.now = max(self.till.now, soonest)
            finish(self.till.rings())

    # -- what holds at every instant -----------------------------------------------------------------------------

    def holds(self) -> None:
        books = self.till.provider.books()["payments"]
        assert len(books) <= 1, "one payment per order, ever"
        assert all(row["refunded_minor"] <= row["captured_minor"] <= AMOUNT for row in books)
        assert len(self.till.store.rows(CAPTURES)) <= 1
        assert self.till.store.parked == {}
        failing = [due.error for due in self.till.store.due.values() if due.error]
        assert failing == []
        called = {row["key"] for row in books}
        for payment in self.till.store.rows(PAYMENTS):
            if payment.attempt_id is None:
                continue
            first = [attempt for attempt in self.till.store.rows(ATTEMPTS) if attempt.kind in FIRST]
            for attempt in first:
                assert attempt.state is not AttemptState.WITHDRAWN or str(attempt.id) not in called
            waits = payment.state in (PaymentState.ASKED, PaymentState.WITHDRAWING)
            unknown = any(attempt.state not in ENDED for attempt in first)
            assert waits == unknown, "a payment waits exactly as long as its attempt is not known"
        for key, command in self.asked.items():
            released = isinstance(command, ReleasePayment) and isinstance(self.till.answer(key), PaymentReleased)
            if released and not self.till.notices:  # what settled after the end is given back when its notice is heard
                assert self.free(), f"{key} was answered, and the provider holds money"

    def pending(self) -> list[str]:
        return [row["id"] for row in self.till.provider.books()["payments"] if row["status"] == "pending"]

    def free(self) -> bool:
        return all(
            row["status"] in ("voided", "declined", "failed") or row["refunded_minor"] == row["captured_minor"] > 0
            for row in self.till.provider.books()["payments"]
        ) and not (self.till.calls and self.till.attempts(ORDER)[0].state is AttemptState.WITHDRAWN)

    # -- and in the end ------------------------------------------------------------------------------------------

    async def let_everything_happen(self) -> None:
        till = self.till
        for _ in range(ROUNDS):
            for pending in self.pending():
                till.settles(pending, paid=True)
            told, self.answers, till.notices = [*self.answers, *till.notices], [], []
            for message in told:
                await till.hears(message)
            await till.works()
            soonest = till.store.next_due()
            if soonest is None and not till.notices and not self.pending():
                return
            till.now = max(till.now, soonest or till.now)
            await till.rings()
        raise AssertionError(f"not quiet: {till.store.due}")

    def ends_well(self) -> None:
        for key, command in self.asked.items():
            answer = self.till.answer(key)
            assert answer is not None, f"{key} was never answered: {command}"
            assert not isinstance(answer, PaymentReleased) or self.free(), key
        for payment in self.till.store.rows(PAYMENTS):
            (row,) = self.till.provider.books()["payments"] or [{"captured_minor": 0, "refunded_minor": 0}]
            assert (payment.captured_minor, payment.refunded_minor) == (row["captured_minor"], row["refunded_minor"])
            assert (payment.refund_reserved_minor, payment.release_keys) == (0, [])
            assert isinstance(self.till.answer(PAY), PaymentAuthorized) or self.free()
        for key, command in self.asked.items():
            if isinstance(command, RefundPayment) and isinstance(self.till.answer(key), PaymentRefunded):
                assert self.till.store.row(REFUNDS, command.refund_id).state == "refunded"


Step = Callable[[Play, int], None]
STEPS: Final[tuple[Step, ...]] = (
    # what happens often stands more than once
    *(Play.take, Play.take, Play.take, Play.call, Play.call, Play.call, Play.answer, Play.answer, Play.answer),
    *(Play.time, Play.time, Play.notice, Play.notice, Play.settle, Play.undo, Play.cancel, Play.refund, Play.refund),
    *(Play.call_and_die, Play.call_twice, Play.die, Play.say_again, Play.ask_again, Play.authorize),
)


@pytest.mark.parametrize("provider", [ScriptedProvider, TwoStepProvider, PreparingProvider])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(  # an attempt that is open again may have reached the provider: it is not withdrawn
    token="tok_ok",
    first=Play.authorize,
    steps=[(step, 0) for step in (Play.take, Play.call_and_die, Play.time, Play.undo)],
)
@example(  # a release while a refund is under way gives back the rest only
    token="tok_ok",
    first=Play.authorize,
    steps=[(Play.take, 0), (Play.call, 0), (Play.answer, 0)] * 2 + [(Play.refund, 1), (Play.take, 0), (Play.cancel, 0)],
)
@given(
    token=st.sampled_from(TOKENS),
    first=st.sampled_from((Play.authorize, Play.authorize, Play.authorize, Play.undo, Play.cancel)),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), min_size=5, max_size=40),
)
def test_money_is_taken_once_and_comes_free(
    provider: type[ScriptedProvider], token: str, first: Step, steps: list[tuple[Step, int]]
) -> None:
    play = Play(provider, token)
    for step, pick in [(first, 0), *steps]:
        step(play, pick)
        play.holds()
    finish(play.let_everything_happen())
    play.ends_well()

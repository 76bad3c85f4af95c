"""The engine under any interleaving: answers late, twice, out of order, lost and asked again; every run ends.

What was done above the pivot is undone when a run is cancelled.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.frame import CommandWithdrawn
from contracts.inventory import ReservationExpired, StockCommitted, StockGone, StockHeld, StockShort
from contracts.message import Message
from contracts.order import LinesReserved, OrderRefused, RefundRefused
from contracts.payment import (
    PaymentDeclined,
    PaymentPending,
    PaymentRefundRefused,
    PaymentReleased,
    RefundPending,
    ReleasePending,
)
from contracts.shortage import Choice, LinesSettled, ShortageSettled, WithdrawRefused
from contracts.values import Address, SkuQuantity
from services.orchestrator import engine
from services.orchestrator.domain import Run
from services.orchestrator.late import LATE, SAGAS
from services.orchestrator.saga import PHASES, Answers, BadSaga, Phase, Record, Saga, Step
from shared.consumer import Ask
from tests.support.checkouts import a_checkout

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDER, RUN = UUID(int=1), UUID(int=2)
LONGEST = 2_000
"""Steps until a run must have ended: twenty patient asks of each of nine steps, and as many stray answers."""

REFUSALS: dict[str, Message] = {
    "place-order": OrderRefused(order_id=ORDER, reason="order_exists"),
    "hold-stock": StockShort(order_id=ORDER, missing=(SkuQuantity(sku="A", quantity=1),)),
    "authorize-payment": PaymentDeclined(order_id=ORDER, reason="no"),
    "commit-stock": StockGone(order_id=ORDER, missing=(SkuQuantity(sku="A", quantity=1),)),
    "withdraw-units": WithdrawRefused(order_id=ORDER, reason="too_late"),
    "open-refund": RefundRefused(order_id=ORDER, refund_id=RUN, reason="not_paid"),
    "refund-payment": PaymentRefundRefused(order_id=ORDER, refund_id=RUN, reason="not_captured"),
}


INTERIM: dict[tuple[str, str], Message] = {
    ("authorize-payment", "do"): PaymentPending(order_id=ORDER, wait_s=3600),
    ("authorize-payment", "undo"): ReleasePending(order_id=ORDER, wait_s=3600),
    ("refund-payment", "do"): RefundPending(order_id=ORDER, refund_id=RUN, wait_s=3600),
    ("release-payment", "do"): ReleasePending(order_id=ORDER, wait_s=3600),
}


def done(step: Step) -> Message:
    """The good answer to a do."""
    if step.done is StockHeld:
        return StockHeld(order_id=ORDER, until=NOW, picks=())
    if step.done is StockCommitted:
        return StockCommitted(order_id=ORDER, picks=())
    if step.done is ShortageSettled:
        return ShortageSettled(order_id=ORDER, outcome=Choice.REFUND)
    if step.done is LinesSettled:
        ship_to = Address(name="A", line1="1", city="London", country="GB")
        return LinesSettled(order_id=ORDER, refund_minor=5, currency="EUR", ship_to=ship_to)
    if step.done is LinesReserved:
        return LinesReserved(order_id=ORDER, ship_to=Address(name="A", line1="1", city="London", country="GB"))
    return step.done.model_construct(order_id=ORDER)


def undone(step: Step) -> Message:
    assert step.undone is not None
    return step.undone.model_construct(order_id=ORDER)


def new_run(saga: str, token: str | None = "tok_ok") -> Run:
    asked_for: dict[str, Any] = {"order_id": str(ORDER), "run_id": str(RUN), "storefront": "shop", "hold_for_s": 60.0}
    match saga:
        case "checkout":
            asked_for["checkout"] = a_checkout("c", {"A": 1}, token=token).model_dump(mode="json")
        case "refund":
            asked_for["refund"] = {"refund_id": "r", "amount": {"amount_minor": 5, "currency": "EUR"}}
        case "release":
            asked_for["picks"] = [{"warehouse": "north", "sku": "A", "quantity": 1}]
        case "shortage":
            asked_for |= {"shortage_id": str(RUN), "sku": "A", "warehouse": "north", "quantity": 1, "substitutes": []}
            asked_for |= {"later": NOW.isoformat(), "answer_by": (NOW + timedelta(days=2)).isoformat()}
        case "settlement":
            asked_for |= {"settles": str(RUN), "sku": "A", "warehouse": "north", "quantity": 1}
            asked_for |= {"later": NOW.isoformat(), "choice": "refund", "substitute": None}
        case "late_payment_failure":
            asked_for |= {"missing_minor": 5, "currency": "EUR", "reason": "transfer_returned"}
    return Run(RUN, saga, ORDER, ORDER, "shop", asked_for, {}, Phase.WAITING, 0, [], [], 0, NOW, "", None)


@dataclass
class Participants:
    """Everybody the saga asks, in one: the same answer to the same key, an undo before its do is remembered."""

    saga: Saga
    refuses: frozenset[str]
    answers: dict[str, Message] = field(default_factory=dict)
    standing: set[str] = field(default_factory=set)

    def answer(self, key: str) -> Message:
        _, slug, direction = engine.parse_key(key)
        if key not in self.answers:
            self.answers[key] = self._decide(slug, direction, key)
        return self.answers[key]

    def _decide(self, slug: str, direction: str, key: str) -> Message:
        step = self.saga.steps[slug]
        if direction == "undo":
            self.answers.setdefault(key.removesuffix("undo") + "do", CommandWithdrawn())
            self.standing.discard(slug)
            return undone(step)
        if slug in self.refuses:
            return REFUSALS[slug]
        self.standing.add(slug)
        return done(step)


moves = st.lists(
    st.tuples(st.sampled_from(["answer", "repeat", "lose", "ring", "expire", "wait"]), st.integers(0, 9)), max_size=60
)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(sorted(SAGAS)),
    refuses=st.sets(st.sampled_from(sorted(REFUSALS)), max_size=2),
    moves=moves,
)
def test_every_run_ends_and_leaves_nothing_behind(name: str, refuses: set[str], moves: list[tuple[str, int]]) -> None:
    saga, late, now = SAGAS[name], LATE[name], NOW
    assert INTERIM.keys() >= {(slug, "undo") for slug, step in saga.steps.items() if step.undo_waits}
    refuses &= {slug for slug, step in saga.steps.items() if step.refused}
    people = Participants(saga, frozenset(refuses))
    heard: list[str] = []
    advanced = engine.begin(saga, new_run(name), now)
    run, waiting = advanced.run, [said.key for said in advanced.said if isinstance(said, Ask)]
    chosen = iter(moves)
    for _ in range(LONGEST):
        if run.changing is None and not waiting:
            break
        what, which = next(chosen, ("answer" if waiting else "ring", 0))
        if what == "lose" and waiting:
            waiting.pop(which % len(waiting))
            continue
        if what == "expire" and name == "checkout":
            advanced = engine.hear(saga, late, run, "hold-stock", "do", ReservationExpired(order_id=ORDER), now)
        elif what == "wait" and waiting:
            _, slug, direction = engine.parse_key(waiting[which % len(waiting)])
            if (interim := INTERIM.get((slug, direction))) is None:
                continue
            advanced = engine.hear(saga, late, run, slug, direction, interim, now)
        elif what == "ring" or not (waiting or heard):
            now = max(now, run.next_ask_at) + timedelta(seconds=1)
            advanced = engine.overdue(saga, run, now)
        else:
            key = heard[which % len(heard)] if what == "repeat" and heard else None
            if key is None:
                if not waiting:
                    continue
                key = waiting.pop(which % len(waiting))
                heard.append(key)
            _, slug, direction = engine.parse_key(key)
            if direction == "extend":
                continue
            advanced = engine.hear(saga, late, run, slug, direction, people.answer(key), now)
        assert (run.phase, advanced.run.phase) in {*PHASES.pairs, (run.phase, run.phase)}
        run = advanced.run
        waiting += [said.key for said in advanced.said if isinstance(said, Ask)]
    assert run.changing is None, f"{run.phase} waits for {run.pending}"
    if run.phase is Phase.CANCELLED:
        assert not people.standing, f"done and never undone: {people.standing}"
    else:
        assert people.standing == set(run.asked) - set(refuses)
        assert all(slug in run.asked or step.applies is not None for slug, step in saga.steps.items())


@settings(max_examples=50, deadline=None)
@given(pause=st.floats(1, 10_000))
def test_a_pending_payment_is_not_given_up_while_its_method_allows(pause: float) -> None:
    saga, late = SAGAS["checkout"], LATE["checkout"]
    run = engine.begin(saga, new_run("checkout"), NOW).run
    for slug in ("place-order", "hold-stock"):
        run = engine.hear(saga, late, run, slug, "do", done(saga.steps[slug]), NOW).run
    pending = PaymentPending(order_id=ORDER, wait_s=pause)
    advanced = engine.hear(saga, late, run, "authorize-payment", "do", pending, NOW)
    assert engine.overdue(saga, advanced.run, NOW + timedelta(seconds=pause)).run == advanced.run
    assert [said.command.topic for said in advanced.said if isinstance(said, Ask)] == ["inventory.extend_hold"]


@settings(max_examples=50, deadline=None)
@given(name=st.sampled_from(["refund", "settlement"]), pause=st.floats(1, 1_000_000), asks=st.integers(0, 30))
def test_a_refund_that_takes_days_is_not_stuck_until_it_is_overdue(name: str, pause: float, asks: int) -> None:
    saga, late = SAGAS[name], LATE[name]
    run = engine.begin(saga, new_run(name), NOW).run
    while run.pending != ["refund-payment"]:
        (slug,) = run.pending
        run = engine.hear(saga, late, run, slug, "do", done(saga.steps[slug]), NOW).run
    for _ in range(asks):  # payment was away, and may have been for long
        run = engine.overdue(saga, run, run.next_ask_at).run
    assert (run.stuck_since is not None) == (asks > engine.PATIENCE_ASKS)
    heard_at = run.next_ask_at
    pending = RefundPending(order_id=ORDER, refund_id=RUN, wait_s=pause)
    run = engine.hear(saga, late, run, "refund-payment", "do", pending, heard_at).run
    end = heard_at + timedelta(seconds=pause)
    assert run.stuck_since is None and engine.overdue(saga, run, end).run == run
    assert engine.ask_now(saga, run, heard_at).run.next_ask_at == run.next_ask_at > end
    for _ in range(engine.PATIENCE_ASKS + 1):  # the statement should have shown it: a person hears of it
        run = engine.overdue(saga, run, run.next_ask_at).run
    assert run.stuck_since is not None and run.stuck_since > end
    assert engine.hear(saga, late, run, "refund-payment", "do", done(saga.steps["refund-payment"]), end).run.asks == 0


@settings(max_examples=50, deadline=None)
@given(name=st.sampled_from(["checkout", "late_payment_failure"]), pause=st.floats(1, 1_000_000))
def test_a_release_that_takes_days_is_not_stuck_until_it_is_overdue(name: str, pause: float) -> None:
    """Undone above the pivot, or a step of its own: either way nothing is said while it waits."""
    saga, late, now = SAGAS[name], LATE[name], NOW
    run = engine.begin(saga, new_run(name), now).run
    while (name == "checkout" and run.pending != ["commit-stock"]) or run.pending == ["stop-shipments"]:
        (slug,) = run.pending
        run = engine.hear(saga, late, run, slug, "do", done(saga.steps[slug]), now).run
    if name == "checkout":
        run = engine.hear(saga, late, run, "commit-stock", "do", REFUSALS["commit-stock"], now).run
    while (slug := run.pending[0]) not in ("authorize-payment", "release-payment"):
        run = engine.hear(saga, late, run, slug, "do", done(saga.steps[slug]), now).run
    direction = "undo" if run.phase is Phase.UNDOING else "do"
    waits = engine.hear(saga, late, run, slug, direction, ReleasePending(order_id=ORDER, wait_s=pause), now)
    end = now + timedelta(seconds=pause)
    assert waits.late is None and waits.said == []
    assert engine.overdue(saga, waits.run, end).run == waits.run
    run = waits.run
    for _ in range(engine.PATIENCE_ASKS + 1):
        run = engine.overdue(saga, run, run.next_ask_at).run
    assert run.stuck_since is not None and run.stuck_since > end
    free = PaymentReleased(order_id=ORDER)
    run = engine.hear(saga, late, run, slug, direction, free, end).run
    assert slug not in run.pending and run.stuck_since is None


def test_silence_while_the_payment_follows_gives_up_after_the_hold() -> None:
    saga = SAGAS["checkout"]
    run = engine.begin(saga, new_run("checkout", token=None), NOW).run
    for slug in ("place-order", "hold-stock"):
        run = engine.hear(saga, LATE["checkout"], run, slug, "do", done(saga.steps[slug]), NOW).run
    assert run.pending == ["authorize-payment"] and "authorize-payment" not in run.asked
    run = engine.overdue(saga, run, run.next_ask_at).run
    assert (run.phase, run.reason, run.pending) == (Phase.UNDOING, "no_payment", ["hold-stock"])


def test_after_the_pivot_patience_ends_in_stuck_and_never_in_undoing() -> None:
    saga = SAGAS["checkout"]
    run = engine.begin(saga, new_run("checkout"), NOW).run
    for slug in ("place-order", "hold-stock", "authorize-payment"):
        run = engine.hear(saga, LATE["checkout"], run, slug, "do", done(saga.steps[slug]), NOW).run
    for _ in range(engine.PATIENCE_ASKS + 1):
        run = engine.overdue(saga, run, run.next_ask_at).run
    assert run.phase is Phase.WAITING and run.pending == ["commit-stock"] and run.stuck_since is not None


def test_an_incomplete_table_of_late_answers_is_refused_at_import() -> None:
    saga = SAGAS["refund"]
    rows = [(heard, phase, Record()) for heard in saga.hears for phase in Phase]
    Answers(saga, rows)
    with pytest.raises(BadSaga, match="lacks"):
        Answers(saga, rows[1:])
    with pytest.raises(BadSaga, match="twice"):
        Answers(saga, [*rows, rows[0]])


@pytest.mark.parametrize(
    ("reason", "goes_on_with"),
    [("transfer_returned", "abandon-refund"), ("above_captured", "abandon-refund"), ("account_closed", None)],
)
def test_a_shortage_s_refund_is_given_up_only_when_its_money_is_gone(reason: str, goes_on_with: str | None) -> None:
    """Any other no stays with the run, which is stuck in the end, and a person sees it."""
    saga, late = SAGAS["settlement"], LATE["settlement"]
    run = engine.begin(saga, new_run("settlement"), NOW).run
    for slug in ("settle-shortage", "settle-lines"):
        run = engine.hear(saga, late, run, slug, "do", done(saga.steps[slug]), NOW).run
    refused = PaymentRefundRefused(order_id=ORDER, refund_id=RUN, reason=reason)
    assert run.pending == ["refund-payment"]
    run = engine.hear(saga, late, run, "refund-payment", "do", refused, NOW).run
    assert run.pending == [goes_on_with or "refund-payment"]

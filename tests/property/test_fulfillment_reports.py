"""Any true history of a shipment, heard in any order and with repetitions, ends where it ends in order."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.fulfillment import ReportShipment
from contracts.values import FulfillmentStatus
from services.fulfillment.domain import (
    ASIDE,
    CALLED_OFF,
    FULFILLMENT,
    IN_HOUSE,
    LINE,
    PENDING,
    Effect,
    Fulfillment,
    Verdict,
    follow,
)

DAWN = datetime(2026, 3, 2, 6, tzinfo=UTC)
SHIPMENT = UUID(int=7)
FORWARD: dict[FulfillmentStatus, tuple[FulfillmentStatus, ...]] = {
    state: tuple(sorted(to for origin, to in FULFILLMENT.pairs if origin is state)) for state in FulfillmentStatus
}


@st.composite
def histories(draw: st.DrawFn) -> list[ReportShipment]:
    """A walk through the machine as a warehouse lives it: some steps reported, each with the instant it happened."""
    state, furthest, told = PENDING, PENDING, []
    for minute in range(draw(st.integers(1, 25))):
        moves = FORWARD[state]
        if state in ASIDE:  # it is taken up where it was put aside, or called off there
            moves = tuple(to for to in moves if to is furthest or to not in IN_HOUSE)
        if not moves:
            break
        if draw(st.integers(0, 19)):  # most shipments are not called off, else histories would be short
            moves = tuple(to for to in moves if to not in CALLED_OFF)
        if draw(st.integers(0, 2)):
            moves = tuple(to for to in moves if to not in ASIDE) or moves
        state = draw(st.sampled_from(moves))
        if state in IN_HOUSE:
            furthest = state
        told.append(report(state, minute))
    kept = draw(st.lists(st.booleans(), min_size=len(told), max_size=len(told)))
    last = len(told) - 1
    return [item for n, item in enumerate(told) if kept[n] or n == last or item.status in ASIDE]


def report(status: FulfillmentStatus, minute: int) -> ReportShipment:
    return ReportShipment(
        report_id=f"{status}-{minute}",
        fulfillment_id=SHIPMENT,
        status=status,
        occurred_at=DAWN + timedelta(minutes=minute),
    )


def hear(reports: list[ReportShipment]) -> tuple[Fulfillment, list[FulfillmentStatus], list[Effect], list[Verdict]]:
    at = Fulfillment(SHIPMENT, uuid4(), "north", {}, [], version=1)
    path, effects, verdicts = [at.state], [], []
    for item in reports:
        followed = follow(at, item)
        if followed is None:
            continue
        for step in followed.steps:
            assert step.version == at.version + 1
            path.append(step.state)
            at = step
        effects += sorted(followed.effects)
        verdicts.append(followed.verdict)
    return at, path, effects, verdicts


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_order_and_repetition_of_a_true_history_ends_in_the_same_state(data: st.DataObject) -> None:
    history = data.draw(histories())
    in_order, _, _, verdicts = hear(history)
    assert Verdict.CONTRADICTED not in verdicts
    assert in_order.state == history[-1].status
    again = data.draw(st.lists(st.sampled_from(history), max_size=10))
    shuffled = data.draw(st.permutations(history + again))
    ended, path, effects, _ = hear(shuffled)
    assert (ended.state, ended.reached) == (in_order.state, in_order.reached)
    left = ended.state in ("shipped", "delivered", "lost")
    assert effects.count(Effect.SHIP_STOCK) == (1 if left else 0)
    moves = [(a, b) for a, b in pairwise(path) if a is not b]
    assert set(moves) <= FULFILLMENT.pairs


@settings(deadline=None)
@given(st.lists(st.builds(report, st.sampled_from(FulfillmentStatus), st.integers(0, 30)), max_size=30))
def test_not_even_nonsense_raises_moves_illegally_or_ships_twice(reports: list[ReportShipment]) -> None:
    ended, path, effects, _ = hear(reports)
    moves = [(a, b) for a, b in pairwise(path) if a is not b]
    assert set(moves) <= FULFILLMENT.pairs
    assert effects.count(Effect.SHIP_STOCK) == (1 if "shipped" in path else 0)
    assert ended.reached in (*LINE, "lost")

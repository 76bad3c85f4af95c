"""The facts of any shipments, in any order and however often, leave the order where they leave it in order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.fulfillment import FulfillmentProgressed
from contracts.order import ConfirmOrder
from contracts.values import FulfillmentStatus
from services.order.lifecycle import OrderState
from services.order.shipments import NEARNESS
from services.order.tables import SHIPMENTS
from tests.support.orders import ORDER, OrderDesk, place, progressed
from tests.support.world import START

F = FulfillmentStatus
LINE = (F.PENDING, F.ACKNOWLEDGED, F.PICKING, F.PICKED, F.PACKING, F.PACKED, F.LABELED, F.SHIPPED, F.DELIVERED)
ASIDE = (F.ON_HOLD, F.AWAITING_STOCK)


@st.composite
def lives(draw: st.DrawFn, shipment: int, sku: str) -> list[FulfillmentProgressed]:
    """A shipment's true life: some way along the line, set aside now and then, called off early or lost late."""
    steps: list[FulfillmentStatus] = []
    for status in LINE[: draw(st.integers(1, len(LINE)))]:
        steps.append(status)
        if status in LINE[:4] and draw(st.booleans()):
            steps += [draw(st.sampled_from(ASIDE)), status]
    if steps[-1] in LINE[:6] and draw(st.booleans()):  # before its label: after it the order says fulfilled, and stays
        steps.append(draw(st.sampled_from([F.CANCELLED, F.REJECTED])))
    elif steps[-1] is F.SHIPPED and draw(st.booleans()):
        steps.append(F.LOST)
    asked, packed = draw(st.integers(1, 4)), draw(st.integers(1, 4))  # a line can be cut down before it is packed
    return [
        progressed(
            status,
            [(sku, asked if status in (*LINE[:5], *ASIDE) else packed)],
            shipment=shipment,
            tracking_number=f"T{shipment}" if status in LINE[6:] and draw(st.booleans()) else "",
        ).model_copy(update={"occurred_at": START + timedelta(minutes=minute)})
        for minute, status in enumerate(steps)
    ]


def heard(facts: Sequence[FulfillmentProgressed], confirmed_after: int = 0, together: bool = False) -> Any:
    desk = OrderDesk()
    desk.asks(place())
    for number, fact in enumerate(facts):
        if number == confirmed_after:
            desk.world.until_quiet()
            desk.asks(ConfirmOrder(order_id=ORDER))
        desk.world.puts(fact, source="fulfillment")
        if not together:
            desk.world.until_quiet()
    desk.world.until_quiet()
    if confirmed_after >= len(facts):
        desk.asks(ConfirmOrder(order_id=ORDER))
    store = desk.world.store("order")
    assert not store.parked and all(row.name for row in store.due.values()), "no fact is refused or set aside"
    assert [line.sequence for line in desk.story()] == list(range(1, desk.order().last_sequence + 1))
    return (
        desk.order().state,
        [replace(item, version=0) for item in desk.items()],
        [replace(row, version=0) for row in store.rows(SHIPMENTS)],
    )


@settings(max_examples=150, deadline=None)
@given(lives(1, "cup"), lives(2, "cup"), lives(3, "pot"), st.data())
def test_any_interleaving_and_repetition_ends_the_same(
    first: list[FulfillmentProgressed],
    second: list[FulfillmentProgressed],
    third: list[FulfillmentProgressed],
    data: st.DataObject,
) -> None:
    facts = first + second + third
    again = data.draw(st.lists(st.sampled_from(facts), max_size=5))
    shuffled = data.draw(st.permutations(facts + again))
    confirmed_after = data.draw(st.integers(0, len(shuffled)))
    assert heard(shuffled, confirmed_after, data.draw(st.booleans())) == heard(facts)


@settings(max_examples=50, deadline=None)
@given(lives(1, "cup"), lives(2, "pot"))
def test_a_repeated_fact_is_told_once(first: list[FulfillmentProgressed], second: list[FulfillmentProgressed]) -> None:
    once, twice = OrderDesk().paid(), OrderDesk().paid()
    for fact in first + second:
        once.hears(fact)
        twice.hears(fact)
        twice.hears(fact)
    assert len(once.story()) == len(twice.story())
    assert [event.topic for event in once.told()] == [event.topic for event in twice.told()]


def test_every_status_has_its_rank_and_an_order_never_skips_being_paid() -> None:
    assert sorted(NEARNESS) == sorted(FulfillmentStatus)
    assert heard([progressed(F.DELIVERED)], confirmed_after=1)[0] is OrderState.DELIVERED

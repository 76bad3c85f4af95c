"""Units that were promised are not there after all: whom it hits, what is offered, and what becomes of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.inventory import ReceiveStock, StockReceipt
from contracts.order import (
    OrderCancelledEvent,
    OrderRefundedEvent,
    OrderShortageEvent,
    OrderShortageSettledEvent,
    OrderStockArrivedEvent,
)
from contracts.product import DescribeProduct
from contracts.shortage import AlternativesOffered, Choice, ShortageAnswerRefused, TakeBackStock
from contracts.values import FulfillmentStatus
from contracts.warehousing import CorrectStock
from services.inventory.tables import RESERVATIONS, SHORT_LINES, SHORTAGES, WAITING_LINES
from services.order.lifecycle import ItemStatus, OrderState
from services.order.tables import ITEMS
from tests.support.checkouts import a_checkout
from tests.support.parcels import deliver, report, shipments, withhold
from tests.support.shortages import (
    a_world,
    answer,
    ended,
    lose,
    order_of,
    paid_back,
    shelf,
    told,
)
from tests.support.world import START, finish


def test_the_last_promise_is_hit_first_and_no_more_than_is_missing() -> None:
    world = a_world(tea=6, assam=5)
    for number in (1, 2, 3):
        world.hears(a_checkout(f"c-{number}", {"tea": 2}))
    lose(world, 3)
    assert [(event.checkout_id, event.detail["quantity"]) for event in told(world, OrderShortageEvent)] == [
        ("c-3", "2"),
        ("c-2", "1"),
    ]
    assert shelf(world) == (3, 0, 3, 0), "what they are asked for is not promised any more"
    assert {(id_, tuple(picks)) for id_, picks in shipments(world)} == {
        (id_, (("tea", units),)) for (id_, _), units in zip(shipments(world), (2, 1), strict=True)
    }


def test_silence_is_the_money_back() -> None:
    world = a_world(tea=5)
    world.hears(a_checkout("c-1", {"tea": 5}, unit_price_minor=1_000, tax_minor=101, shipping_minor=490))
    lose(world, 2)
    world.passes(hours=47)
    assert paid_back(world) == 0
    world.passes(hours=2)
    assert paid_back(world) == 2_040, "two fifths of the line with its tax, to the cent"
    [settled] = told(world, OrderShortageSettledEvent)
    assert (settled.detail["outcome"], settled.detail["refund_minor"]) == ("refund", "2040")
    assert told(world, OrderRefundedEvent)[-1].refunded_minor == 2_040
    deliver(world)
    assert order_of(world, "c-1").state is OrderState.DELIVERED
    assert shelf(world) == (0, 0, 0, 0) and ended(world)


def test_two_refunds_of_a_line_add_up_to_the_line() -> None:
    world = a_world(tea=3)
    world.hears(a_checkout("c-1", {"tea": 3}, unit_price_minor=333, tax_minor=2, shipping_minor=0))
    for times in range(3):
        lose(world, 1, reference=f"broken-{times}")
        answer(world, Choice.REFUND)
    order = order_of(world, "c-1")
    assert (order.state, order.refunded_minor, paid_back(world)) == (OrderState.CANCELLED, 1_001, 1_001)
    [reservation] = world.store("inventory").rows(RESERVATIONS)
    assert reservation.status == "released" and ended(world)
    assert told(world, OrderCancelledEvent)[0].reason == "shortage"


def test_when_nothing_is_left_the_shipping_goes_back_too() -> None:
    world = a_world(tea=2)
    world.hears(a_checkout("c-1", {"tea": 2}, shipping_minor=490))
    lose(world, 2)
    answer(world, Choice.REFUND)
    order = order_of(world, "c-1")
    assert order.state is OrderState.CANCELLED and paid_back(world) == order.total_minor
    assert shipments(world) == [] and ended(world)


def test_a_substitute_comes_at_the_same_price() -> None:
    world = a_world(tea=2, assam=5)
    world.hears(a_checkout("c-1", {"tea": 2}))
    lose(world, 1)
    answer(world, Choice.SUBSTITUTE, "assam")
    assert shelf(world, "assam") == (5, 0, 1, 0)
    assert sorted(picks for _, picks in shipments(world)) == [[("assam", 1)], [("tea", 1)]]
    deliver(world)
    assert order_of(world, "c-1").state is OrderState.DELIVERED
    assert paid_back(world) == 0 and ended(world)


def test_a_delivered_substitute_does_not_hide_that_the_rest_is_missing() -> None:
    """Found by the simulator, seed 4744: what was labeled counted as the line's own SKU, and no money went back."""
    world = a_world(tea=2, assam=5)
    world.hears(a_checkout("c-1", {"tea": 2}, unit_price_minor=700, tax_minor=0, shipping_minor=0))
    lose(world, 1)
    answer(world, Choice.SUBSTITUTE, "assam")
    deliver(world, "assam")
    lose(world, 1, reference="also-broken")
    answer(world, Choice.REFUND)
    assert (order_of(world, "c-1").state, paid_back(world)) == (OrderState.DELIVERED, 700)
    assert ended(world)


def test_a_substitute_takes_nothing_from_the_line_that_wanted_it_itself() -> None:
    """Found by the simulator, seed 102676: the first line's substitute took the unit of the second, delivered line."""
    world = a_world(tea=1, assam=5)
    world.hears(a_checkout("c-1", {"tea": 1, "assam": 1}))
    lose(world, 1)
    deliver(world, "assam")
    answer(world, Choice.SUBSTITUTE, "assam")
    assert sorted(item.delivered_quantity for item in world.store("order").rows(ITEMS)) == [0, 1]
    deliver(world)
    assert order_of(world, "c-1").state is OrderState.DELIVERED and ended(world)


def test_a_substitute_that_comes_short_itself_is_settled_on_the_line_it_was_sent_for() -> None:
    """Found by the simulator, seed 304609: no line of that SKU was left to settle, and the order waited for ever."""
    world = a_world(tea=2, assam=2)
    world.hears(a_checkout("c-1", {"tea": 2}, unit_price_minor=700, tax_minor=0, shipping_minor=0))
    lose(world, 1)
    answer(world, Choice.SUBSTITUTE, "assam")
    lose(world, 2, "assam", reference="assam-too")
    answer(world, Choice.REFUND)
    [item] = world.store("order").rows(ITEMS)
    assert (item.cancelled_quantity, item.substitutes, paid_back(world)) == (1, {}, 700)
    deliver(world)
    assert order_of(world, "c-1").state is OrderState.DELIVERED and ended(world)


def test_a_substitute_that_is_gone_is_the_money_back() -> None:
    world = a_world(tea=2, assam=1)
    world.hears(a_checkout("c-1", {"tea": 2}))
    lose(world, 2)
    answer(world, Choice.SUBSTITUTE, "assam")
    assert told(world, OrderShortageSettledEvent)[0].detail["outcome"] == "refund"
    assert order_of(world, "c-1").state is OrderState.CANCELLED and ended(world)


def test_who_waits_is_served_when_it_comes_and_before_newcomers() -> None:
    world = a_world(tea=3)
    world.hears(a_checkout("c-1", {"tea": 3}))
    lose(world, 3)
    answer(world, Choice.WAIT)
    [item] = world.store("order").rows(ITEMS)
    assert item.status is ItemStatus.BACKORDERED
    assert told(world, OrderShortageSettledEvent)[0].detail["outcome"] == "wait"
    world.hears(a_checkout("c-2", {"tea": 1}))
    receipt = StockReceipt(sku="tea", warehouse="north", quantity=3)
    world.puts(ReceiveStock(reference="second", receipts=(receipt,)), source="warehouse")
    world.hears(a_checkout("c-3", {"tea": 1}))
    assert [event.checkout_id for event in told(world, OrderStockArrivedEvent)] == ["c-1"]
    assert {event.checkout_id for event in told(world, OrderCancelledEvent)} == {"c-2", "c-3"}
    deliver(world)
    assert order_of(world, "c-1").state is OrderState.DELIVERED and ended(world)


def test_who_waits_already_waits_for_all_of_it() -> None:
    """Found by the simulator, seed 100025: the line joined its queue a second time before it had left it."""
    world = a_world(tea=3)
    world.hears(a_checkout("c-1", {"tea": 3}))
    for reference in ("broken", "broken-too"):
        lose(world, 1, reference=reference)
        answer(world, Choice.WAIT)
        world.passes(hours=1)
    [line] = world.store("inventory").rows(WAITING_LINES)
    assert (line.quantity, line.promised_at) == (2, START + timedelta(days=10))
    receipt = StockReceipt(sku="tea", warehouse="north", quantity=2)
    world.hears(ReceiveStock(reference="more", receipts=(receipt,)), source="warehouse")
    assert sorted(picks for _, picks in shipments(world)) == [[("tea", 1)], [("tea", 2)]]
    deliver(world)
    assert order_of(world, "c-1").state is OrderState.DELIVERED and ended(world)


def test_what_has_left_was_there_and_somebody_else_is_asked() -> None:
    world = a_world(tea=4)
    world.hears(a_checkout("c-1", {"tea": 2}))
    world.hears(a_checkout("c-2", {"tea": 2}))
    (_, _), (last, _) = shipments(world)
    report(world, last, FulfillmentStatus.LABELED)
    lose(world, 2)
    assert [event.checkout_id for event in told(world, OrderShortageEvent)] == ["c-1"]
    assert {line.state.value for line in world.store("inventory").rows(SHORT_LINES)} == {"kept", "taken_back"}
    answer(world, Choice.REFUND)
    deliver(world)
    assert order_of(world, "c-2").state is OrderState.DELIVERED and ended(world)


def test_a_hold_that_is_not_paid_is_simply_over() -> None:
    world = a_world(tea=2)
    world.hears(a_checkout("c-1", {"tea": 2}, token=None))
    lose(world, 1)
    assert [(event.checkout_id, event.reason) for event in told(world, OrderCancelledEvent)] == [("c-1", "stock_gone")]
    assert shelf(world) == (1, 0, 0, 0) and ended(world)


def test_a_kit_is_short_of_its_part() -> None:
    world = a_world(tea=4, cup=2)
    kit = {"sku": "gift", "supply": "kit", "parts": {"tea": 2, "cup": 1}, "as_of": START}
    world.hears(DescribeProduct.model_validate(kit), source="ops")
    world.hears(a_checkout("c-1", {"gift": 2}))
    lose(world, 1)
    [short] = told(world, OrderShortageEvent)
    assert (short.detail["sku"], short.detail["quantity"]) == ("gift", "1")
    assert shelf(world) == (3, 0, 2, 0) and shelf(world, "cup") == (2, 0, 1, 0)
    answer(world, Choice.WAIT)
    assert told(world, OrderShortageSettledEvent)[0].detail["outcome"] == "refund", "nobody waits for a kit"
    deliver(world)
    assert order_of(world, "c-1").state is OrderState.DELIVERED and ended(world)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shortage_id": UUID(int=1)}, "unknown_shortage"),
        ({"order_id": UUID(int=1)}, "unknown_shortage"),
        ({"choice_": Choice.SUBSTITUTE, "substitute_": "gold"}, "substitute_not_offered"),
    ],
)
def test_an_answer_to_something_else_is_refused_by_name(changes: dict[str, Any], reason: str) -> None:
    world = a_world(tea=2)
    world.hears(a_checkout("c-1", {"tea": 2}))
    lose(world, 1)
    choice, substitute = changes.pop("choice_", Choice.REFUND), changes.pop("substitute_", None)
    answer(world, choice, substitute, **changes)
    assert [refused.reason for refused in told(world, ShortageAnswerRefused)] == [reason]
    assert told(world, OrderShortageSettledEvent) == []


def test_two_shelves_short_of_one_order_are_settled_one_by_one() -> None:
    """Found by the simulator, seed 401259: the first answer settled both, and the second found the promise closed."""
    world = a_world(tea=1)
    world.hears(ReceiveStock(reference="south", receipts=(StockReceipt(sku="tea", warehouse="south", quantity=1),)))
    world.hears(a_checkout("c-1", {"tea": 2}, unit_price_minor=700, tax_minor=0, shipping_minor=0))
    lose(world, 1)
    fact = CorrectStock(reference="south-too", sku="tea", warehouse="south", delta=-1, reason="broken", by="ann")
    world.hears(fact, source="ops")
    [first, _] = told(world, OrderShortageEvent)
    answer(world, Choice.REFUND, shortage_id=first.detail["shortage_id"])
    answer(world, Choice.WAIT)
    receipt = StockReceipt(sku="tea", warehouse="north", quantity=1)
    world.hears(ReceiveStock(reference="more", receipts=(receipt,)), source="warehouse")
    deliver(world)
    assert (order_of(world, "c-1").state, paid_back(world)) == (OrderState.DELIVERED, 700)
    assert ended(world)


def test_a_promise_ends_when_the_last_of_its_shortages_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the simulator, seed 608321: units that had left were kept last, and the reservation stayed open."""
    world = a_world(tea=1, pot=1)
    world.hears(a_checkout("c-1", {"tea": 1, "pot": 1}))
    for sku in ("pot", "tea"):  # at the same instant: the second waits until the order is not being changed
        fact = CorrectStock(reference=sku, sku=sku, warehouse="north", delta=-1, reason="broken", by="ann")
        world.puts(fact, source="ops")
    withhold(monkeypatch, world, TakeBackStock)
    world.until_quiet()
    deliver(world)  # the tea leaves while the pot is still promised
    monkeypatch.undo()
    world.passes(seconds=0.1)
    [offered] = told(world, OrderShortageEvent)
    answer(world, Choice.REFUND)
    world.passes(minutes=5)
    assert {line.state.value for line in world.store("inventory").rows(SHORT_LINES)} == {"settled", "kept"}
    [reservation] = world.store("inventory").rows(RESERVATIONS)
    assert (offered.detail["sku"], reservation.status) == ("pot", "shipped")


def test_who_answers_before_we_know_that_they_were_told_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the demo: an answer that overtook our own reply was refused, and silence gave the money back."""
    world = a_world(tea=2)
    withhold(monkeypatch, world, AlternativesOffered)
    world.hears(a_checkout("c-1", {"tea": 2}))
    lose(world, 1)
    answer(world, Choice.WAIT)
    monkeypatch.undo()
    world.passes(minutes=5)
    assert told(world, ShortageAnswerRefused) == []
    assert [settled.detail["outcome"] for settled in told(world, OrderShortageSettledEvent)] == ["wait"]


def test_the_first_answer_counts_and_the_same_again_changes_nothing() -> None:
    world = a_world(tea=2, assam=2)
    world.hears(a_checkout("c-1", {"tea": 2}))
    lose(world, 1)
    answer(world, Choice.SUBSTITUTE, "assam")
    answer(world, Choice.SUBSTITUTE, "assam")
    assert told(world, ShortageAnswerRefused) == []
    answer(world, Choice.REFUND)
    assert [refused.reason for refused in told(world, ShortageAnswerRefused)] == ["already_answered"]
    assert len(told(world, OrderShortageSettledEvent)) == 1 and paid_back(world) == 0


def test_an_answer_after_the_deadline_is_too_late() -> None:
    world = a_world(tea=2)
    world.hears(a_checkout("c-1", {"tea": 2}))
    lose(world, 1)
    world.passes(hours=49)
    answer(world, Choice.WAIT)
    assert [refused.reason for refused in told(world, ShortageAnswerRefused)] == ["already_answered"]
    assert told(world, OrderShortageSettledEvent)[0].detail["outcome"] == "refund"


def test_units_that_come_back_before_anybody_is_asked_settle_it() -> None:
    world = a_world(tea=2)
    world.hears(a_checkout("c-1", {"tea": 2}))
    fact = {"sku": "tea", "warehouse": "north", "reason": "mistaken", "by": "ann"}
    world.puts(CorrectStock.model_validate({"reference": "down", "delta": -1, **fact}), source="ops")
    world.puts(CorrectStock.model_validate({"reference": "up", "delta": 1, **fact}), source="ops")
    world.until_quiet()
    world.passes(seconds=0)
    assert told(world, OrderShortageEvent) == [] and ended(world)
    assert {row.state.value for row in world.store("inventory").rows(SHORTAGES)} == {"settled"}


def test_a_search_whose_worker_died_is_made_again() -> None:
    world = a_world(tea=2)
    world.hears(a_checkout("c-1", {"tea": 2}))
    member = world.members["inventory"]
    part, member.part = member.part, replace(member.part, effects=())  # nobody searches
    lose(world, 1)
    assert [row.state.value for row in world.store("inventory").rows(SHORTAGES)] == ["open"]
    taken = finish(part.effects[0].take(member.store, 1))
    assert len(taken) == 1, "a worker has it, and dies"
    member.part = part
    world.until_quiet()
    assert told(world, OrderShortageEvent) == []
    world.passes(seconds=31)
    assert [event.checkout_id for event in told(world, OrderShortageEvent)] == ["c-1"]

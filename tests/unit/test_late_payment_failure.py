"""A transfer that had paid is called back: what has not left is stopped, and everybody is told."""

from typing import Any
from uuid import UUID

import pytest

from contracts.inventory import ReceiveStock, StockReceipt, WaitingServed
from contracts.order import (
    OrderCancelledEvent,
    OrderConfirmedEvent,
    OrderPaymentFailedEvent,
    OrderPaymentPendingEvent,
    OrderShortageEvent,
)
from contracts.payment import PaymentFailed, ProviderNotified
from contracts.product import DescribeProduct
from contracts.shortage import AnswerShortage, Choice, ShortageAnswerRefused, UnitsKept
from contracts.statement import BookedEntry, BookStatement
from contracts.values import FulfillmentStatus, Pick
from contracts.warehousing import CorrectStock
from services.inventory.tables import BACKLOGS, RESERVATIONS, SHELVES, SHORT_LINES, WAITING_LINES
from services.orchestrator.saga import Phase
from services.orchestrator.tables import RUNS
from services.order.lifecycle import ItemStatus, OrderState
from services.order.tables import ITEMS, ORDERS
from services.payment.domain import PaymentState
from services.payment.tables import PAYMENTS
from tests.simulation.invariants import broken_now
from tests.support.bank import ACCOUNT, DAY, ScriptedBank
from tests.support.checkouts import a_checkout
from tests.support.company import company
from tests.support.parcels import deliver, report, shipments, withhold
from tests.support.world import START, World

LABELED, SHIPPED = FulfillmentStatus.LABELED, FulfillmentStatus.SHIPPED


def a_world(*stock: tuple[str, str, int]) -> World:
    """Everybody pays by transfer; stock as (sku, warehouse, units)."""
    world = World(parts=lambda _: company(ScriptedBank()))
    receive(world, *stock, reference="first")
    mug = {"sku": "mug", "supply": "backorder", "limit": 9, "lead_days": 7, "as_of": START}
    world.hears(DescribeProduct.model_validate(mug), source="ops")
    return world


def receive(world: World, *stock: tuple[str, str, int], reference: str) -> None:
    receipts = tuple(StockReceipt(sku=sku, warehouse=where, quantity=units) for sku, where, units in stock)
    world.hears(ReceiveStock(reference=reference, receipts=receipts), source="warehouse")


def books(world: World, *kinds: str) -> None:
    """A statement shows the transfer, or that it was called back, or both."""
    [pending] = told(world, OrderPaymentPendingEvent)
    entries = tuple(
        BookedEntry(
            bank_reference=kind,
            booked_on=DAY,
            amount_minor=-pending.total_minor if kind == "called back" else pending.total_minor,
            currency=pending.currency,
            reversal=kind == "called back",
            reference=pending.detail["quote"],
        )
        for kind in kinds
    )
    world.hears(BookStatement(account=ACCOUNT, statement="+".join(kinds), entries=entries, by="grace"), source="ops")


def paid(world: World, **lines: int) -> UUID:
    """An order that is paid for, and what it is called."""
    world.hears(a_checkout("c-1", lines, method="transfer"))
    books(world, "paid")
    [confirmed] = told(world, OrderConfirmedEvent)
    return UUID(str(confirmed.order_id))


def told(world: World, type_: type[Any]) -> list[Any]:
    return [event for event in world.told("demo-shop") if isinstance(event, type_)]


def the(world: World, service: str, table: Any) -> Any:
    [row] = world.store(service).rows(table)
    return row


def shelf(world: World, sku: str, warehouse: str = "north") -> tuple[int, int, int]:
    row = world.store("inventory").row(SHELVES, sku, warehouse)
    return row.on_hand, row.held, row.allocated


def failures(world: World) -> list[Phase]:
    return [run.phase for run in world.store("orchestrator").rows(RUNS) if run.saga == "late_payment_failure"]


def shipment_of(world: World, sku: str) -> UUID:
    [found] = [id_ for id_, picks in shipments(world) if sku in dict(picks)]
    return found


def test_nothing_has_left_so_the_order_is_off() -> None:
    world = a_world(("tea", "north", 5), ("cup", "south", 5))
    paid(world, tea=2, cup=1)
    assert len(shipments(world)) == 2
    books(world, "called back")
    order = the(world, "order", ORDERS)
    assert order.state is OrderState.CANCELLED and {item.status for item in world.store("order").rows(ITEMS)} == {
        ItemStatus.CANCELLED
    }
    [cancelled] = told(world, OrderCancelledEvent)
    assert (cancelled.reason, cancelled.detail) == (
        "payment_failed",
        {"missing_minor": str(order.total_minor), "currency": "EUR", "cancelled": "cup: 1, tea: 2"},
    )
    assert shipments(world) == [], "the warehouses were told"
    assert (shelf(world, "tea"), shelf(world, "cup", "south")) == ((5, 0, 0), (5, 0, 0))
    assert the(world, "inventory", RESERVATIONS).status == "released"
    payment = the(world, "payment", PAYMENTS)
    assert (payment.state, payment.refunded_minor) == (PaymentState.RETURNED, 0), "the bank gave it back already"
    assert (order.refunded_minor, failures(world), broken_now(world)) == (0, [Phase.COMPLETED], [])


def test_a_second_failure_finds_nothing_left_to_stop() -> None:
    world = a_world(("tea", "north", 5))
    order_id = paid(world, tea=2)
    books(world, "called back")
    said = len(world.told("demo-shop"))
    world.hears(PaymentFailed(order_id=order_id, missing_minor=1, currency="EUR", reason="again"), source="payment")
    assert failures(world) == [Phase.COMPLETED] * 2 and len(world.told("demo-shop")) == said
    assert shelf(world, "tea") == (5, 0, 0) and broken_now(world) == []


def test_what_has_left_stays_sold_and_the_rest_is_stopped() -> None:
    world = a_world(("tea", "north", 5), ("cup", "south", 5))
    paid(world, tea=2, cup=1)
    report(world, shipment_of(world, "tea"), SHIPPED)
    books(world, "called back")
    [failed] = told(world, OrderPaymentFailedEvent)
    assert (failed.reason, failed.detail["cancelled"]) == ("transfer_returned", "cup: 1")
    assert told(world, OrderCancelledEvent) == [] and [picks for _, picks in shipments(world)] == [[("tea", 2)]]
    assert (shelf(world, "tea"), shelf(world, "cup", "south")) == ((3, 0, 0), (5, 0, 0))
    assert the(world, "inventory", RESERVATIONS).status == "shipped"
    assert the(world, "order", ORDERS).state is OrderState.SHIPPED, "all that is to come has left"
    assert the(world, "payment", PAYMENTS).state is PaymentState.CAPTURED
    deliver(world)
    assert the(world, "order", ORDERS).state is OrderState.DELIVERED and broken_now(world) == []


def test_a_parcel_that_is_labeled_leaves_after_all() -> None:
    world = a_world(("tea", "north", 5), ("cup", "south", 5))
    paid(world, tea=2, cup=1)
    report(world, shipment_of(world, "tea"), LABELED)
    books(world, "called back")
    assert (shelf(world, "tea"), shelf(world, "cup", "south")) == ((5, 0, 2), (5, 0, 0)), "allocated until it ships"
    assert the(world, "inventory", RESERVATIONS).status == "committed"
    assert the(world, "order", ORDERS).state is OrderState.FULFILLED
    deliver(world)
    assert shelf(world, "tea") == (3, 0, 0) and the(world, "inventory", RESERVATIONS).status == "shipped"
    assert the(world, "order", ORDERS).state is OrderState.DELIVERED and broken_now(world) == []


def test_when_all_of_it_has_left_the_customer_is_told_and_nothing_else_happens() -> None:
    world = a_world(("tea", "north", 5))
    paid(world, tea=2)
    deliver(world)
    books(world, "called back")
    [failed] = told(world, OrderPaymentFailedEvent)
    assert set(failed.detail) == {"missing_minor", "currency"} and failed.state == "delivered"
    assert shelf(world, "tea") == (3, 0, 0) and the(world, "order", ORDERS).state is OrderState.DELIVERED
    assert failures(world) == [Phase.COMPLETED] and broken_now(world) == []


def test_a_hold_that_is_lost_stops_what_was_not_captured_yet() -> None:
    """Paid per shipment: the first parcel is captured, and then the provider lets the rest go."""
    world = World()
    receive(world, ("tea", "north", 5), ("cup", "south", 5), reference="first")
    world.hears(a_checkout("c-1", {"tea": 2, "cup": 1}, method="bnpl"))
    report(world, shipment_of(world, "tea"), SHIPPED)
    payment = the(world, "payment", PAYMENTS)
    lost = ProviderNotified(
        order_id=payment.order_id,
        attempt_id=payment.attempt_id,
        notice_id="lost",
        status="voided",
        provider_payment_id=payment.provider_payment_id,
    )
    world.hears(lost, source="payment")
    [failed] = told(world, OrderPaymentFailedEvent)
    assert failed.detail["cancelled"] == "cup: 1"
    assert int(failed.detail["missing_minor"]) == failed.total_minor - payment.captured_minor
    assert shelf(world, "cup", "south") == (5, 0, 0) and [picks for _, picks in shipments(world)] == [[("tea", 2)]]
    deliver(world)
    assert the(world, "order", ORDERS).state is OrderState.DELIVERED
    assert the(world, "payment", PAYMENTS).captured_minor == payment.captured_minor, "nothing more is taken"
    assert broken_now(world) == []


def test_who_only_waits_for_stock_leaves_the_queue() -> None:
    world = a_world(("tea", "north", 5))
    paid(world, mug=3)
    assert the(world, "inventory", WAITING_LINES).queue == "mug" and shipments(world) == []
    books(world, "called back")
    assert the(world, "order", ORDERS).state is OrderState.CANCELLED
    assert the(world, "inventory", WAITING_LINES).queue is None and the(world, "inventory", BACKLOGS).units == 0
    receive(world, ("mug", "north", 3), reference="later")
    assert shelf(world, "mug") == (3, 0, 0) and shipments(world) == [] and broken_now(world) == []


def test_what_is_still_to_come_is_not_waited_for_when_a_parcel_has_left() -> None:
    world = a_world(("tea", "north", 5))
    paid(world, tea=2, mug=3)
    report(world, shipment_of(world, "tea"), SHIPPED)
    books(world, "called back")
    assert told(world, OrderPaymentFailedEvent)[0].detail["cancelled"] == "mug: 3"
    assert the(world, "inventory", BACKLOGS).units == 0
    assert the(world, "inventory", RESERVATIONS).status == "shipped", "nothing is promised for later any more"
    assert the(world, "order", ORDERS).state is OrderState.SHIPPED and broken_now(world) == []


def test_it_waits_until_the_order_is_not_being_changed() -> None:
    """Paid and called back in one statement: the checkout completes first, and then nothing of it is sent."""
    world = a_world(("tea", "north", 5))
    world.hears(a_checkout("c-1", {"tea": 2}, method="transfer"))
    books(world, "paid", "called back")
    world.passes(minutes=1)
    assert len(told(world, OrderConfirmedEvent)) == 1
    assert the(world, "order", ORDERS).state is OrderState.CANCELLED and shipments(world) == []
    assert shelf(world, "tea") == (5, 0, 0) and broken_now(world) == []


def test_a_checkout_that_did_not_complete_has_nothing_to_stop() -> None:
    world = a_world(("tea", "north", 5))
    world.hears(a_checkout("c-1", {"tea": 9}, method="transfer"))
    [cancelled] = told(world, OrderCancelledEvent)
    fact = PaymentFailed(order_id=cancelled.order_id, missing_minor=1, currency="EUR", reason="transfer_returned")
    world.hears(fact, source="payment")
    assert failures(world) == [] and len(told(world, OrderCancelledEvent)) == 1


def test_stock_that_came_meanwhile_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inventory served the order, and its word of that was heard after the money had gone."""
    world = a_world(("tea", "north", 5))
    order_id = paid(world, mug=3)
    withhold(monkeypatch, world, WaitingServed)
    receive(world, ("mug", "north", 3), reference="later")
    assert shelf(world, "mug") == (3, 0, 3)
    books(world, "called back")
    assert shelf(world, "mug") == (3, 0, 0)
    monkeypatch.undo()
    world.passes(minutes=1)
    picks = (Pick(warehouse="north", sku="mug", quantity=3),)
    assert WaitingServed in [type(said) for said in world.said_to("orchestrator")]
    world.hears(WaitingServed(order_id=order_id, serving_id=UUID(int=9), picks=picks), source="inventory")
    assert shipments(world) == [] and the(world, "order", ITEMS).status is ItemStatus.CANCELLED
    assert broken_now(world) == []


def broken(world: World, units: int) -> None:
    fact = CorrectStock(reference="broken", sku="tea", warehouse="north", delta=-units, reason="broken", by="ann")
    world.hears(fact, source="ops")


@pytest.mark.parametrize("choice", [Choice.WAIT, Choice.REFUND, None])
def test_what_a_customer_chooses_after_that_changes_nothing(choice: Choice | None) -> None:
    world = a_world(("tea", "north", 2))
    order_id = paid(world, tea=2)
    broken(world, 1)
    [short] = told(world, OrderShortageEvent)
    books(world, "called back")
    if choice is not None:
        answer = AnswerShortage(order_id=order_id, shortage_id=UUID(short.detail["shortage_id"]), choice=choice)
        world.hears(answer)
        assert [refused.reason for refused in told(world, ShortageAnswerRefused)] == ["payment_failed"]
    world.passes(hours=49)
    assert told(world, OrderCancelledEvent)[0].detail["cancelled"] == "tea: 2", "what was short too"
    assert shelf(world, "tea") == (1, 0, 0) and the(world, "inventory", RESERVATIONS).status == "released"
    runs = [(run.saga, run.phase) for run in world.store("orchestrator").rows(RUNS)]
    assert runs == [(saga, Phase.COMPLETED) for saga in ("checkout", "shortage", "late_payment_failure")]
    assert broken_now(world) == []


def test_a_refund_that_is_being_paid_out_does_not_hold_it_up() -> None:
    """By transfer a shortage's refund takes days, and the order is being changed as long: called off, it goes on."""
    world = a_world(("tea", "north", 2), ("cup", "south", 1))
    order_id = paid(world, tea=2, cup=1)
    broken(world, 1)
    [short] = told(world, OrderShortageEvent)
    shortage_id = UUID(short.detail["shortage_id"])
    world.hears(AnswerShortage(order_id=order_id, shortage_id=shortage_id, choice=Choice.REFUND))
    assert the(world, "order", ORDERS).refund_reserved_minor > 0
    books(world, "called back")
    world.passes(minutes=1)
    runs = [(run.saga, run.phase) for run in world.store("orchestrator").rows(RUNS)]
    sagas = ("checkout", "shortage", "settlement", "late_payment_failure")
    assert runs == [(saga, Phase.COMPLETED) for saga in sagas]
    order = the(world, "order", ORDERS)
    assert (order.state, order.refunded_minor, order.refund_reserved_minor) == (OrderState.CANCELLED, 0, 0)
    assert shipments(world) == [] and (shelf(world, "tea"), shelf(world, "cup", "south")) == ((1, 0, 0), (1, 0, 0))
    assert broken_now(world) == []


def test_what_is_short_of_it_after_that_is_somebody_else_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count was on its way to the orchestrator when the money went: nobody is asked what to do."""
    world = a_world(("tea", "north", 2), ("cup", "south", 1))
    paid(world, tea=2, cup=1)
    report(world, shipment_of(world, "tea"), LABELED)
    books(world, "called back")
    broken(world, 1)
    assert UnitsKept in [type(said) for said in world.said_to("inventory")]
    assert told(world, OrderShortageEvent) == []
    assert the(world, "inventory", SHORT_LINES).state.value == "kept"
    assert [run.saga for run in world.store("orchestrator").rows(RUNS)] == ["checkout", "late_payment_failure"]

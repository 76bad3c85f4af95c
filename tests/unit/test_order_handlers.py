"""An order from the saga's commands and the warehouse's facts to its end, and its story told whole."""

from dataclasses import replace
from uuid import UUID

import pytest

from contracts.checkout import ReplayOrderEvents
from contracts.frame import CommandWithdrawn, MessageRefused
from contracts.message import Message
from contracts.order import (
    CancelOrder,
    CancelRefused,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    OrderLine,
    OrderPaymentPendingEvent,
    OrderPlaced,
    OrderRefused,
    OrderShippedEvent,
    PaymentAwaited,
)
from contracts.story import StoryFact
from contracts.values import FulfillmentStatus
from services.order.items import progress
from services.order.lifecycle import ItemStatus, OrderState
from services.order.story import ActorKind
from tests.support.orders import ORDER, SHOP, OrderDesk, place, progressed
from tests.support.world import START, events_of

F = FulfillmentStatus


@pytest.fixture
def desk() -> OrderDesk:
    return OrderDesk()


# -- placed ------------------------------------------------------------------------------------------------------


def test_a_placed_order_has_lines_that_add_up_to_its_totals(desk: OrderDesk) -> None:
    assert desk.asks(place()) == OrderPlaced(order_id=ORDER)
    order, items = desk.order(), desk.items()
    assert (order.state, order.goods_minor, order.total_minor) == (OrderState.CREATED, 5497, 6981)
    assert [(item.discount_minor, item.tax_minor, item.subtotal_minor) for item in items] == [
        (55, 546, 3488),
        (45, 455, 2910),
    ]
    assert sum(item.subtotal_minor for item in items) + order.shipping_minor + order.shipping_tax_minor == 6981
    assert desk.statuses() == ["awaiting_stock", "awaiting_stock"]
    assert events_of(desk.told()) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"total_minor": 1}, "totals_do_not_add_up"),
        ({"discount_minor": 5498, "total_minor": 0}, "discount_above_goods"),
        ({"currency": "XAU"}, "unknown_currency"),
        ({"currency": "ABC"}, "unknown_currency"),
        ({"lines": ()}, "bad_line_count"),
    ],
)
def test_what_the_header_contradicts_is_refused_by_name(
    desk: OrderDesk, changes: dict[str, object], reason: str
) -> None:
    answer = desk.asks(place(**changes))  # type: ignore[arg-type]
    assert isinstance(answer, OrderRefused) and answer.reason == reason
    assert desk.items() == [] and desk.story() == [] and desk.told() == []


def test_one_checkout_has_one_order(desk: OrderDesk) -> None:
    desk.asks(place())
    again = desk.asks(place())
    other = desk.asks(place(UUID(int=0xB), checkout_id=f"checkout-{ORDER.int}"))
    assert isinstance(again, OrderRefused) and again.reason == "order_exists"
    assert isinstance(other, OrderRefused) and other.reason == "checkout_has_an_order"
    elsewhere = desk.asks(place(UUID(int=0xC), checkout_id=f"checkout-{ORDER.int}", storefront="other-shop"))
    assert elsewhere == OrderPlaced(order_id=UUID(int=0xC))


# -- confirmed ---------------------------------------------------------------------------------------------------


def test_confirming_takes_it_through_payment_pending_and_reserves_its_lines(desk: OrderDesk) -> None:
    desk.asks(place())
    assert desk.asks(ConfirmOrder(order_id=ORDER)) == OrderConfirmed(order_id=ORDER)
    assert desk.order().state is OrderState.PAID
    assert desk.statuses() == ["reserved", "reserved"]
    assert events_of(desk.told()) == ["order.confirmed"]
    assert [line.name for line in desk.story()] == ["order.placed", "order.payment_pending", "order.paid"]
    assert desk.order().version == 3, "one version per move"


def test_payment_that_follows_is_told_and_heard_late_is_no_news(desk: OrderDesk) -> None:
    desk.asks(place())
    desk.hears(PaymentAwaited(order_id=ORDER))
    assert desk.order().state is OrderState.PAYMENT_PENDING
    desk.asks(ConfirmOrder(order_id=ORDER))
    before = desk.order()
    desk.hears(PaymentAwaited(order_id=ORDER))
    assert desk.order() == before
    assert events_of(desk.told()) == ["order.payment_pending", "order.confirmed"]


def test_what_a_transfer_must_quote_is_told_to_the_storefront(desk: OrderDesk) -> None:
    desk.asks(place())
    desk.hears(PaymentAwaited(order_id=ORDER, quote="RF18539007547034"))
    (event,) = desk.told()
    assert isinstance(event, OrderPaymentPendingEvent)
    assert event.detail == {"quote": "RF18539007547034"}


def test_what_must_be_quoted_for_a_payment_that_follows_is_told_when_it_is_known(desk: OrderDesk) -> None:
    desk.asks(place())
    desk.hears(PaymentAwaited(order_id=ORDER))
    for _ in range(2):  # asked again, it is said again, and heard once
        desk.hears(PaymentAwaited(order_id=ORDER, quote="RF18539007547034"))
    assert [event.detail for event in desk.told() if isinstance(event, OrderPaymentPendingEvent)] == [
        {},
        {"quote": "RF18539007547034"},
    ]
    assert events_of(desk.told()) == ["order.payment_pending", "order.payment_pending"]
    assert desk.order().last_public_sequence == 2


def test_confirmed_twice_is_confirmed_once(desk: OrderDesk) -> None:
    desk.paid()
    before = desk.order()
    assert desk.asks(ConfirmOrder(order_id=ORDER)) == OrderConfirmed(order_id=ORDER)
    assert desk.order() == before


# -- cancelled ---------------------------------------------------------------------------------------------------


def test_a_cancelled_order_has_cancelled_lines_and_says_why(desk: OrderDesk) -> None:
    desk.asks(place())
    assert desk.asks(CancelOrder(order_id=ORDER, reason="stock_short")) == OrderCancelled(order_id=ORDER)
    assert desk.order().state is OrderState.CANCELLED
    assert desk.statuses() == ["cancelled", "cancelled"]
    last = desk.told()[-1]
    assert isinstance(last, OrderEvent) and (last.topic, last.reason) == ("order.cancelled", "stock_short")
    assert desk.asks(CancelOrder(order_id=ORDER, reason="again")) == OrderCancelled(order_id=ORDER)
    assert len(desk.told()) == 1


def test_the_undo_of_what_was_never_placed_is_done_and_the_order_is_refused_later(desk: OrderDesk) -> None:
    key = "orchestrator/run-x/place order"
    undone = desk.asks(CancelOrder(order_id=ORDER, reason="no_answer"), key=f"{key}/undo")
    assert undone == OrderCancelled(order_id=ORDER)
    assert desk.asks(place(), key=f"{key}/do") == CommandWithdrawn()
    assert desk.items() == [] and desk.story() == []


def test_what_has_left_cannot_be_cancelled_and_the_story_says_who_tried(desk: OrderDesk) -> None:
    desk.paid()
    desk.hears(progressed(F.SHIPPED))
    answer = desk.asks(CancelOrder(order_id=ORDER, reason="customer"))
    assert answer == CancelRefused(order_id=ORDER, reason="too_late")
    assert desk.order().state is OrderState.SHIPPED
    assert desk.story()[-1].name == "order.cancel_refused"


# -- on its way --------------------------------------------------------------------------------------------------


def test_two_shipments_take_an_order_from_processing_to_delivered(desk: OrderDesk) -> None:
    desk.paid()
    cups, pot = [("cup", 3)], [("pot", 1)]
    steps = [
        (F.PENDING, cups, 1, "processing", ["in_fulfillment", "reserved"]),
        (F.PENDING, pot, 2, "processing", ["in_fulfillment", "in_fulfillment"]),
        (F.LABELED, cups, 1, "partially_fulfilled", ["in_fulfillment", "in_fulfillment"]),
        (F.SHIPPED, cups, 1, "partially_fulfilled", ["shipped", "in_fulfillment"]),
        (F.LABELED, pot, 2, "fulfilled", ["shipped", "in_fulfillment"]),
        (F.SHIPPED, pot, 2, "shipped", ["shipped", "shipped"]),
        (F.DELIVERED, pot, 2, "shipped", ["shipped", "delivered"]),
        (F.DELIVERED, cups, 1, "delivered", ["delivered", "delivered"]),
    ]
    for status, picks, shipment, state, statuses in steps:
        desk.hears(progressed(status, picks, shipment=shipment))
        assert (desk.order().state, desk.statuses()) == (state, statuses), status


def test_a_line_split_over_two_warehouses_has_left_when_all_of_it_has(desk: OrderDesk) -> None:
    desk.paid(lines=(OrderLine(sku="cup", quantity=5, unit_price_minor=100),), discount_minor=0)
    desk.hears(progressed(F.SHIPPED, [("cup", 3)], shipment=1))
    assert (desk.items()[0].shipped_quantity, desk.statuses()) == (3, ["in_fulfillment"])
    assert desk.order().state is OrderState.PARTIALLY_FULFILLED
    desk.hears(progressed(F.SHIPPED, [("cup", 2)], shipment=2))
    assert (desk.items()[0].shipped_quantity, desk.statuses()) == (5, ["shipped"])


def test_two_lines_of_one_sku_are_filled_in_line_order(desk: OrderDesk) -> None:
    line = OrderLine(sku="cup", quantity=2, unit_price_minor=100)
    desk.paid(lines=(line, line), discount_minor=0)
    desk.hears(progressed(F.SHIPPED, [("cup", 3)]))
    assert [item.shipped_quantity for item in desk.items()] == [2, 1]


def test_a_fact_that_jumps_ahead_takes_every_step_between(desk: OrderDesk) -> None:
    desk.paid()
    desk.hears(progressed(F.DELIVERED, tracking_number="T1"))
    assert events_of(desk.told())[1:] == ["order.processing", "order.fulfilled", "order.shipped", "order.delivered"]
    shipped = next(event for event in desk.told() if isinstance(event, OrderShippedEvent))
    assert shipped.detail == {"carrier": "post", "tracking_number": "T1"}


def test_a_warehouse_quicker_than_the_confirmation_waits_for_it(desk: OrderDesk) -> None:
    desk.asks(place())
    desk.hears(progressed(F.LABELED))
    assert desk.order().state is OrderState.CREATED
    desk.asks(ConfirmOrder(order_id=ORDER))
    assert desk.order().state is OrderState.FULFILLED


def test_what_a_warehouse_says_of_a_cancelled_order_is_only_told(desk: OrderDesk) -> None:
    desk.asks(place())
    desk.asks(CancelOrder(order_id=ORDER, reason="x"))
    desk.hears(progressed(F.SHIPPED))
    assert (desk.order().state, desk.statuses()) == (OrderState.CANCELLED, ["cancelled", "cancelled"])
    assert desk.story()[-1].name == "fulfillment.shipped"


def test_a_shipment_given_back_no_longer_counts(desk: OrderDesk) -> None:
    desk.paid()
    desk.hears(progressed(F.PENDING, [("cup", 3)], shipment=1))
    desk.hears(progressed(F.LABELED, [("cup", 3)], shipment=1))
    desk.hears(progressed(F.REJECTED, [("cup", 3)], shipment=1))
    assert desk.items()[0].labeled_quantity == 0
    desk.hears(progressed(F.LABELED, [("pot", 1)], shipment=2))
    assert desk.order().state is OrderState.PARTIALLY_FULFILLED


def test_the_order_completes_when_the_return_window_has_passed(desk: OrderDesk) -> None:
    desk.paid()
    desk.hears(progressed(F.DELIVERED))
    desk.world.passes(days=29)
    assert desk.order().state is OrderState.DELIVERED
    desk.world.passes(days=2)
    assert desk.order().state is OrderState.COMPLETED
    assert events_of(desk.told())[-1] == "order.completed"


def test_an_order_with_every_line_gone_is_cancelled_or_returned(desk: OrderDesk) -> None:
    desk.asks(place())
    cancelled = [replace(item, status=ItemStatus.CANCELLED) for item in desk.items()]
    assert progress(cancelled) is OrderState.CANCELLED
    assert progress([replace(cancelled[0], status=ItemStatus.RETURNED), cancelled[1]]) is OrderState.RETURNED


# -- the story ---------------------------------------------------------------------------------------------------


def test_the_story_keeps_what_other_services_tell(desk: OrderDesk) -> None:
    desk.asks(place())
    desk.hears(
        StoryFact(
            order_id=ORDER,
            name="payment.captured",
            actor="stripe",
            occurred_at=START,
            reason="at once",
            detail={"amount_minor": "6981"},
        ),
        source="payment",
    )
    line = desk.story()[-1]
    assert (line.sequence, line.public_sequence, line.name, line.reason) == (2, None, "payment.captured", "at once")
    assert (line.actor_kind, line.actor, line.metadata) == (ActorKind.PROVIDER, "stripe", {"amount_minor": "6981"})
    assert line.message_id
    assert desk.story()[0].actor_kind is ActorKind.CUSTOMER


def test_a_fact_about_an_unknown_order_waits_for_it(desk: OrderDesk) -> None:
    desk.hears(StoryFact(order_id=ORDER, name="x.y", actor="inventory", occurred_at=START))
    assert desk.story() == []
    desk.asks(place())
    desk.world.passes(seconds=5)
    assert [line.name for line in desk.story()] == ["order.placed", "x.y"]


def test_sequences_are_gapless_for_support_and_for_the_storefront(desk: OrderDesk) -> None:
    desk.paid()
    for status in (F.PENDING, F.SHIPPED, F.LABELED, F.DELIVERED):
        desk.hears(progressed(status))
    story = desk.story()
    assert [line.sequence for line in story] == list(range(1, len(story) + 1))
    public = [event.sequence for event in desk.told() if isinstance(event, OrderEvent)]
    assert public == list(range(1, len(public) + 1)) == [line.public_sequence for line in story if line.event]
    assert (desk.order().last_sequence, desk.order().last_public_sequence) == (len(story), len(public))


# -- catching up -------------------------------------------------------------------------------------------------


def replayed(desk: OrderDesk, source: str = SHOP, after: int = 0, order_id: UUID = ORDER) -> list[Message]:
    before = len(desk.world.told(source))
    desk.world.hears(ReplayOrderEvents(order_id=order_id, after_sequence=after), source=source)
    return desk.world.told(source)[before:]


def test_a_replay_says_the_same_events_under_the_same_ids(desk: OrderDesk) -> None:
    desk.paid()
    desk.hears(progressed(F.SHIPPED))
    first = desk.told()
    heads = [(row.id, row.head["id"], row.head["sequence"]) for row in desk.world.said if row.public]
    assert replayed(desk) == first
    assert [(row.id, row.head["id"], row.head["sequence"]) for row in desk.world.said if row.public] == heads * 2
    assert replayed(desk, after=3) == first[3:]
    assert replayed(desk, after=99) == []


@pytest.mark.parametrize(("source", "order_id"), [("other-shop", ORDER), (SHOP, UUID(int=0xF))])
def test_somebody_else_s_order_is_as_unknown_as_none(desk: OrderDesk, source: str, order_id: UUID) -> None:
    desk.paid()
    [refused] = replayed(desk, source=source, order_id=order_id)
    assert isinstance(refused, MessageRefused) and refused.reason == "unknown_order"

"""Whatever is asked in whatever order, an order only makes the moves of its tables, and its story has no gap."""

from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.message import Message
from contracts.order import (
    AbandonRefund,
    CancelOrder,
    ConfirmOrder,
    OpenRefund,
    OrderEvent,
    OrderLine,
    PaymentAwaited,
    PlaceOrder,
    ReturnWindowPassed,
    SettleRefund,
)
from contracts.story import StoryFact
from contracts.values import FulfillmentStatus
from services.order.domain import Refund
from services.order.lifecycle import PROGRESS, WITH_MONEY, OrderState, RefundState
from services.order.tables import REFUNDS
from tests.support.orders import ORDER, SHOP, OrderDesk, place, progressed
from tests.support.world import START

REFUND_IDS = st.sampled_from([UUID(int=1), UUID(int=2), UUID(int=3)])

messages = st.one_of(
    st.just(ConfirmOrder(order_id=ORDER)),
    st.just(CancelOrder(order_id=ORDER, reason="x")),
    st.just(PaymentAwaited(order_id=ORDER)),
    st.just(ReturnWindowPassed(order_id=ORDER)),
    st.just(StoryFact(order_id=ORDER, name="payment.captured", actor="payment", occurred_at=START)),
    st.builds(
        lambda id_, amount: OpenRefund(
            order_id=ORDER, refund_id=id_, storefront=SHOP, amount_minor=amount, currency="EUR"
        ),
        REFUND_IDS,
        st.sampled_from([1, 3000, 3981, 6981]),
    ),
    st.builds(lambda id_: SettleRefund(order_id=ORDER, refund_id=id_), REFUND_IDS),
    st.builds(lambda id_: AbandonRefund(order_id=ORDER, refund_id=id_, reason="x"), REFUND_IDS),
    st.builds(
        lambda status, picks, shipment: progressed(status, [picks], shipment=shipment),
        st.sampled_from(FulfillmentStatus),
        st.sampled_from([("cup", 3), ("cup", 2), ("pot", 1), ("stranger", 1)]),
        st.integers(1, 3),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(messages, min_size=1, max_size=6), max_size=8), st.booleans())
def test_an_order_keeps_its_promises_under_any_sequence(batches: Sequence[Sequence[Message]], late: bool) -> None:
    """Batches, so that one decision also sees what the ones before it changed and did not commit yet."""
    desk = OrderDesk()
    rest = [list(batch) for batch in batches]
    placing: PlaceOrder = place()
    (rest[0].insert(len(rest[0]) if late else 0, placing)) if rest else rest.append([placing])
    asked = 0
    for batch in rest:
        for message in batch:
            asked += 1
            desk.world.puts(message, source="orchestrator", key=f"orchestrator/run-{asked}/step/do")
        desk.world.until_quiet()
    desk.world.passes(seconds=2)  # what came before its order
    holds(desk)


def holds(desk: OrderDesk) -> None:
    store = desk.world.store("order")
    order, story, items = desk.order(), desk.story(), desk.items()
    assert [line.sequence for line in story] == list(range(1, order.last_sequence + 1))
    events = [event for event in desk.told() if isinstance(event, OrderEvent)]
    assert [event.sequence for event in events] == list(range(1, order.last_public_sequence + 1))
    assert [line.event for line in story if line.event] == [event.model_dump(mode="json") for event in events]

    told = [OrderState(line.name.removeprefix("order.")) for line in story if line.name in NAMES]
    states = [OrderState.CREATED, *told]
    assert all(pair in PROGRESS.pairs for pair in pairwise(states)) and order.state is states[-1]

    refunds: list[Refund] = store.rows(REFUNDS)
    of = {state: sum(row.amount_minor for row in refunds if row.state is state) for state in RefundState}
    assert (order.refund_reserved_minor, order.refunded_minor) == (of[RefundState.OPENED], of[RefundState.SETTLED])
    assert order.refunded_minor + order.refund_reserved_minor <= order.total_minor

    goods = sum(item.subtotal_minor for item in items)
    assert goods + order.shipping_minor + order.shipping_tax_minor == order.total_minor
    # the only decision that may raise is to confirm what was cancelled
    waiting = [row for row in store.due.values() if "confirm_order" not in row.head["type"] and not row.name]
    assert waiting == [] and all(row.head["type"].endswith("confirm_order.v1") for row in store.parked.values())


NAMES = {f"order.{state}" for state in OrderState if state is not OrderState.CREATED}


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["JPY", "EUR", "KWD"]),
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 10**7)), min_size=1, max_size=20),
    st.data(),
)
def test_lines_add_up_to_the_order_in_every_currency(
    currency: str, lines: list[tuple[int, int]], data: st.DataObject
) -> None:
    goods = sum(quantity * price for quantity, price in lines)
    discount, tax = data.draw(st.integers(0, goods)), data.draw(st.integers(0, 10**9))
    desk = OrderDesk()
    desk.asks(
        place(
            lines=[OrderLine(sku=f"s{n}", quantity=q, unit_price_minor=p) for n, (q, p) in enumerate(lines)],
            currency=currency,
            discount_minor=discount,
            tax_minor=tax,
        )
    )
    order, items = desk.order(), desk.items()
    assert sum(item.discount_minor for item in items) == discount
    assert sum(item.tax_minor for item in items) == tax
    assert sum(item.subtotal_minor for item in items) == goods - discount + tax
    assert order.total_minor == goods - discount + tax + order.shipping_minor + order.shipping_tax_minor


def test_there_is_money_in_every_state_after_paid_but_cancelled() -> None:
    assert {OrderState.CREATED, OrderState.PAYMENT_PENDING, OrderState.CANCELLED} == set(OrderState) - WITH_MONEY

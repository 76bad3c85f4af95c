"""Refunds of an order, together, never exceed what was paid."""

from uuid import UUID

import pytest

from contracts.message import Message
from contracts.order import (
    AbandonRefund,
    CancelOrder,
    OpenRefund,
    OrderRefundedEvent,
    RefundAbandoned,
    RefundOpened,
    RefundRefused,
    RefundSettled,
    SettleRefund,
)
from services.order.lifecycle import RefundStanding
from tests.support.orders import ORDER, SHOP, OrderDesk, place

TOTAL = 6981
ONE, TWO = UUID(int=1), UUID(int=2)


def opening(amount_minor: int, refund_id: UUID = ONE, **changes: object) -> OpenRefund:
    fields = {"order_id": ORDER, "storefront": SHOP, "currency": "EUR", "reason": "broken"} | changes
    return OpenRefund.model_validate({"refund_id": refund_id, "amount_minor": amount_minor, **fields})


def refused(answer: Message) -> str:
    assert isinstance(answer, RefundRefused)
    return answer.reason


def settle(refund_id: UUID = ONE) -> SettleRefund:
    return SettleRefund(order_id=ORDER, refund_id=refund_id)


def abandon(refund_id: UUID = ONE) -> AbandonRefund:
    return AbandonRefund(order_id=ORDER, refund_id=refund_id, reason="provider_said_no")


@pytest.fixture
def desk() -> OrderDesk:
    return OrderDesk().paid()


def test_a_part_and_then_the_rest(desk: OrderDesk) -> None:
    assert desk.asks(opening(1000)) == RefundOpened(order_id=ORDER, refund_id=ONE)
    assert (desk.order().refund_reserved_minor, desk.order().refunded_minor) == (1000, 0)
    assert desk.asks(settle()) == RefundSettled(order_id=ORDER, refund_id=ONE)
    assert (desk.order().refund_reserved_minor, desk.order().refunded_minor) == (0, 1000)
    assert desk.order().refund_standing is RefundStanding.PARTIALLY_REFUNDED
    desk.asks(opening(TOTAL - 1000, TWO))
    desk.asks(settle(TWO))
    assert desk.order().refund_standing is RefundStanding.REFUNDED
    events = [event for event in desk.told() if isinstance(event, OrderRefundedEvent)]
    assert [(event.refunded_minor, event.refund_standing) for event in events] == [
        (1000, "partially_refunded"),
        (TOTAL, "refunded"),
    ]
    assert events[0].detail == {"amount_minor": "1000", "refund_id": str(ONE)}


def test_two_refunds_at_once_cannot_exceed_the_total(desk: OrderDesk) -> None:
    desk.asks(opening(TOTAL - 1))
    assert refused(desk.asks(opening(2, TWO))) == "above_refundable"
    desk.asks(abandon())
    assert isinstance(desk.asks(opening(TOTAL, TWO), key="orchestrator/other/step/do"), RefundOpened)


def test_what_was_abandoned_is_given_back_once(desk: OrderDesk) -> None:
    desk.asks(opening(1000))
    for _ in range(2):
        assert desk.asks(abandon()) == RefundAbandoned(order_id=ORDER, refund_id=ONE)
    assert desk.order().refund_reserved_minor == 0
    assert desk.asks(abandon(TWO)) == RefundAbandoned(order_id=ORDER, refund_id=TWO)


def test_what_ended_one_way_does_not_end_the_other(desk: OrderDesk) -> None:
    desk.asks(opening(1000))
    desk.asks(settle())
    assert desk.asks(settle()) == RefundSettled(order_id=ORDER, refund_id=ONE)
    assert refused(desk.asks(abandon())) == "already_settled"
    desk.asks(opening(500, TWO))
    desk.asks(abandon(TWO))
    assert refused(desk.asks(settle(TWO))) == "already_abandoned"
    assert (desk.order().refunded_minor, desk.order().refund_reserved_minor) == (1000, 0)
    assert refused(desk.asks(settle(UUID(int=9)))) == "unknown_refund"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order_id": UUID(int=9)}, "unknown_order"),
        ({"storefront": "other-shop"}, "unknown_order"),
        ({"currency": "USD"}, "wrong_currency"),
        ({"amount_minor": TOTAL + 1}, "above_refundable"),
    ],
)
def test_a_refund_is_refused_by_name(desk: OrderDesk, changes: dict[str, object], reason: str) -> None:
    assert refused(desk.asks(opening(1000).model_copy(update=changes))) == reason


def test_nothing_is_refunded_of_what_was_not_paid_or_was_cancelled() -> None:
    desk = OrderDesk()
    desk.asks(place())
    assert refused(desk.asks(opening(1))) == "not_paid"
    desk.asks(CancelOrder(order_id=ORDER, reason="x"))
    assert refused(desk.asks(opening(1, TWO))) == "not_paid"


def test_the_same_refund_is_opened_once_and_another_under_its_id_is_refused(desk: OrderDesk) -> None:
    desk.asks(opening(1000))
    assert isinstance(desk.asks(opening(1000)), RefundOpened)
    assert desk.order().refund_reserved_minor == 1000
    assert refused(desk.asks(opening(999))) == "refund_exists"

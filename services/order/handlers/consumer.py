"""Who hears what, by which rows it decides, and under which policy."""

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

from contracts.checkout import ReplayOrderEvents
from contracts.fulfillment import FulfillmentProgressed
from contracts.order import (
    AbandonRefund,
    CancelOrder,
    CancelUnsent,
    ConfirmOrder,
    OpenRefund,
    PaymentAwaited,
    PlaceOrder,
    ReserveLines,
    ReturnWindowPassed,
    SettleRefund,
)
from contracts.shortage import OfferAlternatives, SettleLines
from contracts.story import StoryFact
from services.order.domain import OrderPolicy
from services.order.handlers import checkout, facts, refunds, replay, shortage, unsent
from services.order.tables import EVENTS, ITEMS, ORDERS, REFUNDS, SHIPMENTS
from shared.consumer import Consumer
from shared.table import Need
from shared.working_set import Rows


def _header(message: Any) -> list[Need]:
    return [Need.of(ORDERS, "id", message.order_id)]


def _lines(message: Any) -> list[Need]:
    return [*_header(message), Need.of(ITEMS, "order_id", message.order_id)]


def _whole(message: Any) -> list[Need]:
    return [*_lines(message), Need.of(SHIPMENTS, "order_id", message.order_id)]


def _new(command: PlaceOrder) -> list[Need]:
    return [*_lines(command), Need.of(ORDERS, "checkout_id", command.checkout_id)]


def _refund(command: Any) -> list[Need]:
    return [*_header(command), Need.of(REFUNDS, "id", command.refund_id)]


def _story(request: Any, rows: Rows) -> list[Need]:
    order = rows.get(ORDERS, request.order_id)
    return [] if order is None else [Need.of(EVENTS, "order_id", order.id)]


def _under(policy: OrderPolicy, decide: Callable[..., Any]) -> Callable[..., Any]:
    return update_wrapper(partial(decide, policy=policy), decide)


def make_consumer(policy: OrderPolicy) -> Consumer:
    """The order service's ears, under an operator's settings."""
    order = Consumer("order", queues=("order", "order.requests"), outside=frozenset({"order.requests"}))
    order.hears(PlaceOrder, needs=_new)(checkout.place_order)
    order.hears(PaymentAwaited, needs=_header)(checkout.payment_awaited)
    order.hears(ConfirmOrder, needs=_whole)(_under(policy, checkout.confirm_order))
    order.hears(ReserveLines, needs=_lines)(checkout.reserve_lines)
    order.hears(OfferAlternatives, needs=_header)(shortage.offer_alternatives)
    order.hears(SettleLines, needs=_whole)(_under(policy, shortage.settle_lines))
    order.hears(CancelOrder, needs=_lines)(checkout.cancel_order)
    order.hears(CancelUnsent, needs=_whole)(_under(policy, unsent.cancel_unsent))
    order.hears(OpenRefund, needs=_refund)(refunds.open_refund)
    order.hears(AbandonRefund, needs=_refund)(refunds.abandon_refund)
    order.hears(SettleRefund, needs=_refund)(refunds.settle_refund)
    order.hears(FulfillmentProgressed, needs=_whole)(_under(policy, facts.fulfillment_progressed))
    order.hears(StoryFact, needs=_header)(facts.story_fact)
    order.hears(ReturnWindowPassed, needs=_header)(facts.return_window_passed)
    order.hears(ReplayOrderEvents, needs=_header, then=_story)(replay.replay_order_events)
    return order


consumer = make_consumer(OrderPolicy())

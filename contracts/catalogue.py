"""Who says what to whom, through which door: the one place a reader or a generator looks it up.

Messages know their own queue (`heard_by`); this page adds the exchanges in front of the queues, what answers what, and
which direction each message crosses our border.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts import (
    checkout,
    feeds,
    frame,
    fulfillment,
    inventory,
    order,
    payment,
    product,
    saga,
    settlement,
    shortage,
    statement,
    story,
    warehousing,
)
from contracts.message import MESSAGES, Kind, Message

MODULES: Final = (
    checkout,
    feeds,
    frame,
    fulfillment,
    inventory,
    order,
    payment,
    product,
    saga,
    settlement,
    shortage,
    statement,
    story,
    warehousing,
)
"""Every module of the published language; a message declared elsewhere (in a test) is not part of it."""

MAX_BODY_BYTES: Final = 256 * 1024
"""Largest body that is read."""


class Border(StrEnum):
    """Which way a message crosses our border; it decides what may change within a version."""

    HEARD = "heard"  # others say it: whatever was accepted stays accepted
    SENT = "sent"  # others hear it: whatever was promised stays promised
    INTERNAL = "internal"  # both ends are ours, of two releases at once during a deploy: both rules


@dataclass(frozen=True, slots=True)
class Door:
    """An exchange and the routing key that leads to a queue behind it."""

    exchange: str
    key: str
    users: str
    """Which broker users may publish here."""


COMMANDS: Final = "waybill.commands"
EVENTS: Final = "waybill.events"
STOREFRONTS: Final = "waybill.storefront"
WAREHOUSES: Final = "waybill.warehouse"
STOCK: Final = "waybill.stock"
LISTENER_QUEUE: Final = "storefront.{storefront}.events"

SERVICES: Final = ("order", "inventory", "payment", "fulfillment", "orchestrator")
DOORS: Final[Mapping[str, Door]] = {
    checkout.STOREFRONT_REQUESTS: Door(STOREFRONTS, checkout.STOREFRONT_REQUESTS, "storefronts"),
    "order.requests": Door(STOREFRONTS, "order.requests", "storefronts"),
    fulfillment.WAREHOUSE_REPORTS: Door(WAREHOUSES, fulfillment.WAREHOUSE_REPORTS, "warehouses"),
    feeds.STOCK_REPORTS: Door(STOCK, feeds.STOCK_REPORTS, "stock sources"),
    "warehouse.orders": Door(COMMANDS, "warehouse.orders", "our services"),
    **{service: Door(COMMANDS, service, "our services") for service in SERVICES},
}
"""Queue -> the door in front of it."""


def messages() -> tuple[type[Message], ...]:
    """Every message of the published language, by name."""
    ours = {module.__name__ for module in MODULES}
    return tuple(MESSAGES[name] for name in sorted(MESSAGES) if MESSAGES[name].__module__ in ours)


def events() -> tuple[type[Message], ...]:
    return tuple(message for message in messages() if message.kind is Kind.EVENT)


def order_events() -> tuple[type[Message], ...]:
    return tuple(message for message in events() if issubclass(message, order.OrderEvent))


def border_of(message: type[Message]) -> Border:
    if message.kind is Kind.REQUEST:
        return Border.HEARD
    if message.kind is Kind.EVENT or message in (fulfillment.OrderShipment, shortage.AmendShipment):
        return Border.SENT
    return Border.INTERNAL


FRAME_REPLIES: Final = (frame.CommandWithdrawn, frame.KeyReused)
"""Any command may be answered by the frame itself."""

ANSWERS: Final[Mapping[type[Message], tuple[type[Message], ...]]] = {
    # a storefront's requests
    checkout.PlaceCheckout: (checkout.CheckoutAccepted, checkout.CheckoutRefused, frame.MessageRefused),
    checkout.ProvidePayment: (checkout.CheckoutRefused, frame.MessageRefused),
    checkout.RequestRefund: (checkout.RefundConcluded, frame.MessageRefused),
    checkout.ReplayOrderEvents: (*order_events(), frame.MessageRefused),
    shortage.AnswerShortage: (order.OrderShortageSettledEvent, shortage.ShortageAnswerRefused, frame.MessageRefused),
    # a warehouse's
    fulfillment.ReportShipment: (frame.MessageRefused,),
    # a stock source's
    feeds.ReportStock: (frame.MessageRefused,),
    # our own commands
    order.PlaceOrder: (order.OrderPlaced, order.OrderRefused),
    order.CancelOrder: (order.OrderCancelled, order.CancelRefused),
    order.CancelUnsent: (order.UnsentCancelled,),
    order.ConfirmOrder: (order.OrderConfirmed,),
    order.ReserveLines: (order.LinesReserved,),
    order.OpenRefund: (order.RefundOpened, order.RefundRefused),
    order.AbandonRefund: (order.RefundAbandoned,),
    order.SettleRefund: (order.RefundSettled,),
    inventory.HoldStock: (inventory.StockHeld, inventory.StockShort, inventory.ReservationExpired),
    inventory.ExtendHold: (inventory.HoldExtended, inventory.ReservationExpired),
    inventory.ReleaseStock: (inventory.StockReleased,),
    inventory.CommitStock: (inventory.StockCommitted, inventory.StockGone),
    payment.AuthorizePayment: (payment.PaymentAuthorized, payment.PaymentDeclined, payment.PaymentPending),
    payment.ReleasePayment: (payment.PaymentReleased, payment.ReleasePending),
    payment.RefundPayment: (payment.PaymentRefunded, payment.PaymentRefundRefused, payment.RefundPending),
    fulfillment.RequestFulfillment: (fulfillment.FulfillmentRequested,),
    fulfillment.StopShipments: (fulfillment.ShipmentsStopped,),
    shortage.WithdrawUnits: (shortage.UnitsWithdrawn, shortage.WithdrawRefused),
    shortage.TakeBackStock: (shortage.StockTakenBack,),
    shortage.OfferAlternatives: (shortage.AlternativesOffered,),
    shortage.SettleShortage: (shortage.ShortageSettled,),
    shortage.SettleLines: (shortage.LinesSettled,),
    # a warehouse answers by its reports
    fulfillment.OrderShipment: (),
    shortage.AmendShipment: (),
}
"""Request or command -> what may answer it; commands may also be answered by `FRAME_REPLIES`."""

AFTERWARDS: Final[Mapping[type[Message], str]] = {
    checkout.PlaceCheckout: (
        "Answered at once by `CheckoutAccepted` (with the `order_id`) or `CheckoutRefused` (`reason`: key_reused, "
        "mixed_currencies, totals_do_not_add_up, discount_above_goods, amount_too_large). An accepted checkout whose "
        "order cannot be placed after all is refused too (unknown_currency). Then the order's events follow: "
        "sooner or later either `order.confirmed` (paid, stock allocated; what is promised for later stands in "
        "`detail`) or `order.cancelled` (`reason`: stock_short, unknown_sku, payment_declined, expired, stock_gone, "
        "no_payment, no_answer). After `order.confirmed`: `order.processing`, `order.stock_arrived` (what was promised "
        "for later), `order.fulfilled`, `order.shipped`, `order.delivered`, `order.completed`. Money taken back later "
        "is told by `order.cancelled` (`reason`: payment_failed), or by `order.payment_failed` where something leaves "
        "all the same. The same `checkout_id` with the same content is answered the same way again and does nothing "
        "else."
    ),
    checkout.ProvidePayment: (
        "Answered by what becomes of the order: `order.confirmed` or `order.cancelled`. `CheckoutRefused` says "
        "`unknown_checkout` or `payment_not_expected`."
    ),
    checkout.RequestRefund: (
        "Answered by `RefundConcluded`, `refunded` or not (`reason`: unknown_order, not_paid, wrong_currency, "
        "above_refundable, amount_is_zero, order_busy, key_reused). Money that went back is also told by "
        "`order.refunded`."
    ),
    checkout.ReplayOrderEvents: (
        "Answered by the order's own events after `after_sequence`, in order, under the ids they were first sent with; "
        "`MessageRefused` says `unknown_order`."
    ),
    shortage.AnswerShortage: (
        "Answered by the order's `order.shortage_settled`, or by `ShortageAnswerRefused` (`reason`: unknown_shortage, "
        "already_answered, substitute_not_offered, payment_failed, order_busy)."
    ),
    fulfillment.ReportShipment: (
        "A report that is taken is not answered. Repeated and late ones change nothing. `MessageRefused` says "
        "`unknown_fulfillment` after ten minutes."
    ),
    feeds.ReportStock: (
        "A report that is taken is not answered; nor is one that is older than what was heard, or was heard before. "
        "`MessageRefused` says `sequence_reused`, `wrong_mode` or `foreign_warehouse`; after ten minutes, "
        "`unknown_source` or `feed_under_way`."
    ),
}

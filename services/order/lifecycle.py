"""The lives of an order, its lines and its refunds, as tables: what is not here is refused.

An order has two regions: how far it has come (`PROGRESS`) and how much money went back (`REFUND_STANDING`).
"""

from collections.abc import Collection
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar

from shared.machine import Machine

S = TypeVar("S", bound=StrEnum)


class OrderState(StrEnum):
    CREATED = "created"
    PAYMENT_PENDING = "payment_pending"
    PAID = "paid"
    PROCESSING = "processing"
    PARTIALLY_FULFILLED = "partially_fulfilled"
    FULFILLED = "fulfilled"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class RefundStanding(StrEnum):
    NOT_REFUNDED = "not_refunded"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class ItemStatus(StrEnum):
    AWAITING_STOCK = "awaiting_stock"
    RESERVED = "reserved"
    BACKORDERED = "backordered"
    PREORDERED = "preordered"
    IN_PRODUCTION = "in_production"
    IN_FULFILLMENT = "in_fulfillment"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class RefundState(StrEnum):
    OPENED = "opened"
    SETTLED = "settled"
    ABANDONED = "abandoned"


_O = OrderState
PROGRESS: Final = Machine(
    "order",
    OrderState,
    OrderState.CREATED,
    [
        (_O.CREATED, "await payment", _O.PAYMENT_PENDING),
        (_O.PAYMENT_PENDING, "confirm", _O.PAID),
        (_O.PAID, "process", _O.PROCESSING),
        (_O.PROCESSING, "label some", _O.PARTIALLY_FULFILLED),
        (_O.PROCESSING, "label all", _O.FULFILLED),
        (_O.PARTIALLY_FULFILLED, "label all", _O.FULFILLED),
        (_O.FULFILLED, "ship", _O.SHIPPED),
        (_O.SHIPPED, "deliver", _O.DELIVERED),
        (_O.DELIVERED, "complete", _O.COMPLETED),
        # until it leaves, an order can be called off; whoever asks has called off stock, shipments and money first
        (_O.CREATED, "cancel", _O.CANCELLED),
        (_O.PAYMENT_PENDING, "cancel", _O.CANCELLED),
        (_O.PAID, "cancel", _O.CANCELLED),
        (_O.PROCESSING, "cancel", _O.CANCELLED),
        (_O.PARTIALLY_FULFILLED, "cancel", _O.CANCELLED),
        (_O.FULFILLED, "cancel", _O.CANCELLED),
        # everything came back: from the customer, or as an undeliverable parcel
        (_O.SHIPPED, "return", _O.RETURNED),
        (_O.DELIVERED, "return", _O.RETURNED),
        (_O.COMPLETED, "return", _O.RETURNED),
    ],
)

_R = RefundStanding
REFUND_STANDING: Final = Machine(
    "refund standing",
    RefundStanding,
    RefundStanding.NOT_REFUNDED,
    [
        (_R.NOT_REFUNDED, "refund part", _R.PARTIALLY_REFUNDED),
        (_R.NOT_REFUNDED, "refund the rest", _R.REFUNDED),
        (_R.PARTIALLY_REFUNDED, "refund part", _R.PARTIALLY_REFUNDED),
        (_R.PARTIALLY_REFUNDED, "refund the rest", _R.REFUNDED),
    ],
)

_I = ItemStatus
UNPICKED: Final = (_I.AWAITING_STOCK, _I.RESERVED, _I.BACKORDERED, _I.PREORDERED, _I.IN_PRODUCTION)
ITEM: Final = Machine(
    "item",
    ItemStatus,
    ItemStatus.AWAITING_STOCK,
    [
        (_I.AWAITING_STOCK, "reserve", _I.RESERVED),
        (_I.AWAITING_STOCK, "backorder", _I.BACKORDERED),
        (_I.AWAITING_STOCK, "preorder", _I.PREORDERED),
        (_I.AWAITING_STOCK, "produce", _I.IN_PRODUCTION),
        (_I.BACKORDERED, "reserve", _I.RESERVED),
        (_I.PREORDERED, "reserve", _I.RESERVED),
        (_I.IN_PRODUCTION, "reserve", _I.RESERVED),
        (_I.RESERVED, "produce", _I.IN_PRODUCTION),
        (_I.RESERVED, "run short", _I.BACKORDERED),  # promised, and then an inventory count said otherwise
        (_I.RESERVED, "fulfill", _I.IN_FULFILLMENT),
        (_I.IN_FULFILLMENT, "reroute", _I.RESERVED),  # a warehouse gave it back
        (_I.IN_FULFILLMENT, "ship", _I.SHIPPED),
        (_I.SHIPPED, "deliver", _I.DELIVERED),
        (_I.SHIPPED, "return", _I.RETURNED),
        (_I.DELIVERED, "return", _I.RETURNED),
        *((status, "cancel", _I.CANCELLED) for status in (*UNPICKED, _I.IN_FULFILLMENT)),
    ],
)

_F = RefundState
REFUND: Final = Machine(
    "refund",
    RefundState,
    RefundState.OPENED,
    [
        (_F.OPENED, "settle", _F.SETTLED),
        (_F.OPENED, "abandon", _F.ABANDONED),
    ],
)

UNPAID: Final = frozenset({_O.CREATED, _O.PAYMENT_PENDING})
WITH_MONEY: Final = frozenset(OrderState) - UNPAID - {_O.CANCELLED}
"""States in which the customer's money is with us, so that some of it can go back."""
TRACK: Final = (_O.PAID, _O.PROCESSING, _O.PARTIALLY_FULFILLED, _O.FULFILLED, _O.SHIPPED, _O.DELIVERED)
"""The part of an order's progress that its items decide."""
ITEM_TRACK: Final = (*UNPICKED, _I.IN_FULFILLMENT, _I.SHIPPED, _I.DELIVERED)
"""The part of an item's life that its shipments decide."""


@lru_cache(maxsize=1024)  # machines x states x states: a few hundred
def way(machine: Machine[S], at: S, to: S, through: Collection[S]) -> tuple[str, ...] | None:
    """The shortest list of moves from one state to another that stays on `through`; None when the table has no way.

    Facts come late and in bundles: an order heard of as delivered was labeled and shipped before, and takes those
    moves.
    """
    found: dict[S, tuple[str, ...]] = {at: ()}
    frontier = [at]
    while frontier and to not in found:
        nearer, frontier = frontier, []
        for here in nearer:
            for origin, on, target in machine.moves:
                if origin is here and target in through and target not in found:
                    found[target] = (*found[here], on)
                    frontier.append(target)
    return found.get(to)

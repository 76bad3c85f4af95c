"""What a line costs adds up to the order; how a line stands follows from what its shipments carry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from contracts.order import PlaceOrder
from contracts.values import Wait, WaitKind
from services.order.lifecycle import ITEM, ITEM_TRACK, ItemStatus, OrderState, way
from services.order.shipments import ARRIVED, LABELED, LEFT, NEARNESS, Shipment, goods
from shared.frozen import replace
from shared.money import allocate

GONE: Final = frozenset({ItemStatus.CANCELLED, ItemStatus.RETURNED})
ASKED: Final = frozenset(NEARNESS)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order. The quantities count how much of it was labeled, has left and has arrived."""

    order_id: UUID
    line_no: int
    sku: str
    quantity: int
    unit_price_minor: int
    discount_minor: int
    tax_minor: int
    subtotal_minor: int
    status: ItemStatus = ItemStatus.AWAITING_STOCK
    labeled_quantity: int = 0
    shipped_quantity: int = 0
    delivered_quantity: int = 0
    cancelled_quantity: int = 0
    """Units that will not come: their money goes back."""
    substitutes: dict[str, int] = field(default_factory=dict)
    """Units that come as another SKU, at the same price."""
    version: int = 0

    @property
    def wanted(self) -> int:
        """Units that are to arrive, as whatever SKU."""
        return self.quantity - self.cancelled_quantity

    @property
    def own(self) -> int:
        """Units of its own SKU that are to arrive."""
        return self.wanted - sum(self.substitutes.values())

    @property
    def live(self) -> bool:
        return self.status not in GONE


def items_of(command: PlaceOrder) -> list[Item]:
    """The lines with their share of discount and tax, each in proportion to its goods, to the last minor unit."""
    goods_minor = [line.quantity * line.unit_price_minor for line in command.lines]
    discounts = allocate(command.discount_minor, goods_minor)
    taxes = allocate(command.tax_minor, goods_minor)
    return [
        Item(
            order_id=command.order_id,
            line_no=number,
            sku=line.sku,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
            discount_minor=discount,
            tax_minor=tax,
            subtotal_minor=worth - discount + tax,
        )
        for number, (line, worth, discount, tax) in enumerate(
            zip(command.lines, goods_minor, discounts, taxes, strict=True), start=1
        )
    ]


def counted(items: Sequence[Item], shipments: Sequence[Shipment]) -> list[Item]:
    """The lines with what their shipments carry of them, status not moved yet.

    Two lines of one SKU are filled in line order: a box does not say which line it is for. Units are a line's own SKU
    first and somebody's substitute after that, and what is complete stays so.
    """
    listed = sorted(items, key=lambda item: item.line_no)
    counted = [dealt(goods(shipments, statuses), listed) for statuses in (LABELED, LEFT, ARRIVED)]
    found = []
    for item in listed:
        if item.live:
            counts = tuple(sum(units[item.line_no].values()) for units in counted)
            if counts != (item.labeled_quantity, item.shipped_quantity, item.delivered_quantity):
                labels, gone, there = counts
                item = replace(item, labeled_quantity=labels, shipped_quantity=gone, delivered_quantity=there)
        found.append(item)
    return found


def followed(items: Sequence[Item], shipments: Sequence[Shipment]) -> list[list[Item]]:
    """What the shipments do to each line: its rows to keep, one per move, or one that only counts; none if nothing."""
    asked = goods(shipments, ASKED)
    found = []
    for before, item in zip(sorted(items, key=lambda item: item.line_no), counted(items, shipments), strict=True):
        moves = []
        if item.live:
            target = _target(item, asked)
            for on in way(ITEM, item.status, target, ITEM_TRACK) or ():
                item = replace(item, status=ITEM.to(item.status, on))
                moves.append(item)
        found.append(moves or ([item] if item != before else []))
    return found


def moved(items: Iterable[Item], on: str) -> list[Item]:
    """The lines that this moves, moved. The others stay: one line's end is no obstacle to another's."""
    return [replace(item, status=ITEM.to(item.status, on)) for item in items if (item.status, on) in _POSSIBLE]


LATER: Final[Mapping[WaitKind, str]] = {
    WaitKind.BACKORDER: "backorder",
    WaitKind.PREORDER: "preorder",
    WaitKind.PRODUCTION: "produce",
}


def promised(items: Iterable[Item], waits: Iterable[Wait]) -> list[Item]:
    """The lines of a paid order: reserved, or waiting under the name of what they wait for."""
    kinds = {wait.sku: LATER[wait.kind] for wait in waits}
    return [line for item in items for line in moved([item], kinds.get(item.sku, "reserve"))]


def progress(items: Iterable[Item]) -> OrderState:
    """How far a paid order has come: one pure function of its lines."""
    listed = list(items)
    live = [item for item in listed if item.live]
    if not live:
        returned = any(item.status is ItemStatus.RETURNED for item in listed)
        return OrderState.RETURNED if returned else OrderState.CANCELLED
    if all(item.status is ItemStatus.DELIVERED for item in live):
        return OrderState.DELIVERED
    if all(item.shipped_quantity == item.wanted for item in live):
        return OrderState.SHIPPED
    if all(item.labeled_quantity == item.wanted for item in live):
        return OrderState.FULFILLED
    if any(item.labeled_quantity for item in live):
        return OrderState.PARTIALLY_FULFILLED
    if any(item.status is ItemStatus.IN_FULFILLMENT for item in live):
        return OrderState.PROCESSING
    return OrderState.PAID


def _target(item: Item, asked: dict[str, int]) -> ItemStatus:
    if item.delivered_quantity == item.wanted:
        return ItemStatus.DELIVERED
    if item.shipped_quantity == item.wanted:
        return ItemStatus.SHIPPED
    if item.sku in asked or not asked.keys().isdisjoint(item.substitutes):
        return ItemStatus.IN_FULFILLMENT
    return item.status


def dealt(units: dict[str, int], items: Sequence[Item]) -> dict[int, dict[str, int]]:
    """By line, how many of these units are for it, of its own SKU and of its substitutes."""
    live = [item for item in items if item.live]
    found = {item.line_no: {item.sku: _take(units, item.sku, item.own)} for item in live}
    for item in sorted(live, key=lambda item: item.wanted - item.delivered_quantity):
        for sku, wanted in item.substitutes.items():
            found[item.line_no][sku] = _take(units, sku, wanted)
    return found


def _take(units: dict[str, int], sku: str, wanted: int) -> int:
    found = min(units.get(sku, 0), wanted)
    if found:
        units[sku] -= found
    return found


_POSSIBLE: Final = frozenset((origin, on) for origin, on, _ in ITEM.moves)

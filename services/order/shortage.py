"""What a shortage does to the lines of an order: units that will not come are cancelled and their money set aside, to
the cent; units that come as another SKU, or later, keep their price.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.shortage import Choice, SettleLines
from services.order.items import Item
from services.order.lifecycle import ITEM, ItemStatus
from shared.frozen import replace


@dataclass(frozen=True, slots=True)
class Settled:
    """The rows to keep of each line, one per move, and what is to go back."""

    moves: tuple[tuple[Item, ...], ...]
    refund_minor: int


def settled(items: Iterable[Item], command: SettleLines) -> Settled:
    """Units not packed yet, from the last line backwards: of lines of the SKU, then of lines it was to be sent for."""
    left = command.quantity
    moves: list[tuple[Item, ...]] = []
    refund_minor = 0
    backwards = sorted(items, key=lambda item: (item.sku != command.sku, -item.line_no))
    for item in backwards:
        mine = item.own if item.sku == command.sku else item.substitutes.get(command.sku, 0)
        # labels are counted whatever SKU they are on
        units = min(left, mine, item.wanted - item.labeled_quantity)
        if not units or not item.live:
            continue
        left -= units
        match command.outcome:
            case Choice.REFUND:
                after = cancelled(item, command.sku, units)
                refund_minor += worth(item, after.cancelled_quantity) - worth(item, item.cancelled_quantity)
                moves.append((after,))
            case Choice.SUBSTITUTE if command.substitute is not None:
                rest = _without(item, command.sku, units)
                if command.substitute != item.sku:  # back to what was ordered is no substitute
                    more = rest.substitutes.get(command.substitute, 0) + units
                    rest = replace(rest, substitutes={**rest.substitutes, command.substitute: more})
                moves.append((rest,))
            case _ if item.sku == command.sku:
                moves.append(_back_in_the_queue(item) if units == item.wanted else ())
    return Settled(tuple(move for move in moves if move), refund_minor)


def cancelled(item: Item, sku: str, units: int) -> Item:
    """So many units that were to come as this SKU will not: the line is off when they were all that was left of it."""
    after = replace(_without(item, sku, units), cancelled_quantity=item.cancelled_quantity + units)
    return after if after.wanted else _moved(after, "cancel")


def _without(item: Item, sku: str, units: int) -> Item:
    """So many units fewer that come as this SKU, if it is not the line's own."""
    if sku == item.sku:
        return item
    rest = {**item.substitutes, sku: item.substitutes[sku] - units}
    return replace(item, substitutes={sku: many for sku, many in rest.items() if many})


def worth(item: Item, units: int) -> int:
    """What so many units of a line cost, with their share of discount and tax: all of them, exactly the line."""
    return item.subtotal_minor * units // item.quantity


def _back_in_the_queue(item: Item) -> tuple[Item, ...]:
    """A whole line that waits again."""
    moves = []
    for on in {ItemStatus.IN_FULFILLMENT: ("reroute", "run short"), ItemStatus.RESERVED: ("run short",)}.get(
        item.status, ()
    ):
        item = _moved(item, on)
        moves.append(item)
    return tuple(moves)


def _moved(item: Item, on: str) -> Item:
    return replace(item, status=ITEM.to(item.status, on))

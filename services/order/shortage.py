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
    """Units that are not packed yet, from the last line of the SKU backwards."""
    left = command.quantity
    moves: list[tuple[Item, ...]] = []
    refund_minor = 0
    for item in sorted(items, key=lambda item: -item.line_no):
        # labels are counted whatever SKU they are on: what is packed of a line may be its substitutes
        units = min(left, item.own, item.wanted - item.labeled_quantity) if item.sku == command.sku else 0
        if not units or not item.live:
            continue
        left -= units
        match command.outcome:
            case Choice.REFUND:
                after = replace(item, cancelled_quantity=item.cancelled_quantity + units)
                refund_minor += worth(item, after.cancelled_quantity) - worth(item, item.cancelled_quantity)
                moves.append((_moved(after, "cancel"),) if not after.wanted else (after,))
            case Choice.SUBSTITUTE if command.substitute is not None:
                more = item.substitutes.get(command.substitute, 0) + units
                moves.append((replace(item, substitutes={**item.substitutes, command.substitute: more}),))
            case _:
                moves.append(_back_in_the_queue(item) if units == item.wanted else ())
    return Settled(tuple(move for move in moves if move), refund_minor)


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

"""What follows when a count changes what a shelf can keep: said by whatever changes a shelf without its orders."""

from contracts.message import Message
from services.inventory.domain import Shelf


def consequences(before: Shelf, after: Shelf, reference: str) -> list[Message]:
    """What is to be said when a shelf went from `before` to `after`: that it came short, so that a shortage is settled;
    that units became free, so that whoever waits for them is served. Nobody listens for either yet."""
    return []

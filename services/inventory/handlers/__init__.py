"""What inventory hears, a file for each kind of business. Shelves are named in `then` only: one locking query per
batch, in key order, so that two batches wait for each other and never deadlock.
"""

from services.inventory.handlers import (
    counting,
    feeds,
    promises,
    proposals,
    queues,
    returns,
    shortage,
    sources,
    stocktaking,
    supply,
    transfers,
)
from services.inventory.handlers.consumer import consumer, make_consumer

__all__ = [
    "consumer",
    "counting",
    "feeds",
    "make_consumer",
    "promises",
    "proposals",
    "queues",
    "returns",
    "shortage",
    "sources",
    "stocktaking",
    "supply",
    "transfers",
]

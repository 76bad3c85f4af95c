"""The registration table: the other files of this room write into it."""

from typing import Final

from contracts.feeds import STOCK_REPORTS
from shared.consumer import Consumer

consumer: Final = Consumer("inventory", queues=("inventory", STOCK_REPORTS), outside=frozenset({STOCK_REPORTS}))

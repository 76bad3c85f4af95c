"""The registration table: the other files of this room write into it."""

from typing import Final

from shared.consumer import Consumer

consumer: Final = Consumer("inventory")

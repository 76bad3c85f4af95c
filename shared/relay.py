"""The relay says what was committed: reads the outbox, publishes with confirms, deletes what was confirmed.

One owner per shard (an advisory lock); two owners after a cut only duplicate. Rows of one subject and
destination go out
in order: a later one waits until the earlier is confirmed. Rows for a queue of our own travel in packs.
This file awaits only the outbox and the publisher, so the simulator drives it step by step.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared.crash import point
from shared.envelope import PACK_BYTES, PACK_MESSAGES, Envelope
from shared.store import Outbox, OutboxRow

WINDOW_ROWS: Final = 500
"""Rows per pass: about what one confirm round trip of a quorum queue can carry on two cores."""
PACKED_QUEUES: Final = frozenset({"order", "inventory", "payment", "fulfillment", "orchestrator"})
"""Queues of our own services. Storefronts and warehouses get one message each, readable by anybody."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes out as one AMQP message: one row, or several for the same queue of ours."""

    destination: str
    public: bool
    rows: tuple[tuple[int, OutboxRow], ...]

    @property
    def packed(self) -> bool:
        return len(self.rows) > 1

    def envelopes(self) -> list[Envelope]:
        return [Envelope(row.head, row.body.encode()) for _, row in self.rows]


class Publisher(Protocol):
    async def publish(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Send them, wait for the confirms, return those confirmed. The others may or may not have arrived."""
        ...


@dataclass(slots=True)
class Relayed:
    read: int = 0
    confirmed: int = 0
    parcels: int = 0
    refused: frozenset[str] = frozenset()
    """Destinations of which nothing was confirmed while others were: full, or not there."""


class Relay:
    """One reader of an outbox. `owed`: what was confirmed and is deleted with the next look, for that costs nothing
    more; a crash before it says these once more, under the same message ids."""

    def __init__(self, outbox: Outbox, publisher: Publisher) -> None:
        self.outbox, self.publisher = outbox, publisher
        self.owed: list[int] = []

    async def run(self, shards: Sequence[int], but: Collection[str] = ()) -> Relayed:
        """One window. What was not confirmed stays in the outbox and goes out again under the same message ids.

        `but`: destinations left out, so that a full queue's rows do not fill every window and stop everybody else's.
        """
        rows = await self.outbox.waiting(shards, WINDOW_ROWS, but, self.owed)
        if self.owed:
            self.owed = []
            point("relay.deleted")
        done = Relayed(read=len(rows))
        if not rows:
            return done
        parcels = parcels_of(rows)
        done.parcels = len(parcels)
        point("relay.read")
        arrived = await self.publisher.publish(parcels)
        self.owed = [position for parcel in arrived for position, _ in parcel.rows]
        point("relay.published")
        done.confirmed = len(self.owed)
        if arrived and len(arrived) < len(parcels):
            done.refused = frozenset(parcel.destination for parcel in parcels) - {one.destination for one in arrived}
        return done


def parcels_of(rows: Sequence[tuple[int, OutboxRow]]) -> list[Parcel]:
    """Pack rows for our own queues; of the others take only the first of each subject and destination."""
    parcels: list[Parcel] = []
    packs: dict[str, list[list[tuple[int, OutboxRow]]]] = {}
    sizes: dict[str, int] = {}
    earlier: dict[tuple[str, str], int] = {}
    started: set[tuple[str, str]] = set()
    for position, row in rows:
        if not row.public and row.destination in PACKED_QUEUES:
            size = len(row.body) + 400  # the head is about that long
            packs_here = packs.setdefault(row.destination, [[]])
            if packs_here[-1] and (len(packs_here[-1]) >= PACK_MESSAGES or sizes[row.destination] + size > PACK_BYTES):
                packs_here.append([])
                sizes[row.destination] = 0
            if earlier.setdefault((row.destination, row.subject), len(packs_here)) != len(packs_here):
                continue  # an earlier row of this subject is in another pack, not yet confirmed: next pass
            packs_here[-1].append((position, row))
            sizes[row.destination] = sizes.get(row.destination, 0) + size
        elif (
            lane := (row.subject, row.destination if not row.public else row.destination.partition(".")[0])
        ) not in started:
            started.add(lane)
            parcels.append(Parcel(row.destination, row.public, ((position, row),)))
    for destination, lists in packs.items():
        parcels += [Parcel(destination, False, tuple(one)) for one in lists if one]
    return parcels

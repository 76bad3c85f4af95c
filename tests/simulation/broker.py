"""A broker in memory: queues per service, packs, redelivery with a count; what was published is kept to be repeated."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from shared.envelope import Envelope
from shared.heard import Heard
from shared.ids import foreign_id
from shared.relay import Parcel
from tests.simulation.faults import Fault, Faults

LONGEST_DELAY_S: Final = 1_200.0
KEPT: Final = 400
"""Published messages a late duplicate may be taken from."""


@dataclass(eq=False, slots=True)
class Delivery:
    """One message of the broker: an envelope or a pack. `count` is how often it was delivered before."""

    queue: str
    envelopes: tuple[Envelope, ...]
    foreign: bool
    count: int = 0
    acked: Callable[[], None] | None = None
    """A local message's door: called once its batch has committed."""
    lost: Callable[[], None] | None = None
    """Called when the process dies with it; a message of the broker has none and comes back by itself."""

    def heard(self) -> list[Heard]:
        alone = self.count > 0
        return [
            Heard(self.queue, one, _id(one, self.foreign), foreign=self.foreign, alone=alone) for one in self.envelopes
        ]

    @property
    def local(self) -> bool:
        return self.acked is not None


def _id(envelope: Envelope, foreign: bool) -> UUID:
    if foreign and envelope.source:
        return foreign_id(envelope.source, envelope.id)
    return UUID(envelope.id)


@dataclass
class Broker:
    """`outside` are the queues of foreign senders; `beyond` hears what is not for one of our services."""

    rng: random.Random
    faults: Faults
    clock: Callable[[], datetime]
    outside: frozenset[str]
    queues: frozenset[str]
    beyond: Callable[[str, Envelope], None]
    ready: dict[str, list[Delivery]] = field(default_factory=dict)
    delayed: list[tuple[datetime, Delivery]] = field(default_factory=list)
    kept: list[tuple[str, tuple[Envelope, ...]]] = field(default_factory=list)
    published: int = 0
    late_answers: set[str] = field(default_factory=set)
    """Command keys whose next answer lies somewhere for a while."""

    def publish(self, destination: str, envelopes: tuple[Envelope, ...]) -> None:
        """It has arrived; whether the publisher learns that is another matter."""
        self.published += len(envelopes)
        if len(self.kept) < KEPT:
            self.kept.append((destination, envelopes))
        late = [one for one in envelopes if destination == "orchestrator" and one.command_key in self.late_answers]
        for one in late:
            self.faults.strike(Fault.DELAY)
            self.late_answers.discard(one.command_key or "")
            self._later(Delivery(destination, (one,), destination in self.outside))
        if late and not (envelopes := tuple(one for one in envelopes if one not in late)):
            return
        self._arrive(destination, envelopes)
        if self.faults.strikes(Fault.DUPLICATE):
            self._arrive(destination, envelopes)

    def say_again(self) -> bool:
        """Any message ever published, once more."""
        if not self.kept:
            return False
        self._arrive(*self.rng.choice(self.kept))
        return True

    def _arrive(self, destination: str, envelopes: tuple[Envelope, ...]) -> None:
        if destination not in self.queues:
            for envelope in envelopes:
                self.beyond(destination, envelope)
            return
        delivery = Delivery(destination, envelopes, destination in self.outside)
        if self.faults.strikes(Fault.DELAY):
            self._later(delivery)
        else:
            self.ready.setdefault(destination, []).append(delivery)

    def _later(self, delivery: Delivery) -> None:
        late = timedelta(seconds=self.rng.uniform(0.5, LONGEST_DELAY_S))
        self.delayed.append((self.clock() + late, delivery))

    def take(self, queue: str, limit: int) -> list[Delivery]:
        waiting = self.ready.get(queue)
        if not waiting:
            return []
        if len(waiting) > 1 and self.faults.strikes(Fault.REORDER):
            self.rng.shuffle(waiting)
        if len(waiting) > limit:
            self.ready[queue] = waiting[limit:]
        else:
            del self.ready[queue]  # only queues with messages stand in `ready`: the scheduler asks it at every turn
        return waiting[:limit]

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """The consumer is gone: they come back, at the front, counted."""
        for delivery in reversed(deliveries):
            again = Delivery(delivery.queue, delivery.envelopes, delivery.foreign, delivery.count + 1)
            self.ready.setdefault(delivery.queue, []).insert(0, again)

    def release_delayed(self) -> None:
        if not self.delayed:
            return
        now = self.clock()
        for at, delivery in self.delayed:
            if at <= now:
                self.ready.setdefault(delivery.queue, []).append(delivery)
        self.delayed = [item for item in self.delayed if item[0] > now]

    def next_instant(self) -> datetime | None:
        return min((at for at, _ in self.delayed), default=None)

    def parcel(self, parcel: Parcel) -> None:
        self.publish(parcel.destination, tuple(parcel.envelopes()))

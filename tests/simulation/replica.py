"""One process of a service: its batches, its relay, its effects, and nothing that outlives a crash but the store.

The frame's own code runs here (shared.batch, shared.relay, shared.effects); only the loops around it are ours.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from contracts.message import Message
from shared.batch import Batches, TooManyConflicts
from shared.effects import Effect
from shared.envelope import SHARDS, Envelope
from shared.heard import Heard
from shared.relay import Parcel, Relay
from shared.store import Unavailable
from tests.simulation.broker import Delivery
from tests.simulation.faults import Fault
from tests.simulation.steps import pause
from tests.support.company import Part, envelope_of
from tests.support.memory import MemoryStore

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

PREFETCH: Final = 8
"""Small, so that many batches overlap."""


class Replica:
    """`held` is what the broker gave it and has not been acknowledged; `intake` the part of it not in a batch."""

    acks_before_commit: ClassVar[bool] = False
    """A mutant's switch (test_mutants): the mistake every consumer is one line away from."""

    def __init__(self, cluster: Cluster, part: Part, number: int, store: MemoryStore) -> None:
        self.cluster, self.part, self.number, self.store = cluster, part, number, store
        self.batches = Batches(part.consumer, store, cluster.new_id)
        self.relay = Relay(store, self)
        self.name = f"{part.name}-{number}"
        self.queues = frozenset(part.consumer.queues)
        self.held: list[Delivery] = []
        self.intake: list[Delivery] = []
        self.in_hand: list[Delivery] = []
        self.busy: set[str] = set()

    # -- what it can begin ---------------------------------------------------------------------------------------

    def begin_batch(self) -> bool:
        """Take what waits; False when there is nothing."""
        cluster = self.cluster
        broker, rng = cluster.broker, cluster.rng
        for queue in self.part.consumer.queues:
            if broker.ready.get(queue):
                taken = broker.take(queue, rng.randint(1, PREFETCH))
                self.held += taken
                self.intake += taken
        due = self.ripe() and (not self.intake or rng.random() < 0.7)
        if not self.intake and not due:
            return False
        deliveries, self.intake = self.intake, []
        self._begin("batch", self._batch(deliveries, due))
        return True

    def ripe(self) -> bool:
        soonest = self.store.next_due()
        return soonest is not None and soonest <= self.cluster.now

    def begin_relay(self) -> None:
        self.cluster.relay_owner[self.part.name] = self
        self._begin("relay", self._relay())

    def begin_effect(self, effect: Effect[Any]) -> None:
        self._begin("take", self._take(effect))

    def hear_local(self, message: Message, delivery: Delivery | None = None) -> None:
        """What an effect learned, or a door was told: heard by this process or lost with it."""
        if delivery is None:
            envelope = local_envelope(message, self.part.name, self.cluster)
            delivery = Delivery(self.part.consumer.queues[0], (envelope,), True, acked=lambda: None)
        self.intake.append(delivery)

    def _begin(self, name: str, work: Coroutine[str, None, None]) -> None:
        self.busy.add(name)
        self.cluster.spawn(name, self, work)

    # -- its loops -----------------------------------------------------------------------------------------------

    async def _batch(self, deliveries: list[Delivery], due: bool) -> None:
        cluster = self.cluster
        heard = [item for delivery in deliveries for item in delivery.heard()]
        if cluster.tracing:
            cluster.trace(f"{self.name} hears {', '.join(map(told, heard))}{' and due' if due else ''}")
        if self.acks_before_commit:
            self._ack(deliveries)
        self.in_hand = deliveries
        try:
            done = await self.batches.run(heard, due=due)
        except (Unavailable, TooManyConflicts) as away:
            cluster.trace(f"{self.name} pauses: {away}")
            # what the broker took back meanwhile will come again by itself
            self.intake[:0] = [one for one in deliveries if one.local or one in self.held]
            return
        finally:
            self.busy.discard("batch")
        cluster.counts["decided"] += done.decided
        cluster.counts["conflicts"] += done.conflicts
        cluster.counts["duplicates"] += done.duplicates
        cluster.counts["set_aside"] += done.set_aside
        if cluster.faults.strikes(Fault.LOST_ACK):
            cluster.trace(f"{self.name} loses its connection before the acknowledgement")
            self.cut()
        await pause("acknowledge")
        if not self.acks_before_commit:
            self._ack(deliveries)
        self.in_hand = []

    def _ack(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.acked is not None:
                delivery.acked()
            elif delivery in self.held:
                self.held.remove(delivery)

    def cut(self) -> None:
        """The broker's connection is gone and back: everything unacknowledged comes again, perhaps to somebody else."""
        self.cluster.broker.requeue(self.held)
        self.intake = [one for one in self.intake if one.local]
        self.held = []

    async def _relay(self) -> None:
        try:
            await self.relay.run(range(SHARDS))
        except Unavailable as away:
            self.cluster.trace(f"{self.name} relay pauses: {away}")
        finally:
            self.busy.discard("relay")

    async def publish(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        cluster, confirmed = self.cluster, []
        for parcel in parcels:
            await pause("publish")
            if cluster.faults.strikes(Fault.UNPUBLISHED):
                continue
            cluster.broker.parcel(parcel)
            if not cluster.faults.strikes(Fault.UNCONFIRMED):
                confirmed.append(parcel)
        await pause("confirms")
        return confirmed

    async def _take(self, effect: Effect[Any]) -> None:
        try:
            taken = await effect.take(self.store, effect.at_once)
        except Unavailable as away:
            self.cluster.trace(f"{self.name} effects pause: {away}")
            return
        finally:
            self.busy.discard("take")
        for attempt in taken:
            self.cluster.spawn("perform", self, self._perform(effect, attempt))

    async def _perform(self, effect: Effect[Any], attempt: Any) -> None:
        learned = await effect.perform(attempt)
        if self.cluster.tracing:
            self.cluster.trace(f"{self.name} learns {learned}")
        self.hear_local(learned)

    # -- its end -------------------------------------------------------------------------------------------------

    def crash(self) -> None:
        """Everything in memory is gone; the same process starts again with nothing but its store."""
        self.cluster.broker.requeue(self.held)
        for delivery in dict.fromkeys([*self.intake, *self.in_hand]):
            if delivery.lost is not None:
                delivery.lost()
        self.held, self.intake, self.in_hand = [], [], []
        self.busy.clear()
        self.batches = Batches(self.part.consumer, self.store, self.cluster.new_id)
        self.relay = Relay(self.store, self)


def local_envelope(message: Message, service: str, cluster: Cluster) -> Envelope:
    """As shared.service submits it: of no sender, under a fresh id."""
    envelope = envelope_of(message, id_=cluster.new_id(), source=service, now=cluster.now)
    return Envelope({**envelope.head, "source": ""}, envelope.body)


def told(heard: Heard) -> str:
    """A message in a trace: its name, the tail of its subject, where it stands in its run."""
    envelope = heard.envelope
    key = (envelope.command_key or "").split("/")
    step = f" {key[1][-4:]}/{key[-2]}/{key[-1]}" if len(key) > 3 else ""
    again = " again" if heard.alone else ""
    return f"{envelope.type.removeprefix('waybill.')} {envelope.subject[-4:]}{step}{again}"

"""A world of messages and instants: every service's real handlers, and a network that never fails.

    world.hears(checkout)              # a storefront says something; everybody answers until it is quiet
    world.passes(minutes=16)           # timers ring in their order
    world.said_to("payment")           # every message ever published to a queue
    world.told("demo-shop")            # every event a storefront was told

Plain functions: nothing in here waits for anything real. Faults are the simulator's business (tests/simulation).
"""

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from contracts.message import MESSAGES, Kind, Message
from services.payment.provider.port import WebhookNotice
from services.payment.webhook import told_by
from shared.batch import Batches
from shared.envelope import SHARDS, Envelope, open_envelope
from shared.heard import Done, Heard
from shared.ids import foreign_id
from shared.relay import Parcel, Relay
from shared.store import OutboxRow
from shared.topology import SERVICES
from tests.support.company import Ids, Part, company, envelope_of
from tests.support.memory import MemoryStore
from tests.support.scripted_provider import ScriptedProvider

START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
PREFETCH: Final = 50
ROUNDS_UNTIL_QUIET: Final = 2_000
"""A checkout is quiet after about twenty rounds; more than this means that two services ask each other for ever."""
DUE_INSTANTS: Final = 10_000

T = TypeVar("T")


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing real."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    work.close()
    raise AssertionError("this coroutine waits for something outside the world")


class Member:
    """One service at work in a world."""

    def __init__(self, part: Part, store: MemoryStore, batches: Batches, relay: Relay) -> None:
        self.part, self.store, self.batches, self.relay = part, store, batches, relay
        self.learned: deque[Message] = deque()


class World:
    """`said` keeps every published row in order; `done` counts what the batches did."""

    def __init__(
        self,
        names: Iterable[str] = SERVICES,
        parts: Callable[[ScriptedProvider], Sequence[Part]] | None = None,
        now: datetime = START,
    ) -> None:
        self.now = now
        self.new_id = Ids(self.clock)
        self.provider = ScriptedProvider(self.clock)
        self.members: dict[str, Member] = {}
        for part in parts(self.provider) if parts else company(self.provider, names):
            store = MemoryStore(self.clock, tables=part.tables, machines=part.machines)
            if part.over is not None:
                part.over(store)
            self.members[part.name] = Member(
                part, store, Batches(part.consumer, store, self.new_id), Relay(store, self)
            )
        self.owners = {queue: member for member in self.members.values() for queue in member.part.consumer.queues}
        self.queues: dict[str, deque[Heard]] = {queue: deque() for queue in self.owners}
        self.said: list[OutboxRow] = []
        self.done: list[Done] = []

    def clock(self) -> datetime:
        return self.now

    def store(self, name: str) -> MemoryStore:
        return self.members[name].store

    @property
    def stores(self) -> dict[str, MemoryStore]:
        return {name: member.store for name, member in self.members.items()}

    # -- what happens --------------------------------------------------------------------------------------------

    def hears(self, message: Message, *, source: str = "demo-shop", key: str | None = None, id: str = "") -> None:
        """Somebody outside, or a service under a command key, says this; then everybody until it is quiet."""
        self.puts(message, source=source, key=key, id=id)
        self.until_quiet()

    def puts(self, message: Message, *, source: str = "demo-shop", key: str | None = None, id: str = "") -> None:
        """The same, but nobody listens yet."""
        envelope = envelope_of(message, id_=self.new_id(), source=source, now=self.now, command_key=key)
        if id:
            envelope = Envelope({**envelope.head, "id": id}, envelope.body)
        self._put(message.heard_by, envelope)

    def passes(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """The clock moves; whatever falls due on the way happens at its instant."""
        until = self.now + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self.until_quiet()
        for _ in range(DUE_INSTANTS):
            soonest = self._next_instant()
            if soonest is None or soonest > until:
                self.now = until
                return
            self.now = max(self.now, soonest)
            self.until_quiet()
        raise AssertionError(f"{DUE_INSTANTS} timers rang, and there are more")

    def notices(self, notices: Iterable[WebhookNotice]) -> None:
        """The payment provider posts these; payment's door verified them."""
        for notice in notices:
            message = told_by(notice, "sandbox")
            envelope = envelope_of(message, id_=foreign_id("provider", notice.id), source="payment", now=self.now)
            self._put(message.heard_by, envelope)

    # -- what was said -------------------------------------------------------------------------------------------

    def said_to(self, queue: str) -> list[Message]:
        return [_opened(row) for row in self.said if not row.public and row.destination == queue]

    def told(self, storefront: str) -> list[Message]:
        return [_opened(row) for row in self.said if row.public and row.destination.startswith(f"{storefront}.")]

    # -- how it goes round ---------------------------------------------------------------------------------------

    def until_quiet(self) -> None:
        for _ in range(ROUNDS_UNTIL_QUIET):
            if not self._round():
                return
        raise AssertionError(f"not quiet after {ROUNDS_UNTIL_QUIET} rounds: somebody asks for ever")

    def _round(self) -> bool:
        busy = False
        self.notices([*self.provider.settle_due(), *self.provider.take_notices()])
        for member in self.members.values():
            heard = [one for queue in member.part.consumer.queues for one in self._taken(queue)]
            heard += [self._own(member, message) for message in _emptied(member.learned)]
            ripe = any(row.not_before <= self.now for row in member.store.due.values())
            if heard or ripe:
                busy = True
                self.done.append(finish(member.batches.run(heard, due=True)))
            for effect in member.part.effects:
                for attempt in finish(effect.take(member.store, effect.at_once)):
                    busy = True
                    member.learned.append(finish(_performed(effect.perform, attempt)))
            busy |= finish(member.relay.run(range(SHARDS))).confirmed > 0
        return busy or any(self.queues.values())

    async def publish(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """The broker of this world takes everything."""
        for parcel in parcels:
            for _, row in parcel.rows:
                self.said.append(row)
                if not parcel.public and parcel.destination in self.owners:
                    self._put(parcel.destination, Envelope(row.head, row.body.encode()))
        return list(parcels)

    def _put(self, queue: str, envelope: Envelope) -> None:
        foreign = queue in self.owners[queue].part.consumer.outside
        id_ = foreign_id(envelope.source, envelope.id) if foreign else UUID(envelope.id)
        self.queues[queue].append(Heard(queue, envelope, id_, foreign=foreign))

    def _taken(self, queue: str) -> list[Heard]:
        waiting = self.queues[queue]
        return [waiting.popleft() for _ in range(min(len(waiting), PREFETCH))]

    def _own(self, member: Member, message: Message) -> Heard:
        id_ = self.new_id()
        return Heard(message.heard_by, envelope_of(message, id_=id_, source=member.part.name, now=self.now), id_)

    def _next_instant(self) -> datetime | None:
        instants = [member.store.next_due() for member in self.members.values()]
        return min((at for at in (*instants, self.provider.next_settlement()) if at is not None), default=None)


async def _performed(perform: Callable[[Any], Any], attempt: Any) -> Message:
    message: Message = await perform(attempt)
    return message


def _emptied(messages: deque[Message]) -> list[Message]:
    return [messages.popleft() for _ in range(len(messages))]


def _opened(row: OutboxRow) -> Message:
    return open_envelope(Envelope(row.head, row.body.encode()))


def events_of(told: Iterable[Message]) -> list[str]:
    """The topics of public events, short enough to compare with a list."""
    return [message.topic for message in told if MESSAGES[message.full_type].kind is Kind.EVENT]

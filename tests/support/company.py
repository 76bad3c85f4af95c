"""Every service as tests without a broker see it: what it hears, the tables it keeps, the effects it performs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from contracts.message import Message
from services.payment.provider.port import PaymentProvider
from shared.consumer import Consumer, subject_of
from shared.effects import Effect
from shared.envelope import Envelope, head_of
from shared.machine import Machine
from shared.table import Table
from shared.topology import SERVICES
from tests.support.memory import MemoryStore


@dataclass(frozen=True, slots=True)
class Part:
    """One service, less everything that touches a network."""

    name: str
    consumer: Consumer
    tables: tuple[Table[Any], ...]
    machines: tuple[tuple[str, str, Machine[Any]], ...]
    effects: tuple[Effect[Any], ...] = ()
    over: Callable[[MemoryStore], None] | None = None
    """Tells its effects which store is its own."""


Providers = Mapping[str, PaymentProvider]


def company(
    provider: PaymentProvider, names: Iterable[str] = SERVICES, bank: PaymentProvider | None = None
) -> tuple[Part, ...]:
    """The real handlers of these services; `provider` is whom payment's effects call, and for method `wire` the
    `bank`."""
    providers = {"sandbox": provider} | ({} if bank is None else {"bank": bank})
    return tuple(PARTS[name](providers) for name in names)


def _order(_: Providers) -> Part:
    from services.order import handlers, tables

    return Part("order", handlers.consumer, tables.TABLES, tables.MACHINES)


def _inventory(_: Providers) -> Part:
    from services.inventory import handlers, search, tables

    book = MemoryPromiseBook()
    return Part(
        "inventory",
        handlers.consumer,
        tables.TABLES,
        tables.MACHINES,
        (search.search_effect(book),),
        book.over,
    )


class MemoryPromiseBook:
    """Who was promised units of a shelf, asked of a store in memory."""

    def __init__(self) -> None:
        self._store: MemoryStore | None = None

    def over(self, store: MemoryStore) -> None:
        self._store = store

    async def promised(self, sku: str, warehouse: str, limit: int) -> list[UUID]:
        from services.inventory import shortages, tables

        assert self._store is not None
        asked = {
            line.order_id
            for line in self._store.rows(tables.SHORT_LINES)
            if line.warehouse == warehouse and line.state in ("asked", "kept")
        }
        promised = [
            row
            for row in self._store.rows(tables.RESERVATIONS)
            if row.status in ("held", "committed")
            and row.order_id not in asked
            and any(pick.warehouse == warehouse and sku in dict(pick.units(1)) for pick in row.taken)
        ]
        return [row.order_id for row in shortages.in_turn(shortages.Rule.LATEST, promised, sku)][:limit]


def _payment(providers: Providers) -> Part:
    from services.payment import effects, tables

    return Part(
        "payment", _payment_consumer(), tables.TABLES, tables.MACHINES, (effects.payment_effect(dict(providers)),)
    )


PER_SHIPMENT: Final = frozenset({"bnpl"})
"""Whoever lets buy now and pay later is paid for what was sent."""


@cache  # a registration table holds no state; making one costs more than a schedule of the simulator can afford
def _payment_consumer() -> Consumer:
    from services.payment import handlers
    from services.payment.domain import PaymentPolicy

    policy = PaymentPolicy(
        webhook_url="http://payment.test/webhooks", providers={"wire": "bank"}, per_shipment=PER_SHIPMENT
    )
    return handlers.make_consumer(policy)


def _fulfillment(_: Providers) -> Part:
    from services.fulfillment import handlers, tables

    return Part("fulfillment", handlers.consumer, tables.TABLES, tables.MACHINES)


def _orchestrator(_: Providers) -> Part:
    from services.orchestrator import tables

    return Part("orchestrator", _orchestrator_consumer(), tables.TABLES, tables.MACHINES)


@cache
def _orchestrator_consumer() -> Consumer:
    from services.orchestrator import handlers

    return handlers.make_consumer(handlers.CheckoutPolicy())


PARTS: Final[Mapping[str, Callable[[Providers], Part]]] = {
    "order": _order,
    "inventory": _inventory,
    "payment": _payment,
    "fulfillment": _fulfillment,
    "orchestrator": _orchestrator,
}


class Ids:
    """UUIDv7 as a counter: sorted by time, unique, and the same in every run of one seed."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._made = 0

    def __call__(self) -> UUID:
        self._made += 1
        millis = int(self._clock().timestamp() * 1000)
        return UUID(int=millis << 80 | 0x7 << 76 | 0x2 << 62 | self._made)


def envelope_of(message: Message, *, id_: UUID, source: str, now: datetime, command_key: str | None = None) -> Envelope:
    """A message as its sender wraps it."""
    head = head_of(
        message, id_=id_, source=source, subject=subject_of(message), now=now, cause={}, command_key=command_key
    )
    return Envelope(head, message.model_dump_json().encode())

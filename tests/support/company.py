"""Every service as tests without a broker see it: what it hears, the tables it keeps, the effects it performs."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.message import Message
from contracts.payment import ProviderNotified
from services.payment.provider import PaymentProvider, WebhookNotice
from shared.consumer import Consumer, subject_of
from shared.effects import Effect
from shared.envelope import Envelope, head_of
from shared.machine import Machine
from shared.table import Table
from shared.topology import SERVICES


@dataclass(frozen=True, slots=True)
class Part:
    """One service, less everything that touches a network."""

    name: str
    consumer: Consumer
    tables: tuple[Table[Any], ...]
    machines: tuple[tuple[str, str, Machine[Any]], ...]
    effects: tuple[Effect[Any], ...] = ()


def company(provider: PaymentProvider, names: Iterable[str] = SERVICES) -> tuple[Part, ...]:
    """The real handlers of these services; `provider` is whom payment's effects call."""
    parts: list[Part] = []
    for name in names:
        handlers = importlib.import_module(f"services.{name}.handlers")
        tables = importlib.import_module(f"services.{name}.tables")
        effects: tuple[Effect[Any], ...] = ()
        if name == "payment":
            effects = (importlib.import_module("services.payment.effects").payment_effect(provider),)
        parts.append(Part(name, handlers.consumer, tables.TABLES, tables.MACHINES, effects))
    return tuple(parts)


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


def notified(notice: WebhookNotice) -> ProviderNotified:
    """A notice as payment's own door hands it to its handlers."""
    answer = notice.answer
    return ProviderNotified(
        order_id=UUID(notice.reference),
        attempt_id=UUID(notice.authorize_key),
        notice_id=notice.id,
        status=type(answer).__name__.lower(),
        provider_payment_id=notice.provider_payment_id,
        reason=getattr(answer, "reason", ""),
        captured_minor=getattr(answer, "captured_minor", 0),
        refunded_minor=getattr(answer, "refunded_minor", 0),
    )

"""Everything that happens to an order is appended to its story, in the same write as what it changed.

Two counters make it whole: `sequence` numbers every line without a gap, `public_sequence` those a storefront hears.
A public line keeps the event as it was said, so that saying it again is saying the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from contracts.message import MESSAGES
from contracts.order import (
    OrderCancelledEvent,
    OrderCompletedEvent,
    OrderConfirmedEvent,
    OrderDeliveredEvent,
    OrderEvent,
    OrderFulfilledEvent,
    OrderPartiallyFulfilledEvent,
    OrderPaymentPendingEvent,
    OrderProcessingEvent,
    OrderReturnedEvent,
    OrderShippedEvent,
)
from services.order.domain import Order
from services.order.lifecycle import PROGRESS, OrderState
from shared.frozen import replace
from shared.ids import NewId
from shared.topology import SERVICES

MAX_REASON: Final = 200
"""What a public event's `reason` holds."""


class ActorKind(StrEnum):
    CUSTOMER = "customer"
    AGENT = "agent"
    SERVICE = "service"
    PROVIDER = "provider"


_KINDS: Final = frozenset(kind.value for kind in ActorKind)


@dataclass(frozen=True, slots=True)
class Actor:
    kind: ActorKind
    name: str

    @staticmethod
    def of(text: str) -> "Actor":
        """``kind:name`` or ``kind``; a name alone is one of our services, or else somebody we work with."""
        kind, _, name = text.partition(":")
        if kind in _KINDS:
            return Actor(ActorKind(kind), name or kind)
        return Actor(ActorKind.SERVICE if text in SERVICES else ActorKind.PROVIDER, text)


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One thing that happened. `event_id`, `event_type` and `event` are set where a storefront heard it."""

    order_id: UUID
    sequence: int
    public_sequence: int | None
    name: str
    occurred_at: datetime
    actor_kind: ActorKind
    actor: str
    reason: str
    metadata: dict[str, Any]
    message_id: str
    event_id: UUID | None = None
    event_type: str | None = None
    event: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Announced:
    """A public event as it is said, the first time and every time after."""

    event: OrderEvent
    id: UUID


@dataclass(frozen=True, slots=True)
class Cause:
    """Who did it and when, by which message; and fresh ids for what is said of it."""

    occurred_at: datetime
    actor: Actor
    message_id: str
    new_id: NewId


PUBLIC: Final[Mapping[OrderState, type[OrderEvent]]] = {
    OrderState.PAYMENT_PENDING: OrderPaymentPendingEvent,
    OrderState.PAID: OrderConfirmedEvent,
    OrderState.PROCESSING: OrderProcessingEvent,
    OrderState.PARTIALLY_FULFILLED: OrderPartiallyFulfilledEvent,
    OrderState.FULFILLED: OrderFulfilledEvent,
    OrderState.SHIPPED: OrderShippedEvent,
    OrderState.DELIVERED: OrderDeliveredEvent,
    OrderState.COMPLETED: OrderCompletedEvent,
    OrderState.CANCELLED: OrderCancelledEvent,
    OrderState.RETURNED: OrderReturnedEvent,
}


@dataclass(slots=True)
class Story:
    """The lines one decision adds to one order, and the order's rows to keep: one per move of its state.

    `order` is the last row kept; state and counters run ahead of it until the next is.
    """

    order: Order
    cause: Cause
    rows: list[Order] = field(default_factory=list)
    lines: list[StoryLine] = field(default_factory=list)
    said: list[Announced] = field(default_factory=list)
    state: OrderState = field(init=False)
    _sequence: int = field(init=False)
    _public_sequence: int = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.order.state
        self._sequence, self._public_sequence = self.order.last_sequence, self.order.last_public_sequence

    def move(
        self,
        on: str,
        *,
        reason: str = "",
        metadata: Mapping[str, Any] | None = None,
        detail: Mapping[str, str] | None = None,
        quietly: bool = False,
    ) -> None:
        """Move the order by its table, and tell it. `quietly`: in passing, of no interest to a storefront."""
        if self.state is not self.order.state:
            self._keep()  # the database's trigger sees every single move
        self.state = PROGRESS.to(self.state, on)
        public = None if quietly else PUBLIC[self.state]
        self.tell(f"order.{self.state}", reason=reason, metadata=metadata, detail=detail, public=public)

    def tell(
        self,
        name: str,
        *,
        reason: str = "",
        metadata: Mapping[str, Any] | None = None,
        detail: Mapping[str, str] | None = None,
        public: type[OrderEvent] | None = None,
    ) -> None:
        """Append one line; with `public`, a storefront hears it."""
        cause, said = self.cause, None
        self._sequence += 1
        if public is not None:
            self._public_sequence += 1
            said = Announced(self._event(public, reason, detail or {}), cause.new_id())
            self.said.append(said)
        self.lines.append(
            StoryLine(
                order_id=self.order.id,
                sequence=self._sequence,
                public_sequence=said.event.sequence if said else None,
                name=name,
                occurred_at=cause.occurred_at,
                actor_kind=cause.actor.kind,
                actor=cause.actor.name,
                reason=reason,
                metadata=dict(metadata or {}),
                message_id=cause.message_id,
                event_id=said.id if said else None,
                event_type=said.event.full_type if said else None,
                event=said.event.model_dump(mode="json") if said else None,
            )
        )

    def end(self) -> None:
        """Close the last row to keep."""
        if self._sequence != self.order.last_sequence:
            self._keep()

    def _keep(self) -> None:
        self.order = replace(
            self.order,
            state=self.state,
            last_sequence=self._sequence,
            last_public_sequence=self._public_sequence,
        )
        self.rows.append(self.order)

    def _event(self, event: type[OrderEvent], reason: str, detail: Mapping[str, str]) -> OrderEvent:
        order = self.order
        return event(
            order_id=order.id,
            checkout_id=order.checkout_id,
            sequence=self._public_sequence,
            state=self.state.value,
            refund_standing=order.refund_standing.value,
            occurred_at=self.cause.occurred_at,
            currency=order.currency,
            total_minor=order.total_minor,
            refunded_minor=order.refunded_minor,
            reason=reason[:MAX_REASON],
            detail=dict(sorted(detail.items())),
        )


def said_before(line: StoryLine) -> Announced:
    """The event of a public line, word for word and under its first id."""
    assert line.event is not None and line.event_type is not None and line.event_id is not None
    event = MESSAGES[line.event_type].model_validate(line.event)
    assert isinstance(event, OrderEvent)
    return Announced(event, line.event_id)

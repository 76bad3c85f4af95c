"""Release of what waited: stock came for a paid order, so its lines are reserved and a further shipment is sent.

The units are allocated already, so there is nothing to go back to: the first step is the pivot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.fulfillment import FulfillmentRequested, RequestFulfillment
from contracts.message import Message
from contracts.order import LinesReserved, ReserveLines
from contracts.values import Pick
from services.orchestrator.saga import Saga, Step
from shared.consumer import Said
from shared.ids import id_from


@dataclass(frozen=True)
class Release:
    asked_for: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def order_id(self) -> UUID:
        return id_from(self.asked_for["order_id"])

    @property
    def picks(self) -> tuple[Pick, ...]:
        return tuple(Pick.model_validate(pick) for pick in self.asked_for["picks"])

    def reserve_lines(self) -> ReserveLines:
        return ReserveLines(order_id=self.order_id, picks=self.picks)

    def request_fulfillment(self) -> RequestFulfillment:
        return RequestFulfillment(order_id=self.order_id, ship_to=self.facts["ship_to"], picks=self.picks)

    def learn(self, message: Message) -> Mapping[str, Any]:
        """Where to, as the order knows it now: the address may have changed while it waited."""
        return {"ship_to": message.ship_to.model_dump(mode="json")} if isinstance(message, LinesReserved) else {}

    def waits_until(self, now: datetime, message: Message | None = None) -> datetime:
        return now + timedelta(seconds=60)

    def waiting(self, message: Message | None = None) -> Sequence[Said]:
        return ()

    def reason(self, message: Message) -> str:
        return message.topic.replace(".", "_")


RELEASE = Saga(
    "release",
    Release,
    pivot="reserve lines",
    steps=[
        Step("reserve lines", do=Release.reserve_lines, done=LinesReserved),
        Step("request fulfillment", do=Release.request_fulfillment, done=FulfillmentRequested),
    ],
)

"""Release of what waited: stock came for a paid order, so its lines are reserved and a further shipment is sent.

The units are allocated already, so there is nothing to go back to: the first step is the pivot.
"""

from collections.abc import Mapping
from typing import Any

from contracts.fulfillment import FulfillmentRequested, RequestFulfillment
from contracts.message import Message
from contracts.order import LinesReserved, ReserveLines
from contracts.values import Pick
from services.orchestrator.saga import RunState, Saga, Step


class Release(RunState):
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


RELEASE = Saga(
    "release",
    Release,
    pivot="reserve lines",
    steps=[
        Step("reserve lines", do=Release.reserve_lines, done=LinesReserved),
        Step("request fulfillment", do=Release.request_fulfillment, done=FulfillmentRequested),
    ],
)

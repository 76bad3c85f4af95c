"""Facts for the order's story: what other services did, told to the order service so that support reads one story."""

from uuid import UUID

from pydantic import Field

from contracts.message import Fact
from contracts.values import Instant, Reference


class StoryFact(Fact, topic="order.story_fact", heard_by="order"):
    """Something happened to an order in another service.

    `name` is domain.fact (``payment.captured``, ``inventory.stock_held``); `detail` is short text by name.
    """

    order_id: UUID
    name: Reference
    actor: Reference
    occurred_at: Instant
    reason: str = ""
    detail: dict[str, str] = Field(default_factory=dict)

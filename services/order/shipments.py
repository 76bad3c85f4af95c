"""What is known of a shipment only grows, so facts may come in any order, late or twice, and end the same.

`heard` keeps what was told per status; everything else of the row follows from it. The order keeps its shipments to
count its lines by them; their own life is the fulfillment service's business.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from contracts.fulfillment import FulfillmentProgressed
from contracts.values import FulfillmentStatus
from shared.frozen import replace

_F = FulfillmentStatus
NEARNESS: Final = (
    _F.PENDING,
    _F.AWAITING_STOCK,
    _F.IN_PRODUCTION,
    _F.ON_HOLD,
    _F.ACKNOWLEDGED,
    _F.PICKING,
    _F.PICKED,
    _F.PACKING,
    _F.PACKED,
    _F.LABELED,
    _F.CANCELLED,
    _F.REJECTED,
    _F.SHIPPED,  # whoever says cancelled of what has left is mistaken
    _F.LOST,
    _F.DELIVERED,  # a parcel that was given up may still arrive
)
"""From far from the customer to near. The furthest ever told is how a shipment stands here."""
RANK: Final[Mapping[FulfillmentStatus, int]] = {status: rank for rank, status in enumerate(NEARNESS)}

LABELED: Final = frozenset({_F.LABELED, _F.SHIPPED, _F.LOST, _F.DELIVERED})
LEFT: Final = frozenset({_F.SHIPPED, _F.LOST, _F.DELIVERED})
ARRIVED: Final = frozenset({_F.DELIVERED})


@dataclass(frozen=True, slots=True)
class Shipment:
    """`heard`: status -> [instant, carrier, tracking number], the latest told of each."""

    order_id: UUID
    fulfillment_id: UUID
    warehouse: str
    status: FulfillmentStatus
    picks: list[dict[str, Any]]
    carrier: str
    tracking_number: str
    heard: dict[str, list[str]]
    version: int = 0


def told(shipment: Shipment | None, fact: FulfillmentProgressed) -> Shipment | None:
    """The shipment with this fact in it; None when it was heard before."""
    instant = _instant(fact.occurred_at)
    new = [instant, fact.carrier, fact.tracking_number]
    picks = [pick.model_dump(mode="json") for pick in fact.picks]
    if shipment is None:
        return Shipment(
            order_id=fact.order_id,
            fulfillment_id=fact.fulfillment_id,
            warehouse=fact.warehouse,
            status=fact.status,
            picks=picks,
            carrier=fact.carrier,
            tracking_number=fact.tracking_number,
            heard={fact.status.value: new},
        )
    known = shipment.heard.get(fact.status.value)
    if known is not None and known >= new:
        return None
    heard = shipment.heard | {fact.status.value: new}
    furthest = max((FulfillmentStatus(status) for status in heard), key=RANK.__getitem__)
    carrier, tracking_number = _parcel(heard)
    return replace(
        shipment,
        status=furthest,
        picks=picks if fact.status is furthest else shipment.picks,
        carrier=carrier,
        tracking_number=tracking_number,
        heard=heard,
    )


def goods(shipments: Iterable[Shipment], statuses: frozenset[FulfillmentStatus]) -> dict[str, int]:
    """Units per SKU in shipments that stand in one of these statuses."""
    found: dict[str, int] = {}
    for shipment in shipments:
        if shipment.status in statuses:
            for pick in shipment.picks:
                found[pick["sku"]] = found.get(pick["sku"], 0) + pick["quantity"]
    return found


def parcels(shipments: Iterable[Shipment]) -> dict[str, str]:
    """Carriers and tracking numbers, for the people who wait for them."""
    listed = sorted(shipments, key=lambda shipment: shipment.fulfillment_id)
    carriers = dict.fromkeys(shipment.carrier for shipment in listed if shipment.carrier)
    numbers = dict.fromkeys(shipment.tracking_number for shipment in listed if shipment.tracking_number)
    detail = {"carrier": ", ".join(carriers), "tracking_number": ", ".join(numbers)}
    return {name: text for name, text in detail.items() if text}


def _parcel(heard: Mapping[str, list[str]]) -> tuple[str, str]:
    """Carrier and number as the furthest status that had any told them."""
    for status in sorted(heard, key=lambda status: -RANK[FulfillmentStatus(status)]):
        _, carrier, number = heard[status]
        if carrier or number:
            return carrier, number
    return "", ""


def _instant(instant: datetime) -> str:
    """Fixed width and in UTC, so that text compares as time does."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")

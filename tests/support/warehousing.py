"""Messages of a warehouse's day, as short as a test can say them."""

from datetime import UTC, datetime

from contracts.values import SkuQuantity
from contracts.warehousing import (
    ArrivedUnits,
    CancelTransfer,
    CorrectStock,
    CountedUnits,
    CountStock,
    InspectedLine,
    ReceiveTransfer,
    RequestTransfer,
    ReturnStock,
    SendTransfer,
    SetSafetyStock,
    Verdict,
)
from tests.support.stock_room import order

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
"""When a stock room opens."""


def give_back(
    number: int, return_id: str, *lines: tuple[str, int, str], warehouse: str = "berlin", as_of: datetime = AS_OF
) -> ReturnStock:
    """Lines as (sku, quantity, verdict)."""
    return ReturnStock(
        order_id=order(number),
        return_id=return_id,
        warehouse=warehouse,
        lines=tuple(InspectedLine(sku=sku, quantity=units, verdict=Verdict(verdict)) for sku, units, verdict in lines),
        as_of=as_of,
    )


def correct(
    reference: str, delta: int, *, sku: str = "tea", warehouse: str = "berlin", reason: str = "broken"
) -> CorrectStock:
    return CorrectStock(reference=reference, sku=sku, warehouse=warehouse, delta=delta, reason=reason, by="grace")


def count(
    reference: str, *counts: tuple[str, int] | tuple[str, int, int], warehouse: str = "berlin", as_of: datetime = AS_OF
) -> CountStock:
    """Counts as (sku, counted) or (sku, counted, expected)."""
    lines = (
        CountedUnits(sku=line[0], counted=line[1], expected=line[2] if len(line) == 3 else None) for line in counts
    )
    return CountStock(reference=reference, warehouse=warehouse, counts=tuple(lines), as_of=as_of, by="grace")


def safety(units: int, as_of: datetime, *, sku: str = "tea", warehouse: str = "berlin") -> SetSafetyStock:
    return SetSafetyStock(sku=sku, warehouse=warehouse, units=units, as_of=as_of)


def request(id_: str, *lines: tuple[str, int], origin: str = "berlin", to: str = "hamburg") -> RequestTransfer:
    return RequestTransfer(
        transfer_id=id_,
        origin=origin,
        destination=to,
        lines=tuple(SkuQuantity(sku=sku, quantity=units) for sku, units in lines),
        by="grace",
    )


def send(id_: str) -> SendTransfer:
    return SendTransfer(transfer_id=id_)


def receive(id_: str, *differing: tuple[str, int], reason: str = "") -> ReceiveTransfer:
    units = tuple(ArrivedUnits(sku=sku, quantity=quantity) for sku, quantity in differing)
    return ReceiveTransfer(transfer_id=id_, differing=units, reason=reason)


def cancel(id_: str) -> CancelTransfer:
    return CancelTransfer(transfer_id=id_, reason="not needed")

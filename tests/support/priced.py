"""Three warehouses with their prices, and replicas of inventory that route by them."""

from datetime import UTC, datetime
from typing import Final

from contracts.inventory import DescribeWarehouse, DistanceBand, ReceiveStock, StockReceipt
from contracts.product import DescribeProduct
from contracts.values import Destination
from services.inventory.handlers import make_consumer
from services.inventory.routing.strategy import RoutingPolicy, StrategyName
from shared.batch import Batches
from shared.ids import new_id
from shared.postgres import PostgresStore
from tests.support.stock_books import on_its_way

PARIS: Final = Destination(country="FR", city="Paris")
PLACES: Final = {"leipzig": (51.34, 12.37, 300), "lyon": (45.76, 4.84, 500), "gdansk": (54.35, 18.65, 900)}
"""Latitude, longitude, minor units per shipment."""


def by_cost(stores: list[PostgresStore], **policy: int) -> list[Batches]:
    """Replicas that route to the cheapest."""
    consumer = make_consumer(RoutingPolicy(strategy=StrategyName.CHEAPEST, **policy))
    return [Batches(consumer, store, new_id) for store in stores]


async def prepared(batches: Batches, units: dict[str, tuple[int, int, int]], capacity: int | None) -> None:
    """Units of each SKU in the three warehouses; Leipzig, the cheapest, has the capacity of a day."""
    now = datetime.now(UTC)
    receipts = tuple(
        StockReceipt(sku=sku, warehouse=code, quantity=quantity)
        for sku, of in units.items()
        for code, quantity in zip(PLACES, of, strict=True)
        if quantity
    )
    await batches.run([on_its_way(ReceiveStock(reference=f"for-{'-'.join(units)}", receipts=receipts))])
    words = [
        DescribeWarehouse(
            warehouse=code,
            priority=number,
            latitude=latitude,
            longitude=longitude,
            shipment_minor=shipment,
            bands=(DistanceBand(up_to_km=2_000, minor_per_kg=100),),
            daily_shipments=capacity if code == "leipzig" else None,
            as_of=now,
        )
        for number, (code, (latitude, longitude, shipment)) in enumerate(PLACES.items())
    ]
    await batches.run([on_its_way(word) for word in words])
    await batches.run([on_its_way(DescribeProduct(sku=sku, weight_g=500, as_of=now)) for sku in units])

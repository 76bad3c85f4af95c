"""What comes to the shelves, and what warehouses and products are."""

from typing import Annotated

from contracts.inventory import DescribeWarehouse, ReceiveStock, StockArrived
from contracts.product import DescribeProduct
from services.inventory import domain, products
from services.inventory.domain import NETWORK, Receipt, Shelf, UnitsTurn
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.counting import arrived
from services.inventory.handlers.turns import open_warehouse, take_turns, warehouses
from services.inventory.tables import PRODUCTS, RECEIPTS, SHELVES, WAREHOUSES
from shared.consumer import Moment, Said
from shared.table import Need
from shared.working_set import Rows


class ReferenceReused(Exception):
    """A delivery's reference came back with other content: counting it or not would both be a guess."""


@consumer.hears(
    ReceiveStock,
    needs=lambda fact: [Need.of(RECEIPTS, "reference", fact.reference), Need.of(WAREHOUSES, "network", NETWORK)],
    then=lambda fact, rows: [Need.of(SHELVES, "sku", *(receipt.sku for receipt in fact.receipts))],
)
def receive_stock(fact: ReceiveStock, rows: Rows, moment: Moment) -> Annotated[list[Said], StockArrived]:
    """Goods arrived, on shelves that are made where there are none."""
    lines = [receipt.model_dump(mode="json") for receipt in fact.receipts]
    counted = rows.get(RECEIPTS, fact.reference)
    if counted is not None:
        if counted.lines != lines:
            raise ReferenceReused(fact.reference)
        return []
    rows.put(Receipt(fact.reference, lines))
    for receipt in fact.receipts:
        open_warehouse(rows, receipt.warehouse)
        shelf = rows.get(SHELVES, receipt.sku, receipt.warehouse) or Shelf(receipt.sku, receipt.warehouse)
        rows.put(domain.kept_back(shelf, receipt.safety_stock))
        came = UnitsTurn(domain.RECEIVE, receipt.sku, receipt.warehouse, receipt.quantity)
        take_turns(rows, moment, [came], order_id=None, reference=fact.reference)
    return arrived(receipt.sku for receipt in fact.receipts)


@consumer.hears(DescribeWarehouse, needs=lambda fact: [Need.of(WAREHOUSES, "network", NETWORK)])
def describe_warehouse(fact: DescribeWarehouse, rows: Rows, moment: Moment) -> None:
    """Name a warehouse and give it its place in the priority list; the latest word counts, whenever it is heard."""
    standing = warehouses(rows).get(fact.warehouse)
    described = domain.described(standing, fact.warehouse, fact.name, fact.priority, fact.as_of)
    if described is not None:
        rows.put(described)


@consumer.hears(DescribeProduct, needs=lambda fact: [Need.of(PRODUCTS, "sku", fact.sku)])
def describe_product(fact: DescribeProduct, rows: Rows, moment: Moment) -> None:
    """What a SKU is; the latest word counts, whenever it is heard."""
    described = products.described(rows.get(PRODUCTS, fact.sku), fact)
    if described is not None:
        rows.put(described)

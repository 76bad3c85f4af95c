"""What comes to the shelves, and what warehouses and products are."""

from contracts.inventory import DescribeWarehouse, ReceiveStock, StockArrived
from contracts.product import DescribeProduct
from services.inventory import domain, products, waiting
from services.inventory.domain import NETWORK, Receipt, UnitsTurn
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.queues import RELEASE_TIMER, freed
from services.inventory.handlers.turns import open_warehouse, shelf_of, take_turns, warehouses
from services.inventory.tables import BACKLOGS, PRODUCTS, RECEIPTS, SHELVES, WAREHOUSES
from services.inventory.waiting import Backlog
from shared.consumer import Moment, Said
from shared.table import Need
from shared.working_set import Rows


class ReferenceReused(Exception):
    """A reference came back with other content: counting it or not would both be a guess."""


@consumer.hears(
    ReceiveStock,
    needs=lambda fact: [Need.of(RECEIPTS, "reference", fact.reference), Need.of(WAREHOUSES, "network", NETWORK)],
    then=lambda fact, rows: [
        Need.of(SHELVES, "sku", *(receipt.sku for receipt in fact.receipts)),
        Need.of(BACKLOGS, "sku", *(receipt.sku for receipt in fact.receipts)),
    ],
)
def receive_stock(fact: ReceiveStock, rows: Rows, moment: Moment) -> list[Said | StockArrived]:
    """Goods arrived, or were made, on shelves that are made where there are none. Who waits for them is served next."""
    lines = [receipt.model_dump(mode="json") for receipt in fact.receipts]
    counted = rows.get(RECEIPTS, fact.reference)
    if counted is not None:
        if counted.lines != lines:
            raise ReferenceReused(fact.reference)
        return []
    rows.put(Receipt(fact.reference, lines))
    turns = [UnitsTurn(domain.RECEIVE, receipt.sku, receipt.warehouse, receipt.quantity) for receipt in fact.receipts]
    for receipt in fact.receipts:
        open_warehouse(rows, receipt.warehouse)
        shelf = shelf_of(rows, receipt.sku, receipt.warehouse)
        rows.put(domain.kept_back(shelf, receipt.safety_stock))
    take_turns(rows, moment, turns, order_id=None, reference=fact.reference)
    return list(freed(rows, turns))


@consumer.hears(DescribeWarehouse, needs=lambda fact: [Need.of(WAREHOUSES, "network", NETWORK)])
def describe_warehouse(fact: DescribeWarehouse, rows: Rows, moment: Moment) -> None:
    """What a warehouse is, its turn and its costs; the latest word counts, whenever it is heard."""
    described = domain.described(warehouses(rows).get(fact.warehouse), fact)
    if described is not None:
        rows.put(described)


@consumer.hears(
    DescribeProduct,
    needs=lambda fact: [Need.of(PRODUCTS, "sku", fact.sku)],
    then=lambda fact, rows: [Need.of(BACKLOGS, "sku", fact.sku)],
)
def describe_product(fact: DescribeProduct, rows: Rows, moment: Moment) -> list[Said | StockArrived]:
    """What a SKU is; the latest word counts, whenever it is heard. A new date, or none, may free who waits."""
    described = products.described(rows.get(PRODUCTS, fact.sku), fact)
    if described is None:
        return []
    rows.put(described)
    book = rows.get(BACKLOGS, fact.sku)
    if book is None and waiting.may_wait(described):
        rows.put(Backlog(fact.sku))
    if described.release_at is not None and described.release_at > moment.now:
        rows.set_timer(RELEASE_TIMER, fact.sku, described.release_at, StockArrived(sku=fact.sku))
        return []
    rows.clear_timer(RELEASE_TIMER, fact.sku)
    return [StockArrived(sku=fact.sku)] if book is not None and book.units else []

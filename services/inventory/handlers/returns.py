"""Goods that come back from orders, as inspection found them."""

from typing import Annotated

from contracts.inventory import StockArrived
from contracts.story import StoryFact
from contracts.warehousing import ReturnStock, Verdict
from services.inventory import domain
from services.inventory.domain import NETWORK, UnitsTurn
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.counting import consequences, shelves
from services.inventory.handlers.supply import ReferenceReused
from services.inventory.handlers.turns import open_warehouse, shelf_of, story, take_turns
from services.inventory.returned import Returned, too_many
from services.inventory.tables import MOVEMENTS, RETURNS, WAREHOUSES
from shared.consumer import Moment, NotYet, Said
from shared.table import Need
from shared.working_set import Rows

TURNS = {Verdict.RESTOCK: domain.RESTOCK, Verdict.DISPOSE: domain.DISPOSE}


@consumer.hears(
    ReturnStock,
    needs=lambda fact: [
        Need.of(RETURNS, "return_id", fact.return_id),
        Need.of(RETURNS, "order_id", fact.order_id),
        Need.of(WAREHOUSES, "network", NETWORK),
    ],
    # what shipped is read under the shelves' locks too: two returns of one order take turns there
    then=lambda fact, rows: [
        *shelves(line.sku for line in fact.lines),
        Need.of(MOVEMENTS, "order_id", fact.order_id),
    ],
)
def return_stock(fact: ReturnStock, rows: Rows, moment: Moment) -> Annotated[list[Said], StoryFact, StockArrived]:
    """Put on the shelf again what is as good as new; write down what is not. Each return counts once."""
    lines = [line.model_dump(mode="json") for line in fact.lines]
    counted = rows.get(RETURNS, fact.return_id)
    if counted is not None:
        if (counted.order_id, counted.warehouse, counted.lines) != (fact.order_id, fact.warehouse, lines):
            raise ReferenceReused(fact.return_id)
        return []
    moved, before = rows.where(MOVEMENTS, "order_id", fact.order_id), rows.where(RETURNS, "order_id", fact.order_id)
    if above := too_many(((line.sku, line.quantity) for line in fact.lines), moved, before):
        told = ", ".join(f"{units} {sku}" for sku, units in sorted(above.items()))
        raise NotYet(f"more_than_shipped: {told} too many came back of order {fact.order_id}")  # or not heard of yet
    rows.put(Returned(fact.return_id, fact.order_id, fact.warehouse, lines, fact.as_of))
    open_warehouse(rows, fact.warehouse)
    said: list[Said] = []
    units: dict[str, list[str]] = {}
    for line in fact.lines:
        shelf = shelf_of(rows, line.sku, fact.warehouse)
        rows.put(shelf)
        turn = UnitsTurn(TURNS[line.verdict], line.sku, fact.warehouse, line.quantity)
        take_turns(rows, moment, [turn], order_id=fact.order_id, reference=fact.return_id)
        said += consequences(rows, shelf, shelf_of(rows, line.sku, fact.warehouse), fact.return_id)
        units.setdefault(line.verdict, []).append(f"{line.quantity} x {line.sku}")
    detail = {verdict: "; ".join(told) for verdict, told in units.items()} | {"warehouse": fact.warehouse}
    return [*said, story(moment, fact.order_id, "inventory.goods_returned", reason=fact.return_id, detail=detail)]

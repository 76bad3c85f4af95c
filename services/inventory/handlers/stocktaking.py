"""The books follow what people find: corrections with a reason, stock-takes, and what a shelf keeps back."""

from contracts.inventory import StockArrived
from contracts.message import Message
from contracts.warehousing import CorrectStock, CountStock, SetSafetyStock
from services.inventory.counting import APPLIED, Correction, CountSheet, kept, taken
from services.inventory.domain import NETWORK, Shelf
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.counting import consequences, shelves
from services.inventory.handlers.supply import ReferenceReused
from services.inventory.handlers.turns import correct, shelf_of, warehouses
from services.inventory.tables import CORRECTIONS, COUNT_SHEETS, SHELVES, WAREHOUSES
from shared.consumer import Moment, NotYet
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows


@consumer.hears(
    CorrectStock,
    needs=lambda fact: [Need.of(CORRECTIONS, "reference", fact.reference)],
    then=lambda fact, rows: shelves([fact.sku]),
)
def correct_stock(fact: CorrectStock, rows: Rows, moment: Moment) -> list[Message | StockArrived]:
    """A correction below what is promised stands: the promises it breaks are short."""
    wanted = Correction(fact.reference, fact.sku, fact.warehouse, fact.delta, fact.reason, fact.by)
    made = rows.get(CORRECTIONS, fact.reference)
    if made is not None:
        if replace(made, version=0) != wanted:
            raise ReferenceReused(fact.reference)
        return []
    shelf = _standing(rows, fact.sku, fact.warehouse)
    after = correct(rows, moment, shelf, shelf.on_hand + fact.delta, reference=fact.reference)
    rows.put(wanted)
    return consequences(rows, shelf, after, fact.reference)


@consumer.hears(
    CountStock,
    needs=lambda fact: [
        Need.of(COUNT_SHEETS, "reference", fact.reference),
        Need.of(WAREHOUSES, "network", NETWORK),
    ],
    then=lambda fact, rows: shelves(line.sku for line in fact.counts),
)
def count_stock(fact: CountStock, rows: Rows, moment: Moment) -> list[Message | StockArrived]:
    """Every line is written down with what became of it; a line that cannot be taken changes nothing."""
    counts = [line.model_dump(mode="json") for line in fact.counts]
    sheet = CountSheet(fact.reference, fact.warehouse, counts, fact.as_of, fact.by)
    heard = rows.get(COUNT_SHEETS, fact.reference)
    if heard is not None:
        if (heard.warehouse, heard.counts) != (sheet.warehouse, sheet.counts):
            raise ReferenceReused(fact.reference)
        return []
    if fact.warehouse not in warehouses(rows):
        raise NotYet(f"unknown_warehouse: {fact.warehouse}")
    rows.put(sheet)
    said: list[Message] = []
    for line in fact.counts:
        shelf = shelf_of(rows, line.sku, fact.warehouse)
        take = taken(shelf, line, sheet)
        rows.put(take)
        if take.outcome in APPLIED:
            after = correct(rows, moment, shelf, shelf.on_hand + take.difference, reference=fact.reference)
            said += consequences(rows, shelf, after, fact.reference)
    return said


@consumer.hears(SetSafetyStock, needs=lambda fact: [], then=lambda fact, rows: shelves([fact.sku]))
def set_safety_stock(fact: SetSafetyStock, rows: Rows, moment: Moment) -> list[Message | StockArrived]:
    """The latest word counts, whenever it is heard; a delivery may raise it afterwards."""
    shelf = _standing(rows, fact.sku, fact.warehouse)
    after = kept(shelf, fact)
    if after is None:
        return []
    rows.put(after)
    return consequences(rows, shelf, after, "safety_stock")


def _standing(rows: Rows, sku: str, warehouse: str) -> Shelf:
    """A slip of the pen makes no shelf: goods make one when they arrive, or are counted."""
    shelf = rows.get(SHELVES, sku, warehouse)
    if shelf is None:
        raise NotYet(f"unknown_shelf: {warehouse} has never stored {sku}")
    return shelf

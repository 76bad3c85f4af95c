"""Units that go from one warehouse to another: requested, sent, received."""

from typing import Final

from contracts.inventory import StockArrived
from contracts.message import Message
from contracts.warehousing import CancelTransfer, ReceiveTransfer, RequestTransfer, SendTransfer
from services.inventory import domain, transfers
from services.inventory.domain import NETWORK, Turn, UnitsTurn
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.counting import consequences, shelves
from services.inventory.handlers.supply import ReferenceReused
from services.inventory.handlers.turns import correct, open_warehouse, shelf_of, take_turns
from services.inventory.tables import SHELVES, TRANSFERS, WAREHOUSES
from services.inventory.transfers import Transfer, TransferIsOver, TransferState
from shared.consumer import Moment, NotYet
from shared.table import Need
from shared.working_set import Rows

ARRIVED: Final = frozenset({TransferState.RECEIVED, TransferState.LOST})


def _shelves(rows: Rows, transfer_id: str) -> list[Need]:
    transfer = rows.get(TRANSFERS, transfer_id)
    return [] if transfer is None else shelves(transfer.units)


@consumer.hears(
    RequestTransfer,
    needs=lambda fact: [Need.of(TRANSFERS, "id", fact.transfer_id)],
    # for its sending, which may stand in the same batch and can name no shelves before this is decided
    then=lambda fact, rows: shelves(line.sku for line in fact.lines),
)
def request_transfer(fact: RequestTransfer, rows: Rows, moment: Moment) -> None:
    """Written down, once; nothing is held for it."""
    standing = rows.get(TRANSFERS, fact.transfer_id)
    if standing is None:
        rows.put(transfers.requested(fact, moment.now))
    elif not transfers.same_wish(standing, fact):
        raise ReferenceReused(fact.transfer_id)


@consumer.hears(
    SendTransfer,
    needs=lambda fact: [Need.of(TRANSFERS, "id", fact.transfer_id)],
    then=lambda fact, rows: _shelves(rows, fact.transfer_id),
)
def send_transfer(fact: SendTransfer, rows: Rows, moment: Moment) -> None:
    """Off the shelves of its origin, every line or none. What is missing is named on the transfer, which may be sent
    again."""
    standing = _known(rows, fact.transfer_id)
    if standing.state is TransferState.CANCELLED:
        raise TransferIsOver(f"{standing.id} was cancelled, and is said to have been sent")
    if standing.state is not TransferState.REQUESTED:
        return
    shelves = {sku: rows.get(SHELVES, sku, standing.origin) for sku in standing.units}
    transfer = transfers.sent(standing, shelves, moment.now)
    rows.put(transfer)
    if transfer.state is TransferState.SENT:
        take_turns(
            rows,
            moment,
            _turns(transfer, domain.TRANSFER_OUT, transfer.origin),
            order_id=None,
            reference=transfer.id,
        )


@consumer.hears(
    ReceiveTransfer,
    needs=lambda fact: [Need.of(TRANSFERS, "id", fact.transfer_id), Need.of(WAREHOUSES, "network", NETWORK)],
    then=lambda fact, rows: _shelves(rows, fact.transfer_id),
)
def receive_transfer(fact: ReceiveTransfer, rows: Rows, moment: Moment) -> list[Message | StockArrived]:
    """All that was sent comes in, and what did not come as it was sent is corrected at once."""
    standing = _known(rows, fact.transfer_id)
    if standing.state in ARRIVED:
        if not transfers.as_it_ended(standing, fact):
            raise ReferenceReused(f"{standing.id} was {standing.state} with other quantities")
        return []
    if standing.state is TransferState.CANCELLED:
        raise TransferIsOver(f"{standing.id} was cancelled, and is said to have arrived")
    if standing.state is TransferState.REQUESTED:
        raise NotYet(f"not_sent: {standing.id} has not left {standing.origin}, as far as is known")
    transfer = transfers.arrived(standing, fact, moment.now)
    rows.put(transfer)
    open_warehouse(rows, transfer.destination)
    said: list[Message] = []
    for turn in _turns(transfer, domain.TRANSFER_IN, transfer.destination):
        before = shelf_of(rows, turn.sku, transfer.destination)
        rows.put(before)
        take_turns(rows, moment, [turn], order_id=None, reference=transfer.id)
        shelf = shelf_of(rows, turn.sku, transfer.destination)
        came = shelf.on_hand - turn.quantity + transfer.arrived[turn.sku]
        after = correct(rows, moment, shelf, came, reference=transfer.id)
        said += consequences(rows, before, after, transfer.id)
    return said


@consumer.hears(CancelTransfer, needs=lambda fact: [Need.of(TRANSFERS, "id", fact.transfer_id)])
def cancel_transfer(fact: CancelTransfer, rows: Rows, moment: Moment) -> None:
    """Not sent after all; of what has left, the refusal is written on the transfer."""
    standing = _known(rows, fact.transfer_id)
    if standing.state is not TransferState.CANCELLED:
        rows.put(transfers.cancelled(standing, fact.reason, moment.now))


def _known(rows: Rows, transfer_id: str) -> Transfer:
    transfer = rows.get(TRANSFERS, transfer_id)
    if transfer is None:
        raise NotYet(f"unknown_transfer: {transfer_id} was never requested")
    return transfer


def _turns(transfer: Transfer, turn: Turn, warehouse: str) -> list[UnitsTurn]:
    return [UnitsTurn(turn, sku, warehouse, units) for sku, units in transfer.units.items()]

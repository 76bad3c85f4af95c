"""What stock sources, stock-keepers and warehouses say of stock in a schedule, and what must lie on the shelves then.

Whoever speaks here keeps to what he can know. What a schedule said is kept, so that the books can be held against it.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, cast

from contracts.feeds import STOCK_REPORTS, DescribeSource, FeedMode, ReportStock, SourceMode, StockLine
from contracts.inventory import ReceiveStock
from contracts.message import Message
from contracts.values import SkuQuantity
from contracts.warehousing import (
    ArrivedUnits,
    CancelTransfer,
    CorrectStock,
    ReceiveTransfer,
    RequestTransfer,
    SendTransfer,
    SetSafetyStock,
)
from services.inventory.counting import APPLIED
from services.inventory.feed_tables import FEEDS, SOURCES
from services.inventory.tables import CORRECTIONS, MOVEMENTS, SHELVES, SHORT_LINES, STOCK_TAKES, TRANSFERS
from services.inventory.transfers import TransferState
from tests.support.memory import MemoryStore

NORTH, SOUTH = "north", "south"
SOLD, UNSOLD = "bowl", "jar"
"""Both plentiful and counted; nobody orders a jar, so what lies there is what was said and nothing else."""
PLENTY: Final = 60
COUNTS: Final = (40, 80)
"""A count of bowls: above whatever may be promised (6 orders of 3) and taken away besides."""
COUNTER, SCANNER, MOVER = "counter", "scanner", "mover"
"""They count jars and bowls in the north; and say how many more, or fewer, of this and that lie in the south."""
STALE_AFTER_S, BUFFER = 300, 1
"""Of the jars' counter, who falls silent while orders are placed: then the north keeps a unit of everything back."""
SOON: Final = (0.0, 1.0, 30.0, 400.0, 899.0, 5_000.0)
LAST_COUNT_AFTER: Final = timedelta(days=60)
"""The bowls are counted for the last time when every order is over: what was counted then lies there."""
LOOKS_AGAIN: Final = timedelta(minutes=5)
RAISED: Final = ("tea", "cup", "mug")
"""Buyers wait for these and run out of them: more may be found, never fewer."""
Shelf = tuple[str, str]


@dataclass(frozen=True)
class Word:
    """To be said by `source`, not before `at`. `id_` names the message, so that it can be repeated under the same name.
    `when` looks into the books first, as whoever speaks would: what is said instead, or None for not yet."""

    at: datetime
    source: str
    message: Message
    id_: str = ""
    when: Callable[[Any, MemoryStore], Message | None] | None = None

    @property
    def queue(self) -> str:
        return STOCK_REPORTS if isinstance(self.message, ReportStock) else self.message.heard_by


def sources(now: datetime) -> list[Message]:
    """Described before anything can go wrong."""
    described = (
        (COUNTER, SourceMode.ABSOLUTE, NORTH, STALE_AFTER_S),
        (SCANNER, SourceMode.ABSOLUTE, NORTH, 0),
        (MOVER, SourceMode.DELTA, SOUTH, 0),
    )
    return [
        DescribeSource(source=source, mode=mode, warehouses=(where,), stale_after_s=stale, buffer=BUFFER, as_of=now)
        for source, mode, where, stale in described
    ]


def first_words(now: datetime) -> list[Word]:
    """The next, also undisturbed: where a source's counting begins, nothing is late."""
    return [
        Word(now, SCANNER, _report(1, FeedMode.ABSOLUTE, now, {(SOLD, NORTH): PLENTY})),
        Word(now, MOVER, _report(1, FeedMode.DELTA, now, {(SOLD, SOUTH): PLENTY, (UNSOLD, SOUTH): PLENTY})),
    ]


def words(rng: random.Random, start: datetime) -> list[Word]:
    """What is said among the checkouts: in any order, some of it twice."""
    last = rng.randint(2, 4)
    scans = rng.randint(1, 3)
    found = [
        *(_said(rng, start, COUNTER, _count(rng, start, number, UNSOLD)) for number in range(1, last + 1)),
        *(_said(rng, start, SCANNER, _count(rng, start, number, SOLD)) for number in range(2, scans + 1)),
        *(_said(rng, start, MOVER, _change(rng, start, number)) for number in range(2, rng.randint(3, 5))),
        *(_said(rng, start, "keeper", _correction(rng, number)) for number in range(rng.randint(0, 2))),
        *(_said(rng, start, "keeper", _safety(rng, start, number)) for number in range(rng.randint(0, 2))),
    ]
    found += [_again(rng, start, word) for word in rng.sample(found, 2)]
    found.append(_said(rng, start + LAST_COUNT_AFTER, SCANNER, _count(rng, start, scans + 1, SOLD)))
    return [*found, *(word for number in range(rng.randint(0, 2)) for word in _transfer(rng, start, number))]


def _said(rng: random.Random, start: datetime, source: str, message: Message) -> Word:
    id_ = f"{source}-{message.sequence}" if isinstance(message, ReportStock) else ""
    return Word(start + timedelta(seconds=rng.choice(SOON)), source, message, id_)


def _again(rng: random.Random, start: datetime, word: Word) -> Word:
    """Said twice: by the broker, which keeps a message's id, or by who said it."""
    id_ = word.id_ and rng.choice((word.id_, f"{word.id_}-again"))
    return replace(word, id_=id_, at=start + timedelta(seconds=rng.choice(SOON)))


def _report(sequence: int, mode: FeedMode, as_of: datetime, lines: Mapping[Shelf, int]) -> ReportStock:
    said = tuple(StockLine(sku=sku, warehouse=where, quantity=units) for (sku, where), units in lines.items())
    return ReportStock(sequence=sequence, mode=mode, lines=said, as_of=as_of)


def _count(rng: random.Random, as_of: datetime, sequence: int, sku: str) -> ReportStock:
    return _report(sequence, FeedMode.ABSOLUTE, as_of, {(sku, NORTH): rng.randint(*COUNTS)})


def _change(rng: random.Random, as_of: datetime, sequence: int) -> ReportStock:
    lines = {(sku, SOUTH): rng.randint(-5, 5) for sku in rng.sample((SOLD, UNSOLD), rng.randint(1, 2))}
    if rng.random() < 0.5:
        lines[rng.choice(RAISED), SOUTH] = rng.randint(1, 2)
    return _report(sequence, FeedMode.DELTA, as_of, lines)


def _correction(rng: random.Random, number: int) -> CorrectStock:
    found = rng.random() < 0.5
    return CorrectStock(
        reference=f"correction-{number}",
        sku=rng.choice(RAISED if found else (SOLD, UNSOLD)),
        warehouse=SOUTH,
        delta=rng.randint(1, 2) if found else -rng.randint(1, 3),
        reason="found" if found else "broken",
        by="keeper",
    )


def _safety(rng: random.Random, start: datetime, number: int) -> SetSafetyStock:
    sku, where = rng.choice((*RAISED, SOLD)), rng.choice((NORTH, SOUTH))
    return SetSafetyStock(sku=sku, warehouse=where, units=rng.randint(0, 2), as_of=start + timedelta(seconds=number))


def _transfer(rng: random.Random, start: datetime, number: int) -> list[Word]:
    """From south to north: of bowls there are enough, of tea perhaps not, and then nothing of it leaves."""
    id_ = f"transfer-{number}"
    units = {SOLD: rng.randint(1, 5)} | ({"tea": rng.randint(1, 3)} if rng.random() < 0.6 else {})
    lines = tuple(SkuQuantity(sku=sku, quantity=quantity) for sku, quantity in units.items())
    came = ReceiveTransfer(transfer_id=id_)
    if rng.random() < 0.5:
        sku, sent = rng.choice(list(units.items()))
        came = ReceiveTransfer(
            transfer_id=id_, differing=(ArrivedUnits(sku=sku, quantity=rng.randint(0, sent + 1)),), reason="counted"
        )
    at = start + timedelta(seconds=rng.choice(SOON))
    return [
        Word(
            start,
            "keeper",
            RequestTransfer(transfer_id=id_, origin=SOUTH, destination=NORTH, lines=lines, by="keeper"),
        ),
        Word(at, "keeper", SendTransfer(transfer_id=id_), when=_requested),
        Word(at + timedelta(seconds=rng.choice(SOON)), "keeper", came, when=_sent),
    ]


# -- whoever speaks looks first --------------------------------------------------------------------------------------


def ready(word: Word, store: MemoryStore) -> Message | None:
    """What is said now; None: not yet."""
    return word.message if word.when is None else word.when(word.message, store)


def _requested(word: Any, store: MemoryStore) -> Message | None:
    return word if _transfer_of(word, store) is not None else None


def _sent(word: Any, store: MemoryStore) -> Message | None:
    """Who takes it in sees that it is on its way; if it could not leave, it is called off."""
    transfer = _transfer_of(word, store)
    if transfer is None or transfer.state is TransferState.CANCELLED:
        return None
    if transfer.state is TransferState.REQUESTED:
        return CancelTransfer(transfer_id=transfer.id, reason="not there") if transfer.refusal else None
    return cast("Message", word)


def _transfer_of(word: Any, store: MemoryStore) -> Any:
    return next((row for row in store.rows(TRANSFERS) if row.id == word.transfer_id), None)


# -- what must lie there ---------------------------------------------------------------------------------------------


def counts_found(store: MemoryStore, shipments: set[str]) -> Counter[Shelf]:
    """What is known of a shelf only when it is heard: a stock-take's difference to the books, and units that a count
    had not found and that left all the same."""
    found: Counter[Shelf] = Counter()
    for line in store.rows(STOCK_TAKES):
        if line.outcome in APPLIED:
            found[line.sku, line.warehouse] += line.difference
    for move in store.rows(MOVEMENTS):
        if move.kind == "correction" and move.reference in shipments:
            found[move.sku, move.warehouse] += move.on_hand_delta
    return found


def lies_there(
    said: Iterable[tuple[str, Message]], shipments: Iterable[Mapping[str, Any]], found: Mapping[Shelf, int]
) -> dict[Shelf, int]:
    """Units on each shelf when all is over, from what was said and what left: each report and reference once, and of a
    counted shelf what the last count said. No counter and no sum of ours is asked."""
    lies, counted = Counter[Shelf](found), dict[Shelf, tuple[int, int]]()
    requested: dict[str, RequestTransfer] = {}
    for message in {_key(source, message): message for source, message in said}.values():
        match message:
            case ReportStock(mode=FeedMode.ABSOLUTE):
                for line in message.lines:
                    shelf = line.sku, line.warehouse
                    counted[shelf] = max(counted.get(shelf, (0, 0)), (message.sequence, line.quantity))
            case ReportStock():
                lies.update({(line.sku, line.warehouse): line.quantity for line in message.lines})
            case ReceiveStock():
                for receipt in message.receipts:
                    lies[receipt.sku, receipt.warehouse] += receipt.quantity
            case CorrectStock():
                lies[message.sku, message.warehouse] += message.delta
            case RequestTransfer():
                requested[message.transfer_id] = message
            case ReceiveTransfer():
                arrived = {line.sku: line.quantity for line in message.differing}
                transfer = requested[message.transfer_id]
                for moved in transfer.lines:
                    lies[moved.sku, transfer.origin] -= moved.quantity
                    lies[moved.sku, transfer.destination] += arrived.get(moved.sku, moved.quantity)
    for shipment in shipments:
        for sku, warehouse, units in _left(shipment):
            lies[sku, warehouse] -= units
    return {**lies, **{shelf: units for shelf, (_, units) in counted.items()}}


def _key(source: str, message: Message) -> Any:
    """Under which it counts once."""
    match message:
        case ReportStock():
            return source, message.sequence
        case ReceiveStock() | CorrectStock():
            return message.reference
        case _:
            return message.full_type, message.model_dump_json()


def _left(shipment: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    for pick in shipment["picks"]:
        for sku, each in (shipment["kits"].get(pick["sku"]) or {pick["sku"]: 1}).items():
            yield sku, pick["warehouse"], pick["quantity"] * each


# -- what was met ----------------------------------------------------------------------------------------------------

MET: Final = (
    *("report applied", "report skipped", "change heard late"),
    *("transfer received", "transfer cancelled", "correction made"),
    *("short line settled", "short line kept"),
    *("source stale", "safety stock kept"),
)
"""Each of these must happen in some schedule."""


def met(store: MemoryStore) -> Counter[str]:
    feeds = sorted(store.rows(FEEDS), key=lambda feed: feed.id)
    heard: list[int] = [feed.sequence for feed in feeds if feed.source == MOVER]
    return Counter(
        {
            **Counter(f"report {feed.state}" for feed in feeds),
            "change heard late": sum(later < earlier for earlier, later in pairwise(heard)),
            **Counter(f"transfer {transfer.state}" for transfer in store.rows(TRANSFERS)),
            "correction made": len(store.rows(CORRECTIONS)),
            **Counter(f"short line {line.state}" for line in store.rows(SHORT_LINES)),
            **Counter(f"source {source.state}" for source in store.rows(SOURCES)),
            "safety stock kept": sum(shelf.safety_stock > 0 for shelf in store.rows(SHELVES)),
        }
    )

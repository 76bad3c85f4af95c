"""What operators do in the demo: goods come in, products are described, and what orders wait for arrives.

They speak as operators do: facts to inventory's queue, and a stock feed by `oms feed import`, in a process of its own.
Each thing that is waited for comes when everybody who waits for it has been promised it: see `SUPPLIES`.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aio_pika
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.catalogue import COMMANDS
from contracts.feeds import DescribeSource, SourceMode
from contracts.inventory import DescribeWarehouse, ReceiveStock
from contracts.message import Message
from contracts.product import DescribeProduct, Supply
from contracts.values import SkuQuantity
from contracts.warehousing import (
    InspectedLine,
    ReceiveTransfer,
    RequestTransfer,
    ReturnStock,
    SendTransfer,
    Verdict,
)
from services.sandbox.carts import GOODS, receipts
from services.sandbox.case import Case
from services.sandbox.processes import NotRunning
from services.sandbox.scenarios import (
    APART,
    BACKORDERED,
    KIT,
    KIT_PARTS,
    MADE_TO_ORDER,
    OVERSOLD,
    PREORDERED,
    RETURNED,
    SCARCE,
    SCARCE_UNITS,
    SUBSTITUTE,
    UNITS_LATER,
)
from shared.ids import new_id
from shared.provision import sqlalchemy_url

STORES: Final = {"leipzig": 12, "lyon": 40, "osaka": 3_000}
"""Warehouses by their turn, and how many of everything lie there: the first run empty, so that orders are split."""
PLENTY: Final = 10_000
"""More than the largest demo orders."""
TRANSFER: Final = "demo-transfer"
ERP: Final = "demo-erp"
FED: Final = "lyon"
"""The warehouse whose stock the feed reports."""
COUNTED_WITHIN_S: Final = 60.0
FEED_WITHIN_S: Final = 60.0
RELEASED_AFTER: Final = timedelta(days=30)
"""As first announced; it is brought forward to `RELEASED_SOON` once everybody was promised his copy."""
RELEASED_SOON: Final = timedelta(seconds=3)

STOCK: Final[Mapping[tuple[str, str], int]] = {
    **{(sku, where): units for sku in GOODS for where, units in STORES.items()},
    (SCARCE, "lyon"): SCARCE_UNITS,
    **dict.fromkeys(APART.items(), PLENTY),
    (BACKORDERED, FED): UNITS_LATER - 1,  # too few even for the first
    (PREORDERED, "leipzig"): PLENTY,  # there before its date, and kept until then
    **{(part, "lyon"): PLENTY for part in KIT_PARTS},
    (RETURNED, "leipzig"): PLENTY,
    **{(sku, FED): PLENTY for sku in (*OVERSOLD.values(), SUBSTITUTE)},
}
PRODUCTS: Final[Sequence[Mapping[str, Any]]] = (
    {"sku": BACKORDERED, "supply": Supply.BACKORDER, "limit": PLENTY, "lead_days": 14},
    {"sku": MADE_TO_ORDER, "supply": Supply.MADE_TO_ORDER, "lead_days": 21},
    {"sku": KIT, "supply": Supply.KIT, "parts": KIT_PARTS},
    *({"sku": sku, "substitutes": (SUBSTITUTE,)} for sku in OVERSOLD.values()),
)


class Operators:
    """`env` is what they find in their environment; files they write go into `folder`."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.env, self.folder = env, folder
        self._feeds, self._feeding = 0, asyncio.Lock()

    async def stock(self) -> None:
        """Warehouses, products and a source are described, goods arrive, and some go on to another warehouse; returns
        when they lie there."""
        now = await self.now()
        await self.tell(
            *(
                DescribeWarehouse(warehouse=where, name=where.title(), priority=turn, as_of=now)
                for turn, where in enumerate(STORES)
            ),
            *(DescribeProduct.model_validate({**what, "as_of": now}) for what in PRODUCTS),
            _preorder(now + RELEASED_AFTER, now),
            DescribeSource(source=ERP, mode=SourceMode.DELTA, warehouses=(FED,), as_of=now),
            ReceiveStock.model_validate(receipts("demo-stock", STOCK)),
        )
        await self.until_counted("inventory.shelves", len(STOCK))
        await self.tell(
            RequestTransfer(
                transfer_id=TRANSFER,
                origin="lyon",
                destination="osaka",
                lines=(SkuQuantity(sku=SCARCE, quantity=SCARCE_UNITS // 2),),
                by="demo",
            ),
            SendTransfer(transfer_id=TRANSFER),
            ReceiveTransfer(transfer_id=TRANSFER),
        )
        await self.until_counted("inventory.transfers WHERE state = 'received'", 1)

    async def until_counted(self, rows_of: str, many: int) -> None:
        async with asyncio.timeout(COUNTED_WITHIN_S):
            # told by the database, not by an event
            while await self.ask(f"SELECT count(*) FROM {rows_of}") < many:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def tell(self, *facts: Message) -> None:
        await self.publish([(fact.full_type, fact.model_dump_json().encode()) for fact in facts])

    async def publish(self, facts: Sequence[tuple[str, bytes]]) -> None:
        """(type, body) to inventory's queue, whatever is in it."""
        connection = await aio_pika.connect(self.env["AMQP_URL"])
        async with connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await channel.get_exchange(COMMANDS, ensure=False)
            for type_, body in facts:
                headers = {f"cloudEvents:{name}": value for name, value in _head(type_).items()}
                message = aio_pika.Message(body, headers=dict(headers), delivery_mode=2)
                await exchange.publish(message, "inventory", mandatory=True)

    async def feed(self, sku: str, more: int) -> None:
        """The ERP says that so many more of a SKU lie in its warehouse than before, or fewer."""
        async with self._feeding:  # a source says one thing after the other
            self._feeds += 1
            file = self.folder / f"{ERP}-{self._feeds}.csv"
            file.write_text(f"sku,warehouse,quantity\n{sku},{FED},{more}\n")
            what = ("--source", ERP, "--sequence", str(self._feeds), "--mode", "delta", "--json")
            await self.oms("feed", "import", str(file), *what)

    async def oms(self, *arguments: str) -> None:
        """A command as it is typed; its last words if it fails."""
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services", *arguments,
            env={**os.environ, **self.env}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(FEED_WITHIN_S):
                said, _ = await running.communicate()
        except TimeoutError:
            raise NotRunning(f"oms {' '.join(arguments)} took more than {FEED_WITHIN_S:.0f} s") from None
        finally:
            if running.returncode is None:
                running.kill()
                await running.wait()
        if running.returncode:
            raise NotRunning(f"oms {' '.join(arguments)} ended with {running.returncode}:\n{said.decode()[-2000:]}")

    async def ask(self, query: str) -> Any:
        return (await self.rows(query))[0][0]

    async def rows(self, query: str) -> Sequence[Any]:
        engine = create_async_engine(sqlalchemy_url(self.env["DATABASE_URL"]))
        try:
            async with engine.connect() as connection:
                return (await connection.execute(sa.text(query))).all()
        finally:
            await engine.dispose()

    async def now(self) -> datetime:
        found: datetime = await self.ask("SELECT now()")
        return found


def _preorder(release_at: datetime, as_of: datetime) -> DescribeProduct:
    return DescribeProduct(sku=PREORDERED, supply=Supply.PREORDER, limit=PLENTY, release_at=release_at, as_of=as_of)


def _head(type_: str) -> dict[str, str]:
    return {"specversion": "1.0", "id": str(new_id()), "source": "ops", "type": type_, "subject": "stock"}


# -- what is waited for ----------------------------------------------------------------------------------------------


async def _feed(operators: Operators, cases: Sequence[Case]) -> None:
    """The ERP's file says how many more lie there."""
    await operators.feed(BACKORDERED, UNITS_LATER * len(cases))


def _missing(sku: str) -> "Supplied":
    async def sync(operators: Operators, cases: Sequence[Case]) -> None:
        """The ERP's file says that nothing lies there any more."""
        await operators.feed(sku, -PLENTY)

    return sync


async def _found(operators: Operators, cases: Sequence[Case]) -> None:
    """More of it comes, to another warehouse."""
    more = receipts("demo-more", {(OVERSOLD["oversold, waits"], "osaka"): len(cases)})
    await operators.tell(ReceiveStock.model_validate(more))


async def _release(operators: Operators, cases: Sequence[Case]) -> None:
    """The date is brought forward; a timer of inventory's does the rest."""
    now = await operators.now()
    await operators.tell(_preorder(now + RELEASED_SOON, now))


async def _make(operators: Operators, cases: Sequence[Case]) -> None:
    """The workshop brings what was made."""
    made = receipts("demo-workshop", {(MADE_TO_ORDER, "leipzig"): UNITS_LATER * len(cases)})
    await operators.tell(ReceiveStock.model_validate(made))


async def _take_back(operators: Operators, cases: Sequence[Case]) -> None:
    """Every buyer sends it back, as good as new."""
    now = await operators.now()
    line = InspectedLine(sku=RETURNED, quantity=1, verdict=Verdict.RESTOCK)
    await operators.tell(
        *(
            ReturnStock(
                order_id=UUID(case.order_id),
                return_id=f"return-{case.key}",
                warehouse="leipzig",
                lines=(line,),
                as_of=now,
            )
            for case in cases
        )
    )
    await operators.until_counted("inventory.returns", len(cases))


Supplied = Callable[[Operators, Sequence[Case]], Awaitable[None]]
SUPPLIES: Final[Sequence[tuple[str, str, Supplied]]] = (
    # scenario         when all its cases have heard    this is done
    ("backorder", "confirmed backorder", _feed),
    ("pre-order", "confirmed preorder", _release),
    ("made to order", "confirmed production", _make),
    ("returned goods", "delivered", _take_back),
    *((name, "processing", _missing(sku)) for name, sku in OVERSOLD.items()),
    ("oversold, waits", "settled wait", _found),
)

"""What happens to stock while faults happen: a source reports what lies there, what was promised is missing, what is
waited for arrives, and customers answer at once, twice, late or never.

Each campaign has two SKUs of its own. Nobody finds the *missing* one: its shipments stop in front of the shelf until
its orders are settled. The *backordered* one is promised without lying there, and arrives in parts.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import asyncpg

from tests.chaos.clock import lasts
from tests.support.shopping import deliver_goods, say_to_inventory
from tests.support.until import until

if TYPE_CHECKING:
    from tests.chaos.campaign import Place

SOURCE: Final = "stock-source"
COUNTED, PLENTIFUL = "lyon", "leipzig"
"""The warehouse whose shelves lack what was promised, and the one where there is more."""
PLENTY: Final = 10**6
INSTEAD: Final = "A-4"
CAMPAIGNS: Final = 40
ANSWER_WITHIN_S: Final = 6.0
"""As long as a customer may think."""
BEAT_S: Final = 1.0
REPORTED_TWICE: Final = 0.3
KNOWN_WITHIN_S: Final = 30.0
SERVED_WITHIN_S: Final = 120.0
ANSWERS_AFTER_S: Final = (0.0, 0.0, 1.0, ANSWER_WITHIN_S - 0.5, ANSWER_WITHIN_S + 2.0)


def missing(number: int) -> str:
    return f"MISSING-{number}"


def backordered(number: int) -> str:
    return f"LATER-{number}"


SETTINGS: Final = {
    "WAREHOUSE_MISSING": ",".join(f"{COUNTED}/{missing(number)}" for number in range(CAMPAIGNS)),
    "SHORTAGE_ANSWER_S": str(ANSWER_WITHIN_S),
}


@dataclass
class Stockroom:
    """Of one campaign, the `number`-th."""

    place: "Place"
    number: int
    chance: random.Random
    said: Counter[str] = field(default_factory=Counter)
    _answering: set[asyncio.Task[None]] = field(default_factory=set)
    _heard: set[str] = field(default_factory=set)
    _read: int = 0

    def __post_init__(self) -> None:
        self._read = len(self.place.shop.heard)

    async def open(self) -> None:
        """Both SKUs are known, and one of them lies there."""
        now = datetime.now(UTC).isoformat()
        source = {"source": SOURCE, "mode": "any", "warehouses": [COUNTED, PLENTIFUL], "as_of": now}
        later = {"sku": self.backordered, "supply": "backorder", "limit": PLENTY, "lead_days": 7, "as_of": now}
        short = {"sku": self.missing, "substitutes": [INSTEAD], "as_of": now}
        env = self.place.env
        await say_to_inventory(env, "describe_source", source)
        await say_to_inventory(env, "describe_product", later)
        await say_to_inventory(env, "describe_product", short)
        await deliver_goods(env, {self.missing: PLENTY}, warehouse=COUNTED)
        await deliver_goods(env, {self.backordered: 1}, warehouse=PLENTIFUL)
        shelves = f"SELECT count(*) = 2 FROM inventory.shelves WHERE sku IN ('{self.missing}', '{self.backordered}')"
        await until(lambda: self._ask(shelves), "both SKUs are known", within_s=KNOWN_WITHIN_S)

    async def work(self, over: asyncio.Event) -> None:
        """Beat by beat, whatever is broken meanwhile."""
        for beat in range(10**9):
            if over.is_set():
                return
            if beat % 4 == 1:
                await self._report("absolute", COUNTED, self.missing, self.chance.randint(0, 3))
                await self._report("absolute", COUNTED, self.missing, PLENTY)
            elif beat % 4 == 3:
                await self._report("delta", PLENTIFUL, self.backordered, self.chance.randint(1, 2))
            self.hear()
            await lasts(BEAT_S)

    async def close(self) -> None:
        """The last count finds nothing, there is enough elsewhere for whoever waits, and everybody has answered."""
        await self._report("absolute", COUNTED, self.missing, 0)
        await deliver_goods(self.place.env, {self.missing: PLENTY, self.backordered: PLENTY}, warehouse=PLENTIFUL)
        await until(self._served, lambda: f"nobody waits for {self.missing}", within_s=SERVED_WITHIN_S)
        await asyncio.gather(*self._answering)

    async def _served(self) -> bool:
        self.hear()
        skus = f"('{self.missing}', '{self.backordered}')"
        return bool(
            await self._ask(
                f"SELECT NOT EXISTS (SELECT FROM inventory.waiting_lines WHERE queue IN {skus})"
                f" AND NOT EXISTS (SELECT FROM inventory.shelves WHERE sku IN {skus} AND short > 0)"
                f" AND (SELECT on_hand = 0 FROM inventory.shelves"
                f" WHERE sku = '{self.missing}' AND warehouse = '{COUNTED}')"
            )
        )

    # -- the source ----------------------------------------------------------------------------------------------

    async def _report(self, mode: str, warehouse: str, sku: str, quantity: int) -> None:
        """Perhaps twice: as the broker would, under the same message id, or as a source that is not sure."""
        body = {
            "sequence": next(self.place.sequences),
            "mode": mode,
            "lines": [{"sku": sku, "warehouse": warehouse, "quantity": quantity}],
            "as_of": datetime.now(UTC).isoformat(),
        }
        ids = [str(uuid4())]
        if self.chance.random() < REPORTED_TWICE:
            ids.append(self.chance.choice((ids[0], str(uuid4()))))
        for id_ in ids:
            await self.place.source.publish(
                "waybill.stock.report.v1", json.dumps(body).encode(), id_, "stock.reports", {}
            )
        self.said[f"{mode} reports"] += 1
        self.said["reports repeated"] += len(ids) - 1

    # -- the customers -------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Whoever is told that something is missing thinks about it in their own time."""
        heard, self._read = self.place.shop.heard[self._read :], len(self.place.shop.heard)
        for event in heard:
            if event.id in self._heard:
                continue
            self._heard.add(event.id)
            match event.topic:
                case "order.shortage":
                    self.said["shortages"] += 1
                    shortage = UUID(event.body["detail"]["shortage_id"])
                    self._answering.add(asyncio.create_task(self._answer(event.body, shortage.int)))
                case "order.shortage_settled":
                    self.said[event.body["detail"]["outcome"]] += 1
                case "order.stock_arrived":
                    self.said["released"] += 1

    async def _answer(self, told: Mapping[str, Any], chance: int) -> None:
        if chance % 5 == 0:
            self.said["customers silent"] += 1
            return
        await lasts(ANSWERS_AFTER_S[chance // 5 % len(ANSWERS_AFTER_S)])
        for number in range(1 + chance % 2):
            choice = ("wait", "refund", "substitute")[(chance // 25 + number) % 3]
            answer = {"order_id": told["order_id"], "shortage_id": told["detail"]["shortage_id"], "choice": choice}
            if choice == "substitute":
                answer["substitute"] = INSTEAD
            await self.place.shop.say("checkout.answer_shortage", json.dumps(answer).encode())
            self.said["answers"] += 1

    # -- who they are --------------------------------------------------------------------------------------------

    @property
    def missing(self) -> str:
        return missing(self.number)

    @property
    def backordered(self) -> str:
        return backordered(self.number)

    async def _ask(self, query: str) -> Any:
        database = await asyncpg.connect(self.place.env["DATABASE_URL"])
        try:
            return await database.fetchval(query)
        finally:
            await database.close()

"""Stock sources over a store in memory: described, reporting, and feeds staged as the importer stages them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from contracts.feeds import ApplyFeedRows, DescribeSource, FeedMode, Pulled, ReportStock, SourceMode, StockLine
from contracts.message import Message
from services.inventory.feed_tables import FEEDS, SOURCES
from services.inventory.feeds import Feed, FeedPage, Origin, key_of, page_id
from services.inventory.sources import Source
from services.inventory.tables import SHORTAGES, WAREHOUSES
from shared.envelope import Envelope, head_of
from shared.heard import Heard
from shared.ids import foreign_id
from tests.support.stock_room import StockRoom

ERP = "erp"
Line = tuple[str, str, int]


class FeedRoom(StockRoom):
    """`erp` counts what lies in berlin and hamburg."""

    def described(
        self,
        mode: SourceMode = SourceMode.ABSOLUTE,
        *,
        source: str = ERP,
        warehouses: tuple[str, ...] = ("berlin", "hamburg"),
        stale_after_s: int = 0,
        buffer: int = 0,
        pull: Pulled | None = None,
    ) -> "FeedRoom":
        self.now += timedelta(microseconds=1)  # a word that is not later is not heard
        self.hears(
            DescribeSource(
                source=source,
                mode=mode,
                warehouses=warehouses,
                stale_after_s=stale_after_s,
                buffer=buffer,
                pull=pull,
                as_of=self.now,
            )
        )
        return self

    def reports(self, *reports: ReportStock, source: str = ERP) -> list[Message]:
        """One batch, from the door outside; what was said."""
        self.batch([self.from_outside(report, source) for report in reports])
        return self.said()

    def from_outside(self, report: ReportStock, source: str = ERP) -> Heard:
        id_ = self.new_id()
        head = head_of(report, id_=id_, source=source, subject="", now=self.now, cause={})
        envelope = Envelope(head, report.model_dump_json().encode())
        return Heard(report.heard_by, envelope, foreign_id(source, str(id_)), foreign=True)

    def staged(
        self, sequence: int, *pages: Sequence[Line], mode: FeedMode = FeedMode.ABSOLUTE, source: str = ERP
    ) -> UUID:
        """A feed in the tables, and the word that begins it among the due work."""
        id_ = self.new_id()
        rows = sum(len(page) for page in pages)
        key = key_of(source, sequence)
        self.store.keep(
            Feed(id_, source, sequence, key, Origin.IMPORT, mode, "hash", rows, len(pages), version=1),
            *(FeedPage(page_id(id_, n), id_, [list(line) for line in page]) for n, page in enumerate(pages)),
        )
        self.hears_later(ApplyFeedRows(feed_id=id_, page=0))
        return id_

    def hears_later(self, message: Message) -> None:
        self.batch([self.envelope(message)])

    def settles(self, rounds: int = 50) -> None:
        """Whatever is due, until nothing is."""
        for _ in range(rounds):
            if not any(row.not_before <= self.now for row in self.store.due.values()):
                return
            self.batch([], due=True)
        raise AssertionError("there is always something more to do")

    # -- what stands ---------------------------------------------------------------------------------------------

    def source(self, code: str = ERP) -> Source:
        found = self.store.row(SOURCES, code)
        assert isinstance(found, Source)
        return found

    def feed(self, id_: UUID) -> Feed:
        found = self.store.row(FEEDS, id_)
        assert isinstance(found, Feed)
        return found

    def feeds(self) -> list[tuple[int, str, str]]:
        """(sequence, state, reason)"""
        return sorted((feed.sequence, feed.state.value, feed.reason) for feed in self.store.rows(FEEDS))

    def kept_back(self, warehouse: str = "berlin") -> int:
        return int(self.store.row(WAREHOUSES, warehouse).kept_back)

    def shortages(self) -> list[Any]:
        return [(row.sku, row.warehouse, row.units, row.state.value) for row in self.store.rows(SHORTAGES)]


def report(sequence: int, *lines: Line, mode: FeedMode = FeedMode.ABSOLUTE, room: StockRoom) -> ReportStock:
    return ReportStock(
        sequence=sequence,
        mode=mode,
        lines=tuple(StockLine(sku=sku, warehouse=warehouse, quantity=quantity) for sku, warehouse, quantity in lines),
        as_of=room.now,
    )

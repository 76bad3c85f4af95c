"""Stock that others count: who may report it, a report, and how a feed of many rows is applied in bounded steps.

A source numbers what it says. What is older than what we heard of it changes nothing, so any order is right.
"""

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from contracts.message import Fact, Local, Request
from contracts.values import Instant, Sku, Text, Value, WarehouseCode

STOCK_REPORTS = "stock.reports"
MAX_COUNT = 10**9
MAX_SEQUENCE = 2**62
MAX_REPORT_LINES = 500
MAX_WAREHOUSES = 100
MAX_EVERY_S = 30 * 24 * 3600

SourceCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
"""The broker user who reports, or the name an importer gives with `--source`."""
Sequence = Annotated[int, Field(ge=1, le=MAX_SEQUENCE, strict=True)]


class FeedMode(StrEnum):
    """What a quantity means."""

    ABSOLUTE = "absolute"  # so many units lie there
    DELTA = "delta"  # so many more lie there, or fewer


class SourceMode(StrEnum):
    """Which modes a source may use."""

    ABSOLUTE = "absolute"
    DELTA = "delta"
    ANY = "any"


class FeedFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


class StockLine(Value):
    sku: Sku
    warehouse: WarehouseCode
    quantity: Annotated[int, Field(ge=-MAX_COUNT, le=MAX_COUNT, strict=True)]


class ReportStock(Request, topic="stock.report", heard_by=STOCK_REPORTS):
    """From a stock source: what lies on some shelves. The sender is the source; `sequence` counts what it says.

    A sequence heard before, or older than the last one, changes nothing; with other content it is refused."""

    sequence: Sequence
    mode: FeedMode
    lines: Annotated[tuple[StockLine, ...], Field(min_length=1, max_length=MAX_REPORT_LINES)]
    as_of: Instant

    @model_validator(mode="after")
    def _each_shelf_once(self) -> Self:
        """A count is not negative, and a shelf has one."""
        if self.mode is FeedMode.ABSOLUTE and any(line.quantity < 0 for line in self.lines):
            raise ValueError("a count is not negative")
        if len({(line.sku, line.warehouse) for line in self.lines}) != len(self.lines):
            raise ValueError("a shelf is named twice")
        return self


class Pulled(Value):
    """Where a source's feed is fetched: an absolute path, or an http(s) URL."""

    url: Annotated[str, StringConstraints(pattern=r"^(/|https?://)\S+$", max_length=2000)]
    format: FeedFormat = FeedFormat.CSV
    mode: FeedMode = FeedMode.ABSOLUTE
    every_s: Annotated[int, Field(ge=1, le=MAX_EVERY_S)]
    timeout_s: Annotated[int, Field(ge=1, le=3600)] = 300
    partial: bool = False
    """Apply the good rows of a feed that has bad ones."""
    new: bool = False
    """Rows may open shelves for SKUs nobody knows."""


class DescribeSource(Fact, topic="inventory.describe_source", heard_by="inventory"):
    """Who reports the stock of which warehouses. The latest `as_of` counts, an older word changes nothing."""

    source: SourceCode
    mode: SourceMode = SourceMode.ABSOLUTE
    warehouses: Annotated[tuple[WarehouseCode, ...], Field(min_length=1, max_length=MAX_WAREHOUSES)]
    stale_after_s: Annotated[int, Field(ge=0, le=MAX_EVERY_S)] = 0
    """Nothing heard for so long: stale. 0: never."""
    buffer: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
    """Units of each shelf that new holds may not take while the source is stale."""
    pull: Pulled | None = None
    as_of: Instant


class ApplyFeedRows(Local, topic="inventory.apply_feed_rows", heard_by="inventory"):
    """The next page of a staged feed is to be applied; a page that was, or whose turn has not come, changes nothing."""

    feed_id: UUID
    page: Annotated[int, Field(ge=0)]


class SourceSilent(Local, topic="inventory.source_silent", heard_by="inventory"):
    """The timer of a source rang: was anything heard of it?"""

    source: SourceCode


class PullDue(Local, topic="inventory.pull_due", heard_by="inventory"):
    """The timer of a scheduled pull rang."""

    source: SourceCode


class FeedPulled(Local, topic="inventory.feed_pulled", heard_by="inventory"):
    """What a pull came to: a feed that is staged, or a problem."""

    source: SourceCode
    asked: int
    """Which of the source's pulls this was."""
    feed_id: UUID | None = None
    problem: Text = ""

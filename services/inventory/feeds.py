"""A feed is staged whole, then applied page by page: its row says how far, so a crash anywhere goes on from there."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from contracts.feeds import FeedFormat, FeedMode
from shared.frozen import replace
from shared.machine import Machine

PAGE_ROWS: Final = 500
"""Rows applied in one decision: shelves locked at once, for some tens of milliseconds."""
PULL_GRACE_S: Final = 60
"""A pull that has not answered so long after its timeout died with its process, and is made again."""


class FeedState(StrEnum):
    STAGED = "staged"
    APPLYING = "applying"
    APPLIED = "applied"
    SKIPPED = "skipped"
    REJECTED = "rejected"


STAGED, APPLYING, APPLIED, SKIPPED, REJECTED = FeedState

FEED: Final = Machine(
    "feed",
    FeedState,
    start=(
        STAGED,
        APPLIED,
        SKIPPED,
        REJECTED,
    ),  # a report by message is decided at once; so is a feed not worth staging
    moves=[
        # from    on       to
        (STAGED, "begin", APPLYING),
        (STAGED, "skip", SKIPPED),  # a later sequence was heard meanwhile
        (STAGED, "reject", REJECTED),  # its source is not, or no longer, described so
        (APPLYING, "end", APPLIED),
    ],
)


class Origin(StrEnum):
    """Through which door a feed came."""

    REPORT = "report"
    IMPORT = "import"
    PULL = "pull"


@dataclass(frozen=True, slots=True)
class Feed:
    """What a source said under one sequence, and what came of it. `key` is source and sequence: one that was not
    rejected stands for it. `report` lists problems, `raised` to `clamped` count what its rows did to shelves."""

    id: UUID
    source: str
    sequence: int
    key: str
    origin: Origin
    mode: FeedMode
    hash: str
    rows: int
    pages: int
    as_of: datetime | None = None
    problems: int = 0
    report: list[Any] = field(default_factory=list)
    state: FeedState = STAGED
    reason: str = ""
    pages_done: int = 0
    rows_done: int = 0
    raised: int = 0
    lowered: int = 0
    opened: int = 0
    clamped: int = 0
    short_units: int = 0
    ended_at: datetime | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Rows [sku, warehouse, quantity] that are applied together. Pages are cut in the order of their shelves, so that
    a SKU's shelves are mostly in one."""

    id: str
    feed_id: UUID
    lines: list[Any]


class PullState(StrEnum):
    IDLE = "idle"
    OPEN = "open"
    CALLING = "calling"


PULL: Final = Machine(
    "pull",
    PullState,
    start=PullState.IDLE,
    moves=[
        # from             on        to
        (PullState.IDLE, "ask", PullState.OPEN),
        (PullState.OPEN, "call", PullState.CALLING),
        (PullState.CALLING, "learn", PullState.IDLE),
        (PullState.CALLING, "ask again", PullState.OPEN),  # who called has died
    ],
)


@dataclass(frozen=True, slots=True)
class Pull:
    """Where a source's feed is fetched, and how the fetching stands. `sequence` is what this one will be staged under:
    asked again it is the same, so what was staged is found. `every_s` 0: no more."""

    source: str
    url: str
    format: FeedFormat
    mode: FeedMode
    every_s: int
    timeout_s: int
    partial: bool
    new: bool
    state: PullState = PullState.IDLE
    asked: int = 0
    asked_at: datetime | None = None
    sequence: int = 0
    problem: str = ""
    version: int = 0

    @property
    def overdue_at(self) -> datetime | None:
        return None if self.asked_at is None else self.asked_at + timedelta(seconds=self.timeout_s + PULL_GRACE_S)


@dataclass(slots=True)
class Tally:
    """What rows did to shelves."""

    raised: int = 0
    lowered: int = 0
    opened: int = 0
    clamped: int = 0
    short_units: int = 0


def key_of(source: str, sequence: int) -> str:
    return f"{source}/{sequence}"


def page_id(feed_id: UUID, page: int) -> str:
    return f"{feed_id}/{page}"


def standing(feeds: Iterable[Feed]) -> Feed | None:
    """The one of several under one key that was not rejected."""
    return next((feed for feed in feeds if feed.state is not REJECTED), None)


def begun(feed: Feed) -> Feed:
    return replace(feed, state=FEED.to(feed.state, "begin"))


def refused(feed: Feed, on: str, reason: str, now: datetime) -> Feed:
    """A staged feed that will not be applied: `on` is "skip" or "reject"."""
    return replace(feed, state=FEED.to(feed.state, on), reason=reason, ended_at=now)


def advanced(feed: Feed, rows: int, tally: Tally, now: datetime) -> Feed:
    """The feed after its next page; its last one ends it."""
    after = replace(
        feed,
        pages_done=feed.pages_done + 1,
        rows_done=feed.rows_done + rows,
        raised=feed.raised + tally.raised,
        lowered=feed.lowered + tally.lowered,
        opened=feed.opened + tally.opened,
        clamped=feed.clamped + tally.clamped,
        short_units=feed.short_units + tally.short_units,
    )
    if after.pages_done < after.pages:
        return after
    return replace(after, state=FEED.to(after.state, "end"), ended_at=now)

"""What sources say: a report by message is counted at once, a staged feed page by page, each in one transaction."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Final

from contracts.feeds import ApplyFeedRows, ReportStock
from contracts.frame import MessageRefused
from contracts.inventory import StockArrived
from contracts.shortage import ShelfCameShort
from services.inventory import feeds, sources
from services.inventory.feed_tables import FEED_PAGES, FEEDS
from services.inventory.feeds import APPLIED, APPLYING, REJECTED, SKIPPED, STAGED, Feed, Origin
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.counting import count, shelves
from services.inventory.handlers.sources import NETWORKS, keep, source_of
from services.inventory.sources import Source, Turnout
from shared.consumer import Moment, NotYet, Publish, Said
from shared.envelope import content_hash
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows

FEED_TIMER: Final = "feed"
WAITS_S: Final = 1.0
"""A staged feed looks again so much later while another of its source is under way."""


@consumer.hears(
    ReportStock,
    needs_sender=lambda report, sender: [
        Need.of(FEEDS, "key", feeds.key_of(sender.source, report.sequence)),
        *NETWORKS,
    ],
    then=lambda report, rows: shelves(line.sku for line in report.lines),
)
def report_stock(
    report: ReportStock, rows: Rows, moment: Moment
) -> Annotated[list[Said], MessageRefused, ShelfCameShort, StockArrived]:
    """Count what a source says, once. What is late changes nothing; what cannot be is refused by name, and kept."""
    source = source_of(rows, moment.source)
    if source is None:
        raise NotYet("unknown_source: nobody described it", otherwise=[_refusal(report, moment, "unknown_source")])
    if source.applying is not None:
        raise NotYet("feed_under_way", otherwise=[_refusal(report, moment, "feed_under_way")])
    under_key = rows.where(FEEDS, "key", feeds.key_of(source.code, report.sequence))
    feed = _reported(report, source, moment)
    known = feeds.standing(under_key)
    if known is not None and known.hash == feed.hash:
        return []
    if reason := "sequence_reused" if known is not None else _trouble(source, report):
        if not any(one.state is REJECTED and one.hash == feed.hash for one in under_key):
            rows.put(replace(feed, state=REJECTED, reason=reason))
        return [_refusal(report, moment, reason)]
    turnout = sources.turnout(source, report.sequence)
    if turnout is Turnout.OLD:
        rows.put(replace(feed, state=SKIPPED, reason="older_sequence"))
        keep(rows, sources.alive(source, moment.now))
        return []
    lines = ((line.sku, line.warehouse, line.quantity) for line in report.lines)
    done = count(rows, moment, report.mode, lines, reference=str(feed.id))
    applied = feeds.advanced(replace(feed, state=APPLYING), feed.rows, done.tally, moment.now)
    rows.put(applied)
    keep(rows, sources.heard(source, report.sequence, moment.now))
    return done.said


def _reported(report: ReportStock, source: Source, moment: Moment) -> Feed:
    return Feed(
        id=moment.new_id(),
        source=source.code,
        sequence=report.sequence,
        key=feeds.key_of(source.code, report.sequence),
        origin=Origin.REPORT,
        mode=report.mode,
        hash=content_hash(report),
        rows=len(report.lines),
        pages=1,
        as_of=report.as_of,
        ended_at=moment.now,
    )


def _trouble(source: Source, report: ReportStock) -> str:
    """Why this source cannot say this; empty when it can."""
    if not source.allows(report.mode):
        return "wrong_mode"
    if any(line.warehouse not in source.warehouses for line in report.lines):
        return "foreign_warehouse"
    return ""


_DETAILS: Final = {
    "unknown_source": "nobody described this source",
    "feed_under_way": "a feed of this source is being applied",
    "sequence_reused": "this sequence was said before, with other content",
    "wrong_mode": "the source is not described as one that reports so",
    "foreign_warehouse": "a warehouse is not among those the source reports",
}


def _refusal(report: ReportStock, moment: Moment, reason: str) -> Publish:
    return Publish(
        moment.source,
        MessageRefused(
            message_id=moment.message_id[:200],
            message_type=report.full_type,
            reason=reason,
            detail=f"sequence {report.sequence}: {_DETAILS[reason]}",
        ),
    )


@consumer.hears(
    ApplyFeedRows,
    needs=lambda step: [
        Need.of(FEEDS, "id", step.feed_id),
        Need.of(FEED_PAGES, "id", feeds.page_id(step.feed_id, step.page)),
        *NETWORKS,
    ],
    then=lambda step, rows: shelves(_skus(step, rows)),
)
def apply_feed_rows(
    step: ApplyFeedRows, rows: Rows, moment: Moment
) -> Annotated[list[Said], ApplyFeedRows, ShelfCameShort, StockArrived]:
    """One page of a feed, and a word to ourselves for the next. The feed's row says which page it is the turn of."""
    feed = rows.get(FEEDS, step.feed_id)
    page = rows.get(FEED_PAGES, feeds.page_id(step.feed_id, step.page))
    if feed is None or page is None or step.page != feed.pages_done or feed.state not in (STAGED, APPLYING):
        return []
    source = source_of(rows, feed.source)
    assert source is not None, "the database keeps a feed's source"
    if feed.state is STAGED:
        if source.applying is not None:
            rows.set_timer(FEED_TIMER, feed.id, moment.now + timedelta(seconds=WAITS_S), step)
            return []
        refused = _not_begun(feed, source, moment)
        if refused is not None:
            rows.put(refused)
            return []
        feed = feeds.begun(feed)
        rows.put(feed)
        source = replace(sources.heard(source, feed.sequence, moment.now), applying=feed.id)
        keep(rows, source)
    done = count(rows, moment, feed.mode, _lines(page.lines), reference=str(feed.id))
    after = feeds.advanced(feed, len(page.lines), done.tally, moment.now)
    rows.put(after)
    if after.state is APPLIED:
        keep(rows, replace(sources.alive(source, moment.now), applying=None))
        return done.said
    return [*done.said, ApplyFeedRows(feed_id=feed.id, page=step.page + 1)]


def _not_begun(feed: Feed, source: Source, moment: Moment) -> Feed | None:
    """The feed as it ends without being applied; None when it may begin."""
    if not source.allows(feed.mode):
        return feeds.refused(feed, "reject", "wrong_mode", moment.now)
    if sources.turnout(source, feed.sequence) is Turnout.OLD:
        return feeds.refused(feed, "skip", "older_sequence", moment.now)
    return None


def _skus(step: ApplyFeedRows, rows: Rows) -> Iterable[str]:
    """Of a page whose turn it is: for no other is anything locked."""
    feed = rows.get(FEEDS, step.feed_id)
    page = rows.get(FEED_PAGES, feeds.page_id(step.feed_id, step.page))
    if feed is None or page is None or feed.pages_done != step.page or feed.state not in (STAGED, APPLYING):
        return []
    return (sku for sku, _, _ in page.lines)


def _lines(lines: Iterable[tuple[str, str, int]]) -> Iterable[tuple[str, str, int]]:
    return ((sku, warehouse, quantity) for sku, warehouse, quantity in lines)

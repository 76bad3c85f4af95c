"""Who reports stock, how long it may be silent, and when its feed is fetched."""

from datetime import timedelta
from typing import Any, Final

from contracts.feeds import DescribeSource, FeedPulled, PullDue, SourceSilent
from services.inventory import sources as domain
from services.inventory.domain import NETWORK
from services.inventory.feed_tables import PULLS, SOURCES
from services.inventory.feeds import PULL, Pull, PullState
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.turns import open_warehouse, warehouses
from services.inventory.sources import Source, SourceState
from services.inventory.tables import WAREHOUSES
from shared.consumer import Moment
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows

SILENCE: Final = "silence"
PULLING: Final = "pull"

NETWORKS: Final = (Need.of(SOURCES, "network", NETWORK), Need.of(WAREHOUSES, "network", NETWORK))
"""Every source and warehouse, a few dozen: what one of them keeps back depends on the others."""


def source_of(rows: Rows, code: str) -> Source | None:
    return next((source for source in rows.where(SOURCES, "network", NETWORK) if source.code == code), None)


def keep(rows: Rows, source: Source) -> None:
    """Put a source as it now stands, wind its timer, and let its warehouses keep back what they should."""
    before = source_of(rows, source.code)
    rows.put(source)
    if source.state is SourceState.FRESH and source.stale_at is not None:
        rows.set_timer(SILENCE, source.code, source.stale_at, SourceSilent(source=source.code))
    elif source.stale_at is None and before is not None and before.stale_at is not None:
        rows.clear_timer(SILENCE, source.code)
    if before is None or before.state is not source.state or source.state is SourceState.STALE:
        for warehouse in domain.buffered(warehouses(rows).values(), rows.where(SOURCES, "network", NETWORK)):
            rows.put(warehouse)


@consumer.hears(DescribeSource, needs=lambda fact: [*NETWORKS, Need.of(PULLS, "source", fact.source)])
def describe_source(fact: DescribeSource, rows: Rows, moment: Moment) -> None:
    """Who reports what; the latest word counts, whenever it is heard."""
    source = domain.described(source_of(rows, fact.source), fact, moment.now)
    if source is None:
        return
    for code in fact.warehouses:
        open_warehouse(rows, code)
    keep(rows, source)
    pull = _pull(rows.get(PULLS, fact.source), fact)
    if pull is None:
        return
    rows.put(pull)
    if pull.every_s:
        rows.set_timer(PULLING, fact.source, moment.now, PullDue(source=fact.source))
    else:
        rows.clear_timer(PULLING, fact.source)


def _pull(standing: Pull | None, fact: DescribeSource) -> Pull | None:
    """What is fetched from now on; None: nothing is, or was."""
    wanted = fact.pull
    if wanted is None:
        return None if standing is None else replace(standing, every_s=0)
    said: dict[str, Any] = {
        "url": wanted.url,
        "format": wanted.format,
        "mode": wanted.mode,
        "every_s": wanted.every_s,
        "timeout_s": wanted.timeout_s,
        "partial": wanted.partial,
        "new": wanted.new,
    }
    return Pull(fact.source, **said) if standing is None else replace(standing, **said)


@consumer.hears(SourceSilent, needs=lambda rang: NETWORKS)
def source_silent(rang: SourceSilent, rows: Rows, moment: Moment) -> None:
    """The timer rang: unless it was heard meanwhile, the source is stale."""
    source = source_of(rows, rang.source)
    if source is None:
        return
    if source.applying and source.stale_at is not None:  # what it said is not all done yet: it is asked again
        again = moment.now + timedelta(seconds=source.stale_after_s)
        rows.set_timer(SILENCE, source.code, again, SourceSilent(source=source.code))
        return
    stale = domain.silent(source, moment.now)
    if stale is not None:
        keep(rows, stale)


@consumer.hears(
    PullDue,
    needs=lambda rang: [Need.of(PULLS, "source", rang.source), Need.of(SOURCES, "network", NETWORK)],
)
def pull_due(rang: PullDue, rows: Rows, moment: Moment) -> None:
    """Time to fetch a source's feed; or to fetch it again, when who was fetching it has died."""
    pull, source = rows.get(PULLS, rang.source), source_of(rows, rang.source)
    if pull is None or source is None or not pull.every_s:
        return
    wait_s = pull.timeout_s + pull.every_s
    if source.applying is not None:  # the last one is not done yet
        wait_s = min(pull.every_s, 1)
    elif pull.state is PullState.IDLE:
        rows.put(_asked(pull, "ask", source, moment))
    elif pull.state is PullState.CALLING and (pull.overdue_at is None or pull.overdue_at <= moment.now):
        rows.put(_asked(pull, "ask again", source, moment))
    rows.set_timer(PULLING, pull.source, moment.now + timedelta(seconds=wait_s), rang)


def _asked(pull: Pull, on: str, source: Source, moment: Moment) -> Pull:
    return replace(
        pull,
        state=PULL.to(pull.state, on),
        asked=pull.asked + 1,
        asked_at=moment.now,
        sequence=source.last_sequence + 1,
    )


@consumer.hears(FeedPulled, needs=lambda learned: [Need.of(PULLS, "source", learned.source)])
def feed_pulled(learned: FeedPulled, rows: Rows, moment: Moment) -> None:
    """What a pull came to. The feed it staged is under way by itself; the next pull is due in its time."""
    pull = rows.get(PULLS, learned.source)
    if pull is None or pull.asked != learned.asked or pull.state is not PullState.CALLING:
        return
    rows.put(replace(pull, state=PULL.to(pull.state, "learn"), problem=learned.problem))
    if pull.every_s and pull.asked_at is not None:
        at = max(moment.now, pull.asked_at + timedelta(seconds=pull.every_s))
        rows.set_timer(PULLING, pull.source, at, PullDue(source=pull.source))

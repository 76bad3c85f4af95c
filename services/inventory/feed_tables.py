"""Tables of sources and feeds. A feed's rows are pages of JSON: few to write, read and drop."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from contracts.feeds import FeedFormat, FeedMode, SourceMode
from services.inventory.feeds import FEED, PULL, Feed, FeedPage, Origin, Pull
from services.inventory.schema import METADATA
from services.inventory.sources import SOURCE, Source
from shared.machine import Machine
from shared.schema import created, instants, one_of, states_check
from shared.table import Discipline, Table

SOURCES: Final = Table(
    Source,
    sa.Table(
        "sources",
        METADATA,
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("warehouses", JSONB, nullable=False),
        sa.Column("stale_after_s", sa.BigInteger, nullable=False),
        sa.Column("buffer", sa.BigInteger, nullable=False),
        sa.Column("described_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("network", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True)),
        sa.Column("stale_at", sa.DateTime(timezone=True)),
        sa.Column("missing", JSONB, nullable=False),
        sa.Column("applying", sa.Uuid),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        one_of("mode", SourceMode),
        states_check(SOURCE, "state"),
        sa.CheckConstraint("buffer >= 0", name="buffer_is_not_negative"),
        postgresql_with={"fillfactor": 50},
    ),
    key=("code",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"network"}),
)

FEEDS: Final = Table(
    Feed,
    sa.Table(
        "feeds",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "source",
            sa.Text,
            sa.ForeignKey("inventory.sources.code", name="a_feed_comes_from_a_source"),
            nullable=False,
        ),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("pages", sa.Integer, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True)),
        sa.Column("problems", sa.BigInteger, nullable=False),
        sa.Column("report", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("pages_done", sa.Integer, nullable=False),
        sa.Column("rows_done", sa.BigInteger, nullable=False),
        sa.Column("raised", sa.BigInteger, nullable=False),
        sa.Column("lowered", sa.BigInteger, nullable=False),
        sa.Column("opened", sa.BigInteger, nullable=False),
        sa.Column("clamped", sa.BigInteger, nullable=False),
        sa.Column("short_units", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(FEED, "state"),
        one_of("origin", Origin),
        one_of("mode", FeedMode),
        sa.CheckConstraint("pages_done <= pages AND rows_done <= rows", name="no_page_is_applied_twice"),
        sa.CheckConstraint("state <> 'applied' OR rows_done = rows", name="applied_means_every_row"),
        sa.Index("one_feed_per_sequence", "key", unique=True, postgresql_where=sa.text("state <> 'rejected'")),
        sa.Index("feeds_by_key", "key"),
        postgresql_with={"fillfactor": 70},
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset(
        {"source", "sequence", "key", "origin", "mode", "hash", "rows", "pages", "as_of", "problems", "report"}
    ),
)

FEED_PAGES: Final = Table(
    FeedPage,
    sa.Table(
        "feed_pages",
        METADATA,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("feed_id", sa.Uuid, sa.ForeignKey("inventory.feeds.id", name="a_page_is_of_a_feed"), nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        created(),
        sa.Index("pages_of_a_feed", "feed_id"),
    ),
    key=("id",),
    discipline=Discipline.APPEND,
)

PULLS: Final = Table(
    Pull,
    sa.Table(
        "pulls",
        METADATA,
        sa.Column(
            "source",
            sa.Text,
            sa.ForeignKey("inventory.sources.code", name="a_pull_is_of_a_source"),
            primary_key=True,
        ),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("every_s", sa.BigInteger, nullable=False),
        sa.Column("timeout_s", sa.BigInteger, nullable=False),
        sa.Column("partial", sa.Boolean, nullable=False),
        sa.Column("new", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True)),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(PULL, "state"),
        one_of("format", FeedFormat),
        one_of("mode", FeedMode),
    ),
    key=("source",),
    discipline=Discipline.VERSIONED,
)

FEED_TABLES: Final[tuple[Table[Any], ...]] = (SOURCES, FEEDS, FEED_PAGES, PULLS)
FEED_MACHINES: Final[tuple[tuple[str, str, Machine[Any]], ...]] = (
    ("sources", "state", SOURCE),
    ("feeds", "state", FEED),
    ("pulls", "state", PULL),
)

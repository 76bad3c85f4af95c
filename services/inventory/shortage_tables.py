"""Tables of shortages: shelves that came short, and the orders it hits."""

from typing import Final

import sqlalchemy as sa

from services.inventory.schema import METADATA
from services.inventory.shortages import SHORT_LINE, SHORTAGE, ShelfShortage, ShortLine
from shared.schema import instants, states_check
from shared.table import Discipline, Table

SHORTAGES: Final = Table(
    ShelfShortage,
    sa.Table(
        "shortages",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(SHORTAGE, "state"),
        sa.CheckConstraint("units > 0", name="a_shortage_lacks_something"),
        # the search's queue: as small as what waits to be searched
        sa.Index("open_shortages", "id", postgresql_where=sa.text("state = 'open'")),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"sku", "warehouse", "reference", "opened_at"}),
)

SHORT_LINES: Final = Table(
    ShortLine,
    sa.Table(
        "short_lines",
        METADATA,
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("warehouse", sa.Text, primary_key=True),
        sa.Column("shortage_id", sa.Uuid, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("covers", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("shelf", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(SHORT_LINE, "state"),
        sa.CheckConstraint("quantity > 0 AND covers > 0", name="a_short_line_lacks_something"),
        sa.CheckConstraint("(state = 'asked') = (shelf IS NOT NULL)", name="who_is_asked_still_counts_as_promised"),
        sa.Index("short_lines_of_a_shelf", "shelf", postgresql_where=sa.text("shelf IS NOT NULL")),
    ),
    key=("order_id", "sku", "warehouse"),
    discipline=Discipline.VERSIONED,
)

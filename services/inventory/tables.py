"""Inventory's schema: shelves are locked at load in key order, reservations compared and set, movements only grow."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from contracts.product import Supply
from services.inventory.domain import RESERVATION, Movement, MovementKind, Receipt, Reservation, Shelf, Warehouse
from services.inventory.feed_tables import FEED_MACHINES, FEED_TABLES
from services.inventory.products import Product
from services.inventory.routing.rows import QUESTION
from services.inventory.routing_tables import BOOKINGS, DISPATCHES, QUESTIONS, ROUTES
from services.inventory.schema import METADATA, SCHEMA
from services.inventory.shortage_tables import SHORT_LINES, SHORTAGES
from services.inventory.shortages import SHORT_LINE, SHORTAGE
from services.inventory.transfers import TRANSFER
from services.inventory.waiting import WAITING_LINE, Backlog, WaitingLine
from services.inventory.warehousing_tables import CORRECTIONS, COUNT_SHEETS, RETURNS, STOCK_TAKES, TRANSFERS
from shared.machine import Machine
from shared.schema import created, instants, one_of, states_check
from shared.table import Discipline, Table

WAREHOUSES: Final = Table(
    Warehouse,
    sa.Table(
        "warehouses",
        METADATA,
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("network", sa.Text, nullable=False),
        sa.Column("latitude", sa.Double),
        sa.Column("longitude", sa.Double),
        sa.Column("shipment_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("bands", JSONB, nullable=False, server_default="[]"),
        sa.Column("daily_shipments", sa.BigInteger),
        sa.Column("described_at", sa.DateTime(timezone=True)),
        sa.Column("kept_back", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        sa.CheckConstraint("priority >= 0", name="priority_is_not_negative"),
        sa.CheckConstraint("kept_back >= 0", name="kept_back_is_not_negative"),
        sa.CheckConstraint("(latitude IS NULL) = (longitude IS NULL)", name="coordinates_come_together"),
        sa.CheckConstraint("shipment_minor >= 0", name="a_shipment_costs_nothing_or_more"),
        sa.CheckConstraint("daily_shipments >= 0", name="daily_capacity_is_not_negative"),
    ),
    key=("code",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"network"}),
)

PRODUCTS: Final = Table(
    Product,
    sa.Table(
        "products",
        METADATA,
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("supply", sa.Text, nullable=False),
        sa.Column("weight_g", sa.BigInteger, nullable=False),
        sa.Column("limit_units", sa.BigInteger, nullable=False),
        sa.Column("lead_days", sa.Integer, nullable=False),
        sa.Column("release_at", sa.DateTime(timezone=True)),
        sa.Column("parts", JSONB, nullable=False),
        sa.Column("substitutes", JSONB, nullable=False),
        sa.Column("not_from", JSONB, nullable=False),
        sa.Column("described_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        one_of("supply", Supply),
        sa.CheckConstraint("(supply = 'preorder') = (release_at IS NOT NULL)", name="a_preorder_has_a_release_date"),
    ),
    key=("sku",),
    discipline=Discipline.VERSIONED,
)

SHELVES: Final = Table(
    Shelf,
    sa.Table(
        "shelves",
        METADATA,
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column(
            "warehouse",
            sa.Text,
            sa.ForeignKey("inventory.warehouses.code", name="a_shelf_stands_in_a_warehouse"),
            primary_key=True,
        ),
        sa.Column("on_hand", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("allocated", sa.BigInteger, nullable=False),
        sa.Column("safety_stock", sa.BigInteger, nullable=False),
        sa.Column("short", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("moved_at", sa.DateTime(timezone=True)),
        sa.Column("safety_stock_at", sa.DateTime(timezone=True)),
        *instants(),
        sa.CheckConstraint("on_hand >= 0", name="on_hand_is_not_negative"),
        sa.CheckConstraint("held >= 0", name="held_is_not_negative"),
        sa.CheckConstraint("allocated >= 0", name="allocated_is_not_negative"),
        sa.CheckConstraint("safety_stock >= 0", name="safety_stock_is_not_negative"),
        sa.CheckConstraint("short >= 0", name="short_is_not_negative"),
        sa.CheckConstraint("on_hand + short - held - allocated >= 0", name="never_oversold"),
        sa.CheckConstraint(
            "short = 0 OR short <= held + allocated - on_hand", name="short_is_only_what_is_promised_and_not_there"
        ),
        # room for the next version of a hot row on its own page: no index is touched by an update
        postgresql_with={"fillfactor": 50},
    ),
    key=("sku", "warehouse"),
    discipline=Discipline.LOCKED,
)

MOVEMENTS: Final = Table(
    Movement,
    sa.Table(
        "movements",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("on_hand_delta", sa.BigInteger, nullable=False),
        sa.Column("held_delta", sa.BigInteger, nullable=False),
        sa.Column("allocated_delta", sa.BigInteger, nullable=False),
        sa.Column("order_id", sa.Uuid),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        created(),
        one_of("kind", MovementKind),
        sa.CheckConstraint("quantity > 0", name="a_movement_moves_something"),
        sa.Index("movements_by_order", "order_id"),
        sa.Index("movements_by_shelf", "sku", "warehouse", "occurred_at"),
    ),
    key=("id",),
    discipline=Discipline.APPEND,
)

RECEIPTS: Final = Table(
    Receipt,
    sa.Table(
        "receipts",
        METADATA,
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
    ),
    key=("reference",),
    discipline=Discipline.VERSIONED,  # versioned, so that a batch sees it and two replicas never both count
    fixed=frozenset({"lines"}),
)

RESERVATIONS: Final = Table(
    Reservation,
    sa.Table(
        "reservations",
        METADATA,
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hold_key", sa.Text, nullable=False),
        sa.Column("picks", JSONB, nullable=False),
        sa.Column("fulfillments", JSONB, nullable=False),
        sa.Column("waits", JSONB, nullable=False, server_default="[]"),
        sa.Column("terms", JSONB, nullable=False, server_default="{}"),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(RESERVATION, "status"),
        # who was promised units of a shelf is asked of those under way, not of all there ever were: by a feed's dry
        # run, by whoever looks for the orders a shortage hits, and by people
        sa.Index(
            "promised_from_shelves",
            "picks",
            postgresql_using="gin",
            postgresql_ops={"picks": "jsonb_path_ops"},
            postgresql_where=sa.text("status IN ('held', 'committed')"),
        ),
        postgresql_with={"fillfactor": 70},
    ),
    key=("order_id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"hold_key"}),
)

WAITING_LINES: Final = Table(
    WaitingLine,
    sa.Table(
        "waiting_lines",
        METADATA,
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("promised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("queue", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(WAITING_LINE, "status"),
        sa.CheckConstraint("quantity > 0", name="a_line_waits_for_something"),
        one_of("kind", ("backorder", "preorder", "production")),
        sa.CheckConstraint("(status = 'waiting') = (queue IS NOT NULL)", name="who_waits_is_in_a_queue"),
        sa.Index(
            "waiting_lines_by_promise",
            "queue",
            "promised_at",
            "order_id",
            postgresql_where=sa.text("queue IS NOT NULL"),
        ),
    ),
    key=("order_id", "sku"),
    discipline=Discipline.VERSIONED,
)

BACKLOGS: Final = Table(
    Backlog,
    sa.Table(
        "backlogs",
        METADATA,
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("units", sa.BigInteger, nullable=False),
        *instants(),
        sa.CheckConstraint("units >= 0", name="units_are_not_negative"),
        postgresql_with={"fillfactor": 50},
    ),
    key=("sku",),
    discipline=Discipline.LOCKED,
)

__all__ = [
    "BACKLOGS",
    "BOOKINGS",
    "CORRECTIONS",
    "COUNT_SHEETS",
    "DISPATCHES",
    "MACHINES",
    "METADATA",
    "MOVEMENTS",
    "PRODUCTS",
    "QUESTIONS",
    "RECEIPTS",
    "RESERVATIONS",
    "RETURNS",
    "ROUTES",
    "SCHEMA",
    "SHELVES",
    "SHORTAGES",
    "SHORT_LINES",
    "STOCK_TAKES",
    "TABLES",
    "TRANSFERS",
    "WAITING_LINES",
    "WAREHOUSES",
]

TABLES: Final[tuple[Table[Any], ...]] = (
    WAREHOUSES,
    PRODUCTS,
    SHELVES,
    MOVEMENTS,
    RECEIPTS,
    RESERVATIONS,
    WAITING_LINES,
    BACKLOGS,
    ROUTES,
    DISPATCHES,
    BOOKINGS,
    QUESTIONS,
    RETURNS,
    CORRECTIONS,
    COUNT_SHEETS,
    STOCK_TAKES,
    TRANSFERS,
    SHORTAGES,
    SHORT_LINES,
    *FEED_TABLES,
)
MACHINES: Final[tuple[tuple[str, str, Machine[Any]], ...]] = (
    ("reservations", "status", RESERVATION),
    ("waiting_lines", "status", WAITING_LINE),
    ("questions", "state", QUESTION),
    ("transfers", "state", TRANSFER),
    ("shortages", "state", SHORTAGE),
    ("short_lines", "state", SHORT_LINE),
    *FEED_MACHINES,
)

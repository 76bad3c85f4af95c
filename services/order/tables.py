"""Schema `orders`: the header with its sums, the lines, the shipments they are counted by, the refunds, the story."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from contracts.values import FulfillmentStatus
from services.order.domain import Order, Refund
from services.order.items import Item
from services.order.lifecycle import ITEM, PROGRESS, REFUND, REFUND_STANDING
from services.order.shipments import Shipment
from services.order.story import ActorKind, StoryLine
from shared.machine import Machine
from shared.schema import created, instants, states_check
from shared.table import Discipline, Table

SCHEMA: Final = "orders"
METADATA = sa.MetaData(schema=SCHEMA)

_SUMS: Final = ("goods_minor", "discount_minor", "tax_minor", "shipping_minor", "shipping_tax_minor", "total_minor")

ORDERS = Table(
    Order,
    sa.Table(
        "orders",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("storefront", sa.Text, nullable=False),
        sa.Column("checkout_id", sa.Text, nullable=False),
        sa.Column("customer_reference", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("shipping_address", JSONB, nullable=False),
        sa.Column("billing_address", JSONB, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS),
        sa.Column("refunded_minor", sa.BigInteger, nullable=False),
        sa.Column("refund_reserved_minor", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("refund_standing", sa.Text, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("last_public_sequence", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("quote", sa.Text, nullable=False, server_default=""),
        sa.Column("due_minor", sa.BigInteger),
        sa.CheckConstraint("due_minor BETWEEN 0 AND total_minor", name="no_more_is_due_than_the_total"),
        sa.Column("version", sa.BigInteger, nullable=False),
        *instants(),
        # checkout first: it alone finds the row, and the storefront makes it one
        sa.UniqueConstraint("checkout_id", "storefront", name="one_order_per_checkout"),
        states_check(PROGRESS, "state"),
        states_check(REFUND_STANDING, "refund_standing"),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_is_a_code"),
        sa.CheckConstraint(" AND ".join(f"{name} >= 0" for name in _SUMS), name="no_sum_is_negative"),
        sa.CheckConstraint("discount_minor <= goods_minor", name="discount_is_within_goods"),
        sa.CheckConstraint(
            "total_minor = goods_minor - discount_minor + tax_minor + shipping_minor + shipping_tax_minor",
            name="totals_add_up",
        ),
        sa.CheckConstraint(
            "refunded_minor >= 0 AND refund_reserved_minor >= 0"
            " AND refunded_minor + refund_reserved_minor <= total_minor",
            name="refunds_stay_within_the_total",
        ),
        sa.CheckConstraint(
            "(refund_standing = 'not_refunded' AND refunded_minor = 0)"
            " OR (refund_standing = 'partially_refunded' AND refunded_minor > 0 AND refunded_minor < total_minor)"
            " OR (refund_standing = 'refunded' AND refunded_minor > 0 AND refunded_minor = total_minor)",
            name="refund_standing_tells_the_sum",
        ),
        sa.CheckConstraint(
            "last_sequence >= last_public_sequence AND last_public_sequence >= 0", name="public_is_part_of_the_story"
        ),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset(
        {
            "storefront",
            "checkout_id",
            "customer_reference",
            "email",
            "currency",
            "shipping_address",
            "billing_address",
            *_SUMS,
        }
    ),
)

ITEMS = Table(
    Item,
    sa.Table(
        "order_items",
        METADATA,
        sa.Column("order_id", sa.Uuid, sa.ForeignKey(ORDERS.sql.c.id, name="item_is_of_an_order"), nullable=False),
        sa.Column("line_no", sa.Integer, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger, nullable=False),
        sa.Column("discount_minor", sa.BigInteger, nullable=False),
        sa.Column("tax_minor", sa.BigInteger, nullable=False),
        sa.Column("subtotal_minor", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("labeled_quantity", sa.BigInteger, nullable=False),
        sa.Column("shipped_quantity", sa.BigInteger, nullable=False),
        sa.Column("delivered_quantity", sa.BigInteger, nullable=False),
        sa.Column("cancelled_quantity", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("substitutes", JSONB, nullable=False, server_default="{}"),
        sa.Column("version", sa.BigInteger, nullable=False),
        *instants(),
        sa.PrimaryKeyConstraint("order_id", "line_no", name="one_item_per_order_line"),
        states_check(ITEM, "status"),
        sa.CheckConstraint("line_no >= 1 AND quantity >= 1", name="a_line_has_a_number_and_goods"),
        sa.CheckConstraint(
            "0 <= cancelled_quantity AND cancelled_quantity <= quantity", name="no_more_is_cancelled_than_was_ordered"
        ),
        sa.CheckConstraint(
            "unit_price_minor >= 0 AND tax_minor >= 0 AND discount_minor >= 0"
            " AND discount_minor <= quantity * unit_price_minor",
            name="no_part_of_a_line_is_negative",
        ),
        sa.CheckConstraint(
            "subtotal_minor = quantity * unit_price_minor - discount_minor + tax_minor", name="subtotal_adds_up"
        ),
        sa.CheckConstraint(
            "0 <= delivered_quantity AND delivered_quantity <= shipped_quantity"
            " AND shipped_quantity <= labeled_quantity AND labeled_quantity <= quantity - cancelled_quantity",
            name="what_arrived_left_and_was_labeled",
        ),
        sa.CheckConstraint(
            "status <> 'delivered' OR delivered_quantity = quantity - cancelled_quantity", name="delivered_is_all_of_it"
        ),
    ),
    key=("order_id", "line_no"),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"sku", "quantity", "unit_price_minor", "discount_minor", "tax_minor", "subtotal_minor"}),
)

SHIPMENTS = Table(
    Shipment,
    sa.Table(
        "order_shipments",
        METADATA,
        # first the order: an order loads its shipments by it
        sa.Column("order_id", sa.Uuid, sa.ForeignKey(ORDERS.sql.c.id, name="shipment_is_of_an_order"), nullable=False),
        sa.Column("fulfillment_id", sa.Uuid, nullable=False),
        sa.Column("warehouse", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("picks", JSONB, nullable=False),
        sa.Column("carrier", sa.Text, nullable=False),
        sa.Column("tracking_number", sa.Text, nullable=False),
        sa.Column("heard", JSONB, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        *instants(),
        sa.PrimaryKeyConstraint("order_id", "fulfillment_id", name="one_row_per_shipment_of_an_order"),
        sa.CheckConstraint(
            f"status IN ({', '.join(repr(status.value) for status in FulfillmentStatus)})", name="status_is_declared"
        ),
    ),
    key=("order_id", "fulfillment_id"),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"warehouse"}),
)

REFUNDS = Table(
    Refund,
    sa.Table(
        "order_refunds",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("order_id", sa.Uuid, sa.ForeignKey(ORDERS.sql.c.id, name="refund_is_of_an_order"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        *instants(),
        states_check(REFUND, "state"),
        sa.CheckConstraint("amount_minor > 0", name="a_refund_gives_something_back"),
        sa.Index("order_refunds_by_order", "order_id"),
    ),
    key=("id",),
    discipline=Discipline.VERSIONED,
    fixed=frozenset({"order_id", "amount_minor", "reason"}),
)

EVENTS = Table(
    StoryLine,
    sa.Table(
        "order_events",
        METADATA,
        # no foreign key: lines are by far the most rows, and an order's row is written with each of them
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("public_sequence", sa.BigInteger),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("metadata", JSONB, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("event_id", sa.Uuid),
        sa.Column("event_type", sa.Text),
        sa.Column("event", JSONB),
        created(),
        sa.PrimaryKeyConstraint("order_id", "sequence", name="one_line_per_sequence"),
        sa.CheckConstraint(
            f"actor_kind IN ({', '.join(repr(kind.value) for kind in ActorKind)})", name="actor_is_of_a_declared_kind"
        ),
        sa.CheckConstraint("sequence >= 1 AND public_sequence <= sequence", name="sequences_start_at_one"),
        sa.CheckConstraint(
            "(public_sequence IS NULL AND event_id IS NULL AND event_type IS NULL AND event IS NULL)"
            " OR (public_sequence IS NOT NULL AND event_id IS NOT NULL"
            " AND event_type IS NOT NULL AND event IS NOT NULL)",
            name="public_is_public_whole",
        ),
    ),
    key=("order_id", "sequence"),
    discipline=Discipline.APPEND,
)

TABLES: Final[tuple[Table[Any], ...]] = (ORDERS, ITEMS, SHIPMENTS, REFUNDS, EVENTS)
MACHINES: Final[tuple[tuple[str, str, Machine[Any]], ...]] = (
    ("orders", "state", PROGRESS),
    ("orders", "refund_standing", REFUND_STANDING),
    ("order_items", "status", ITEM),
    ("order_refunds", "state", REFUND),
)

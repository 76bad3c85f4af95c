"""A rule: what must be true of the whole system, as SQL over the services' tables, and what the files of rules share.

Nothing here knows the domain's code. A rule that could only repeat what the code says would find nothing.
Each query yields (subject, holds, found): what was looked at, whether it is right, what was there instead.
"""

from dataclasses import dataclass
from typing import Final

SCHEMAS: Final = ("orders", "inventory", "payments", "fulfillment", "sagas")
KEPT: Final = (
    "('paid', 'processing', 'partially_fulfilled', 'fulfilled', 'shipped', 'delivered', 'completed', 'returned')"
)
"""States of an order that was confirmed: the customer was promised goods, and we have the money."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`settled`: true only once nothing is under way any more."""

    name: str
    what: str
    sql: str
    settled: bool = False
    needs_storefront: bool = False


def over_schemas(query: str) -> str:
    """The same query over the frame's tables of every service."""
    return " UNION ALL ".join(query.replace("{s}", schema) for schema in SCHEMAS)


_PICKS: Final = "jsonb_to_recordset({rows}.picks) AS pick(warehouse text, sku text, quantity bigint, shipped bigint)"


def picks(rows: str) -> str:
    return _PICKS.replace("{rows}", rows)

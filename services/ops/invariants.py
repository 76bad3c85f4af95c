"""Invariants: looks at every service's tables and the provider's books at one instant, and counts what does not hold.

For demo, tests and benchmarks: it connects as the owner (DATABASE_URL), for no service's role may read another's
schema.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import aiohttp
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from services.ops.rules import rules
from services.ops.rules.rule import Rule
from shared.provision import sqlalchemy_url

EXAMPLES: Final = 5
"""Of what is broken, this many are named."""
BOOKS_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Invariant:
    """What was looked at, and how much of it is wrong."""

    name: str
    what: str
    checked: int
    broken: int
    examples: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.broken == 0

    def shown(self) -> dict[str, Any]:
        return {**asdict(self), "examples": list(self.examples), "holds": self.holds}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a storefront asked (kind: checkout, refund or message; its key; its content) and what it heard."""

    asked: Sequence[tuple[str, str, str]] = field(default_factory=list)
    heard: Sequence[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    """(CloudEvents id, type, body)"""


async def fetch_books(provider_url: str) -> dict[str, Any]:
    """The provider's own books, asked of itself."""
    timeout = aiohttp.ClientTimeout(total=BOOKS_WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{provider_url}/books") as response:
        response.raise_for_status()
        books: dict[str, Any] = await response.json()
        return books


async def check(
    env: Mapping[str, str],
    books: Mapping[str, Any],
    *,
    settled: bool = True,
    seen: Seen | None = None,
    expected_parked: Mapping[str, int] | None = None,
) -> list[Invariant]:
    """Every rule that can be asked now. `settled`: nothing is under way, so what should have ended must have.
    `expected_parked`: how many messages may be parked, by reason."""
    engine = create_async_engine(sqlalchemy_url(env["DATABASE_URL"]), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")  # one snapshot for all rules
            async with connection.begin() as transaction:
                found = await look(connection, books, settled=settled, seen=seen, expected_parked=expected_parked)
                await transaction.rollback()
                return found
    finally:
        await engine.dispose()


async def look(
    connection: AsyncConnection,
    books: Mapping[str, Any],
    *,
    settled: bool = True,
    seen: Seen | None = None,
    expected_parked: Mapping[str, int] | None = None,
) -> list[Invariant]:
    """`check` on an open connection, inside its transaction."""
    await _load(connection, books, seen, expected_parked or {})
    wanted = rules(settled=settled, storefront=seen is not None)
    return [await ask(connection, rule, settled=settled) for rule in wanted]


def all_hold(found: Sequence[Invariant]) -> bool:
    return all(invariant.holds for invariant in found)


async def ask(connection: AsyncConnection, rule: Rule, *, settled: bool = False, examples: int = EXAMPLES) -> Invariant:
    """One rule. `holds` unknown counts as broken: a rule that meets NULL has found something it did not expect."""
    statement = sa.text(
        f"SELECT count(*), count(*) FILTER (WHERE holds IS NOT TRUE),"
        f" (array_agg(subject || ': ' || found ORDER BY subject) FILTER (WHERE holds IS NOT TRUE))[1:{examples:d}]"
        f" FROM ({rule.sql}) AS looked_at"
    )
    parameters = {"settled": settled} if ":settled" in rule.sql else {}
    checked, broken, named = (await connection.execute(statement, parameters)).one()
    return Invariant(rule.name, rule.what, checked, broken, tuple(named or ()))


_TABLES: Final = {
    "provider_payments": "id text, reference text, status text, amount_minor bigint, captured_minor bigint,"
    " refunded_minor bigint, voided_minor bigint, currency text",
    "storefront_asked": "kind text, key text, content text",
    "storefront_heard": "id text, type text, body jsonb",
    "expected_parked": "reason text, messages bigint",
}

_BANKED: Final = """
INSERT INTO provider_payments
    (id, reference, status, amount_minor, captured_minor, refunded_minor, voided_minor, currency)
SELECT 'transfers of ' || order_id, order_id, 'captured', sum(came), sum(came), sum(went), 0, currency
FROM (SELECT order_id, currency,
             CASE WHEN kept_minor > 0 THEN kept_minor ELSE greatest(amount_minor, 0) END AS came,
             CASE WHEN amount_minor < 0 AND NOT reversal THEN -amount_minor ELSE 0 END AS went
      FROM payments.statement_entries
      WHERE order_id IS NOT NULL AND (state IN ('matched', 'assigned') OR kept_minor > 0)) entries
GROUP BY order_id, currency
"""
"""A bank's books are its statements: what came for an order, and what went back. What the customer's bank took back is
a chargeback, which no provider's books count as given back."""


async def _load(
    connection: AsyncConnection, books: Mapping[str, Any], seen: Seen | None, expected_parked: Mapping[str, int]
) -> None:
    """What others saw, as tables of this session only; the bank's books are read from what it told us."""
    rows: dict[str, list[dict[str, Any]]] = {
        "provider_payments": list(books.get("payments", [])),
        "storefront_asked": [],
        "storefront_heard": [],
        "expected_parked": [{"reason": reason, "messages": many} for reason, many in expected_parked.items()],
    }
    if seen is not None:
        rows["storefront_asked"] = [{"kind": kind, "key": key, "content": what} for kind, key, what in seen.asked]
        rows["storefront_heard"] = [{"id": id_, "type": type_, "body": body} for id_, type_, body in seen.heard]
    for table, columns in _TABLES.items():
        await connection.execute(sa.text(f"CREATE TEMP TABLE {table} ({columns}) ON COMMIT DROP"))
        await connection.execute(
            sa.text(f"INSERT INTO {table} SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given({columns})"),
            {"rows": json.dumps(rows[table])},
        )
    await connection.execute(sa.text(_BANKED))
    for table in _TABLES:
        await connection.execute(sa.text(f"ANALYZE {table}"))

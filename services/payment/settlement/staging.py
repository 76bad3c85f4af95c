"""A statement is kept whole or not at all: its lines and the message that has them matched are one transaction.

What a provider said before is recognised line by line; a line that says something else now refuses the statement.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.settlement import MatchSettlement
from services.payment.schema import SCHEMA
from services.payment.settlement.lines import PAGE_LINES, line_key, page_key
from services.payment.settlement.reading import Stated, Statement, same
from shared.envelope import head_of
from shared.ids import new_id

AT_ONCE: Final = 2_000
"""Lines in one statement: bounds what is sent in a piece."""


@dataclass(frozen=True, slots=True)
class Staged:
    """`outcome`: staged; recognised: the same report was imported, or all its lines were; rejected: its problems are
    listed in the statement."""

    outcome: str
    lines: int = 0
    known: int = 0
    settlement_id: UUID | None = None


async def stage(
    connection: AsyncConnection, statement: Statement, *, provider: str, reference: str, covers_from: datetime
) -> Staged:
    """Inside the connection's transaction. One import of a provider at a time."""
    if statement.problems.count:
        return Staged("rejected")
    await connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('settlement/' || :p))"), {"p": provider})
    before = (await connection.execute(sa.text(_REPORT), {"provider": provider, "reference": reference})).first()
    if before is not None:
        if before.hash != statement.hash:
            statement.problems.add(0, "", reference, "imported before under this reference, with other lines")
            return Staged("rejected")
        return Staged("recognised", 0, len(statement.lines), before.id)
    fresh = await _fresh(connection, statement, provider)
    if statement.problems.count:
        return Staged("rejected")
    known = len(statement.lines) - len(fresh)
    if not fresh:
        return Staged("recognised", 0, known)
    id_ = new_id()
    await connection.execute(
        sa.text(_SETTLEMENT),
        {
            "id": id_,
            "provider": provider,
            "reference": reference,
            "hash": statement.hash,
            "lines": len(fresh),
            "pages": -(-len(fresh) // PAGE_LINES),
            "covers_from": covers_from,
        },
    )
    for start in range(0, len(fresh), AT_ONCE):
        part = fresh[start : start + AT_ONCE]
        await connection.execute(sa.text(_LINES), [_row(id_, provider, start + n, one) for n, one in enumerate(part)])
    await connection.execute(sa.text(_ORDERS), {"id": id_})
    await _say(connection, id_)
    return Staged("staged", len(fresh), known, id_)


async def _fresh(connection: AsyncConnection, statement: Statement, provider: str) -> list[Stated]:
    """Lines that nobody kept yet."""
    fresh: list[Stated] = []
    for start in range(0, len(statement.lines), AT_ONCE):
        part = statement.lines[start : start + AT_ONCE]
        ids = [line_key(provider, line.id) for line in part]
        kept: dict[str, Mapping[Any, Any]] = {
            row["id"]: row for row in (await connection.execute(sa.text(_KEPT), {"ids": ids})).mappings()
        }
        for line, id_ in zip(part, ids, strict=True):
            if id_ not in kept:
                fresh.append(line)
            elif not same(line, kept[id_]):
                statement.problems.add(line.row, "line_id", line.id, "said before, with other values")
    return fresh


def _row(settlement_id: UUID, provider: str, number: int, line: Stated) -> dict[str, object]:
    return {
        "id": line_key(provider, line.id),
        "settlement_id": settlement_id,
        "page": page_key(settlement_id, number // PAGE_LINES),
        "row_no": line.row,
        "provider": provider,
        "kind": line.kind.value,
        "provider_payment_id": line.provider_payment_id,
        "reference": line.reference,
        "order_id": line.order_id,
        "amount_minor": line.amount_minor,
        "fee_minor": line.fee_minor,
        "currency": line.currency,
        "occurred_at": line.occurred_at,
    }


async def _say(connection: AsyncConnection, settlement_id: UUID) -> None:
    """The service's next look at its due work finds it."""
    message = MatchSettlement(settlement_id=settlement_id, page=0)
    id_ = new_id()
    head = head_of(message, id_=id_, source="payment", subject=str(settlement_id), now=datetime.now(UTC), cause={})
    said = {"id": id_, "queue": message.heard_by, "head": json.dumps(head), "body": message.model_dump_json()}
    await connection.execute(sa.text(_DUE), said)


async def unsettled(connection: AsyncConnection, provider: str, limit: int, after: UUID) -> Sequence[sa.RowMapping]:
    """Movements that no line settles and no difference names, since the reports of this provider begin."""
    found = await connection.execute(sa.text(UNSETTLED), {"provider": provider, "limit": limit, "after": after})
    return list(found.mappings())


_REPORT: Final = f"SELECT id, hash FROM {SCHEMA}.settlements WHERE provider = :provider AND reference = :reference"
_KEPT: Final = f"""SELECT id, kind, provider_payment_id, reference, amount_minor, fee_minor, currency, occurred_at
    FROM {SCHEMA}.settlement_lines WHERE id = ANY(:ids)"""
_SETTLEMENT: Final = f"""INSERT INTO {SCHEMA}.settlements
        (id, provider, reference, hash, lines, pages, covers_from, state, pages_done, version)
    VALUES (:id, :provider, :reference, :hash, :lines, :pages, :covers_from, 'staged', 0, 1)"""
_LINES: Final = f"""INSERT INTO {SCHEMA}.settlement_lines (id, settlement_id, page, row_no, provider, kind,
        provider_payment_id, reference, order_id, amount_minor, fee_minor, currency, occurred_at, state, version)
    VALUES (:id, :settlement_id, :page, :row_no, :provider, :kind, :provider_payment_id, :reference, :order_id,
            :amount_minor, :fee_minor, :currency, :occurred_at, 'open', 1)"""
_ORDERS: Final = f"""UPDATE {SCHEMA}.settlement_lines l SET order_id = a.order_id
    FROM {SCHEMA}.authorizations a JOIN {SCHEMA}.payments p ON p.order_id = a.order_id
    WHERE l.settlement_id = :id AND l.provider_payment_id <> '' AND a.provider_payment_id = l.provider_payment_id
      AND p.provider = l.provider"""
"""The provider's own id of the payment says it more surely than the reference."""
_DUE: Final = f"""INSERT INTO {SCHEMA}.due (id, queue, not_before, head, body)
    VALUES (:id, :queue, clock_timestamp(), CAST(:head AS jsonb), :body)"""
UNSETTLED: Final = f"""SELECT t.id, t.order_id, t.kind, t.amount_minor, t.currency, t.occurred_at, t.provider,
           EXISTS (SELECT FROM {SCHEMA}.settlement_lines l
                   WHERE l.order_id = t.order_id AND l.matches IS NULL AND l.state <> 'open') AS told_before
    FROM {SCHEMA}.transfers t
    WHERE t.provider = :provider AND t.kind IN ('capture', 'refund', 'chargeback', 'chargeback_reversed')
      AND t.occurred_at >= (SELECT min(covers_from) FROM {SCHEMA}.settlements WHERE provider = :provider)
      AND t.id > :after
      AND NOT EXISTS (SELECT FROM {SCHEMA}.settlement_lines l WHERE l.matches = t.id)
      AND NOT EXISTS (SELECT FROM {SCHEMA}.settlement_differences d WHERE d.transfer_id = t.id)
    ORDER BY t.id LIMIT :limit"""

"""Each invariant can fail: a small world in which all hold, and one change by hand for each that it must notice."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from services.ops.invariants import Invariant, Seen, all_hold, look
from services.ops.quiet import until_quiet
from services.ops.rules import RULES
from services.sandbox.environment import Environment
from shared.provision import sqlalchemy_url

KEPT: Final = "01956000-0000-7000-8000-000000000001"
GONE: Final = "01956000-0000-7000-8000-000000000002"
SHIPMENT: Final = "01956000-0000-7000-8000-000000000003"
RUN: Final = "01956000-0000-7000-8000-000000000004"
WAITS: Final = "01956000-0000-7000-8000-000000000005"
ADDRESS: Final = json.dumps({"name": "Ada", "line1": "1 Row", "city": "London", "country": "GB"})

WORLD: Final = f"""
SET LOCAL session_replication_role = replica;
INSERT INTO inventory.warehouses (code, name, priority, network, version) VALUES ('leipzig', 'Leipzig', 0, 'main', 1);
INSERT INTO inventory.shelves VALUES ('TEA', 'leipzig', 8, 0, 0, 0), ('CUP', 'leipzig', 5, 1, 2, 0);
INSERT INTO inventory.movements
    (id, sku, warehouse, kind, quantity, on_hand_delta, held_delta, allocated_delta, order_id, reference, occurred_at,
     message_id)
VALUES (gen_random_uuid(), 'TEA', 'leipzig', 'receipt', 10, 10, 0, 0, NULL, 'r', now(), 'm'),
       (gen_random_uuid(), 'TEA', 'leipzig', 'ship', 2, -2, 0, 0, '{KEPT}', '', now(), 'm'),
       (gen_random_uuid(), 'CUP', 'leipzig', 'receipt', 5, 5, 1, 2, NULL, 'r', now(), 'm'),
       (gen_random_uuid(), 'TEA', 'leipzig', 'dispose', 1, 0, 0, 0, '{KEPT}', 'return', now(), 'm'),
       (gen_random_uuid(), 'CUP', 'leipzig', 'receipt', 3, 3, 0, 0, NULL, 'r', now(), 'm'),
       (gen_random_uuid(), 'CUP', 'leipzig', 'transfer_out', 3, -3, 0, 0, NULL, 't', now(), 'm');
INSERT INTO inventory.transfers (id, origin, destination, lines, arrived, state, refusal, reason, requested_by,
    requested_at, sent_at, version)
VALUES ('t', 'leipzig', 'lyon', '[{{"sku": "CUP", "quantity": 3}}]', '{{}}', 'sent', '', '', 'ada', now(), now(), 1);
INSERT INTO inventory.reservations (order_id, status, held_until, hold_key, picks, fulfillments, version) VALUES
    ('{KEPT}', 'shipped', now(), 'k', '[{{"warehouse": "leipzig", "sku": "TEA", "quantity": 2, "shipped": 2}}]',
     '["{SHIPMENT}"]', 1),
    ('{GONE}', 'released', now(), 'k', '[{{"warehouse": "leipzig", "sku": "TEA", "quantity": 1, "shipped": 0}}]',
     '[]', 1),
    (gen_random_uuid(), 'held', now(), 'k',
     '[{{"warehouse": "leipzig", "sku": "SET", "quantity": 1, "shipped": 0, "parts": {{"CUP": 1}}}}]', '[]', 1),
    ('{WAITS}', 'committed', now(), 'k',
     '[{{"warehouse": "leipzig", "sku": "CUP", "quantity": 2, "shipped": 0}}]', '[]', 1);
UPDATE inventory.reservations SET waits = '[{{"sku": "MUG", "quantity": 3}}]' WHERE order_id = '{WAITS}';
INSERT INTO inventory.products
    (sku, supply, weight_g, limit_units, lead_days, parts, substitutes, not_from, version)
VALUES ('MUG', 'backorder', 0, 5, 7, '{{}}', '[]', '[]', 1);
INSERT INTO inventory.shelves VALUES ('MUG', 'leipzig', 0, 0, 0, 0);
INSERT INTO inventory.backlogs VALUES ('MUG', 3);
INSERT INTO inventory.waiting_lines (order_id, sku, quantity, kind, promised_at, status, queue, version)
VALUES ('{WAITS}', 'MUG', 3, 'backorder', now(), 'waiting', 'MUG', 1);
INSERT INTO orders.orders (id, storefront, checkout_id, customer_reference, email, currency, shipping_address,
    billing_address, goods_minor, discount_minor, tax_minor, shipping_minor, shipping_tax_minor, total_minor,
    refunded_minor, refund_reserved_minor, state, refund_standing, last_sequence, last_public_sequence, version) VALUES
    ('{KEPT}', 'shop', 'c1', 'ada', '', 'EUR', '{ADDRESS}', '{ADDRESS}', 1000, 100, 50, 5, 1, 956, 56, 0, 'delivered',
     'partially_refunded', 2, 1, 1),
    ('{GONE}', 'shop', 'c2', 'ada', '', 'EUR', '{ADDRESS}', '{ADDRESS}', 500, 0, 0, 0, 0, 500, 0, 0, 'cancelled',
     'not_refunded', 1, 1, 1);
INSERT INTO orders.order_items VALUES
    ('{KEPT}', 1, 'TEA', 2, 500, 100, 50, 950, 'delivered', 2, 2, 2, 1),
    ('{GONE}', 1, 'TEA', 1, 500, 0, 0, 500, 'cancelled', 0, 0, 0, 1);
INSERT INTO orders.order_events
    (order_id, sequence, public_sequence, name, occurred_at, actor_kind, actor, reason, metadata, message_id, event_id,
     event_type, event)
VALUES ('{KEPT}', 1, NULL, 'order.created', now(), 'customer', 'ada', '', '{{}}', 'm', NULL, NULL, NULL),
       ('{KEPT}', 2, 1, 'order.paid', now(), 'service', 'order', '', '{{}}', 'm', gen_random_uuid(), 't', '{{}}'),
       ('{GONE}', 1, 1, 'order.cancelled', now(), 'service', 'order', '', '{{}}', 'm', gen_random_uuid(), 't', '{{}}');
INSERT INTO orders.order_refunds (id, order_id, amount_minor, reason, state, version)
    VALUES (gen_random_uuid(), '{KEPT}', 56, '', 'settled', 1);
INSERT INTO payments.payments (order_id, amount_minor, currency, method, state, authorize_key, provider_payment_id,
    captured_minor, refunded_minor, refund_reserved_minor, release_keys, release_reason, version) VALUES
    ('{KEPT}', 956, 'EUR', 'card', 'captured', 'k', 'p1', 956, 56, 0, '[]', '', 1),
    ('{GONE}', 500, 'EUR', 'card', 'declined', 'k', 'p2', 0, 0, 0, '[]', '', 1);
INSERT INTO payments.refunds (refund_id, part_of, order_id, amount_minor, currency, state, command_key, reason,
    refusal, version)
    VALUES ('{RUN}', '{RUN}', '{KEPT}', 56, 'EUR', 'refunded', 'k', '', '', 1);
INSERT INTO payments.transfers (id, order_id, occurred_at, currency, debit, credit, amount_minor, kind, reference,
    provider) VALUES
    (gen_random_uuid(), '{KEPT}', now(), 'EUR', 'provider_clearing', 'order_funds', 956, 'capture', 'c', 'sandbox'),
    (gen_random_uuid(), '{KEPT}', now(), 'EUR', 'order_funds', 'refunds_payable', 56, 'refund_reserved', 'r',
     'sandbox'),
    (gen_random_uuid(), '{KEPT}', now(), 'EUR', 'refunds_payable', 'provider_clearing', 56, 'refund', 'r', 'sandbox');
INSERT INTO payments.settlement_differences (id, kind, provider, order_id, transfer_id, currency, ours_minor,
    theirs_minor, entry, entry_minor, found_at, state, accepted_by, version)
    SELECT '{SHIPMENT}', 'missing_there', 'sandbox', NULL, id, 'EUR', 956, 0, 'shortfall', 956, now(), 'found', '', 1
    FROM payments.transfers WHERE kind = 'capture';
INSERT INTO payments.attempts (id, order_id, kind, amount_minor, currency, token, webhook_url, provider_payment_id,
    state, outcome, tries, next_at, version)
    VALUES (gen_random_uuid(), '{KEPT}', 'authorize', 956, 'EUR', 't', '', 'p1', 'known', 'captured', 1, now(), 1);
INSERT INTO fulfillment.fulfillments (id, order_id, warehouse, ship_to, picks, state, reached, carrier,
    tracking_number, heard, version)
    VALUES ('{SHIPMENT}', '{KEPT}', 'leipzig', '{ADDRESS}',
            '[{{"warehouse": "leipzig", "sku": "TEA", "quantity": 2}}]', 'delivered', 'delivered', '', '', '[]', 1);
INSERT INTO sagas.runs (id, saga, order_id, storefront, request, facts, phase, position, pending, asked, asks,
    next_ask_at, reason, version)
    VALUES ('{RUN}', 'checkout', '{KEPT}', 'shop', '{{}}', '{{}}', 'completed', 5, '[]', '[]', 0, now(), '', 1);
INSERT INTO sagas.accepted (key, content_hash, order_id, run_id, answer_type, answer, version) VALUES
    ('checkout/shop/c1', 'h', '{KEPT}', '{RUN}', 't', '', 1), ('checkout/shop/c2', 'h', '{GONE}', NULL, 't', '', 1);
INSERT INTO orders.parked (id, queue, head, body, reason, error, attempts)
    VALUES (gen_random_uuid(), 'order', '{{}}', 'x', 'expected', '', 1);
"""

BY_TRANSFER: Final = f"""
INSERT INTO payments.statements (id, account, name, imported_by, entries, matched, unrelated, repeated, version)
    VALUES ('{RUN}', 'DE1', 's1', 'grace', 5, 3, 0, 0, 1);
INSERT INTO payments.statement_entries (id, statement_id, account, bank_reference, booked_on, amount_minor, currency,
    reversal, reference, end_to_end_id, remittance, counterparty, counterparty_account, outcome, state, order_id,
    kept_minor, decided_by, reason, problem, version)
    SELECT gen_random_uuid(), '{RUN}', 'DE1', outcome, now(), amount, 'EUR', amount = -1, '', '', '', '', '', outcome,
           state, '{KEPT}', kept, 'ada', '', '', 1
    FROM (VALUES (1000, 'too_much', 'sending_back', 956), (-56, 'paid_out', 'matched', 0), (7, 'paid_twice', 'open', 0),
                 (-1, 'transfer_returned', 'matched', 0)) AS told (amount, outcome, state, kept);
UPDATE payments.payments SET provider = 'bank' WHERE order_id = '{KEPT}'
"""
"""Paid with more than was asked for, a refund sent, a second payment that nobody has looked at, a cent called back."""

UNTOUCHED: Final = {"amount_minor": 956, "captured_minor": 0, "refunded_minor": 0, "voided_minor": 0}
BOOKS: Final = {
    "payments": [
        {**UNTOUCHED, "id": "p1", "reference": KEPT, "status": "captured", "captured_minor": 956, "refunded_minor": 56},
        {**UNTOUCHED, "id": "p2", "reference": GONE, "status": "declined"},
    ]
}


def heard(*more: tuple[str, str, dict[str, Any]]) -> Seen:
    events: list[tuple[str, str, dict[str, Any]]] = []
    for number, (checkout, order, end) in enumerate((("c1", KEPT, "confirmed"), ("c2", GONE, "cancelled"))):
        about = {"checkout_id": checkout, "order_id": order}
        events.append((f"a{number}", "waybill.checkout.accepted.v1", about))
        events.append((f"e{number}", f"waybill.order.{end}.v1", {**about, "sequence": 1}))
    return Seen([("checkout", "c1", "x"), ("checkout", "c1", "x"), ("checkout", "c2", "y")], [*events, *more])


ANOTHER_ANSWER: Final = ("a9", "waybill.checkout.refused.v1", {"checkout_id": "c1", "reason": "mixed_currencies"})
ANOTHER_END: Final = ("e9", "waybill.order.cancelled.v1", {"order_id": KEPT, "checkout_id": "c1", "sequence": 1})
A_GAP: Final = ("e9", "waybill.order.shipped.v1", {"order_id": KEPT, "checkout_id": "c1", "sequence": 3})

BREAKS: Final[dict[str, str | Seen | dict[str, Any]]] = {
    "never oversold": "ALTER TABLE inventory.shelves DROP CONSTRAINT never_oversold;"
    " UPDATE inventory.shelves SET allocated = 9 WHERE sku = 'TEA'",
    "counters are the sum of movements": "UPDATE inventory.shelves SET on_hand = on_hand + 1 WHERE sku = 'TEA'",
    "held stock is reserved": "UPDATE inventory.reservations SET status = 'released' WHERE status = 'held'",
    "allocated stock is promised": "UPDATE inventory.reservations SET status = 'released' WHERE status = 'committed'",
    "units in transit are on their way": "UPDATE inventory.transfers SET state = 'lost'",
    "no more comes back than left": "UPDATE inventory.movements SET quantity = 3 WHERE kind = 'dispose'",
    "no shelf is short": "UPDATE inventory.shelves SET short = 2, held = held + 10 WHERE sku = 'TEA'",
    "what shipped left its shelf": "DELETE FROM inventory.movements WHERE kind = 'ship'",
    "who waits is in the queue": "UPDATE inventory.backlogs SET units = 4",
    "nobody waits for what lies there": "UPDATE inventory.shelves SET on_hand = 3 WHERE sku = 'MUG'",
    "stock follows the order": f"UPDATE inventory.reservations SET status = 'released' WHERE order_id = '{KEPT}'",
    "order totals are their lines": f"UPDATE orders.order_items SET tax_minor = 51, subtotal_minor = 951"
    f" WHERE order_id = '{KEPT}'",
    "never two live captures": {"id": "p3", "reference": KEPT, "status": "captured", "captured_minor": 9},
    "the provider's books agree with ours": "UPDATE payments.payments SET captured_minor = 900"
    " WHERE state = 'captured'",
    "the ledger is balanced": "UPDATE payments.transfers SET currency = 'USD' WHERE kind = 'refund'",
    "the ledger says what the payments say": "DELETE FROM payments.transfers WHERE kind = 'refund_reserved'",
    "the clearing account is the provider's books": "UPDATE payments.transfers SET amount_minor = 55"
    " WHERE kind = 'refund'",
    "settlement differences are booked as they were accepted": "UPDATE payments.settlement_differences"
    " SET state = 'accepted', accepted_by = 'grace'",
    "money kept is money owed": f"UPDATE orders.orders SET state = 'cancelled' WHERE id = '{KEPT}'",
    "no money waits on a dead order": {"id": "p3", "reference": GONE, "status": "authorized", "captured_minor": 0},
    "what is held is held": {**UNTOUCHED, "id": "p3", "reference": KEPT, "status": "authorized"},
    "refunds stay within what was captured": {
        "id": "p3",
        "reference": KEPT,
        "status": "captured",
        "captured_minor": 1,
        "refunded_minor": 2,
    },
    "refunds add up": "UPDATE orders.order_refunds SET amount_minor = 57",
    "every call to the provider ended": "UPDATE payments.attempts SET state = 'unknown', outcome = ''",
    "every accepted checkout ended": f"UPDATE orders.orders SET state = 'created' WHERE id = '{GONE}'",
    "one order per checkout": "DELETE FROM sagas.accepted WHERE key = 'checkout/shop/c2'",
    "shipments cover the lines exactly": "UPDATE fulfillment.fulfillments SET"
    """ picks = '[{"warehouse": "leipzig", "sku": "TEA", "quantity": 1}]'""",
    "orders tell how their shipments stand": "UPDATE fulfillment.fulfillments SET state = 'shipped',"
    " reached = 'shipped'",
    "stories are gapless": f"DELETE FROM orders.order_events WHERE order_id = '{KEPT}' AND sequence = 1",
    "no run is stuck": "UPDATE sagas.runs SET stuck_since = now()",
    "nothing waits to be said": "INSERT INTO sagas.outbox (id, shard, subject, destination, public, head, body)"
    " VALUES (gen_random_uuid(), 0, 's', 'd', false, '{}', '')",
    "nothing is overdue": "INSERT INTO payments.due (id, queue, not_before, head, body)"
    " VALUES (gen_random_uuid(), 'payment', now() - interval '1 minute', '{}', '')",
    "nothing is parked unexpectedly": "INSERT INTO payments.parked (id, queue, head, body, reason, error, attempts)"
    " VALUES (gen_random_uuid(), 'payment', '{}', 'x', 'expected', '', 1)",
    "every request has exactly one answer": heard(ANOTHER_ANSWER),
    "a storefront hears how each order ends": heard(ANOTHER_END),
    "a storefront hears every event once": heard(A_GAP),
}


@pytest.fixture
async def connection(environment: Environment) -> AsyncIterator[AsyncConnection]:
    """As the owner, with the small world in a transaction that never commits."""
    engine = create_async_engine(sqlalchemy_url(environment.env["DATABASE_URL"]), poolclass=NullPool)
    async with engine.connect() as opened, opened.begin() as transaction:
        await run(opened, WORLD)
        yield opened
        await transaction.rollback()
    await engine.dispose()


async def run(connection: AsyncConnection, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            await connection.exec_driver_sql(statement)


async def look_at(
    connection: AsyncConnection, *, seen: Seen | None = None, payment: dict[str, Any] | None = None
) -> list[Invariant]:
    extra = [{"refunded_minor": 0, **payment}] if payment else []
    books = {"payments": [*BOOKS["payments"], *extra]}
    return await look(connection, books, seen=seen or heard(), expected_parked={"expected": 1})


async def test_in_the_small_world_everything_holds(connection: AsyncConnection) -> None:
    found = await look_at(connection)
    assert {one.name: one.examples for one in found if not one.holds} == {}
    assert all_hold(found)
    assert [one.name for one in found if one.checked == 0] == []
    assert len(found) == len(RULES)


def test_every_rule_has_its_break() -> None:
    assert set(BREAKS) == {rule.name for rule in RULES}


@pytest.mark.parametrize("name", list(BREAKS))
async def test_each_rule_notices(connection: AsyncConnection, name: str) -> None:
    change = BREAKS[name]
    if isinstance(change, str):
        await run(connection, change)
        found = await look_at(connection)
    elif isinstance(change, Seen):
        found = await look_at(connection, seen=change)
    else:
        found = await look_at(connection, payment=change)
    broken = {one.name: one for one in found if not one.holds}
    assert name in broken, sorted(broken)
    assert broken[name].broken >= 1
    assert broken[name].examples


@pytest.mark.parametrize(
    ("left", "broken"),
    [
        (-56, set()),
        (
            -55,
            {
                "the provider's books agree with ours",
                "the clearing account is the provider's books",
                "money kept is money owed",
            },
        ),
    ],
)
async def test_of_what_is_paid_by_transfer_the_statement_is_the_books(
    connection: AsyncConnection, left: int, broken: set[str]
) -> None:
    await run(connection, BY_TRANSFER)
    await run(connection, f"UPDATE payments.statement_entries SET amount_minor = {left} WHERE outcome = 'paid_out'")
    books = {"payments": BOOKS["payments"][1:]}
    found = await look(connection, books, seen=heard(), expected_parked={"expected": 1})
    assert {one.name for one in found if not one.holds} == broken


@pytest.mark.parametrize(("disputed", "holds"), [(900, True), (899, False)])
async def test_of_a_cancelled_order_a_chargeback_may_have_taken_the_rest(
    connection: AsyncConnection, disputed: int, holds: bool
) -> None:
    await run(connection, f"UPDATE orders.orders SET state = 'cancelled' WHERE id = '{KEPT}'")
    await run(connection, f"UPDATE payments.payments SET disputed_minor = {disputed} WHERE state = 'captured'")
    broken = {one.name for one in await look_at(connection) if not one.holds}
    assert ("money kept is money owed" not in broken) is holds


async def test_what_is_under_way_is_not_broken_yet(connection: AsyncConnection) -> None:
    await run(
        connection, f"UPDATE sagas.runs SET phase = 'waiting', changing = '{KEPT}'; {BREAKS['nothing is overdue']}"
    )
    unsettled = await look(connection, BOOKS, settled=False, expected_parked={"expected": 1})
    assert all_hold(unsettled)
    assert len(unsettled) < len(RULES)


async def test_an_empty_system_is_quiet(environment: Environment) -> None:
    async with asyncio.timeout(20):
        assert await until_quiet(environment.env, 10) == {}

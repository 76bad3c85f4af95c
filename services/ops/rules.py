"""What must be true of the whole system, as SQL: one row per thing looked at, and whether it holds.

Nothing here knows the domain's code. A rule that could only repeat what the code says would find nothing.
Each query yields (subject, holds, found): what was looked at, whether it is right, what was there instead.
"""

from collections.abc import Iterable
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


def _over_schemas(query: str) -> str:
    """The same query over the frame's tables of every service."""
    return " UNION ALL ".join(query.replace("{s}", schema) for schema in SCHEMAS)


_PICKS: Final = "jsonb_to_recordset({rows}.picks) AS pick(warehouse text, sku text, quantity bigint, shipped bigint)"


def _picks(rows: str) -> str:
    return _PICKS.replace("{rows}", rows)


_UNITS: Final = """inventory.reservations r,
                  jsonb_to_recordset(r.picks) AS pick(warehouse text, sku text, quantity bigint, shipped bigint,
                                                      parts jsonb),
                  LATERAL (SELECT coalesce(part.key, pick.sku) AS sku, coalesce(part.value::bigint, 1) AS each
                           FROM (SELECT) AS one LEFT JOIN jsonb_each_text(pick.parts) AS part ON true) AS unit"""
"""What reservations take from shelves: of a kit its parts."""

LEDGER: Final = (
    Rule(
        "never oversold",
        "no counter is negative, and no shelf promises more than lies on it, but for what a count found short",
        """SELECT sku || ' in ' || warehouse AS subject,
                  on_hand >= 0 AND held >= 0 AND allocated >= 0 AND short = greatest(0, held + allocated - on_hand)
                    AS holds,
                  format('on hand %s, held %s, allocated %s, short %s', on_hand, held, allocated, short) AS found
           FROM inventory.shelves""",
    ),
    Rule(
        "counters are the sum of movements",
        "what a shelf says is what its movements add up to",
        """SELECT coalesce(s.sku, m.sku) || ' in ' || coalesce(s.warehouse, m.warehouse) AS subject,
                  (s.on_hand, s.held, s.allocated) IS NOT DISTINCT FROM
                      (coalesce(m.on_hand, 0), coalesce(m.held, 0), coalesce(m.allocated, 0)) AS holds,
                  format('shelf %s/%s/%s, movements %s/%s/%s',
                         s.on_hand, s.held, s.allocated, m.on_hand, m.held, m.allocated) AS found
           FROM inventory.shelves s
           FULL JOIN (SELECT sku, warehouse, sum(on_hand_delta)::bigint AS on_hand, sum(held_delta)::bigint AS held,
                             sum(allocated_delta)::bigint AS allocated
                      FROM inventory.movements GROUP BY sku, warehouse) m
             ON m.sku = s.sku AND m.warehouse = s.warehouse""",
    ),
    Rule(
        "held stock is reserved",
        "units held on a shelf are those of open reservations",
        f"""SELECT coalesce(s.sku, r.sku) || ' in ' || coalesce(s.warehouse, r.warehouse) AS subject,
                  coalesce(s.held, 0) = coalesce(r.held, 0) AS holds,
                  format('held %s, reserved %s', coalesce(s.held, 0),
                         coalesce(r.held, 0)) AS found
           FROM inventory.shelves s
           FULL JOIN (SELECT unit.sku, pick.warehouse, sum((pick.quantity - pick.shipped) * unit.each)::bigint AS held
                      FROM {_UNITS} WHERE r.status = 'held' GROUP BY unit.sku, pick.warehouse) r
             ON r.sku = s.sku AND r.warehouse = s.warehouse""",
    ),
    Rule(
        "allocated stock is promised",
        "units allocated on a shelf are those committed to orders and not yet shipped",
        f"""SELECT coalesce(s.sku, r.sku) || ' in ' || coalesce(s.warehouse, r.warehouse) AS subject,
                  coalesce(s.allocated, 0) = coalesce(r.allocated, 0) AS holds,
                  format('allocated %s, committed and not shipped %s', coalesce(s.allocated, 0),
                         coalesce(r.allocated, 0)) AS found
           FROM inventory.shelves s
           FULL JOIN (SELECT unit.sku, pick.warehouse,
                             sum((pick.quantity - pick.shipped) * unit.each)::bigint AS allocated
                      FROM {_UNITS} WHERE r.status = 'committed' GROUP BY unit.sku, pick.warehouse) r
             ON r.sku = s.sku AND r.warehouse = s.warehouse""",
    ),
    Rule(
        "units in transit are on their way",
        "what left one warehouse for another and has not come in is what the sent transfers carry",
        """SELECT coalesce(m.sku, t.sku) AS subject, coalesce(m.units, 0) = coalesce(t.units, 0) AS holds,
                  format('movements say %s, transfers %s', coalesce(m.units, 0), coalesce(t.units, 0)) AS found
           FROM (SELECT sku, -sum(on_hand_delta)::bigint AS units FROM inventory.movements
                 WHERE kind IN ('transfer_out', 'transfer_in') GROUP BY sku) m
           FULL JOIN (SELECT line.sku, sum(line.quantity)::bigint AS units
                      FROM inventory.transfers t, jsonb_to_recordset(t.lines) AS line(sku text, quantity bigint)
                      WHERE t.state = 'sent' GROUP BY line.sku) t ON t.sku = m.sku""",
    ),
    Rule(
        "no more comes back than left",
        "units of an order that were restocked or disposed of had been shipped",
        """SELECT order_id::text || ' ' || sku AS subject, back <= gone AS holds,
                  format('shipped %s, came back %s', gone, back) AS found
           FROM (SELECT order_id, sku, coalesce(sum(quantity) FILTER (WHERE kind = 'ship'), 0) AS gone,
                        coalesce(sum(quantity) FILTER (WHERE kind <> 'ship'), 0) AS back
                 FROM inventory.movements WHERE kind IN ('ship', 'restock', 'dispose') GROUP BY 1, 2) m""",
    ),
)
"""What inventory's own tables say of each other: a service's role can ask all of these."""

STOCK: Final = (
    *LEDGER,
    Rule(
        "no shelf is short",
        "what was promised and did not lie there has been settled",
        """SELECT sku || ' in ' || warehouse AS subject, short = 0 AS holds, format('short %s', short) AS found
           FROM inventory.shelves""",
        settled=True,
    ),
    Rule(
        "what shipped left its shelf",
        "units that shipments took away are those that movements took off the shelves",
        f"""SELECT coalesce(f.order_id, m.order_id)::text || ' ' || coalesce(f.sku, m.sku) AS subject,
                  f.quantity IS NOT DISTINCT FROM m.quantity AS holds,
                  format('shipped %s, off the shelves %s', coalesce(f.quantity, 0), coalesce(m.quantity, 0)) AS found
           FROM (SELECT f.order_id, unit.sku, sent.warehouse, sum(sent.quantity * unit.each)::bigint AS quantity
                 FROM fulfillment.fulfillments f,
                      jsonb_to_recordset(f.picks) AS sent(warehouse text, sku text, quantity bigint),
                      LATERAL (SELECT DISTINCT unit.sku, unit.each FROM {_UNITS}
                               WHERE r.order_id = f.order_id AND pick.sku = sent.sku) AS unit
                 WHERE f.reached IN ('shipped', 'delivered', 'lost') GROUP BY 1, 2, 3) f
           FULL JOIN (SELECT order_id, sku, warehouse, sum(quantity)::bigint AS quantity
                      FROM inventory.movements WHERE kind = 'ship' GROUP BY 1, 2, 3) m
             ON m.order_id = f.order_id AND m.sku = f.sku AND m.warehouse = f.warehouse""",
        settled=True,
    ),
    Rule(
        "who waits is in the queue",
        "what reservations promise for later stands in the queues, and the books add the queues up",
        """SELECT coalesce(p.sku, q.sku, b.sku) AS subject,
                  (coalesce(p.units, 0), coalesce(q.units, 0)) = (coalesce(b.units, 0), coalesce(b.units, 0)) AS holds,
                  format('promised %s, in the queue %s, booked %s', coalesce(p.units, 0), coalesce(q.units, 0),
                         coalesce(b.units, 0)) AS found
           FROM (SELECT wish.sku, sum(wish.quantity)::bigint AS units
                 FROM inventory.reservations r, jsonb_to_recordset(r.waits) AS wish(sku text, quantity bigint)
                 WHERE r.status IN ('held', 'committed') GROUP BY 1) p
           FULL JOIN (SELECT queue AS sku, sum(quantity)::bigint AS units FROM inventory.waiting_lines
                      WHERE queue IS NOT NULL GROUP BY 1) q ON q.sku = p.sku
           FULL JOIN inventory.backlogs b ON b.sku = coalesce(p.sku, q.sku)""",
    ),
    Rule(
        "nobody waits for what lies there",
        "free units of a released SKU serve its queue",
        """SELECT b.sku AS subject,
                  q.first IS NULL OR coalesce(s.free, 0) < q.first OR coalesce(p.release_at > now(), false) AS holds,
                  format('%s free, the first in the queue waits for %s', s.free, q.first) AS found
           FROM inventory.backlogs b
           LEFT JOIN (SELECT DISTINCT ON (queue) queue AS sku, quantity AS first FROM inventory.waiting_lines
                      WHERE queue IS NOT NULL ORDER BY queue, promised_at, order_id) q ON q.sku = b.sku
           LEFT JOIN (SELECT sku, sum(greatest(0, on_hand - held - allocated - safety_stock)) AS free
                      FROM inventory.shelves GROUP BY sku) s ON s.sku = b.sku
           LEFT JOIN inventory.products p ON p.sku = b.sku""",
        settled=True,
    ),
    Rule(
        "stock follows the order",
        "a confirmed order has its stock, a cancelled one keeps none",
        f"""SELECT o.id::text AS subject,
                  CASE WHEN o.state IN {KEPT} THEN coalesce(r.status IN ('committed', 'shipped'), false)
                       ELSE coalesce(r.status, 'none') NOT IN ('held', 'committed', 'shipped') END AS holds,
                  format('order %s, reservation %s', o.state, coalesce(r.status, 'none')) AS found
           FROM orders.orders o LEFT JOIN inventory.reservations r ON r.order_id = o.id
           WHERE o.state IN {KEPT} OR o.state = 'cancelled'""",
        settled=True,
    ),
)

MONEY: Final = (
    Rule(
        "order totals are their lines",
        "goods, discount and tax of an order are those of its lines, to the last minor unit",
        """SELECT o.id::text AS subject,
                  (o.goods_minor, o.discount_minor, o.tax_minor,
                   o.total_minor) IS NOT DISTINCT FROM (i.goods, i.discount, i.tax,
                                      i.subtotal + o.shipping_minor + o.shipping_tax_minor) AS holds,
                  format('%s %s: goods %s/%s, discount %s/%s, tax %s/%s', o.total_minor, o.currency, o.goods_minor,
                         i.goods, o.discount_minor, i.discount, o.tax_minor, i.tax) AS found
           FROM orders.orders o
           LEFT JOIN (SELECT order_id, sum(quantity * unit_price_minor)::bigint AS goods,
                             sum(discount_minor)::bigint AS discount, sum(tax_minor)::bigint AS tax,
                             sum(subtotal_minor)::bigint AS subtotal
                      FROM orders.order_items GROUP BY order_id) i ON i.order_id = o.id""",
    ),
    Rule(
        "never two live captures",
        "at the provider, at most one payment per order holds money",
        """SELECT reference AS subject, count(*) FILTER (WHERE captured_minor > refunded_minor) <= 1 AS holds,
                  format('%s payments hold money', count(*) FILTER (WHERE captured_minor > refunded_minor)) AS found
           FROM provider_payments GROUP BY reference""",
    ),
    Rule(
        "the provider's books agree with ours",
        "captured minus refunded is the same in the provider's books and in ours",
        """SELECT coalesce(p.order_id::text, b.reference) AS subject,
                  coalesce(p.captured_minor - p.refunded_minor, 0) = coalesce(b.net, 0) AS holds,
                  format('ours %s (%s), the provider''s %s', coalesce(p.captured_minor - p.refunded_minor, 0),
                         coalesce(p.state, 'no payment'), coalesce(b.net, 0)) AS found
           FROM payments.payments p
           FULL JOIN (SELECT reference, sum(captured_minor - refunded_minor)::bigint AS net
                      FROM provider_payments GROUP BY reference) b ON b.reference = p.order_id::text""",
        settled=True,
    ),
    Rule(
        "the ledger is balanced",
        "every transfer takes an amount from one account to another, in the currency of its payment",
        """SELECT t.id::text AS subject,
                  t.amount_minor > 0 AND t.debit <> t.credit AND t.debit <> '' AND t.credit <> ''
                      AND t.currency = coalesce(p.currency, t.currency) AS holds,
                  format('%s %s from %s to %s', t.amount_minor, t.currency, t.credit, t.debit) AS found
           FROM payments.transfers t LEFT JOIN payments.payments p ON p.order_id = t.order_id""",
    ),
    Rule(
        "the ledger says what the payments say",
        "captured, refunded, reserved and disputed of every payment are the sums over its transfers",
        """SELECT coalesce(p.order_id, t.order_id)::text AS subject,
                  (p.captured_minor, p.refunded_minor, p.refund_reserved_minor, p.disputed_minor) IS NOT DISTINCT FROM
                      (coalesce(t.captured, 0), coalesce(t.refunded, 0), coalesce(t.reserved, 0),
                       coalesce(t.disputed, 0)) AS holds,
                  format('payment %s/%s/%s/%s, transfers %s/%s/%s/%s', p.captured_minor, p.refunded_minor,
                         p.refund_reserved_minor, p.disputed_minor, t.captured, t.refunded, t.reserved, t.disputed)
                      AS found
           FROM payments.payments p
           FULL JOIN (SELECT order_id,
                             coalesce(sum(amount_minor) FILTER (WHERE kind = 'capture'), 0)::bigint AS captured,
                             coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0)::bigint AS refunded,
                             sum(CASE WHEN credit = 'refunds_payable' THEN amount_minor
                                      WHEN debit = 'refunds_payable' THEN -amount_minor ELSE 0 END)::bigint AS reserved,
                             sum(CASE WHEN debit = 'chargebacks' THEN amount_minor
                                      WHEN credit = 'chargebacks' THEN -amount_minor ELSE 0 END)::bigint AS disputed
                      FROM payments.transfers
                      WHERE kind IN ('capture', 'refund_reserved', 'refund', 'refund_refused', 'chargeback',
                                     'chargeback_reversed')
                      GROUP BY order_id) t ON t.order_id = p.order_id""",
    ),
    Rule(
        "the clearing account is the provider's books",
        "what captures and refunds left on the clearing account, order by order, is what the provider holds",
        """SELECT coalesce(t.order_id::text, b.reference) AS subject,
                  coalesce(t.net, 0) = coalesce(b.net, 0) AS holds,
                  format('clearing %s, the provider''s %s', coalesce(t.net, 0), coalesce(b.net, 0)) AS found
           FROM (SELECT order_id, sum(CASE debit WHEN 'provider_clearing' THEN amount_minor
                                                 ELSE -amount_minor END)::bigint AS net
                 FROM payments.transfers WHERE kind IN ('capture', 'refund') GROUP BY order_id) t
           FULL JOIN (SELECT reference, sum(captured_minor - refunded_minor)::bigint AS net
                      FROM provider_payments GROUP BY reference) b ON b.reference = t.order_id::text""",
        settled=True,
    ),
    Rule(
        "settlement differences are booked as they were accepted",
        "every accepted difference has its entry in the ledger, and no other has one",
        """SELECT d.id::text AS subject,
                  coalesce(t.booked, 0) = CASE d.state WHEN 'accepted' THEN d.entry_minor ELSE 0 END AS holds,
                  format('%s %s proposes %s, booked %s', d.state, d.kind, d.entry_minor, coalesce(t.booked, 0)) AS found
           FROM payments.settlement_differences d
           LEFT JOIN LATERAL (
               SELECT sum(CASE kind WHEN d.entry THEN amount_minor ELSE -amount_minor END)::bigint AS booked
               FROM payments.transfers
               WHERE kind IN ('surplus', 'shortfall', 'fee', 'fee_returned') AND reference = d.id::text) t ON true""",
    ),
    Rule(
        "money kept is money owed",
        "of a confirmed order the provider keeps its total less refunds; of any other order, nothing",
        f"""SELECT coalesce(o.id::text, b.reference) AS subject,
                  CASE WHEN o.state IN {KEPT} THEN coalesce(b.net, 0) = o.total_minor - o.refunded_minor
                       ELSE coalesce(b.net, 0) = 0 END AS holds,
                  format('order %s of %s, refunded %s; kept %s', coalesce(o.state, 'unknown'), o.total_minor,
                         o.refunded_minor, coalesce(b.net, 0)) AS found
           FROM orders.orders o
           FULL JOIN (SELECT reference, sum(captured_minor - refunded_minor)::bigint AS net
                      FROM provider_payments GROUP BY reference) b ON b.reference = o.id::text""",
        settled=True,
    ),
    Rule(
        "no money waits on a dead order",
        "a cancelled order has nothing authorized or pending at the provider",
        """SELECT b.id AS subject, b.status NOT IN ('authorized', 'pending') AS holds,
                  format('%s of order %s', b.status, b.reference) AS found
           FROM provider_payments b LEFT JOIN orders.orders o ON o.id::text = b.reference
           WHERE o.id IS NULL OR o.state = 'cancelled'""",
        settled=True,
    ),
    Rule(
        "refunds stay within what was captured",
        "payment by payment, at the provider and in our books",
        """SELECT id AS subject, refunded_minor <= captured_minor AS holds,
                  format('refunded %s of %s', refunded_minor, captured_minor) AS found FROM provider_payments
           UNION ALL
           SELECT order_id::text, refunded_minor + refund_reserved_minor <= captured_minor,
                  format('refunded %s and reserved %s of %s', refunded_minor, refund_reserved_minor, captured_minor)
           FROM payments.payments""",
    ),
    Rule(
        "refunds add up",
        "what an order says was refunded is the sum of its refunds, and what its payment gave back",
        """SELECT o.id::text AS subject,
                  o.refund_reserved_minor = 0 AND o.refunded_minor = coalesce(r.settled, 0)
                      AND (o.state = 'cancelled' OR o.refunded_minor = coalesce(p.refunded, 0)) AS holds,
                  format('order %s (reserved %s), its refunds %s, the payment''s %s', o.refunded_minor,
                         o.refund_reserved_minor, coalesce(r.settled, 0), coalesce(p.refunded, 0)) AS found
           FROM orders.orders o
           LEFT JOIN (SELECT order_id, sum(amount_minor)::bigint AS settled FROM orders.order_refunds
                      WHERE state = 'settled' GROUP BY order_id) r ON r.order_id = o.id
           LEFT JOIN (SELECT order_id, sum(amount_minor)::bigint AS refunded FROM payments.refunds
                      WHERE state = 'refunded' GROUP BY order_id) p ON p.order_id = o.id
           WHERE r.order_id IS NOT NULL OR p.order_id IS NOT NULL OR o.refunded_minor + o.refund_reserved_minor > 0""",
        settled=True,
    ),
    Rule(
        "every call to the provider ended",
        "of each attempt it is known what became of it",
        """SELECT id::text AS subject, state IN ('known', 'withdrawn') AS holds,
                  format('%s %s of order %s', state, kind, order_id) AS found FROM payments.attempts""",
        settled=True,
    ),
)

PROMISES: Final = (
    Rule(
        "every accepted checkout ended",
        "its order is confirmed or further, or cancelled, or was refused by name",
        f"""SELECT a.key AS subject,
                  o.state = 'cancelled' OR o.state IN {KEPT} OR (o.id IS NULL AND r.phase = 'cancelled') AS holds,
                  format('order %s is %s, its run %s', a.order_id, coalesce(o.state, 'not there'), r.phase) AS found
           FROM sagas.accepted a
           LEFT JOIN orders.orders o ON o.id = a.order_id LEFT JOIN sagas.runs r ON r.id = a.run_id
           WHERE a.key LIKE 'checkout/%' AND a.order_id IS NOT NULL""",
        settled=True,
    ),
    Rule(
        "one order per checkout",
        "no checkout has two orders, and no order lacks its checkout",
        """SELECT coalesce(o.id::text, o.checkout_id) AS subject, count(a.key) = 1 AS holds,
                  format('%s checkouts made it', count(a.key)) AS found
           FROM orders.orders o LEFT JOIN sagas.accepted a
             ON a.order_id = o.id AND a.key = 'checkout/' || o.storefront || '/' || o.checkout_id
           GROUP BY o.id, o.checkout_id""",
    ),
    Rule(
        "shipments cover the lines exactly",
        "a confirmed order ships every unit of its lines that is to come once, a cancelled one none",
        f"""SELECT coalesce(i.order_id, f.order_id)::text || ' ' || coalesce(i.sku, f.sku) AS subject,
                  coalesce(i.quantity, 0) = coalesce(f.quantity, 0) AS holds,
                  format('to ship %s, in shipments %s', coalesce(i.quantity, 0), coalesce(f.quantity, 0)) AS found
           FROM (SELECT i.order_id, part.sku, sum(part.units)::bigint AS quantity
                 FROM orders.order_items i JOIN orders.orders o ON o.id = i.order_id,
                      LATERAL (SELECT sku, value::bigint AS units
                               FROM jsonb_each_text(i.substitutes) AS sent(sku, value)
                               UNION ALL
                               SELECT i.sku, i.quantity - i.cancelled_quantity
                                   - (SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(i.substitutes))
                              ) AS part
                 WHERE o.state IN {KEPT} AND part.units > 0 GROUP BY 1, 2) i
           FULL JOIN (SELECT f.order_id, pick.sku, sum(pick.quantity)::bigint AS quantity
                      FROM fulfillment.fulfillments f, {_picks("f")}
                      WHERE f.state NOT IN ('cancelled', 'rejected') GROUP BY 1, 2) f
             ON f.order_id = i.order_id AND f.sku = i.sku""",
        settled=True,
    ),
    Rule(
        "orders tell how their shipments stand",
        "an order is delivered when, and only when, all its shipments are",
        f"""SELECT o.id::text AS subject,
                  (o.state IN ('delivered', 'completed')) = (f.all_there AND o.state IN {KEPT}) AS holds,
                  format('order %s, shipments %s', o.state, f.states) AS found
           FROM orders.orders o
           JOIN (SELECT order_id, bool_and(state = 'delivered') AS all_there,
                        string_agg(DISTINCT state, ', ' ORDER BY state) AS states
                 FROM fulfillment.fulfillments WHERE state NOT IN ('cancelled', 'rejected')
                 GROUP BY order_id) f ON f.order_id = o.id WHERE o.state <> 'returned'""",
        settled=True,
    ),
    Rule(
        "stories are gapless",
        "the lines of an order's story are numbered 1, 2, 3 ... and its public events too",
        """SELECT o.id::text AS subject,
                  (e.lines, e.last, e.public, e.last_public) IS NOT DISTINCT FROM
                      (o.last_sequence, o.last_sequence, o.last_public_sequence, o.last_public_sequence) AS holds,
                  format('%s lines to %s of %s; %s public to %s of %s', e.lines, e.last, o.last_sequence,
                         e.public, e.last_public, o.last_public_sequence) AS found
           FROM orders.orders o
           LEFT JOIN (SELECT order_id, count(*) AS lines, max(sequence) AS last,
                             count(DISTINCT public_sequence) AS public, coalesce(max(public_sequence), 0) AS last_public
                      FROM orders.order_events GROUP BY order_id) e ON e.order_id = o.id""",
    ),
    Rule(
        "no run is stuck",
        "every saga ended, or at least is not stuck",
        """SELECT id::text AS subject, stuck_since IS NULL AND (NOT :settled OR changing IS NULL) AS holds,
                  format('%s %s since %s, waits for %s', saga, phase, coalesce(stuck_since, created_at), pending)
                      AS found
           FROM sagas.runs""",
    ),
)

MESSAGES: Final = (
    Rule(
        "nothing waits to be said",
        "every outbox is empty",
        _over_schemas(
            """SELECT '{s}'::text AS subject, count(*) = 0 AS holds,
                      format('%s messages, the oldest of %s', count(*), min(created_at)) AS found FROM {s}.outbox"""
        ),
        settled=True,
    ),
    Rule(
        "nothing is overdue",
        "timers have rung, and no message waits to be tried again",
        _over_schemas(
            """SELECT '{s}'::text AS subject, count(*) = 0 AS holds,
                      format('%s, first %s', count(*), min(concat_ws(' ', head ->> 'type', name, error))) AS found
               FROM {s}.due WHERE error <> '' OR not_before < now() - interval '5 seconds'"""
        ),
        settled=True,
    ),
    Rule(
        "nothing is parked unexpectedly",
        "set aside for a person are only the messages this run expects",
        f"""SELECT p.place || ' ' || p.id::text AS subject, p.n <= coalesce(e.messages, 0) AS holds,
                  format('%s: %s', p.reason, left(p.error, 120)) AS found
           FROM (SELECT *, row_number() OVER (PARTITION BY reason ORDER BY id) AS n FROM ({
            _over_schemas("SELECT '{s}'::text AS place, id, reason, error FROM {s}.parked WHERE state = 'parked'")
        }) AS every) AS p LEFT JOIN expected_parked e ON e.reason = p.reason""",
    ),
)

_CONCLUSION: Final = """CASE
     WHEN e.type IN ('waybill.checkout.accepted.v1', 'waybill.checkout.refused.v1') THEN 'checkout'
     WHEN e.type = 'waybill.checkout.refund_concluded.v1' THEN 'refund'
     WHEN e.type = 'waybill.checkout.message_refused.v1' THEN 'message' END"""

STOREFRONT: Final = (
    Rule(
        "every request has exactly one answer",
        "the same one however often it was asked; one more only where the key came with other content",
        f"""SELECT q.kind || ' ' || q.key AS subject, coalesce(a.answers, 0) = 1
                      AND (q.contents > 1) = coalesce(a.reused, false) AS holds,
                  format('%s answers%s to %s contents', coalesce(a.answers, 0),
                         CASE WHEN a.reused THEN ' and key_reused' ELSE '' END, q.contents) AS found
           FROM (SELECT kind, key, count(DISTINCT content) AS contents FROM storefront_asked
                 WHERE kind IN ('checkout', 'refund', 'message') GROUP BY kind, key) q
           LEFT JOIN (SELECT {_CONCLUSION} AS kind,
                             coalesce(body ->> 'checkout_id', body ->> 'refund_id', body ->> 'message_id') AS key,
                             count(DISTINCT (type, body)) FILTER (WHERE coalesce(body ->> 'reason', '')
                                 NOT IN ('key_reused', 'payment_not_expected')) AS answers,
                             bool_or(body ->> 'reason' = 'key_reused') AS reused
                      FROM storefront_heard e GROUP BY 1, 2) a ON a.kind = q.kind AND a.key = q.key""",
        settled=True,
        needs_storefront=True,
    ),
    Rule(
        "a storefront hears how each order ends",
        "every accepted order is confirmed or cancelled, one of the two, once; afterwards only a shortage cancels",
        """SELECT a.order_id AS subject, coalesce(e.ends, 0) = 1 AS holds,
                  format('%s events say how it ended', coalesce(e.ends, 0)) AS found
           FROM (SELECT DISTINCT body ->> 'order_id' AS order_id FROM storefront_heard
                 WHERE type = 'waybill.checkout.accepted.v1') a
           LEFT JOIN (SELECT body ->> 'order_id' AS order_id, count(DISTINCT id) AS ends FROM storefront_heard
                      WHERE type = 'waybill.order.confirmed.v1'
                         OR (type = 'waybill.order.cancelled.v1' AND body ->> 'reason' IS DISTINCT FROM 'shortage')
                      GROUP BY 1) e
             ON e.order_id = a.order_id""",
        settled=True,
        needs_storefront=True,
    ),
    Rule(
        "a storefront hears every event once",
        "the public events of an order arrive under gapless numbers, each with one content",
        """SELECT o.id::text AS subject, (coalesce(e.heard, 0), coalesce(e.last, 0)) =
                      (o.last_public_sequence, o.last_public_sequence) AS holds,
                  format('%s events to %s of %s', e.heard, e.last, o.last_public_sequence) AS found
           FROM orders.orders o
           JOIN (SELECT DISTINCT body ->> 'order_id' AS order_id FROM storefront_heard
                 WHERE type = 'waybill.checkout.accepted.v1') a ON a.order_id = o.id::text
           LEFT JOIN (SELECT body ->> 'order_id' AS order_id, count(DISTINCT (id, body)) AS heard,
                             max((body ->> 'sequence')::bigint) AS last
                      FROM storefront_heard WHERE body ? 'sequence' GROUP BY 1) e ON e.order_id = o.id::text""",
        settled=True,
        needs_storefront=True,
    ),
)

RULES: Final = (*STOCK, *MONEY, *PROMISES, *MESSAGES, *STOREFRONT)


def rules(*, settled: bool, storefront: bool) -> Iterable[Rule]:
    """Those that can be asked now."""
    for rule in RULES:
        if (settled or not rule.settled) and (storefront or not rule.needs_storefront):
            yield rule

"""Money: what providers hold, what our rows and ledger say of it, and what orders owe."""

from typing import Final

from services.ops.rules.rule import KEPT, Rule

HELD: Final = (
    "CASE WHEN b.status IN ('authorized', 'captured')"
    " THEN b.amount_minor - b.captured_minor - b.voided_minor ELSE 0 END"
)
"""Of a payment in the provider's books: authorized, and neither taken nor let go."""

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
        "at the provider, at most one payment per order holds money; paid per shipment, all together no more than it"
        " was to pay",
        """SELECT b.reference AS subject,
                  CASE WHEN p.per_shipment THEN sum(b.captured_minor) <= min(p.amount_minor)
                       ELSE count(*) FILTER (WHERE b.captured_minor > b.refunded_minor) <= 1 END AS holds,
                  format('%s payments took %s of %s', count(*), sum(b.captured_minor), min(p.amount_minor)) AS found
           FROM provider_payments b LEFT JOIN payments.payments p ON p.order_id::text = b.reference
           GROUP BY b.reference, p.per_shipment""",
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
        "of a confirmed order the provider keeps its total less refunds, or holds it still, but for what was lost and"
        " told; of any other order nothing, but for what a chargeback took",
        f"""SELECT coalesce(o.id::text, b.reference) AS subject,
                  CASE WHEN o.state IN {KEPT}
                       THEN coalesce(b.net, 0) + coalesce(p.to_come, 0) = o.total_minor - o.refunded_minor
                       ELSE coalesce(b.net, 0) BETWEEN 0 AND coalesce(p.disputed_minor, 0) END AS holds,
                  format('order %s of %s, refunded %s; kept %s, to come or lost %s', coalesce(o.state, 'unknown'),
                         o.total_minor, o.refunded_minor, coalesce(b.net, 0), coalesce(p.to_come, 0)) AS found
           FROM orders.orders o
           LEFT JOIN (SELECT order_id, disputed_minor, greatest(held_minor - waived_minor, 0) + missing_minor AS to_come
                      FROM payments.payments) p ON p.order_id = o.id
           FULL JOIN (SELECT reference, sum(captured_minor - refunded_minor)::bigint AS net
                      FROM provider_payments GROUP BY reference) b ON b.reference = o.id::text""",
        settled=True,
    ),
    Rule(
        "no money waits on a dead order",
        "a cancelled order has nothing held or pending at the provider",
        f"""SELECT b.id AS subject, b.status <> 'pending' AND {HELD} = 0 AS holds,
                  format('%s of order %s, %s held', b.status, b.reference, {HELD}) AS found
           FROM provider_payments b LEFT JOIN orders.orders o ON o.id::text = b.reference
           WHERE o.id IS NULL OR o.state = 'cancelled'""",
        settled=True,
    ),
    Rule(
        "what is held is held",
        "what our payments count on, and nothing else, is held at the provider",
        f"""SELECT coalesce(p.order_id::text, b.reference) AS subject,
                  coalesce(p.held_minor, 0) = coalesce(b.held, 0) AND p.call_id IS NULL AS holds,
                  format('ours %s (%s), the provider''s %s', coalesce(p.held_minor, 0),
                         coalesce(p.state, 'no payment'), coalesce(b.held, 0)) AS found
           FROM payments.payments p
           FULL JOIN (SELECT reference, sum({HELD})::bigint AS held FROM provider_payments b GROUP BY reference) b
               ON b.reference = p.order_id::text""",
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

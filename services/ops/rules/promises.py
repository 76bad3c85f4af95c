"""Promises: orders, shipments and stories say the same, and nothing is stuck."""

from typing import Final

from services.ops.rules.rule import KEPT, Rule, picks

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
                      FROM fulfillment.fulfillments f, {picks("f")}
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

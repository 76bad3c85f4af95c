"""Stock: nothing oversold, counters and movements agree, who waits is served."""

from typing import Final

from services.ops.rules.rule import KEPT, Rule

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

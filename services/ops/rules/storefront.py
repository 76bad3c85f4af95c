"""Storefronts: every request is answered once, and every event heard once."""

from typing import Final

from services.ops.rules.rule import Rule

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
        "every accepted order is confirmed or cancelled, one of the two, once; afterwards only a shortage or lost money"
        " cancels",
        """SELECT a.order_id AS subject, coalesce(e.ends, 0) = 1 AS holds,
                  format('%s events say how it ended', coalesce(e.ends, 0)) AS found
           FROM (SELECT DISTINCT body ->> 'order_id' AS order_id FROM storefront_heard
                 WHERE type = 'waybill.checkout.accepted.v1') a
           LEFT JOIN (SELECT body ->> 'order_id' AS order_id, count(DISTINCT id) AS ends FROM storefront_heard
                      WHERE type = 'waybill.order.confirmed.v1'
                         OR (type = 'waybill.order.cancelled.v1'
                             AND coalesce(body ->> 'reason', '') NOT IN ('shortage', 'payment_failed'))
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

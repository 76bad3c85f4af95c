"""What the AsyncAPI document says in words, and the headers it describes: rules no schema can hold."""

from typing import Any, Final

from contracts.catalogue import LISTENER_QUEUE, MAX_BODY_BYTES, STOCK, STOREFRONTS, WAREHOUSES
from contracts.examples.facts import CHECKOUT, NOON, ORDER, REQUEST_ID, SHIPMENT
from contracts.examples.facts import STOREFRONT as SHOP
from contracts.message import Message
from contracts.values import MAX_LINES

INFO: Final = f"""
An order management system between storefronts, stock, payment providers and warehouses. A storefront places an
order with **one message** and follows it through events.

## Writing a storefront
1. Connect by AMQP 0-9-1 with the account you were given. Its user name is your storefront's name (below: `{SHOP}`).
   The account can publish to `{STOREFRONTS}` and read `storefront.{SHOP}.events`; it can declare nothing, and
   everything it needs exists: declare passively or not at all.
2. Publish a request to the exchange `{STOREFRONTS}` with the routing key its channel names, as one AMQP message:
   - property `user_id`: your user name. The broker refuses any other; without it the request is refused as
     `forged_source`;
   - property `content_type`: `application/json`; property `delivery_mode`: 2 (persistent);
   - headers: CloudEvents 1.0 in binary mode, every attribute a string header with the prefix `cloudEvents:` (see
     `RequestHeaders`): `cloudEvents:specversion` = `1.0`, `cloudEvents:id` unique per message of yours,
     `cloudEvents:type` = the message's name in this document, `cloudEvents:source` = your user name. `traceparent`
     (W3C) is carried through;
   - body: the payload as UTF-8 JSON, at most {MAX_BODY_BYTES // 1024} KiB; at most {MAX_LINES} lines per order.
   Publish with the `mandatory` flag and publisher confirms; what was not confirmed may have arrived: publish it
   again. Repeating a request is always safe: `checkout_id` and `refund_id` are idempotency keys, the same id with
   the same content gets the same answer, the same id with other content is refused as `key_reused`.
3. Consume your queue `storefront.{SHOP}.events` and acknowledge each message once you have kept it. Match answers
   by `checkout_id` or `refund_id` in the payload; `MessageRefused` by `message_id`, the `cloudEvents:id` of your
   message.
4. Delivery is at least once: the same event may come twice, with the same `cloudEvents:id`. Events of one order
   carry `sequence`, gapless from 1 (in the payload, and as `cloudEvents:sequence`). See a gap: ask with
   `ReplayOrderEvents` after the last sequence you know. Ignore fields and event types you do not know.

Amounts are integers in minor units (cents, yen, fils) with an ISO 4217 code; never floats.

## Writing a warehouse
Consume `warehouse.orders`; ship each `fulfillment_id` once, however often it is ordered. Report every step with
`ReportShipment` to the exchange `{WAREHOUSES}`, under the same rules for properties and headers as a storefront.
Steps may be skipped, repeated and late; `report_id` names a report for good, `occurred_at` is your clock and
decides between reports.

## Writing a stock source
Report what lies on shelves with `ReportStock` to the exchange `{STOCK}`, under the same rules. Number your reports:
`sequence` grows by one with each. What comes late or twice is recognised by it; a gap is noticed, and nothing waits
for it.

## Within a version
What we accept stays accepted, what we send stays sent: fields may be added, nothing is removed or narrowed.
Anything else is a new version (`.v2`), sent beside the old one.
""".strip()

TAGS: Final = {
    "storefront": "What a storefront does.",
    "warehouse": "What a warehouse does.",
    "stock": "What a stock source does.",
    "waybill": "What this system does in public.",
    "internal": "Between the services of this system: not open to others, documented for operators.",
}
ACCOUNT: Final = (
    "A broker user per storefront, warehouse and stock source. Its name is the sender's name: the broker refuses "
    "messages whose `user_id` is another."
)
SERVER: Final = "RabbitMQ 3.10 or newer. Heartbeats of 10 to 60 seconds; one connection and long-lived channels."
STOREFRONT: Final = "The storefront's name, which is its broker user: for example `demo-shop`."
STOREFRONT_EVENTS: Final = (
    f"The queue `{LISTENER_QUEUE}`: a durable quorum queue that exists for each storefront, for example "
    "`storefront.demo-shop.events`. It holds 200,000 events; then the oldest go, and `ReplayOrderEvents` brings them "
    "back."
)
PUBLIC_EVENTS: Final = (
    "The topic exchange in front of the storefronts' queues; the routing key is `<storefront>.<topic>`, for example "
    "`demo-shop.order.confirmed`. A storefront reads its queue; it needs no binding of its own."
)
WAREHOUSE_ORDERS: Final = "The queue every warehouse account reads; it exists, is durable and a quorum queue."
HEAR_EVENTS: Final = "Hear answers to requests and the events of orders. Consume with manual acknowledgement."
HEAR_SHIPMENT_ORDERS: Final = (
    "Hear what to ship. Acknowledge once it is kept; an order that cannot be read is rejected without requeueing."
)
PUBLISH_EVENTS: Final = (
    "Publish answers and order events. At least once, persistent, in the order of `sequence` per order; an event said "
    "again keeps its id."
)


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


_COMMON: Final[dict[str, Any]] = {
    "cloudEvents:specversion": _text("CloudEvents version.", const="1.0"),
    "cloudEvents:id": _text("Unique per source; the same message said again keeps it.", minLength=1, maxLength=200),
    "cloudEvents:source": _text("The sender's name: its broker user, or the service.", minLength=1),
    "cloudEvents:type": _text("The message's name in this document."),
    "cloudEvents:time": _text("When it was said (RFC 3339).", format="date-time"),
    "cloudEvents:subject": _text("What it is about: the order."),
    "cloudEvents:correlationid": _text("The same for everything said because of one request."),
    "traceparent": _text("W3C trace context.", pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"),
}
_CAUSED: Final[dict[str, Any]] = {
    "cloudEvents:causationid": _text("The id of the message this one was said because of.")
}
_REQUIRED: Final = [f"cloudEvents:{name}" for name in ("specversion", "id", "source", "type")]

HEADERS: Final[dict[str, Any]] = {
    "RequestHeaders": {
        "type": "object",
        "description": "CloudEvents 1.0, AMQP binary mode. Other headers are ignored.",
        "properties": _COMMON,
        "required": _REQUIRED,
    },
    "EventHeaders": {
        "type": "object",
        "description": "CloudEvents 1.0, AMQP binary mode. `source` is the service that says it.",
        "properties": {**_COMMON, **_CAUSED},
        "required": [*_REQUIRED, "cloudEvents:time", "cloudEvents:subject"],
    },
    "OrderEventHeaders": {
        "allOf": [
            {"$ref": "#/components/schemas/EventHeaders"},
            {
                "type": "object",
                "properties": {
                    "cloudEvents:sequence": _text("Gapless per order from 1, as in the payload.", pattern="^[0-9]+$")
                },
                "required": ["cloudEvents:sequence"],
            },
        ]
    },
    "InternalHeaders": {
        "type": "object",
        "description": (
            "As events. Commands and replies also carry the command key. Messages for one queue of ours may travel "
            "packed in one AMQP message (`application/vnd.waybill.pack+json`), never those to storefronts and "
            "warehouses."
        ),
        "properties": {
            **_COMMON,
            **_CAUSED,
            "cloudEvents:commandkey": _text("`<asker's queue>/<run>/<step>/<do or undo>`: the same on every ask."),
        },
        "required": [*_REQUIRED, "cloudEvents:time", "cloudEvents:subject"],
    },
}


def example_headers(message: type[Message], headers: str) -> dict[str, str]:
    """Headers as they travel with the example of a message."""
    if headers == "RequestHeaders":
        source = {"warehouse": "warehouse", "stock": "erp"}.get(message.heard_by.partition(".")[0], SHOP)
        return {
            "cloudEvents:specversion": "1.0",
            "cloudEvents:id": REQUEST_ID,
            "cloudEvents:source": source,
            "cloudEvents:type": message.full_type,
        }
    found = {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": "0195567a-2b00-7000-8000-00000000abcd",
        "cloudEvents:source": "order" if headers == "OrderEventHeaders" else "orchestrator",
        "cloudEvents:type": message.full_type,
        "cloudEvents:time": NOON.isoformat().replace("+00:00", "Z"),
        "cloudEvents:subject": CHECKOUT if message.topic == "checkout.refused" else str(ORDER),
        "cloudEvents:correlationid": str(ORDER),
        "cloudEvents:causationid": REQUEST_ID,
        "traceparent": "00-0195567a2b0070008000000000000001-800000000000abcd-00",
    }
    if headers == "OrderEventHeaders":
        found["cloudEvents:sequence"] = "3"
    if message.kind.value in ("command", "reply"):
        asker, run = ("fulfillment", SHIPMENT) if message.heard_by == "warehouse.orders" else ("orchestrator", ORDER)
        found["cloudEvents:commandkey"] = f"{asker}/{run}/step/do"
    return found

"""The AsyncAPI 3 document: a storefront or a warehouse in any language is written from it alone.

Operations are written from the side of whoever does them: a storefront *sends* `placeCheckout`. Tags
say whose they are.
"""

from collections.abc import Iterable
from typing import Any, Final

from contracts import prose
from contracts.catalogue import (
    AFTERWARDS,
    ANSWERS,
    DOORS,
    EVENTS,
    FRAME_REPLIES,
    LISTENER_QUEUE,
    SERVICES,
    events,
    messages,
    order_events,
)
from contracts.feeds import ReportStock
from contracts.fulfillment import OrderShipment, ReportShipment
from contracts.message import Kind, Message
from contracts.schemas import description_of, example_of, schema_of
from contracts.shortage import AmendShipment

VERSION: Final = "0.1.0"
BINDING: Final = {"bindingVersion": "0.3.0"}
Part = dict[str, Any]


def document() -> Part:
    """Deterministic: the same code makes the same document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Waybill",
            "version": VERSION,
            "description": prose.INFO,
            "tags": [{"name": name, "description": text} for name, text in prose.TAGS.items()],
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "schemas": _schemas(),
            "messages": {message.__name__: _message(message) for message in _travelling()},
            "securitySchemes": {"account": {"type": "userPassword", "description": prose.ACCOUNT}},
        },
    }


def _travelling() -> list[type[Message]]:
    """Everything but what never leaves its service."""
    return [message for message in messages() if message.kind is not Kind.LOCAL]


def _server() -> Part:
    return {
        "host": "{host}:{port}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "pathname": "/{vhost}",
        "description": prose.SERVER,
        "variables": {
            "host": {"default": "localhost", "description": "The broker."},
            "port": {"default": "5672", "description": "5671 with TLS (amqps)."},
            "vhost": {"default": "waybill", "description": "The virtual host, percent-encoded in the URL."},
        },
        "security": [{"$ref": "#/components/securitySchemes/account"}],
    }


# -- channels ------------------------------------------------------------------------------------------------------


def _channels() -> Part:
    found: Part = {
        "storefrontEvents": {
            "address": LISTENER_QUEUE,
            "title": "What a storefront hears",
            "description": prose.STOREFRONT_EVENTS,
            "parameters": {"storefront": {"description": prose.STOREFRONT}},
            "messages": _references(events()),
            "bindings": {"amqp": {"is": "queue", "queue": _queue(LISTENER_QUEUE), **BINDING}},
        },
        "publicEvents": {
            "address": "{storefront}.{topic}",
            "title": "Where events are published",
            "description": prose.PUBLIC_EVENTS,
            "parameters": {
                "storefront": {"description": prose.STOREFRONT},
                "topic": {
                    "description": "The event's type without `waybill.` and version.",
                    "enum": [message.topic for message in events()],
                },
            },
            "messages": _references(events()),
            "bindings": {"amqp": {"is": "routingKey", "exchange": _exchange(EVENTS, "topic"), **BINDING}},
        },
        "warehouseOrders": {
            "address": OrderShipment.heard_by,
            "title": "What a warehouse hears",
            "description": prose.WAREHOUSE_ORDERS,
            "messages": _references(TO_WAREHOUSES),
            "bindings": {"amqp": {"is": "queue", "queue": _queue(OrderShipment.heard_by), **BINDING}},
        },
    }
    for queue, door in DOORS.items():
        if queue == OrderShipment.heard_by:
            continue
        found[_channel_of(queue)] = {
            "address": door.key,
            "title": f"Requests: {queue}" if queue not in SERVICES else f"Commands, replies and facts: {queue}",
            "description": (
                f"Publish to the direct exchange `{door.exchange}` with the routing key `{door.key}`; it leads to the "
                f"queue `{queue}`. Open to {door.users}."
            ),
            "messages": _references(message for message in _travelling() if _lands_in(message, queue)),
            "bindings": {"amqp": {"is": "routingKey", "exchange": _exchange(door.exchange, "direct"), **BINDING}},
        }
    return found


def _lands_in(message: type[Message], queue: str) -> bool:
    """Replies go to who asked: the orchestrator."""
    return message.heard_by == queue or (message.kind is Kind.REPLY and queue == "orchestrator")


def _channel_of(queue: str) -> str:
    """`storefront.requests` -> `storefrontRequests`"""
    first, *rest = queue.split(".")
    return first + "".join(part.capitalize() for part in rest)


def _references(found: Iterable[type[Message]]) -> Part:
    return {message.__name__: {"$ref": f"#/components/messages/{message.__name__}"} for message in found}


def _queue(name: str) -> Part:
    return {"name": name, "durable": True, "exclusive": False, "autoDelete": False}


def _exchange(name: str, type_: str) -> Part:
    return {"name": name, "type": type_, "durable": True, "autoDelete": False}


TO_WAREHOUSES: Final = (OrderShipment, AmendShipment)


# -- operations ----------------------------------------------------------------------------------------------------


def _operations() -> Part:
    found: Part = {
        "hearEvents": _operation("receive", "storefrontEvents", events(), "storefront", prose.HEAR_EVENTS),
        "hearShipmentOrders": _operation(
            "receive", "warehouseOrders", TO_WAREHOUSES, "warehouse", prose.HEAR_SHIPMENT_ORDERS
        ),
        "publishEvents": _operation("send", "publicEvents", events(), "waybill", prose.PUBLISH_EVENTS),
    }
    for message in _travelling():
        if message.kind is Kind.REQUEST:
            found[_verb(message)] = _request(message)
        elif message.kind in (Kind.COMMAND, Kind.FACT) and message not in TO_WAREHOUSES:
            found[_verb(message)] = _internal(message)
    return {name: found[name] for name in sorted(found)}


def _verb(message: type[Message]) -> str:
    return message.__name__[0].lower() + message.__name__[1:]


def _operation(action: str, channel: str, said: Iterable[type[Message]], tag: str, text: str) -> Part:
    binding: Part = {"deliveryMode": 2, "mandatory": channel != "publicEvents"} if action == "send" else {"ack": True}
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": text.partition(". ")[0].rstrip(".") + ".",
        "description": text,
        "tags": [{"name": tag}],
        "messages": [_in_channel(channel, message) for message in said],
        "bindings": {"amqp": {**binding, **BINDING}},
    }


def _in_channel(channel: str, message: type[Message]) -> Part:
    return {"$ref": f"#/channels/{channel}/messages/{message.__name__}"}


def _request(message: type[Message]) -> Part:
    """A request of the outside. What a warehouse or a stock source is told has no queue of its own."""
    sender = {ReportShipment: "warehouse", ReportStock: "stock"}.get(message, "storefront")
    text = f"{description_of(message)} {AFTERWARDS[message]}"
    found = _operation("send", _channel_of(message.heard_by), [message], sender, text)
    channel = "storefrontEvents" if sender == "storefront" else "publicEvents"
    found["reply"] = {
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [_in_channel(channel, answer) for answer in ANSWERS[message]],
    }
    return found


def _internal(message: type[Message]) -> Part:
    channel = _channel_of(message.heard_by)
    found = _operation(
        "receive",
        channel,
        [message],
        "internal",
        description_of(message) or f"{message.heard_by} hears {message.topic}.",
    )
    if message.kind is Kind.COMMAND:
        answers: tuple[type[Message], ...] = (*ANSWERS[message], *FRAME_REPLIES)
        found["reply"] = {
            "channel": {"$ref": "#/channels/orchestrator"},
            "messages": [_in_channel("orchestrator", answer) for answer in answers],
        }
    return found


# -- messages and schemas --------------------------------------------------------------------------------------------


def _message(message: type[Message]) -> Part:
    return {
        "name": message.full_type,
        "title": message.__name__,
        "summary": description_of(message).partition(". ")[0] or message.topic,
        "description": " ".join(part for part in (description_of(message), AFTERWARDS.get(message, "")) if part),
        "contentType": "application/json",
        "headers": {
            "allOf": [
                {"$ref": f"#/components/schemas/{_headers_of(message)}"},
                {"properties": {"cloudEvents:type": {"type": "string", "const": message.full_type}}},
            ]
        },
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
        "examples": [
            {
                "name": message.__name__,
                "headers": prose.example_headers(message, _headers_of(message)),
                "payload": example_of(message),
            }
        ],
        "bindings": {"amqp": {"contentEncoding": "UTF-8", "messageType": message.full_type, **BINDING}},
        "x-kind": message.kind.value,
    }


def _headers_of(message: type[Message]) -> str:
    if message.kind is Kind.REQUEST:
        return "RequestHeaders"
    if message in order_events():
        return "OrderEventHeaders"
    return "EventHeaders" if message.kind is Kind.EVENT else "InternalHeaders"


def _schemas() -> Part:
    """Payloads of all messages; the values they share stand beside them."""
    found: Part = {}
    for message in _travelling():
        schema = schema_of(message)
        for name in ("$schema", "$id", "examples", "x-kind", "x-border"):
            schema.pop(name)
        for name, value in schema.pop("$defs", {}).items():
            found[name] = _rooted(value)
        found[message.__name__] = _rooted(schema)
    found.update(prose.HEADERS)
    return {name: found[name] for name in sorted(found)}


def _rooted(part: Any) -> Any:
    """References into a schema's own ``$defs`` become references into the document."""
    if isinstance(part, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else _rooted(value)
            for key, value in part.items()
        }
    return [_rooted(item) for item in part] if isinstance(part, list) else part

"""The one place that declares the broker: exchanges, queues, bindings, users and their rights.

Nobody declares anything at run time (no service may): the definitions made here are loaded when the broker is
provisioned.
"""

import base64
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

COMMANDS: Final = "waybill.commands"
"""Direct, ours: commands, replies and facts; the routing key is the queue."""
EVENTS: Final = "waybill.events"
"""Topic, public: ``<storefront>.<topic>``, for example ``demo-shop.order.confirmed``."""
STOREFRONTS: Final = "waybill.storefront"
"""Direct: where storefronts publish requests."""
WAREHOUSES: Final = "waybill.warehouse"
"""Direct: where warehouses publish reports."""
STOCK: Final = "waybill.stock"
"""Direct: where stock sources publish reports."""
DEAD: Final = "waybill.dead"
"""Direct: what a queue could not deliver goes to ``<queue>.dead``."""

DELIVERY_LIMIT: Final = 20
"""Broker redeliveries before a message goes to its dead queue: well above our own attempt limit, which parks first."""
NEVER_DROPPED: Final = 2_000_000_000
"""A delivery limit nobody reaches, where no dead queue is behind: RabbitMQ 4 would drop after its default of 20."""
MAX_LENGTH: Final = 2_000_000
"""Messages per queue of ours; beyond it publishers are refused and the outbox keeps the rows."""
LISTENER_MAX_LENGTH: Final = 200_000
"""Events kept for a storefront that does not read; the oldest go first, and it catches up by asking for a replay."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A quorum queue of ours; `exchange` is where its senders publish."""

    name: str
    consumed_by: str
    exchange: str = COMMANDS

    @property
    def dead(self) -> str:
        return f"{self.name}.dead"


QUEUES: Final = (
    Queue("order", "order"),
    Queue("order.requests", "order", STOREFRONTS),
    Queue("inventory", "inventory"),
    Queue("stock.reports", "inventory", STOCK),
    Queue("payment", "payment"),
    Queue("fulfillment", "fulfillment"),
    Queue("warehouse.reports", "fulfillment", WAREHOUSES),
    Queue("orchestrator", "orchestrator"),
    Queue("storefront.requests", "orchestrator", STOREFRONTS),
    Queue("warehouse.orders", "warehouse"),
)
SERVICES: Final = ("order", "inventory", "payment", "fulfillment", "orchestrator")
DEFAULT_STOREFRONTS: Final = ("demo-shop",)


def queues_of(service: str) -> tuple[Queue, ...]:
    return tuple(queue for queue in QUEUES if queue.consumed_by == service)


def listener_queue(storefront: str) -> str:
    """Where a storefront hears its events."""
    return f"storefront.{storefront}.events"


def password_hash(password: str, salt: bytes | None = None) -> str:
    """RabbitMQ's rabbit_password_hashing_sha256: base64(salt + sha256(salt + password))."""
    salt = os.urandom(4) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _alternatives(names: Sequence[str]) -> str:
    return "^(" + "|".join(re.escape(name) for name in names) + ")$"


NOTHING: Final = "^$"


def permissions(storefronts: Sequence[str] = DEFAULT_STOREFRONTS) -> dict[str, dict[str, str]]:
    """Least rights by user: nobody configures, everybody writes to one door and reads their own queues."""
    found: dict[str, dict[str, str]] = {}
    for service in SERVICES:
        read = [name for queue in queues_of(service) for name in (queue.name, queue.dead)]
        write = [COMMANDS, EVENTS]
        found[service] = {"configure": NOTHING, "write": _alternatives(write), "read": _alternatives(read)}
    found["warehouse"] = {
        "configure": NOTHING,
        "write": _alternatives([WAREHOUSES]),
        "read": _alternatives(["warehouse.orders"]),
    }
    found["stock-source"] = {"configure": NOTHING, "write": _alternatives([STOCK]), "read": NOTHING}
    for storefront in storefronts:
        found[storefront] = {
            "configure": NOTHING,
            "write": _alternatives([STOREFRONTS]),
            "read": _alternatives([listener_queue(storefront)]),
        }
    return found


def users(storefronts: Sequence[str] = DEFAULT_STOREFRONTS) -> tuple[str, ...]:
    return tuple(permissions(storefronts))


def definitions(
    vhost: str, passwords: Mapping[str, str], storefronts: Sequence[str] = DEFAULT_STOREFRONTS
) -> dict[str, Any]:
    """RabbitMQ definitions of one virtual host. `passwords` by user name; only their hashes are in the result."""
    queues: list[dict[str, Any]] = []
    bindings: list[dict[str, Any]] = []

    def bind(exchange: str, queue: str, key: str) -> None:
        bindings.append(
            {
                "vhost": vhost,
                "source": exchange,
                "destination": queue,
                "destination_type": "queue",
                "routing_key": key,
                "arguments": {},
            }
        )

    def queue_of(name: str, arguments: dict[str, Any]) -> None:
        queues.append(
            {
                "vhost": vhost,
                "name": name,
                "durable": True,
                "auto_delete": False,
                "arguments": {"x-queue-type": "quorum", **arguments},
            }
        )

    for queue in QUEUES:
        queue_of(
            queue.name,
            {
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD,
                "x-dead-letter-routing-key": queue.dead,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
                "x-max-length": MAX_LENGTH,
            },
        )
        queue_of(
            queue.dead, {"x-delivery-limit": NEVER_DROPPED, "x-max-length": MAX_LENGTH, "x-overflow": "reject-publish"}
        )
        bind(queue.exchange, queue.name, queue.name)
        bind(DEAD, queue.dead, queue.dead)
    for storefront in storefronts:
        queue_of(
            listener_queue(storefront),
            {"x-delivery-limit": NEVER_DROPPED, "x-max-length": LISTENER_MAX_LENGTH, "x-overflow": "drop-head"},
        )
        bind(EVENTS, listener_queue(storefront), f"{storefront}.#")
    return {
        "vhosts": [{"name": vhost}],
        "users": [
            {
                "name": user,
                "password_hash": password_hash(passwords[user]),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [],
                "limits": {},
            }
            for user in users(storefronts)
        ],
        "permissions": [{"user": user, "vhost": vhost, **rights} for user, rights in permissions(storefronts).items()],
        "exchanges": [
            {
                "vhost": vhost,
                "name": name,
                "type": kind,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
            for name, kind in (
                (COMMANDS, "direct"),
                (EVENTS, "topic"),
                (STOREFRONTS, "direct"),
                (WAREHOUSES, "direct"),
                (STOCK, "direct"),
                (DEAD, "direct"),
            )
        ],
        "queues": queues,
        "bindings": bindings,
        "policies": [],
        "parameters": [],
        "global_parameters": [],
    }

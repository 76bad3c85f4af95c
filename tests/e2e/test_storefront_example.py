"""The storefront of examples/, which imports nothing of ours, against the whole system over real servers.

What it prints is held against the committed AsyncAPI document: a storefront written from it must find what it promises.
"""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from jsonschema import Draft202012Validator

from contracts.inventory import ReceiveStock, StockReceipt
from services.sandbox.environment import Environment, prepare
from services.sandbox.servers import Servers
from shared.envelope import to_headers
from shared.topology import COMMANDS, SERVICES
from tests.support.processes import ROOT

EXAMPLE = ROOT / "examples" / "storefront.py"
SKU = "TEA-EARL-GREY"
SHOP_S = 90


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Every service and the world outside, in one process of their own."""
    log = tmp_path_factory.mktemp("system") / "log"
    environment = prepare(servers, f"storefront_{secrets.token_hex(4)}")
    provider_port, payment_port, secret = free_port(), free_port(), secrets.token_hex(16)
    env = {
        **os.environ,
        **environment.env,
        "SANDBOX_PROVIDER_PORT": str(provider_port),
        "SANDBOX_PROVIDER_WEBHOOK_SECRET": secret,
        "PROVIDER_URL": f"http://127.0.0.1:{provider_port}",
        "WEBHOOK_SECRET": secret,
        "WEBHOOK_URL": f"http://127.0.0.1:{payment_port}/webhooks/provider",
        "PAYMENT_HTTP_PORT": str(payment_port),
        "WAREHOUSE_PACE_S": "0.05",
    }
    command = [sys.executable, "-m", "services", "run", *SERVICES, "world"]
    with log.open("w") as out:
        running = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            asyncio.run(stock(environment))
            yield environment
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(timeout=40)
            environment.drop()
            print(log.read_text()[-4000:])


async def stock(environment: Environment) -> None:
    """Goods arrive, as inventory's own colleagues say it."""
    receipt = ReceiveStock(
        reference="first-delivery",
        receipts=(
            StockReceipt(sku=SKU, warehouse="north", quantity=50),
            StockReceipt(sku=SKU, warehouse="east", quantity=9),
        ),
    )
    head = {"id": str(uuid4()), "source": "order", "type": receipt.full_type, "subject": receipt.reference}
    connection = await aio_pika.connect(environment.env["ORDER_AMQP_URL"], timeout=20)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(COMMANDS, ensure=False)
        message = aio_pika.Message(receipt.model_dump_json().encode(), headers=dict(to_headers(head)))
        await exchange.publish(message, receipt.heard_by, timeout=20)


def shop(environment: Environment, *options: str) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-I", str(EXAMPLE), environment.env["STOREFRONT_AMQP_URL"], *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SHOP_S, check=False, cwd="/")
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


async def heard_until(environment: Environment, order_id: str, last: str) -> list[dict[str, Any]]:
    """The order's further events, read as the storefront; from whatever the example left in the queue."""
    found: list[dict[str, Any]] = []
    connection = await aio_pika.connect(environment.env["STOREFRONT_AMQP_URL"], timeout=20)
    async with connection, asyncio.timeout(SHOP_S):
        channel = await connection.channel()
        queue = await channel.get_queue("storefront.demo-shop.events", ensure=False)
        async with queue.iterator() as messages:
            async for message in messages:
                event = {"event": str(message.headers["cloudEvents:type"])[8:-3], **json.loads(message.body)}
                await message.ack()
                if event.get("order_id") == order_id:
                    found.append(event)
                    if event["event"] == last:
                        return found
    return found


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


def test_a_checkout_is_accepted_confirmed_and_delivered(system: Environment) -> None:
    status, events = shop(system)
    assert status == 0 and events[-1]["event"] == "order.confirmed"
    assert "checkout.accepted" in names(events)
    assert len({event["order_id"] for event in events}) == 1
    assert events[-1]["total_minor"] == 1790
    document = json.loads((ROOT / "contracts" / "generated" / "asyncapi.json").read_text())
    promised = {message["name"]: message["payload"]["$ref"] for message in document["components"]["messages"].values()}
    for event in events:
        payload = {key: value for key, value in event.items() if key != "event"}
        reference = promised[f"waybill.{event['event']}.v1"]
        Draft202012Validator({"$ref": reference, "components": document["components"]}).validate(payload)
    further = asyncio.run(heard_until(system, events[-1]["order_id"], "order.delivered"))
    order_events = [event for event in events + further if event["event"].startswith("order.")]
    assert [event["sequence"] for event in order_events] == list(range(1, len(order_events) + 1))
    assert {"order.fulfilled", "order.shipped"} <= set(names(order_events))
    shipped = next(event for event in order_events if event["event"] == "order.shipped")
    assert "SP" in json.dumps(shipped["detail"]), "the warehouse's tracking number reaches the storefront"


def test_a_declined_payment_ends_in_a_cancelled_order(system: Environment) -> None:
    status, events = shop(system, "--token", "tok_declined")
    assert status == 1 and events[-1]["event"] == "order.cancelled"


def test_short_stock_ends_in_a_cancelled_order(system: Environment) -> None:
    status, events = shop(system, "--quantity", "5000")
    assert status == 1 and events[-1]["event"] == "order.cancelled"


def test_nonsense_is_refused_by_name(system: Environment) -> None:
    status, events = shop(system, "--quantity", "0")
    assert status == 1 and names(events) == ["checkout.message_refused"]
    assert events[0]["reason"] == "wrong_schema" and "quantity" in events[0]["detail"]

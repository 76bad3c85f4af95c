"""Webhooks in: signed notices at the payment service's door, each answered when what it says is committed.

Each pays a pending payment; in the end every one of them must be captured once, and the provider's books agree.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aio_pika
import aiohttp
import asyncpg
import orjson

from contracts.catalogue import COMMANDS
from contracts.payment import AuthorizePayment
from services.ops.invariants import fetch_books
from services.sandbox.bench.cpu import Meter
from services.sandbox.bench.load import percentile
from services.sandbox.bench.stage import START_WITHIN_S, Asked, Watching, world
from services.sandbox.environment import Environment, prepare
from services.sandbox.processes import check_alive, running, until_started
from services.sandbox.servers import Servers
from shared.envelope import head_of, to_headers
from shared.ids import new_id

AT_ONCE: Final = 64
"""Connections of the provider."""
TWICE_EVERY: Final = 10
"""Every tenth notice comes a second time."""
UNDER_WAY_WITHIN_S: Final = 300.0
LOOK_EVERY_S: Final = 0.2
LAYOUT: Final = (("payment",), ("world",))
COUNTS: Final = """SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
           count(*) FILTER (WHERE state = 'captured' AND captured_minor = amount_minor) AS captured,
           (SELECT count(*) FROM payments.webhooks) AS kept, (SELECT count(*) FROM payments.captures) AS captures
    FROM payments.payments"""


async def webhooks(servers: Servers, asked: Asked, folder: Path, watching: Watching) -> dict[str, Any]:
    environment: Environment = await asyncio.to_thread(prepare, servers, f"waybill_hooks_{secrets.token_hex(4)}")
    try:
        env = {**environment.env, **world()}
        door, env["WEBHOOK_URL"] = env["WEBHOOK_URL"], ""  # the provider itself sends none: it is played here
        watching("starting payment", 0.0)
        with running(LAYOUT, env, folder) as groups:
            await until_started(groups, [1, 1], START_WITHIN_S)
            watching(f"making {asked.webhooks} pending payments", 0.0)
            await _ask(env["AMQP_URL"], asked.webhooks)
            while (await _count(env))["pending"] < asked.webhooks:
                check_alive(groups)
                await asyncio.sleep(LOOK_EVERY_S)
            notices = await _settle(env["PROVIDER_URL"])
            meter = Meter({"services": [groups[0].process.pid], **servers.pids(), "world": [groups[1].process.pid]})
            meter.start()
            began = time.monotonic()
            waits = await _send(door, env["WEBHOOK_SECRET"], notices, watching)
            while (await _count(env))["captured"] < asked.webhooks:
                check_alive(groups)
                await asyncio.sleep(LOOK_EVERY_S / 10)
            seconds = time.monotonic() - began
            meter.stop()
            found = await _count(env)
            books = await fetch_books(env["PROVIDER_URL"])
    finally:
        await asyncio.to_thread(environment.drop)
    theirs = sum(payment["captured_minor"] == payment["amount_minor"] for payment in books["payments"])
    exact = theirs == found["captured"] == found["kept"] == found["captures"] == asked.webhooks
    waits.sort()
    return {
        "orders": asked.webhooks,
        "orders_per_s": round(asked.webhooks / seconds, 1),
        "p50_ms": percentile(waits, 0.50),
        "p99_ms": percentile(waits, 0.99),
        "cpu_ms_per_order": meter.ms_per(asked.webhooks),
        "webhooks": len(waits),
        "webhooks_per_s": round(len(waits) / seconds, 1),
        "cpus_used_by_others": meter.others,
        "seconds": round(seconds, 3),
        "invariants": {"checked": asked.webhooks, "broken": asked.webhooks - found["captured"]},
        "ok": exact,
    }


async def _ask(url: str, many: int) -> None:
    """Payments that the provider leaves pending."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(COMMANDS, ensure=False)
        for number in range(many):
            order_id = new_id()
            command = AuthorizePayment(
                order_id=order_id, amount_minor=1_000 + number, currency="EUR", method="card", token="tok_pending"
            )
            key = f"orchestrator/{order_id}/authorize-payment/do"
            head = head_of(
                command, id_=new_id(), source="orchestrator", subject=str(order_id), now=datetime.now(UTC), cause={},
                command_key=key,
            )  # fmt: skip
            message = aio_pika.Message(command.model_dump_json().encode(), headers=dict(to_headers(head)))
            await exchange.publish(message, AuthorizePayment.heard_by, mandatory=True)


async def _count(env: dict[str, str]) -> dict[str, int]:
    connection = await asyncpg.connect(env["DATABASE_URL"])
    try:
        return dict(await connection.fetchrow(COUNTS))
    finally:
        await connection.close()


async def _settle(provider_url: str) -> list[bytes]:
    """All of it is paid; what the provider would say of each, some of it twice."""
    async with aiohttp.ClientSession(provider_url) as session:
        pending = [payment["id"] for payment in (await fetch_books(provider_url))["payments"]]
        for payment_id in pending:
            async with session.post("/script/settle", json={"payment_id": payment_id, "paid": True}) as told:
                told.raise_for_status()
    notices = []
    for number, payment in enumerate((await fetch_books(provider_url))["payments"]):
        said = {
            "id": f"evt_{number}",
            "type": "payment.captured",
            "created": datetime.now(UTC).isoformat(),
            "payment": payment,
        }
        notices += [orjson.dumps(said)] * (2 if number % TWICE_EVERY == 0 else 1)
    return notices


async def _send(door: str, secret: str, notices: Sequence[bytes], watching: Watching) -> list[float]:
    """How long each took to be answered, in ms."""
    waits: list[float] = []
    left = iter(notices)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def sender() -> None:
            for body in left:
                headers = signed(secret, body)
                began = time.monotonic()
                async with session.post(door, data=body, headers=headers) as answer:
                    answer.raise_for_status()
                    await answer.read()
                waits.append((time.monotonic() - began) * 1000)
                if len(waits) % 500 == 0:
                    watching(f"{len(waits)} of {len(notices)} webhooks", len(waits) / len(notices))

        async with asyncio.timeout(UNDER_WAY_WITHIN_S), asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(sender())
    return waits


def signed(secret: str, body: bytes) -> dict[str, str]:
    """Headers after Standard Webhooks."""
    id_, stamp = f"evt_{hashlib.sha256(body).hexdigest()[:16]}", str(int(time.time()))
    mac = hmac.digest(secret.encode(), f"{id_}.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": id_,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
        "content-type": "application/json",
    }

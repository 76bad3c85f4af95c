"""The machine's own measures, from the same run: figures of two machines, or of a busy and an idle one, compare only
by these."""

import asyncio
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import aio_pika
import asyncpg
from aio_pika.abc import AbstractIncomingMessage

from services.sandbox import private_postgresql
from services.sandbox.environment import Environment, prepare
from services.sandbox.servers import Servers

CLIENTS: Final = 4
SCALE: Final = "10"
AT_ONCE: Final = 100
"""Round trips under way at the same time, on one channel: about what a service keeps in flight."""
BODY: Final = b"x" * 500
QUEUE: Final = "bench.roundtrips"
MADE_WITHIN_S: Final = 60.0


async def yardsticks(servers: Servers, seconds: float) -> dict[str, float]:
    """`pgbench_tps` (or, without pgbench, `asyncpg_update_tps`) and `amqp_roundtrips_per_s`."""
    environment: Environment = await asyncio.to_thread(prepare, servers, f"waybill_yard_{secrets.token_hex(4)}")
    try:
        return {
            **await transactions(environment.env["DATABASE_URL"], seconds),
            "amqp_roundtrips_per_s": round(await roundtrips(environment.env["AMQP_URL"], seconds)),
        }
    finally:
        await asyncio.to_thread(environment.drop)


# -- PostgreSQL --------------------------------------------------------------------------------------------------


async def transactions(url: str, seconds: float) -> dict[str, float]:
    program = find_pgbench()
    if program is not None and (found := await pgbench(program, url, seconds)) is not None:
        return {"pgbench_tps": round(found)}
    return {"asyncpg_update_tps": round(await updates(url, seconds))}


def find_pgbench() -> Path | None:
    folder = private_postgresql.binaries()
    if folder is not None and (folder / "pgbench").exists():
        return folder / "pgbench"
    on_path = shutil.which("pgbench")
    return Path(on_path) if on_path else None


async def pgbench(program: Path, url: str, seconds: float) -> float | None:
    """pgbench's own TPC-B-like transactions; None when it cannot do it here."""
    made = await _run(program, url, "-i", "-q", "-s", SCALE, within_s=MADE_WITHIN_S)
    if made is None:
        return None
    length = str(max(1, round(seconds)))
    told = await _run(program, url, "-n", "-c", str(CLIENTS), "-T", length, within_s=seconds + MADE_WITHIN_S)
    found = re.search(r"tps = ([0-9.]+)", told or "")
    return float(found.group(1)) if found else None


async def _run(program: Path, url: str, *arguments: str, within_s: float) -> str | None:
    parts = urlsplit(url)
    where = {
        "PGHOST": parts.hostname or "127.0.0.1",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
    }
    process = await asyncio.create_subprocess_exec(
        program, *arguments, env={**os.environ, **where},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), within_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return out.decode(errors="replace") if process.returncode == 0 else None


async def updates(url: str, seconds: float) -> float:
    """BEGIN, one UPDATE, COMMIT, each client on a row of its own."""
    maker = await asyncpg.connect(url)
    await maker.execute("CREATE TABLE IF NOT EXISTS yardstick (id int PRIMARY KEY, n bigint NOT NULL DEFAULT 0)")
    await maker.execute("INSERT INTO yardstick SELECT generate_series(1, $1::int) ON CONFLICT DO NOTHING", CLIENTS)
    await maker.close()
    ends = time.monotonic() + seconds

    async def client(number: int) -> int:
        connection = await asyncpg.connect(url)
        done = 0
        while time.monotonic() < ends:
            async with connection.transaction():
                await connection.execute("UPDATE yardstick SET n = n + 1 WHERE id = $1", number)
            done += 1
        await connection.close()
        return done

    return sum(await asyncio.gather(*(client(number + 1) for number in range(CLIENTS)))) / seconds


# -- RabbitMQ ----------------------------------------------------------------------------------------------------


async def roundtrips(url: str, seconds: float) -> float:
    """Bare aio-pika on a quorum queue: published, confirmed, delivered and acknowledged."""
    connection = await aio_pika.connect(url)
    async with connection:
        out, into = await connection.channel(publisher_confirms=True), await connection.channel()
        await into.set_qos(prefetch_count=2 * AT_ONCE)
        queue = await into.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        arrived: dict[str, asyncio.Future[None]] = {}
        loop = asyncio.get_running_loop()

        async def hear(message: AbstractIncomingMessage) -> None:
            await message.ack()
            if message.message_id in arrived and not (future := arrived[message.message_id]).done():
                future.set_result(None)

        tag = await queue.consume(hear)
        began = time.monotonic()

        async def client(number: int) -> int:
            done = 0
            while time.monotonic() < began + seconds:
                id_ = f"{number}-{done}"
                arrived[id_] = loop.create_future()
                message = aio_pika.Message(BODY, message_id=id_, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await out.default_exchange.publish(message, QUEUE, mandatory=True)
                await arrived[id_]
                del arrived[id_]
                done += 1
            return done

        done = sum(await asyncio.gather(*(client(number) for number in range(AT_ONCE))))
        took = time.monotonic() - began
        await queue.cancel(tag)
        await queue.delete(if_unused=False, if_empty=False)
        return done / took

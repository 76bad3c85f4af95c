"""Servers of our own serve, survive the faults of chaos tests, and leave nothing behind, not even after SIGKILL."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import asyncpg
import psutil
import pytest

from services.sandbox import servers_docker
from services.sandbox.keeper import MARK, marked
from services.sandbox.servers import Servers, ServersUnavailable, bring
from tests.support.login import log_in

GONE_WITHIN_S = 30.0
STANDARD = {5432, 5672, 15672, 25672, 4369}


@pytest.fixture(scope="module", params=["private", "docker"])
def own(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """Of both kinds, whatever the rest of the suite runs on; containers where an engine answers."""
    if request.param == "docker" and (reason := servers_docker.why_not(print)) is not None:
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAYBILL_SERVERS", request.param)
        with bring(fsync=False) as brought:
            assert brought.how == request.param
            yield brought
            before = living(brought)
        assert before, "the test looked at nothing"
    assert not [pid for pid in before if psutil.pid_exists(pid) and not is_zombie(pid)]


def living(own: Servers) -> list[int]:
    """Every process of the servers: what pids() names, their children, and what carries their mark (epmd)."""
    roots = [psutil.Process(pid) for pids in own.pids().values() for pid in pids]
    found = {process.pid for root in roots for process in (root, *root.children(recursive=True))}
    if own.how == "private":
        [rabbitmq] = own.pids()["rabbitmq"]
        found |= {process.pid for process in marked(Path(psutil.Process(rabbitmq).environ()[MARK]))}
    return sorted(found)


def is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def select_one(own: Servers) -> int:
    connection = await asyncpg.connect(own.database_url, timeout=20)
    try:
        return int(await connection.fetchval("SELECT 1"))
    finally:
        await connection.close()


async def there_and_back(own: Servers) -> bytes:
    connection = await aio_pika.connect(own.amqp_url, timeout=20)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(b"hello"), routing_key=queue.name, timeout=20)
        async with asyncio.timeout(20), queue.iterator(no_ack=True) as messages:
            async for message in messages:
                return message.body
        raise AssertionError("the iterator ended")


async def test_both_servers_serve(own: Servers) -> None:
    assert await select_one(own) == 1
    assert await there_and_back(own) == b"hello"


async def test_no_standard_port_and_loopback_only(own: Servers) -> None:
    ports = {urlsplit(url).port for url in (own.database_url, own.amqp_url, own.management_url) if url}
    assert len(ports) == (3 if own.management_url else 2)
    assert not ports & STANDARD
    addresses = {str(address) for _, _, _, _, (address, *_) in socket.getaddrinfo(socket.gethostname(), None)}
    for outside in addresses - {"127.0.0.1", "127.0.1.1", "::1"}:
        for port in ports:
            with pytest.raises(OSError):
                socket.create_connection((outside, port), timeout=5).close()


async def test_private_processes_listen_on_loopback_only(own: Servers) -> None:
    if own.how != "private":
        pytest.skip("a container listens inside its own network")
    listening = [
        connection.laddr
        for pid in living(own)
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3  # PostgreSQL, AMQP, Erlang's distribution and its port mapper
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}
    assert not {address.port for address in listening} & STANDARD


async def test_definitions_are_imported(own: Servers) -> None:
    own.broker_definitions(
        {
            "vhosts": [{"name": "imported"}],
            "permissions": [
                {"user": "waybill", "vhost": "imported", "configure": ".*", "write": ".*", "read": ".*"},
            ],
            "queues": [{"name": "here", "vhost": "imported", "durable": True, "auto_delete": False, "arguments": {}}],
        }
    )
    connection = await aio_pika.connect(own.amqp_url + "imported", timeout=20)
    async with connection:
        channel = await connection.channel()
        assert (await channel.declare_queue("here", passive=True)).declaration_result.message_count == 0
    own.delete_vhost("imported")
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await log_in(own.amqp_url + "imported")


async def test_the_broker_stops_and_starts_on_the_same_port(own: Servers) -> None:
    own.stop_broker()
    assert own.pids()["rabbitmq"] == []
    with pytest.raises(OSError):
        await log_in(own.amqp_url)
    own.start_broker()
    assert await there_and_back(own) == b"hello"


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_postgresql_restarts_with_its_data(own: Servers, mode: str) -> None:
    connection = await asyncpg.connect(own.database_url, timeout=20)
    await connection.execute(f"CREATE TABLE kept_{mode} AS SELECT 7 AS seven")
    own.restart_postgres(mode)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")
    connection.terminate()
    again = await asyncpg.connect(own.database_url, timeout=20)
    assert await again.fetchval(f"SELECT seven FROM kept_{mode}") == 7
    await again.close()


def test_nothing_stays_when_the_owner_is_killed() -> None:
    program = textwrap.dedent(
        """
        import sys
        from services.sandbox.servers import bring
        with bring(fsync=False, say=lambda text: None) as servers:
            print(*[pid for pids in servers.pids().values() for pid in pids], flush=True)
            sys.stdin.read()
        """
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "WAYBILL_SERVERS": "private"},
    )
    assert owner.stdin is not None and owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert len(pids) == 2
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    owner.stdin.close()
    owner.stdout.close()
    eventually(lambda: all(not psutil.pid_exists(pid) or is_zombie(pid) for pid in pids))


def test_half_a_pair_of_urls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYBILL_SERVERS", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("AMQP_URL", "amqp://nowhere/")
    with pytest.raises(ServersUnavailable, match="belong together"), bring():
        pass


def test_given_servers_are_used_and_not_harmed(monkeypatch: pytest.MonkeyPatch, own: Servers) -> None:
    monkeypatch.delenv("WAYBILL_SERVERS", raising=False)
    monkeypatch.setenv("AMQP_URL", own.amqp_url)
    monkeypatch.setenv("DATABASE_URL", own.database_url)
    monkeypatch.delenv("MANAGEMENT_URL", raising=False)
    with bring(say=lambda text: None) as given:
        assert (given.how, given.amqp_url, given.database_url) == ("given", own.amqp_url, own.database_url)
        for harm in (given.stop_broker, given.start_broker, given.restart_postgres):
            with pytest.raises(ServersUnavailable):
                harm()
    assert psutil.pid_exists(own.pids()["postgresql"][0])


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GONE_WITHIN_S
    while not true():
        assert time.monotonic() < deadline, f"still not so after {GONE_WITHIN_S:.0f} s"
        time.sleep(0.05)

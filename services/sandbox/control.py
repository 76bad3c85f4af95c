"""What can be done to a pair of servers is one protocol; private, Docker and given servers differ only behind it."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import random
import socket
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

HOST = "127.0.0.1"
# Below the kernel's ephemeral range: a broker that is stopped for a minute must find its port free again,
# not taken by somebody's outgoing connection.
PORTS = range(20_000, 32_000)
NEVER = frozenset({25_672, 27_017, 27_018, 28_015, 28_017})  # the standard ports inside that range
READY_WITHIN_S = 120.0


class ServersUnavailable(RuntimeError):
    """No RabbitMQ or PostgreSQL could be brought; the text says what to do."""


class Control(Protocol):
    """The hooks behind `Servers`: faults for chaos tests, definitions, process ids."""

    def stop_broker(self) -> None: ...
    def start_broker(self) -> None: ...
    def restart_postgres(self, mode: str) -> None: ...
    def broker_definitions(self, definitions: Mapping[str, Any]) -> None: ...
    def delete_vhost(self, name: str) -> None: ...
    def pids(self) -> dict[str, list[int]]: ...


_held: dict[int, IO[str]] = {}


def free_port() -> int:
    """A loopback port nobody listens on, never a standard one, and never one that was given out before, here or in
    another run beside this one: who asked for it may not listen yet, or be dead for a moment."""
    chance = random.SystemRandom()  # a test that seeds `random` must not make every process try the same ports
    for _ in range(200):
        port = chance.choice(PORTS)
        if port in NEVER or port in _held or not _hold(port):  # not even for a look is a port bound that others hold
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
                return port
            except OSError:
                _held.pop(port).close()
    raise ServersUnavailable(f"no free port on {HOST} between {PORTS.start} and {PORTS.stop}")


def _hold(port: int) -> bool:
    """A lock on a file of the port's name, as long as this process lives."""
    folder = Path(tempfile.gettempdir()) / f"waybill-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = (folder / str(port)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _held[port] = lock
    return True


def wait_until(ready: Callable[[], bool], what: str, within_s: float = READY_WITHIN_S) -> None:
    """Poll `ready` until it is true; bounded, and the error says what was waited for."""
    deadline = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > deadline:
            raise ServersUnavailable(f"{what} was not ready within {within_s:.0f} s")
        time.sleep(0.05)


def amqp_answers(port: int, host: str = HOST) -> bool:
    """True when the broker greets with Connection.Start: an open port alone is not yet a broker."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame; a refusal would answer 'A'
    except OSError:
        return False


class ManagementApi:
    """The four calls of RabbitMQ's HTTP API that provisioning needs, synchronous and bounded."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        user = urllib.parse.unquote(parts.username or "guest")
        password = urllib.parse.unquote(parts.password or "guest")
        host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else (parts.hostname or HOST)
        netloc = f"{host}:{parts.port}" if parts.port else host
        self.base = f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"
        self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, timeout_s: float = 30.0) -> Any:
        request = urllib.request.Request(self.base + path, method=method)
        request.add_header("Authorization", self._authorization)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refusal:
            detail = refusal.read().decode(errors="replace")[:500]
            raise ServersUnavailable(f"{method} {self.base}{path} -> {refusal.code}: {detail}") from refusal
        return json.loads(text) if text else None

    def is_administrator(self) -> bool:
        try:
            me = self.call("GET", "/api/whoami", timeout_s=3)
        except (OSError, ValueError, ServersUnavailable):
            return False
        return isinstance(me, dict) and "administrator" in str(me.get("tags"))

    def has_vhost(self, name: str) -> bool:
        return any(vhost["name"] == name for vhost in self.call("GET", "/api/vhosts?columns=name"))

    def import_definitions(self, definitions: Mapping[str, Any]) -> None:
        self.call("POST", "/api/definitions", definitions)

    def delete_vhost(self, name: str) -> None:
        self.call("DELETE", f"/api/vhosts/{urllib.parse.quote(name, safe='')}")

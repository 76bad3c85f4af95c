"""Servers as containers on free loopback ports, through testcontainers where it is installed, else `docker run`."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from services.sandbox.control import HOST, ManagementApi, ServersUnavailable, amqp_answers, free_port, wait_until
from services.sandbox.keeper import CONTAINERS, Keeper
from services.sandbox.private_postgresql import SETTINGS
from services.sandbox.private_rabbitmq import ERLANG
from services.sandbox.servers_private import make_folder

POSTGRES_IMAGE = "postgres:17-alpine"
RABBITMQ_IMAGE = "rabbitmq:4-management"
PULL_WITHIN_S = 60.0
NOT_IN_A_CONTAINER = {"listen_addresses", "unix_socket_directories", "logging_collector"}


@dataclass(frozen=True)
class Wanted:
    """A container to be: image, command, environment and which port of it appears on which of ours."""

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ports: Mapping[int, int]  # inside -> on loopback


def why_not(say: Callable[[str], None]) -> str | None:
    """None if containers can be had; otherwise the reason. A client without an engine is not "Docker present"."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    try:
        engine = _docker("version", "--format", "{{.Server.Version}}", within_s=10)
    except (subprocess.TimeoutExpired, OSError):
        return "the Docker engine did not answer within 10 s"
    if engine.returncode != 0 or not engine.stdout.strip():
        return "no Docker engine answers"
    deadline = time.monotonic() + PULL_WITHIN_S
    for image in (POSTGRES_IMAGE, RABBITMQ_IMAGE):
        if _docker("image", "inspect", image, within_s=20).returncode == 0:
            continue
        say(f"pulling {image} …")
        try:
            pulled = _docker("pull", "--quiet", image, within_s=max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return f"the image {image} is not here and did not arrive within {PULL_WITHIN_S:.0f} s"
        if pulled.returncode != 0:
            return f"the image {image} is not here and cannot be pulled: {pulled.stderr.strip()[-200:]}"
    return None


class DockerControl:
    def __init__(self, postgres: str, rabbitmq: str, amqp_port: int, api: ManagementApi) -> None:
        self._postgres = postgres
        self._rabbitmq = rabbitmq
        self._amqp_port = amqp_port
        self._api = api

    def stop_broker(self) -> None:
        _must("stop", "-t", "30", self._rabbitmq)

    def start_broker(self) -> None:
        _must("start", self._rabbitmq)
        self.wait_for_broker()

    def restart_postgres(self, mode: str) -> None:
        signals = {"smart": "TERM", "fast": "INT", "immediate": "QUIT"}
        if mode not in signals:
            raise ValueError(f"mode is one of {', '.join(signals)}, not {mode!r}")
        _must("kill", "--signal", signals[mode], self._postgres)
        _must("wait", self._postgres)
        _must("start", self._postgres)
        self.wait_for_postgres()

    def broker_definitions(self, definitions: Mapping[str, Any]) -> None:
        self._api.import_definitions(definitions)

    def delete_vhost(self, name: str) -> None:
        self._api.delete_vhost(name)

    def pids(self) -> dict[str, list[int]]:
        return {"postgresql": self._host_pids(self._postgres), "rabbitmq": self._host_pids(self._rabbitmq)}

    def wait_for_broker(self) -> None:
        wait_until(lambda: amqp_answers(self._amqp_port) and self._api.is_administrator(), "RabbitMQ in its container")

    def wait_for_postgres(self) -> None:
        """Over TCP, for the image's first start serves its own preparation on the socket only."""
        wait_until(
            lambda: (
                _docker("exec", self._postgres, "pg_isready", "-q", "-h", HOST, "-U", "waybill", within_s=20).returncode
                == 0
            ),
            "PostgreSQL in its container",
        )

    def _host_pids(self, container: str) -> list[int]:
        """Visible only where the engine runs on this machine's own kernel and process table."""
        pid = _docker("inspect", "--format", "{{.State.Pid}}", container, within_s=20).stdout.strip()
        return [int(pid)] if pid.isdigit() and int(pid) > 0 and psutil.pid_exists(int(pid)) else []


@contextmanager
def docker_servers(*, fsync: bool, say: Callable[[str], None]) -> Iterator[tuple[str, str, str, DockerControl]]:
    """Both containers, removed by the keeper however the block ends."""
    folder = make_folder(None)
    keeper = Keeper(folder)
    try:
        password = secrets.token_urlsafe(18)
        postgres_port, amqp_port, management_port = free_port(), free_port(), free_port()
        start, by = _starter()
        postgres = start(_postgres(password, postgres_port, fsync), folder)
        rabbitmq = start(_rabbitmq(password, amqp_port, management_port), folder)
        management_url = f"http://waybill:{password}@{HOST}:{management_port}"
        control = DockerControl(postgres, rabbitmq, amqp_port, ManagementApi(management_url))
        control.wait_for_postgres()
        control.wait_for_broker()
        say(f"{POSTGRES_IMAGE} on port {postgres_port} and {RABBITMQ_IMAGE} on port {amqp_port}, containers by {by}")
        yield (
            f"postgresql://waybill:{password}@{HOST}:{postgres_port}/postgres",
            f"amqp://waybill:{password}@{HOST}:{amqp_port}/",
            management_url,
            control,
        )
    finally:
        keeper.close()


def _postgres(password: str, port: int, fsync: bool) -> Wanted:
    settings = {name: value for name, value in SETTINGS.items() if name not in NOT_IN_A_CONTAINER}
    settings |= {} if fsync else {"fsync": "off", "full_page_writes": "off"}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    environment = {"POSTGRES_USER": "waybill", "POSTGRES_PASSWORD": password, "POSTGRES_DB": "postgres"}
    return Wanted(POSTGRES_IMAGE, ("postgres", *arguments), environment, {5432: port})


def _rabbitmq(password: str, amqp_port: int, management_port: int) -> Wanted:
    environment = {
        "RABBITMQ_DEFAULT_USER": "waybill",
        "RABBITMQ_DEFAULT_PASS": password,
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
    }
    return Wanted(RABBITMQ_IMAGE, (), environment, {5672: amqp_port, 15672: management_port})


def _starter() -> tuple[Callable[[Wanted, Path], str], str]:
    try:
        import testcontainers.core.container  # noqa: F401
    except ImportError:
        return _by_command, "docker run"
    return _by_testcontainers, "testcontainers"


def _by_testcontainers(wanted: Wanted, folder: Path) -> str:
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer

    testcontainers_config.ryuk_disabled = True  # our keeper removes them, and needs no image of its own
    container = (
        DockerContainer(wanted.image).with_command(list(wanted.command)).with_name(f"waybill-{secrets.token_hex(4)}")
    )
    for name, value in wanted.environment.items():
        container = container.with_env(name, value)
    for inside, outside in wanted.ports.items():
        # with_bind_ports() would open it on every interface; the engine takes a pair where the type says a number
        container.ports[str(inside)] = (HOST, outside)  # type: ignore[assignment]
    container.start()
    identity = str(container.get_wrapped_container().id)
    _list(folder, identity)
    return identity


def _by_command(wanted: Wanted, folder: Path) -> str:
    variables = [part for name in wanted.environment for part in ("--env", name)]  # values by environment, not argv
    ports = [part for inside, outside in wanted.ports.items() for part in ("--publish", f"{HOST}:{outside}:{inside}")]
    name = f"waybill-{secrets.token_hex(4)}"
    _list(folder, name)  # before it exists: a kill in between leaves nothing behind
    _must(
        "run",
        "--detach",
        "--name",
        name,
        *variables,
        *ports,
        wanted.image,
        *wanted.command,
        environment=wanted.environment,
    )
    return name


def _list(folder: Path, container: str) -> None:
    with (folder / CONTAINERS).open("a") as listed:
        listed.write(container + "\n")


def _docker(
    *arguments: str, within_s: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )


def _must(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    done = _docker(*arguments, within_s=120, environment=environment)
    if done.returncode != 0:
        raise ServersUnavailable(f"docker {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()

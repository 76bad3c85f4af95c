"""RabbitMQ and PostgreSQL for demo, tests and benchmarks, from what this machine has; never a foreign server's data.

In this order: the servers named by AMQP_URL and DATABASE_URL; containers, if a Docker engine answers; private servers
on free loopback ports. `WAYBILL_SERVERS=docker` or `=private` forces one. What was brought is gone afterwards, even
if this process is killed.
"""

from __future__ import annotations

import os
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from services.sandbox.control import Control, ManagementApi, ServersUnavailable
from services.sandbox.servers_private import THREE_WAYS, private_servers

__all__ = ["Servers", "ServersUnavailable", "bring"]


@dataclass(frozen=True)
class Servers:
    """A database server and a broker we may administer, and the faults a chaos test may do to them."""

    database_url: str = field(repr=False)  # owner, postgresql://
    amqp_url: str = field(repr=False)  # administrator
    management_url: str | None = field(
        repr=False
    )  # http://user:password@host:port of the management API, if there is one
    how: str  # "given", "docker" or "private"
    control: Control = field(repr=False)

    def stop_broker(self) -> None:
        self.control.stop_broker()

    def start_broker(self) -> None:
        self.control.start_broker()

    def restart_postgres(self, mode: str = "immediate") -> None:
        """Stop PostgreSQL in pg_ctl's `mode` (smart, fast, immediate) and start it again."""
        self.control.restart_postgres(mode)

    def broker_definitions(self, definitions: Mapping[str, Any]) -> None:
        """Import vhosts, users, permissions, exchanges, queues and bindings as RabbitMQ exports them."""
        self.control.broker_definitions(definitions)

    def new_vhost(self, name: str, definitions: Mapping[str, Any]) -> None:
        """Import definitions that make the vhost `name`; one that is already there is not ours, and is left alone."""
        if self.management_url is not None and ManagementApi(self.management_url).has_vhost(name):
            raise ServersUnavailable(f"the broker already has a vhost {name!r}; it is left alone")
        self.control.broker_definitions(definitions)

    def delete_vhost(self, name: str) -> None:
        self.control.delete_vhost(name)

    def pids(self) -> dict[str, list[int]]:
        """Root process ids by server, for CPU accounting; empty lists where they cannot be seen from here."""
        return self.control.pids()


class GivenControl:
    """Somebody else's servers: definitions yes, faults no."""

    def __init__(self, management: ManagementApi | None) -> None:
        self._management = management

    def stop_broker(self) -> None:
        self._refuse("stopped")

    def start_broker(self) -> None:
        self._refuse("started")

    def restart_postgres(self, mode: str) -> None:
        self._refuse("restarted")

    def broker_definitions(self, definitions: Mapping[str, Any]) -> None:
        self._api().import_definitions(definitions)

    def delete_vhost(self, name: str) -> None:
        self._api().delete_vhost(name)

    def pids(self) -> dict[str, list[int]]:
        return {"postgresql": [], "rabbitmq": []}

    def _api(self) -> ManagementApi:
        if self._management is None:
            raise ServersUnavailable(
                "the broker of AMQP_URL needs users and a vhost of ours, which only its management API can make: "
                "set MANAGEMENT_URL=http://user:password@host:15672"
            )
        return self._management

    def _refuse(self, what: str) -> None:
        raise ServersUnavailable(f"servers given by AMQP_URL and DATABASE_URL are not {what} by us")


def bring(*, fsync: bool = True, say: Callable[[str], None] = print) -> AbstractContextManager[Servers]:
    """The servers, for as long as the returned context is open. `fsync=False` is for throw-away test databases only."""
    return _bring(fsync, say)


@contextmanager
def _bring(fsync: bool, say: Callable[[str], None]) -> Iterator[Servers]:
    forced = os.environ.get("WAYBILL_SERVERS", "")
    if forced not in ("", "docker", "private"):
        raise ServersUnavailable(f"WAYBILL_SERVERS is docker or private, not {forced!r}")
    amqp_url, database_url = os.environ.get("AMQP_URL"), os.environ.get("DATABASE_URL")
    if not forced and amqp_url and database_url:
        say("servers: those of AMQP_URL and DATABASE_URL, as they are")
        yield _given(amqp_url, database_url)
        return
    if not forced and (amqp_url or database_url):
        raise ServersUnavailable("AMQP_URL and DATABASE_URL belong together: give both or none")
    started = time.monotonic()

    def say_ready() -> None:
        say(f"servers ready in {time.monotonic() - started:.1f} s")

    if forced != "private":
        from services.sandbox import servers_docker  # only here: most machines never need it

        if (why_not := servers_docker.why_not(say)) is None:
            with servers_docker.docker_servers(fsync=fsync, say=say) as servers_found:
                database_url, amqp_url, management_url, docker = servers_found
                say_ready()
                yield Servers(database_url, amqp_url, management_url, "docker", docker)
            return
        if forced == "docker":
            raise ServersUnavailable(f"WAYBILL_SERVERS=docker, but {why_not}.\n{THREE_WAYS}")
        say(f"no containers: {why_not}")
    with private_servers(fsync=fsync, say=say) as (database_url, amqp_url, private):
        say_ready()
        yield Servers(database_url, amqp_url, None, "private", private)


def _given(amqp_url: str, database_url: str) -> Servers:
    """Without MANAGEMENT_URL the usual place is asked: same host and user, port 15672."""
    management_url = os.environ.get("MANAGEMENT_URL")
    if not management_url:
        parts = urllib.parse.urlsplit(amqp_url)
        host = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
        guess = f"http://{host}:15672"
        management_url = guess if ManagementApi(guess).is_administrator() else None
    management = ManagementApi(management_url) if management_url else None
    return Servers(database_url, amqp_url, management_url, "given", GivenControl(management))

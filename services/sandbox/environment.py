"""One database and one vhost of our own on whatever servers there are, and a pair of URLs for each service.

Roles and users belong to the whole server, so every environment of one `Servers` object uses the same passwords:
a second environment must not lock out the first.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import urllib.parse
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import asyncpg

from services.sandbox.control import ManagementApi, ServersUnavailable
from services.sandbox.servers import Servers
from shared.provision import SERVICES, migrate, role_of
from shared.topology import definitions

STOREFRONT: Final = "demo-shop"  # a storefront is a RabbitMQ user, and its name is its messages' source
WAREHOUSE: Final = "warehouse"  # the sandbox 3PL
STOCK_SOURCE: Final = "stock-source"  # who reports stock by message
OUTSIDERS: Final[Mapping[str, str]] = {
    "STOREFRONT_AMQP_URL": STOREFRONT,
    "WAREHOUSE_AMQP_URL": WAREHOUSE,
    "STOCK_SOURCE_AMQP_URL": STOCK_SOURCE,
}
USERS: Final = (*SERVICES, *OUTSIDERS.values())
CONNECT_WITHIN_S: Final = 30.0


@dataclass(frozen=True)
class Environment:
    """Where this run's services find their own database role and broker user."""

    name: str
    env: dict[str, str]
    servers: Servers = field(repr=False)

    def drop(self) -> None:
        """Remove database and vhost; roles and users stay, for other environments of these servers use them."""
        _drop_database(self.servers, self.name)
        self.servers.delete_vhost(self.name)


def prepare(servers: Servers, name: str) -> Environment:
    """Create database and vhost `name`, run every migration, declare the topology, and say who connects how."""
    passwords = _passwords(servers)
    _execute(servers.database_url, f'CREATE DATABASE "{name}"')
    owner_url = with_path(servers.database_url, name)
    try:
        with ThreadPoolExecutor(2) as both:
            migrated = both.submit(migrate, owner_url, passwords)
            provisioned = both.submit(servers.new_vhost, name, broker_of(name, passwords, servers.amqp_url))
        migrated.result()
        provisioned.result()
    except BaseException:
        _drop_database(servers, name)  # half an environment is of no use, and on given servers it would stay
        raise
    env = {"DATABASE_URL": owner_url, "AMQP_URL": with_path(servers.amqp_url, name)}
    for service in SERVICES:
        prefix = service.upper()
        env[f"{prefix}_DATABASE_URL"] = as_user(owner_url, role_of(service), passwords[service])
        env[f"{prefix}_AMQP_URL"] = as_user(env["AMQP_URL"], service, passwords[service])
    for variable, user in OUTSIDERS.items():
        env[variable] = as_user(env["AMQP_URL"], user, passwords[user])
    if servers.management_url is not None:
        env["MANAGEMENT_URL"] = servers.management_url
    return Environment(name, env, servers)


def provision(environ: Mapping[str, str]) -> None:
    """Make given servers ready (`oms migrate`): broker by MANAGEMENT_URL, passwords from ORDER_PASSWORD and so on."""
    asked = ("DATABASE_URL", "AMQP_URL", "MANAGEMENT_URL", *map(password_variable, USERS))
    if missing := [name for name in asked if not environ.get(name)]:
        raise ServersUnavailable(f"to be set: {', '.join(missing)}")
    passwords = {user: environ[password_variable(user)] for user in USERS}
    vhost = urllib.parse.unquote(urllib.parse.urlsplit(environ["AMQP_URL"]).path.removeprefix("/")) or "/"
    migrate(environ["DATABASE_URL"], passwords)
    management = ManagementApi(environ["MANAGEMENT_URL"])
    management.import_definitions(broker_of(vhost, passwords, environ["AMQP_URL"]))


def broker_of(vhost: str, passwords: Mapping[str, str], administrator_url: str) -> dict[str, Any]:
    """The topology's definitions, and the administrator's right to look into the vhost they make."""
    administrator = urllib.parse.unquote(urllib.parse.urlsplit(administrator_url).username or "guest")
    found = definitions(vhost, passwords)
    all_of_it = {"user": administrator, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
    return {**found, "permissions": [*found["permissions"], all_of_it]}


def password_variable(user: str) -> str:
    """`demo-shop` -> DEMO_SHOP_PASSWORD."""
    return f"{user.upper().replace('-', '_')}_PASSWORD"


def with_path(url: str, path: str) -> str:
    """The same server and user, another database or vhost."""
    return urllib.parse.urlunsplit(urllib.parse.urlsplit(url)._replace(path="/" + urllib.parse.quote(path, safe="")))


def as_user(url: str, user: str, password: str) -> str:
    """The same database or vhost as somebody else."""
    parts = urllib.parse.urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    who = f"{urllib.parse.quote(user, safe='')}:{urllib.parse.quote(password, safe='')}"
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{who}@{place}"))


_by_servers: WeakKeyDictionary[object, dict[str, str]] = WeakKeyDictionary()


def _passwords(servers: Servers) -> dict[str, str]:
    """Random, once per `Servers`; ORDER_PASSWORD and the like are taken if set, for servers that outlive this run."""
    known = _by_servers.get(servers.control)
    if known is None:
        known = {user: os.environ.get(password_variable(user)) or secrets.token_urlsafe(18) for user in USERS}
        _by_servers[servers.control] = known
    return known


def _drop_database(servers: Servers, name: str) -> None:
    _execute(servers.database_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _execute(url: str, statement: str) -> None:
    """One statement, no transaction; in a thread of its own, for the caller may be inside a running event loop."""

    async def run() -> None:
        connection = await asyncpg.connect(url, timeout=CONNECT_WITHIN_S)
        try:
            await connection.execute(statement, timeout=CONNECT_WITHIN_S)
        finally:
            await connection.close(timeout=CONNECT_WITHIN_S)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()

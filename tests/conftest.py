"""What many tests share: one set of servers for the whole session, brought only when a test asks for it."""

import secrets
from collections.abc import Iterator

import pytest

from services.sandbox.environment import Environment, prepare
from services.sandbox.servers import Servers, bring


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A PostgreSQL and a RabbitMQ that a test may use as it likes; each test makes its own database and vhost."""
    with bring(fsync=False) as brought:
        yield brought


@pytest.fixture(scope="module")
def environment(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Environment]:
    """A migrated database and a provisioned vhost of this module's own."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    made = prepare(servers, f"{name}_{secrets.token_hex(3)}")
    yield made
    made.drop()

"""What many tests share: one set of servers for the whole session, brought only when a test asks for it."""

from collections.abc import Iterator

import pytest

from services.sandbox.servers import Servers, bring


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A PostgreSQL and a RabbitMQ that a test may use as it likes; each test makes its own database and vhost."""
    with bring(fsync=False) as brought:
        yield brought

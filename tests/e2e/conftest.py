"""What is looked at from outside when a test has no system of its own: everything, as an operator set it up."""

from collections.abc import Iterator

import pytest

from services.sandbox.servers import Servers
from tests.support.terminal import System, a_system


@pytest.fixture(scope="module")
def system(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with a_system(servers, tmp_path_factory.mktemp("cli")) as made:
        yield made

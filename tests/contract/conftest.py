"""The providers that many contracts are tested with."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.provider_rigs import HttpRig, Rig
from tests.support.rigs import rig_of, starting
from tests.support.sandbox_wire import Start


@pytest_asyncio.fixture(params=["http", "scripted", "stripe"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig_of(request.param) as started:
        yield started


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Start]:
    async with starting(HttpRig) as begin:
        yield begin

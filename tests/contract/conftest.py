"""The providers that many contracts are tested with."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.provider_rigs import HttpRig, Rig, ScriptedRig
from tests.support.sandbox_wire import Start
from tests.support.stripe_rig import StripeRig


@pytest_asyncio.fixture(params=["http", "scripted", "stripe"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "scripted":
        yield ScriptedRig()
        return
    started = await (HttpRig() if request.param == "http" else StripeRig()).start()
    yield started
    await started.stop()


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Start]:
    started: list[HttpRig] = []

    async def begin(**settings: Any) -> HttpRig:
        started.append(await HttpRig(**settings).start())
        return started[-1]

    yield begin
    for rig in started:
        await rig.stop()

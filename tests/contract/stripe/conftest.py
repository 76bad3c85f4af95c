"""Stripe alone, for the contracts that only it keeps."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio

from tests.support.rigs import starting
from tests.support.stripe_rig import StripeRig

Start = Callable[..., Awaitable[StripeRig]]


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Start]:
    async with starting(StripeRig) as begin:
        yield begin


@pytest_asyncio.fixture
async def rig(start: Start) -> StripeRig:
    return await start()

"""Every provider a contract is tested with, by name, started and stopped."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from services.payment.provider.bank import BankTransfer
from tests.support.provider_rigs import HttpRig, Rig, ScriptedRig
from tests.support.stripe_rig import StripeRig

Started = TypeVar("Started", HttpRig, StripeRig)


class BankRig(ScriptedRig):
    """The books of a bank are its statements: here there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = BankTransfer()


@asynccontextmanager
async def rig_of(name: str) -> AsyncIterator[Rig]:
    match name:
        case "scripted":
            yield ScriptedRig()
        case "bank":
            yield BankRig()
        case "http":
            async with starting(HttpRig) as start:
                yield await start()
        case "stripe":
            async with starting(StripeRig) as start:
                yield await start()
        case _:
            raise ValueError(f"no provider is called {name!r}")


@asynccontextmanager
async def starting(make: type[Started]) -> AsyncIterator[Callable[..., Awaitable[Started]]]:
    """What starts a rig under settings; all that were started are stopped."""
    started: list[Started] = []

    async def start(**settings: Any) -> Started:
        started.append(await make(**settings).start())
        return started[-1]

    yield start
    for rig in started:
        await rig.stop()

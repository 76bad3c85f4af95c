"""Answers that no Stripe would give, and a proxy may: nothing of it is an outcome, and nothing of it is raised."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from services.payment.provider.port import (
    AuthorizeRequest,
    CaptureRequest,
    ProviderAnswer,
    RefundRequest,
    SettlementsUnavailable,
    Unknown,
    VoidRequest,
)
from services.payment.provider.stripe import StripeProvider, StripeProviderSettings
from tests.support.crowd import Crowd
from tests.support.provider_rigs import PATIENCE_S

pytestmark = pytest.mark.asyncio

REQUEST = AuthorizeRequest(1000, "EUR", "pm_card_visa", "order-1", True)
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def stripe_that(says: Handler, connections: int = 64) -> AsyncIterator[StripeProvider]:
    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", says)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with StripeProvider(
            StripeProviderSettings("sk_test_1", url=url, timeout_s=PATIENCE_S, connections=connections)
        ) as provider:
            yield provider
    finally:
        await runner.cleanup()


async def every_call(provider: StripeProvider) -> list[ProviderAnswer]:
    return [
        await provider.prepare("k", REQUEST),
        await provider.authorize("k", REQUEST),
        await provider.authorize("k", AuthorizeRequest(1000, "EUR", "pm_1", "order-1", True, None, "pi_1")),
        await provider.capture("k", CaptureRequest("pi_1", 5)),
        await provider.void("k", VoidRequest("pi_1")),
        await provider.refund("k", RefundRequest("pi_1", 5)),
        await provider.withdraw("k", "a"),
        await provider.find("pi_1"),
    ]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 408, 409, 429, 500, 502, 503])
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b"{}", b'{"error":null}', b'{"error":"no"}', b'{"error":{}}', b"\xff\xfe"],
)
async def test_an_answer_that_is_none_is_not_knowing(status: int, body: bytes) -> None:
    async def say(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, content_type="application/json")

    async with stripe_that(say) as provider:
        answers = await every_call(provider)
        assert [answer for answer in answers if not isinstance(answer, Unknown)] == []
        with pytest.raises(SettlementsUnavailable):
            await provider.list_settlements(SINCE)


async def test_a_decline_that_cannot_be_read_is_not_knowing() -> None:
    async def say(request: web.Request) -> web.Response:
        return web.json_response({"error": {"type": "card_error", "decline_code": 7}}, status=402)

    async with stripe_that(say) as provider:
        assert await provider.authorize("k", REQUEST) == Unknown("unreadable answer")


@pytest.mark.parametrize("id_", ["../refunds", "x?key=y", "..", "", "x/capture", "ü"])
async def test_an_id_cannot_lead_to_another_address(id_: str) -> None:
    asked: list[str] = []

    async def say(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=500)

    async with stripe_that(say) as provider:
        assert isinstance(await provider.find(id_), Unknown)
        assert isinstance(await provider.void("k", VoidRequest(id_)), Unknown)
    assert asked == []


async def test_connections_are_bounded() -> None:
    crowd = Crowd(2)
    async with stripe_that(crowd.keep_waiting, connections=2) as provider:
        answers = await crowd.answers(provider.prepare(str(n), REQUEST) for n in range(6))
    assert {type(answer) for answer in answers} == {Unknown} and crowd.most == 2

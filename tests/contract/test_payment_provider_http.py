"""What only the wire can show: silence, broken answers, signatures, notices sent again, and books that survive."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiohttp import web

from services.payment.provider.port import (
    Captured,
    Impossible,
    ProviderAnswer,
    RefundRequest,
    Unknown,
    VoidRequest,
)
from services.payment.provider.sandbox import ANSWER_LIMIT, SandboxProvider, SandboxProviderSettings
from tests.support.crowd import Crowd
from tests.support.provider_rigs import PATIENCE_S, SECRET, HttpRig
from tests.support.sandbox_wire import BODY, REQUEST, Start

pytestmark = pytest.mark.asyncio

OVER_HTTP = {
    "reference": "order-1",
    "amount_minor": 1000,
    "currency": "EUR",
    "token": "tok_ok",
    "capture": True,
    "webhook_url": None,
}


async def post(rig: HttpRig, path: str, body: Any, key: str | None = "key") -> tuple[int, bytes]:
    headers = {} if key is None else {"Idempotency-Key": key}
    async with rig.session.post(path, json=body, headers=headers) as response:
        return response.status, await response.read()


class TestTheServer:
    async def test_the_same_key_replays_the_same_bytes_whatever_the_order_of_the_fields(self, start: Start) -> None:
        rig = await start()
        first = await post(rig, "/payments", OVER_HTTP)
        assert first[0] == 200
        assert await post(rig, "/payments", dict(reversed(OVER_HTTP.items()))) == first

    async def test_a_reused_key_is_a_conflict(self, start: Start) -> None:
        rig = await start()
        await post(rig, "/payments", OVER_HTTP)
        assert await post(rig, "/payments", OVER_HTTP | {"capture": False}) == (409, b'{"error":"key_reused"}')

    async def test_a_call_without_a_key_is_refused(self, start: Start) -> None:
        rig = await start()
        status, body = await post(rig, "/payments", OVER_HTTP, key=None)
        assert (status, body) == (400, b'{"error":"idempotency_key_missing"}')
        assert (await rig.books())["payments"] == []

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("amount_minor", 0),
            ("amount_minor", -5),
            ("amount_minor", "1000"),
            ("amount_minor", 10.5),
            ("amount_minor", 10**15 + 1),
            ("currency", "eur"),
            ("reference", ""),
            ("token", "t" * 256),
            ("surprise", 1),
        ],
    )
    async def test_a_body_that_is_wrong_names_the_field(self, start: Start, field: str, value: Any) -> None:
        rig = await start()
        status, body = await post(rig, "/payments", OVER_HTTP | {field: value})
        assert (status, orjson.loads(body)) == (400, {"error": "bad_request", "fields": [field]})
        assert (await rig.books())["payments"] == []

    async def test_a_body_too_large_is_refused(self, start: Start) -> None:
        rig = await start()
        status, _ = await post(rig, "/payments", OVER_HTTP | {"token": "t" * 70_000})
        assert status == 413

    async def test_a_payment_is_found_by_key(self, start: Start) -> None:
        rig = await start()
        _, body = await post(rig, "/payments", OVER_HTTP)
        async with rig.session.get("/payments", params={"key": "key"}) as found:
            assert (found.status, await found.read()) == (200, body)
        async with rig.session.get("/payments", params={"key": "other"}) as found:
            assert found.status == 404

    async def test_a_pending_payment_is_settled_by_reference(self, start: Start) -> None:
        rig = await start()
        await post(rig, "/payments", OVER_HTTP | {"token": "tok_pending"})
        status, body = await post(rig, "/script/settle", {"reference": "order-1", "paid": True}, key=None)
        assert (status, orjson.loads(body)["status"]) == (200, "captured")
        status, _ = await post(rig, "/script/settle", {"reference": "order-1", "paid": True}, key=None)
        assert status == 404  # nothing pending is left

    async def test_it_is_healthy(self, start: Start) -> None:
        rig = await start()
        async with rig.session.get("/health") as health:
            assert health.status == 200

    async def test_all_payments_can_have_webhooks(self, start: Start) -> None:
        rig = await start(webhooks_for_all=True)
        paid = await rig.provider.authorize("a", replace(REQUEST, webhook_url=rig.webhook_url))
        assert isinstance(paid, Captured)
        [first] = await rig.notices(1)
        await rig.provider.refund("r", RefundRequest(paid.provider_payment_id, 100))
        [second] = await rig.notices(1)
        await rig.provider.authorize("d", replace(REQUEST, token="tok_declined", webhook_url=rig.webhook_url))
        [declined] = await rig.notices(1)
        held = await rig.provider.authorize("b", replace(REQUEST, capture=False, webhook_url=rig.webhook_url))
        [third] = await rig.notices(1)
        await rig.provider.void("v", VoidRequest(third.provider_payment_id))
        [fourth] = await rig.notices(1)
        assert held == third.answer
        told = [notice.type.removeprefix("payment.") for notice in (first, second, declined, third, fourth)]
        assert told == ["captured", "refunded", "failed", "authorized", "voided"]


class TestNoticesOnTheWire:
    async def test_a_notice_is_signed_after_standard_webhooks(self, start: Start) -> None:
        rig = await start()
        await rig.provider.authorize("a", replace(REQUEST, token="tok_webhook_first", webhook_url=rig.webhook_url))
        [(headers, body)] = rig.receiver.raw
        signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
        digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
        assert headers["webhook-id"] == orjson.loads(body)["id"]

    async def test_the_notice_comes_before_the_answer(self, start: Start) -> None:
        rig = await start()
        answered_when_told: list[bool] = []
        call: asyncio.Task[ProviderAnswer]

        async def told(request: web.Request) -> web.Response:
            answered_when_told.append(call.done())
            return web.Response(status=204)

        async with merchant(told) as url:
            request = replace(REQUEST, token="tok_webhook_first", webhook_url=f"{url}/hook")
            call = asyncio.create_task(rig.provider.authorize("a", request))
            assert isinstance(await call, Captured)
        assert answered_when_told == [False]

    async def test_a_notice_is_sent_again_until_it_is_taken(self, start: Start) -> None:
        rig = await start()
        rig.receiver.answers = [500, 404, 302, 503]
        await rig.provider.authorize("a", replace(REQUEST, token="tok_webhook_first", webhook_url=rig.webhook_url))
        heard = await rig.notices(5)
        assert len({notice.id for notice in heard}) == 1

    async def test_a_notice_is_given_up_after_its_tries(self, start: Start) -> None:
        rig = await start(webhook_tries=3)
        rig.receiver.answers = [500] * 10
        await rig.provider.authorize("a", replace(REQUEST, token="tok_webhook_first", webhook_url=rig.webhook_url))
        await rig.notices(3)

    async def test_an_address_where_nobody_listens_does_not_hold_the_answer(self, start: Start) -> None:
        rig = await start(webhook_tries=2)
        nobody = replace(REQUEST, token="tok_webhook_first", webhook_url="http://127.0.0.1:1/hook")
        assert isinstance(await rig.provider.authorize("a", nobody), Captured)
        no_address = replace(REQUEST, token="tok_webhook_first", webhook_url="not an address")
        assert isinstance(await rig.provider.authorize("b", no_address), Captured)
        await rig.notices(0)


class merchant:
    """Any server for one test: `async with merchant(handler) as url`."""

    def __init__(self, handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        self._runner = web.ServerRunner(web.Server(handle))  # type: ignore[arg-type]  # requests are BaseRequest here

    async def __aenter__(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def answered_with(status: int, body: bytes) -> ProviderAnswer:
    async def say(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"location": "/elsewhere"})

    async with merchant(say) as url, SandboxProvider(SandboxProviderSettings(url, PATIENCE_S)) as provider:
        return await provider.authorize("a", REQUEST)


class TestTheClient:
    async def test_silence_beyond_the_timeout_is_unknown_and_asking_again_tells(self, start: Start) -> None:
        rig = await start(hang_s=3600.0)
        hanging = replace(REQUEST, token="tok_do_then_timeout")
        async with SandboxProvider(SandboxProviderSettings(rig.url, timeout_s=0.3)) as impatient:
            assert await impatient.authorize("a", hanging) == Unknown("timeout")
        assert isinstance(await rig.provider.authorize("a", hanging), Captured)
        assert len((await rig.books())["entries"]) == 2

    async def test_what_was_done_is_settled_and_told_though_its_caller_hung_up(self, start: Start) -> None:
        rig, calls = await start(settle_after_s=0.01), 30
        host, port = rig.url.removeprefix("http://").split(":")
        for number in range(calls):
            asked = {"reference": "o", "amount_minor": 1, "currency": "EUR", "token": "tok_pending_then_paid"}
            body = orjson.dumps({**asked, "capture": True, "webhook_url": rig.webhook_url})
            head = (
                f"POST /payments HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k{number}\r\nContent-Length: {len(body)}\r\n"
            )
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
            await writer.drain()
            await asyncio.sleep(0)  # it is read, and then nobody is there
            writer.transport.abort()
        told = {notice.answer for notice in await rig.notices(calls)}
        assert told == {Captured(payment["id"], 1) for payment in (await rig.books())["payments"]}

    async def test_a_server_that_stops_while_a_call_hangs_is_unknown(self, start: Start) -> None:
        rig = await start(hang_s=3600.0, webhooks_for_all=True)
        hanging = replace(REQUEST, token="tok_do_then_timeout", webhook_url=rig.webhook_url)
        call = asyncio.create_task(rig.provider.authorize("a", hanging))
        await rig.notices(1)  # so it was done, and now hangs
        await rig.server.stop()
        assert isinstance(await call, Unknown)

    async def test_a_server_that_is_not_there_is_unknown(self) -> None:
        async with SandboxProvider(SandboxProviderSettings("http://127.0.0.1:1")) as provider:
            answers = [
                await provider.authorize("a", REQUEST),
                await provider.refund("r", RefundRequest("pay_1", 5)),
                await provider.find("pay_1"),
            ]
        assert [type(answer) for answer in answers] == [Unknown] * 3
        assert [getattr(answer, "provider_payment_id", 0) for answer in answers] == [None, "pay_1", "pay_1"]

    @pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 502, 503])
    async def test_only_a_named_refusal_is_an_outcome(self, status: int) -> None:
        assert await answered_with(status, b'{"error":"key_reused"}') == Unknown(f"http {status}")

    @pytest.mark.parametrize("status", [400, 409])
    async def test_a_named_refusal_is_impossible(self, status: int) -> None:
        assert await answered_with(status, b'{"error":"bad_request"}') == Impossible("bad_request")

    @pytest.mark.parametrize("status", [200, 409])
    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id":"pay_1"}', b"\xff\xfe"])
    async def test_an_answer_that_cannot_be_read_is_unknown(self, status: int, body: bytes) -> None:
        assert await answered_with(status, body) == Unknown("unreadable answer")

    async def test_an_endless_answer_is_not_read_to_its_end(self) -> None:
        assert await answered_with(200, b" " * (ANSWER_LIMIT + 1)) == Unknown("answer too large")

    async def test_a_status_we_do_not_know_is_unknown(self) -> None:
        shown = orjson.loads(BODY)["payment"] | {"status": "disputed", "something": "new"}
        assert await answered_with(200, orjson.dumps(shown)) == Unknown("unknown status disputed", "pay_1")

    async def test_an_id_cannot_lead_to_another_address(self, start: Start) -> None:
        rig = await start()
        assert await rig.provider.find("../health") == Unknown("http 404", "../health")
        assert await rig.provider.find("x?key=y") == Unknown("http 404", "x?key=y")

    async def test_connections_are_bounded(self) -> None:
        crowd = Crowd(2)
        async with (
            merchant(crowd.keep_waiting) as url,
            SandboxProvider(SandboxProviderSettings(url, PATIENCE_S, connections=2)) as provider,
        ):
            answers = await crowd.answers(provider.authorize(str(n), REQUEST) for n in range(6))
        assert {type(answer) for answer in answers} == {Unknown} and crowd.most == 2

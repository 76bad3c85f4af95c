"""What the sandbox provider settles is what its books say, page by page, and a part of it is never taken for all."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.payment.provider.port import AuthorizeRequest, Captured, RefundRequest, SettlementsUnavailable
from services.payment.provider.sandbox import SandboxProvider, SandboxProviderSettings
from services.sandbox import provider_settlements
from tests.support.provider_rigs import HttpRig

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
async def rig() -> AsyncIterator[HttpRig]:
    made = await HttpRig().start()
    yield made
    await made.stop()


async def paid(rig: HttpRig, amount_minor: int, token: str = "tok_ok") -> str:
    request = AuthorizeRequest(amount_minor, "EUR", token, str(uuid4()), capture=True)
    answer = await rig.provider.authorize(str(uuid4()), request)
    return answer.provider_payment_id if isinstance(answer, Captured) else ""


async def test_captures_come_in_less_their_fee_and_refunds_go_out(rig: HttpRig) -> None:
    id_ = await paid(rig, 1000)
    await paid(rig, 500, "tok_declined")
    await rig.provider.refund(str(uuid4()), RefundRequest(id_, 300))
    first, second = await rig.client.list_settlements(YESTERDAY)
    assert (first.kind, first.amount_minor, first.fee_minor, first.provider_payment_id) == ("payment", 1000, 39, id_)
    assert (second.kind, second.amount_minor, second.fee_minor, second.currency) == ("refund", -300, 0, "EUR")
    assert first.reference == second.reference != ""
    assert await rig.client.list_settlements(datetime.now(UTC) + timedelta(days=1)) == []


async def test_pages_are_put_together_and_ids_stay(rig: HttpRig, monkeypatch: pytest.MonkeyPatch) -> None:
    for amount_minor in (100, 200, 300, 400, 500):
        await paid(rig, amount_minor)
    whole = await rig.client.list_settlements(YESTERDAY)
    monkeypatch.setattr(provider_settlements, "PAGE", 2)
    assert await rig.client.list_settlements(YESTERDAY) == whole
    assert [one.amount_minor for one in whole] == [100, 200, 300, 400, 500]
    assert await rig.client.list_settlements(whole[3].occurred_at) == whole[3:]


async def test_a_part_is_no_list(rig: HttpRig, monkeypatch: pytest.MonkeyPatch) -> None:
    await paid(rig, 100)
    await paid(rig, 200)
    monkeypatch.setattr(provider_settlements, "PAGE", 1)
    monkeypatch.setattr("services.payment.provider.sandbox.SETTLEMENT_PAGES", 1)
    with pytest.raises(SettlementsUnavailable):
        await rig.client.list_settlements(YESTERDAY)
    async with SandboxProvider(SandboxProviderSettings("http://127.0.0.1:9", timeout_s=2)) as nobody:
        with pytest.raises(SettlementsUnavailable):
            await nobody.list_settlements(YESTERDAY)


async def test_what_is_asked_wrongly_is_refused(rig: HttpRig) -> None:
    for query in ("", "?since=yesterday", "?since=2026-01-01T00:00:00", "?since=2026-01-01T00:00:00Z&after=-1"):
        async with rig.session.get(f"/settlements{query}") as answer:
            assert answer.status == 400

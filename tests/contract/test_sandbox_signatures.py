"""A notice is believed when its signature proves it, and never otherwise."""

from datetime import datetime, timedelta

import pytest

from services.payment.provider.port import WEBHOOK_BODY_LIMIT, BadNotice, BadSignature, Captured
from services.payment.provider.sandbox import verify_webhook
from services.sandbox.provider_webhooks import sign
from tests.support.provider_rigs import SECRET
from tests.support.sandbox_wire import BODY, NOW

pytestmark = pytest.mark.asyncio


def headers(body: bytes = BODY, at: datetime = NOW, secret: str = SECRET) -> dict[str, str]:
    timestamp_s = int(at.timestamp())
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(secret, "evt_1", timestamp_s, body),
    }


class TestVerifyingANotice:
    async def test_a_rightly_signed_notice_is_read(self) -> None:
        notice = verify_webhook(SECRET, headers(), BODY, NOW)
        assert notice.answer == Captured("pay_1", 1000)
        assert (notice.id, notice.authorize_key, notice.created) == ("evt_1", "attempt-1", NOW)

    async def test_header_names_are_read_in_any_case(self) -> None:
        assert verify_webhook(SECRET, {k.title(): v for k, v in headers().items()}, BODY, NOW).id == "evt_1"

    async def test_one_of_several_signatures_is_enough(self) -> None:
        several = headers() | {"webhook-signature": f"v1a,abc v1,def {headers()['webhook-signature']}"}
        assert verify_webhook(SECRET, several, BODY, NOW).id == "evt_1"

    @pytest.mark.parametrize("age_s", [-300, 300])
    async def test_the_tolerance_is_a_tolerance(self, age_s: int) -> None:
        assert verify_webhook(SECRET, headers(at=NOW - timedelta(seconds=age_s)), BODY, NOW).id == "evt_1"

    @pytest.mark.parametrize(
        ("given", "body"),
        [
            pytest.param(headers(), BODY.replace(b"1000", b"9999"), id="body changed"),
            pytest.param(headers(secret="guessed"), BODY, id="other secret"),
            pytest.param(headers() | {"webhook-id": "evt_2"}, BODY, id="id changed"),
            pytest.param(headers() | {"webhook-timestamp": str(int(NOW.timestamp()) + 1)}, BODY, id="time changed"),
            pytest.param(headers(at=NOW - timedelta(seconds=301)), BODY, id="too old"),
            pytest.param(headers(at=NOW + timedelta(seconds=301)), BODY, id="from the future"),
            pytest.param(headers() | {"webhook-timestamp": "yesterday"}, BODY, id="time is no number"),
            pytest.param(headers() | {"webhook-timestamp": "9" * 400}, BODY, id="time without end"),
            pytest.param(headers() | {"webhook-signature": ""}, BODY, id="no signature"),
            pytest.param(headers() | {"webhook-signature": "v1,"}, BODY, id="empty signature"),
            pytest.param(headers() | {"webhook-signature": "v1,ü"}, BODY, id="signature is not ascii"),
            pytest.param(
                headers() | {"webhook-signature": headers()["webhook-signature"].replace("v1,", "v2,")}, BODY, id="v2"
            ),
            pytest.param({"webhook-id": "evt_1", "webhook-timestamp": "1"}, BODY, id="header missing"),
            pytest.param({}, BODY, id="no headers"),
        ],
    )
    async def test_what_is_not_proven_is_not_believed(self, given: dict[str, str], body: bytes) -> None:
        with pytest.raises(BadSignature):
            verify_webhook(SECRET, given, body, NOW)

    async def test_a_body_too_large_is_refused_before_it_is_hashed(self) -> None:
        large = b"x" * (WEBHOOK_BODY_LIMIT + 1)
        with pytest.raises(BadSignature, match="too large"):
            verify_webhook(SECRET, headers(large), large, NOW)

    @pytest.mark.parametrize("body", [b"", b"{}", b"null", b"\xff"])
    async def test_a_signed_notice_that_cannot_be_read_is_told_apart(self, body: bytes) -> None:
        with pytest.raises(BadNotice):
            verify_webhook(SECRET, headers(body), body, NOW)

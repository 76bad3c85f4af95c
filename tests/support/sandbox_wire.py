"""What the tests of the sandbox's wire share: a request, the body of a notice, and how a server is started."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson

from services.payment.provider.port import AuthorizeRequest
from tests.support.provider_rigs import HttpRig

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODY = orjson.dumps(
    {
        "id": "evt_1",
        "type": "payment.captured",
        "created": NOW.isoformat(),
        "payment": {
            "id": "pay_1",
            "key": "attempt-1",
            "status": "captured",
            "amount_minor": 1000,
            "captured_minor": 1000,
            "refunded_minor": 0,
            "voided_minor": 0,
            "currency": "EUR",
            "reference": "order-1",
            "decline_reason": None,
        },
    }
)
REQUEST = AuthorizeRequest(1000, "EUR", "tok_ok", "order-1", True, None)

Start = Callable[..., Awaitable[HttpRig]]

"""How the tests of what is Stripe's own ask it."""

from dataclasses import replace

from services.payment.provider.port import (
    Authorized,
    AuthorizeRequest,
    Captured,
    Prepared,
)
from tests.support.stripe_rig import StripeRig

REQUEST = AuthorizeRequest(1000, "EUR", "pm_card_visa", "order-1", True)
HELD = replace(REQUEST, capture=False)
PAID = [("authorize", 1000), ("capture", 1000)]


async def prepared(rig: StripeRig, request: AuthorizeRequest = REQUEST) -> AuthorizeRequest:
    answer = await rig.provider.prepare("attempt", request)
    assert isinstance(answer, Prepared)
    return replace(request, provider_payment_id=answer.provider_payment_id)


async def held(rig: StripeRig, token: str = "pm_card_visa", amount_minor: int = 1000) -> str:
    request = await prepared(rig, replace(HELD, token=token, amount_minor=amount_minor))
    answer = await rig.provider.authorize("attempt", request)
    assert answer == Authorized(request.provider_payment_id, amount_minor)
    return request.provider_payment_id


async def paid(rig: StripeRig) -> str:
    request = await prepared(rig)
    assert await rig.provider.authorize("attempt", request) == Captured(request.provider_payment_id, 1000)
    return request.provider_payment_id


async def entries(rig: StripeRig) -> list[tuple[str, int]]:
    return [(entry["kind"], entry["amount_minor"]) for entry in (await rig.books())["entries"]]


async def count_of_intents(rig: StripeRig) -> int:
    return len((await rig.their_books())["payments"])

"""How the conformance tests ask a payment provider, whichever it is, and what its books must say."""

from dataclasses import replace

from services.payment.provider.port import (
    Authorized,
    AuthorizeRequest,
    Captured,
    Declined,
    Impossible,
    Pending,
    Prepared,
    ProviderAnswer,
    Voided,
)
from tests.support.provider_rigs import Rig


def asked(rig: Rig, token: str = "tok_ok", capture: bool = True, amount_minor: int = 1000) -> AuthorizeRequest:
    return AuthorizeRequest(amount_minor, "EUR", rig.token(token), "order-1", capture, rig.webhook_url)


async def authorize(rig: Rig, key: str, request: AuthorizeRequest) -> ProviderAnswer:
    """As payment asks: prepared first, where the provider has it so."""
    if rig.provider.prepares:
        prepared = await rig.provider.prepare(key, request)
        if not isinstance(prepared, Prepared):
            return prepared
        request = replace(request, provider_payment_id=prepared.provider_payment_id)
    return await rig.provider.authorize(key, request)


def assert_key_reused(rig: Rig, answer: ProviderAnswer) -> None:
    assert type(answer) is rig.manners.key_reused
    assert "key_reused" in (getattr(answer, "error", ""), getattr(answer, "why", ""))


def assert_withdrawn(rig: Rig, answer: ProviderAnswer) -> None:
    """What an authorization hears whose key was withdrawn before it."""
    if rig.manners.has_tombstones:
        assert isinstance(answer, Declined)
        assert answer.reason == "withdrawn"
    else:
        assert isinstance(answer, Impossible)
        assert (answer.error, answer.status) == ("already_voided", "voided")


async def withdrawn_first(rig: Rig, request: AuthorizeRequest) -> None:
    """The key is withdrawn before it asks for money."""
    if not rig.manners.has_tombstones:
        prepared = await rig.provider.prepare("authorize", request)
        assert isinstance(prepared, Prepared)
        assert await rig.provider.withdraw("withdraw", "authorize") == Voided(prepared.provider_payment_id, 0)
    else:
        assert await rig.provider.withdraw("withdraw", "authorize") == Voided(None)


def done_once(rig: Rig, answers: list[ProviderAnswer]) -> ProviderAnswer:
    """The one outcome of a key that was asked many times at once."""
    busy = "http 409" if rig.manners.busy_while_in_flight else None
    known = {answer for answer in answers if getattr(answer, "why", "") != busy}
    assert len(known) == 1, answers
    return known.pop()


async def paid(rig: Rig, token: str = "tok_ok", amount_minor: int = 1000) -> str:
    answer = await authorize(rig, "authorize", asked(rig, token, True, amount_minor))
    assert isinstance(answer, Captured)
    return answer.provider_payment_id


async def authorized(rig: Rig, token: str = "tok_ok", amount_minor: int = 1000) -> str:
    answer = await authorize(rig, "authorize", asked(rig, token, False, amount_minor))
    assert isinstance(answer, Authorized)
    return answer.provider_payment_id


async def pending(rig: Rig, token: str = "tok_pending") -> str:
    answer = await authorize(rig, "authorize", asked(rig, token))
    assert isinstance(answer, Pending)
    return answer.provider_payment_id


async def entries(rig: Rig) -> list[tuple[str, int]]:
    return [(entry["kind"], entry["amount_minor"]) for entry in (await rig.books())["entries"]]


PAID = [("authorize", 1000), ("capture", 1000)]

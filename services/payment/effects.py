"""One attempt, one call: what is asked of the provider is all in the attempt's row, so asking again is the same call.

Nothing is raised for trouble of the outside. Not knowing is an outcome, and the janitor asks again under the same id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from contracts.message import Message
from contracts.payment import ProviderAnswered
from services.payment.attempt import Attempt, AttemptKind
from services.payment.domain import UNKNOWN
from services.payment.provider.port import (
    Authorized,
    AuthorizeRequest,
    Captured,
    CaptureRequest,
    Declined,
    Failed,
    Impossible,
    PaymentProvider,
    Pending,
    ProviderAnswer,
    Refunded,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
)
from services.payment.tables import ATTEMPTS
from services.payment.words import Spoken, spoken, words
from shared.effects import Effect

AT_ONCE: Final = 64
"""Calls to one provider at once. It bounds what is sold: one that takes 300 ms to answer is called 200 times a second.
It bounds how many answers share a commit, too: with 16, a checkout cost a quarter more CPU."""

Providers = Mapping[str, PaymentProvider]
"""By name, as a payment has it."""


def make_effects(providers: Providers, timeout_s: float, at_once: Mapping[str, int]) -> list[Effect[Attempt]]:
    """The calls of a running service: each provider's with a bound of their own, for one that hangs must not hold up
    the others; each call within `timeout_s` in all, whatever the adapter does."""
    return [
        Effect(
            ATTEMPTS,
            _within(timeout_s, payment_effect({name: provider})),
            at_once[name],
            only=("provider", name),
        )
        for name, provider in providers.items()
    ]


def _within(timeout_s: float, asked: Effect[Attempt]) -> Callable[[Attempt], Awaitable[Message]]:
    async def perform(attempt: Attempt) -> Message:
        try:
            async with asyncio.timeout(timeout_s):
                return await asked.perform(attempt)
        except TimeoutError:
            return _learned(attempt, Spoken(UNKNOWN, reason="timeout"))

    return perform


def payment_effect(providers: Providers, at_once: int = AT_ONCE) -> Effect[Attempt]:
    """The same without a clock: for a provider in memory, which never keeps anybody waiting."""

    async def perform(attempt: Attempt) -> Message:
        try:
            if (provider := providers.get(attempt.provider)) is None:
                return _learned(attempt, Spoken(UNKNOWN, reason=f"no provider is set up as {attempt.provider!r}"))
            # in here too, for an answer may be one that no message can hold
            return _learned(attempt, spoken(_fitting(attempt.kind, await CALLS[attempt.kind](provider, attempt))))
        except Exception as broken:  # noqa: BLE001 - an adapter's mistake must not lose the attempt: asked again, and seen
            return _learned(attempt, Spoken(UNKNOWN, reason=words(f"{type(broken).__name__}: {broken}")))

    return Effect(ATTEMPTS, perform, at_once)


def _learned(attempt: Attempt, told: Spoken) -> ProviderAnswered:
    return ProviderAnswered(
        order_id=attempt.order_id,
        attempt_id=attempt.id,
        outcome=told.word,
        provider_payment_id=told.provider_payment_id,
        reason=told.reason,
        status=told.status,
        captured_minor=told.captured_minor,
        capture_before=told.capture_before,
    )


async def prepare(provider: PaymentProvider, attempt: Attempt) -> ProviderAnswer:
    return _unless_reused(await provider.prepare(str(attempt.id), _request(attempt)))


async def authorize(provider: PaymentProvider, attempt: Attempt) -> ProviderAnswer:
    return _unless_reused(await provider.authorize(str(attempt.id), _request(attempt)))


def _request(attempt: Attempt) -> AuthorizeRequest:
    return AuthorizeRequest(
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        token=attempt.token,
        reference=str(attempt.order_id),
        capture=attempt.capture,
        webhook_url=attempt.webhook_url or None,
        provider_payment_id=attempt.provider_payment_id,
    )


def _unless_reused(answer: ProviderAnswer) -> ProviderAnswer:
    if isinstance(answer, Impossible) and answer.error == "key_reused":
        # Something was made under our id by another request of ours: "declined" could be a lie about taken money.
        return Unknown("key_reused", answer.provider_payment_id)
    return answer


async def capture(provider: PaymentProvider, attempt: Attempt) -> ProviderAnswer:
    return await provider.capture(str(attempt.id), CaptureRequest(attempt.provider_payment_id, attempt.amount_minor))


async def void(provider: PaymentProvider, attempt: Attempt) -> ProviderAnswer:
    return await provider.void(str(attempt.id), VoidRequest(attempt.provider_payment_id))


async def refund(provider: PaymentProvider, attempt: Attempt) -> ProviderAnswer:
    request = RefundRequest(attempt.provider_payment_id, attempt.amount_minor)
    answer = await provider.refund(str(attempt.id), request)
    if isinstance(answer, Impossible):
        # Refused, perhaps because another hand gave it all back: then the money is free, and only the payment says so.
        stands = await provider.find(attempt.provider_payment_id)
        if isinstance(stands, Refunded):
            return Impossible(answer.error, "refunded", stands.provider_payment_id)
    return answer


async def find(provider: PaymentProvider, attempt: Attempt) -> ProviderAnswer:
    return await provider.find(attempt.provider_payment_id)


FITTING: Final[Mapping[AttemptKind, tuple[type, ...]]] = {
    AttemptKind.CONFIRM: (Captured, Authorized, Pending, Declined, Failed, Voided, Refunded),
    AttemptKind.VOID: (Voided,),
    AttemptKind.REFUND: (Refunded,),
}
"""What these calls may be answered, besides a refusal by name or not knowing; of the others any answer is one."""


def _fitting(kind: AttemptKind, answer: ProviderAnswer) -> ProviderAnswer:
    """An answer to something else must not be taken for what was asked: it was refused, or nothing is known yet."""
    if kind not in FITTING or isinstance(answer, (*FITTING[kind], Impossible, Unknown)):
        return answer
    if isinstance(answer, Declined):
        return Impossible(answer.reason, None, answer.provider_payment_id)
    return Unknown(f"asked to {kind}, answered {type(answer).__name__.lower()}", answer.provider_payment_id)


CALLS: dict[AttemptKind, Callable[[PaymentProvider, Attempt], Awaitable[ProviderAnswer]]] = {
    AttemptKind.AUTHORIZE: authorize,
    AttemptKind.PREPARE: prepare,
    AttemptKind.CONFIRM: authorize,
    AttemptKind.CAPTURE: capture,
    AttemptKind.VOID: void,
    AttemptKind.REFUND: refund,
    AttemptKind.FIND: find,
}

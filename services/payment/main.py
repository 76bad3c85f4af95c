"""Builds the payment service from its settings: its providers' clients, and the doors for their webhooks."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from contracts.message import Message
from services.payment.domain import PaymentPolicy
from services.payment.door import door
from services.payment.effects import CallSettings, make_effect
from services.payment.handlers import make_consumer
from services.payment.provider.sandbox import SandboxProvider, SandboxProviderSettings
from services.payment.tables import SCHEMA
from shared.service import Service
from shared.settings import ServiceSettings

WEBHOOK_PATH = "/webhooks/provider"


class PaymentSettings(ServiceSettings):
    provider_url: Annotated[str, Field(min_length=1)]
    webhook_url: str = ""
    """Where the provider reaches our webhook door; empty when it can't, then only asking again tells."""
    webhook_secret: Annotated[str, Field(min_length=1, repr=False)]
    provider_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    provider_calls_at_once: Annotated[int, Field(ge=1, le=500)] = 16
    attempt_overdue_s: Annotated[float, Field(gt=0)] = 30.0
    ask_again_after_s: str = ""
    """Delays before an unknown outcome is asked for again, as ``1,2,5,15``; the last repeats."""
    pending_wait_s: Annotated[float, Field(gt=0)] = 900.0

    def policy(self) -> PaymentPolicy:
        policy = PaymentPolicy(
            pending_wait_else_s=self.pending_wait_s,
            attempt_overdue_s=self.attempt_overdue_s,
            webhook_url=self.webhook_url,
        )
        if not self.ask_again_after_s:
            return policy
        return replace(policy, schedule_s=tuple(float(part) for part in self.ask_again_after_s.split(",")))


def build() -> Service:
    """Raises pydantic's ValidationError, which names what the environment lacks."""
    settings = PaymentSettings.load("payment")
    provider = SandboxProvider(
        SandboxProviderSettings(
            url=settings.provider_url,
            timeout_s=settings.provider_timeout_s,
            connections=settings.provider_calls_at_once,
            webhook_secret=settings.webhook_secret,
        )
    )
    providers = {"sandbox": provider}
    calls = CallSettings(timeout_s=settings.provider_timeout_s + 5.0, at_once=settings.provider_calls_at_once)

    async def submit(message: Message) -> None:
        await service.submit(message)

    service = Service(
        "payment",
        make_consumer(settings.policy(), providers),
        SCHEMA,
        settings,
        effects=[make_effect(providers, calls)],
        doors=[(WEBHOOK_PATH, door("sandbox", provider, submit))],
        opens=[provider.__aenter__],
        closes=[provider.close],
    )
    return service

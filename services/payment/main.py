"""Builds the payment service from its settings: its provider's client, and the door for the provider's webhooks."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field

from services.payment.domain import PaymentPolicy
from services.payment.effects import CallSettings, make_effect
from services.payment.handlers import make_consumer
from services.payment.provider.port import BadNotice, BadSignature
from services.payment.provider.sandbox import SandboxProvider, SandboxProviderSettings
from services.payment.tables import SCHEMA
from services.payment.webhook import to_message
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
        )
    )
    providers = {"sandbox": provider}
    calls = CallSettings(timeout_s=settings.provider_timeout_s + 5.0, at_once=settings.provider_calls_at_once)

    async def webhook(request: web.Request) -> web.Response:
        """Answered only when the notice is committed, so that the provider keeps it until then."""
        body = await request.read()
        try:
            notice = to_message(settings.webhook_secret, request.headers, body, datetime.now(UTC))
        except BadSignature:
            return web.json_response({"error": "bad_signature"}, status=401)
        except BadNotice as bad:
            return web.json_response({"error": "bad_notice", "detail": str(bad)[:500]}, status=400)
        await service.submit(notice)
        return web.json_response({"heard": True})

    service = Service(
        "payment",
        make_consumer(settings.policy()),
        SCHEMA,
        settings,
        effects=[make_effect(providers, calls)],
        doors=[(WEBHOOK_PATH, webhook)],
        opens=[provider.__aenter__],
        closes=[provider.close],
    )
    return service

"""Builds the payment service from its settings: its providers' clients, and the doors for their webhooks."""

from contracts.message import Message
from services.payment.door import door
from services.payment.effects import CallSettings, make_effects
from services.payment.handlers import make_consumer
from services.payment.settings import DOORS, PaymentSettings, clients
from services.payment.tables import SCHEMA
from shared.service import Service


def build() -> Service:
    """Raises pydantic's ValidationError, which names what the environment lacks."""
    settings = PaymentSettings.load("payment")
    providers = clients(settings)
    calls = CallSettings(timeout_s=settings.provider_timeout_s + 5.0, at_once=settings.provider_calls_at_once)

    async def submit(message: Message) -> None:
        await service.submit(message)

    service = Service(
        "payment",
        make_consumer(settings.policy(providers.preparing), providers.readers),
        SCHEMA,
        settings,
        effects=make_effects(providers.found, calls),
        doors=[(DOORS[name], door(name, reader, submit)) for name, reader in providers.readers.items()],
        opens=[client.__aenter__ for client in providers.found.values()],
        closes=[client.close for client in providers.found.values()],
    )
    return service

"""Builds the payment service from its settings: its providers' clients, and the doors for their webhooks."""

from contracts.message import Message
from services.payment.door import door
from services.payment.effects import make_effects
from services.payment.handlers import make_consumer
from services.payment.settings import DOORS, PaymentSettings, clients
from services.payment.tables import SCHEMA
from shared.service import Service


def build() -> Service:
    """Raises pydantic's ValidationError, which names what the environment lacks."""
    settings = PaymentSettings.load("payment")
    providers = clients(settings)
    longest_call_s = settings.provider_timeout_s + 5.0  # over the adapter's own, which knows better what it was told

    async def submit(message: Message) -> None:
        await service.submit(message)

    service = Service(
        "payment",
        make_consumer(settings.policy(providers.preparing), providers.readers),
        SCHEMA,
        settings,
        effects=make_effects(providers.found, longest_call_s, settings.calls_at_once),
        doors=[(DOORS[name], door(name, reader, submit)) for name, reader in providers.readers.items()],
        opens=[client.__aenter__ for client in providers.found.values()],
        closes=[client.close for client in providers.found.values()],
    )
    return service

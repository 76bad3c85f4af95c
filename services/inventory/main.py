"""Builds the inventory service from its settings: with the pulls of stock feeds, and a watch over their sources."""

from services.inventory.effects import pull_effect
from services.inventory.handlers import consumer
from services.inventory.tables import SCHEMA
from services.inventory.watch import SourceWatch
from shared.service import Service
from shared.settings import ServiceSettings


def build() -> Service:
    """Raises pydantic's ValidationError, which names what the environment lacks."""
    settings = ServiceSettings.load("inventory")
    watch = SourceWatch(settings.database_url)
    return Service(
        "inventory",
        consumer,
        SCHEMA,
        settings,
        effects=[pull_effect(settings.database_url)],
        opens=[watch.start],
        closes=[watch.stop],
    )

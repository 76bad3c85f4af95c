"""Builds the inventory service from its settings."""

from services.inventory.handlers import consumer
from services.inventory.tables import SCHEMA
from shared.service import Service
from shared.settings import ServiceSettings


def build() -> Service:
    """Raises pydantic's ValidationError, which names what the environment lacks."""
    return Service("inventory", consumer, SCHEMA, ServiceSettings.load("inventory"))

"""Builds the fulfillment service from its settings."""

from services.fulfillment.handlers import consumer
from services.fulfillment.tables import SCHEMA
from shared.service import Service
from shared.settings import ServiceSettings


def build() -> Service:
    """Raises pydantic's ValidationError, which names what the environment lacks."""
    return Service("fulfillment", consumer, SCHEMA, ServiceSettings.load("fulfillment"))

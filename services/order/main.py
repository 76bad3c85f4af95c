"""Builds the order service from its settings."""

from typing import Annotated

from pydantic import Field

from services.order.domain import OrderPolicy
from services.order.handlers import make_consumer
from services.order.tables import SCHEMA
from shared.service import Service
from shared.settings import ServiceSettings


class OrderSettings(ServiceSettings):
    return_window_s: Annotated[float, Field(gt=0)] = 30 * 24 * 3600.0


def build() -> Service:
    """Raises pydantic's ValidationError, which names what the environment lacks."""
    settings = OrderSettings.load("order")
    return Service("order", make_consumer(OrderPolicy(return_window_s=settings.return_window_s)), SCHEMA, settings)

"""Builds the orchestrator from its settings."""

from typing import Annotated

from pydantic import Field

from services.orchestrator.handlers import CheckoutPolicy, make_consumer
from services.orchestrator.tables import SCHEMA
from shared.service import Service
from shared.settings import ServiceSettings


class OrchestratorSettings(ServiceSettings):
    hold_for_s: Annotated[float, Field(gt=0)] = 900.0
    """How long a checkout keeps its stock while the money is not there."""
    hold_for_s_by_storefront: str = ""
    """Exceptions, as ``shop-a=600,shop-b=1200``."""

    shortage_answer_s: Annotated[float, Field(gt=0)] = 48 * 3600.0
    """How long a customer may think about what to do about a shortage; silence means the money back."""

    def policy(self) -> CheckoutPolicy:
        pairs = [pair.partition("=") for pair in self.hold_for_s_by_storefront.split(",") if pair.strip()]
        by_storefront = tuple((name.strip(), float(seconds)) for name, _, seconds in pairs)
        return CheckoutPolicy(self.hold_for_s, by_storefront, answer_within_s=self.shortage_answer_s)


def build() -> Service:
    """Raises pydantic's ValidationError, which names what the environment lacks."""
    settings = OrchestratorSettings.load("orchestrator")
    return Service("orchestrator", make_consumer(settings.policy()), SCHEMA, settings)

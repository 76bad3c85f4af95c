"""Settings come from the environment: `ORDER_DATABASE_URL` for the order service, else `DATABASE_URL`; so one
process may hold every service, each with its own role and user."""

import os
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Read from the environment by `load`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def load(cls, service: str, environ: Mapping[str, str] | None = None) -> Self:
        """Raises pydantic's ValidationError, which names what is missing."""
        environ = os.environ if environ is None else environ
        found: dict[str, str] = {}
        for name in cls.model_fields:
            for key in (f"{service}_{name}".upper(), name.upper()):
                if environ.get(key):
                    found[name] = environ[key]
                    break
        return cls.model_validate(found)


class ServiceSettings(Settings):
    """What every service needs; a service adds its own by inheriting."""

    database_url: Annotated[str, Field(min_length=1, repr=False)]
    amqp_url: Annotated[str, Field(min_length=1, repr=False)]
    http_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Health, metrics and webhooks; 0 takes a free port, which is logged."""
    http_host: str = "127.0.0.1"
    batch_messages: Annotated[int, Field(ge=1, le=2000)] = 256
    """Most messages decided in one transaction: bounds memory, locks and the latency a message adds to its
    neighbours."""
    prefetch: Annotated[int, Field(ge=1, le=2000)] = 100
    """AMQP messages waiting in the process; a pack counts as one."""
    retry_for_s: Annotated[float, Field(gt=0)] = 600.0
    """How long a message may wait for what it is about before it is refused or parked."""

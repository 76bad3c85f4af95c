"""Where each service keeps its rows, and how an operator reaches them: through the service's own role."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
import typer
from rich.console import Console
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from shared.provision import sqlalchemy_url
from shared.topology import QUEUES

CONNECT_WITHIN_S: Final = 10
ANSWER_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """One service's schema."""

    service: str
    schema: str

    @property
    def variable(self) -> str:
        return f"{self.service.upper()}_DATABASE_URL"

    def url(self, env: Mapping[str, str]) -> str | None:
        return env.get(self.variable) or env.get("DATABASE_URL")


PLACES: Final = (
    Place("order", "orders"),
    Place("inventory", "inventory"),
    Place("payment", "payments"),
    Place("fulfillment", "fulfillment"),
    Place("orchestrator", "sagas"),
)
BY_SERVICE: Final = {place.service: place for place in PLACES}
FOREIGN_QUEUES: Final = frozenset({"storefront.requests", "order.requests", "warehouse.reports", "stock.reports"})
"""Queues that others publish to: their messages carry ids of their own kind."""

assert {queue.name for queue in QUEUES} >= FOREIGN_QUEUES

errors = Console(stderr=True)


def fail(why: str) -> typer.Exit:
    """Say it on stderr; raise what is returned."""
    errors.print(why, style="bold red", highlight=False, markup=False)
    return typer.Exit(2)


def reachable(env: Mapping[str, str] | None = None) -> list[Place]:
    """Services whose database the environment names; at least one, or a clear error."""
    env = os.environ if env is None else env
    found = [place for place in PLACES if place.url(env)]
    if not found:
        names = ", ".join(place.variable for place in PLACES)
        raise fail(f"no database is named: set {names} (each service's own role), or DATABASE_URL")
    return found


@asynccontextmanager
async def reading(
    place: Place, env: Mapping[str, str] | None = None, *, within_s: float = ANSWER_WITHIN_S
) -> AsyncIterator[AsyncConnection]:
    """A connection as this service's role; its transaction commits when the context ends. `within_s`: the longest one
    question may take."""
    url = place.url(os.environ if env is None else env)
    if url is None:
        raise fail(f"to be set: {place.variable} (or DATABASE_URL), the {place.service} service's database")
    engine = create_async_engine(
        sqlalchemy_url(url), poolclass=NullPool, connect_args={"timeout": CONNECT_WITHIN_S, "command_timeout": within_s}
    )
    try:
        async with engine.begin() as connection:
            yield connection
    except (OSError, TimeoutError) as away:
        raise fail(f"the {place.service} service's database cannot be reached: {away or type(away).__name__}") from away
    except DBAPIError as refused:
        raise fail(f"{place.service}: {str(refused.orig)[:300]}") from refused
    except SQLAlchemyError as error:
        raise fail(f"{place.service}: {error}") from error
    finally:
        await engine.dispose()


async def rows(connection: AsyncConnection, query: str, **parameters: object) -> list[sa.RowMapping]:
    """Every row of a query, by column name."""
    return list((await connection.execute(sa.text(query), parameters)).mappings())

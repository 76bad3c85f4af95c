"""Builds the inventory service from its settings: the strategy that routes orders, and the solver where it may be
asked."""

import asyncio
from typing import Annotated

from pydantic import Field

from services.inventory.effects import SOLVER_S, make_effect
from services.inventory.handlers import make_consumer
from services.inventory.pulls import pull_effect
from services.inventory.routing.places import gazetteer
from services.inventory.routing.search import WORK
from services.inventory.routing.strategy import RoutingPolicy, StrategyName
from services.inventory.search import SqlPromiseBook, search_effect
from services.inventory.shortages import Rule
from services.inventory.tables import SCHEMA
from services.inventory.watch import SourceWatch
from shared.service import Service
from shared.settings import ServiceSettings


class InventorySettings(ServiceSettings):
    shortage_rule: Rule = Rule.LATEST
    """Whose promise is broken first when units are not there after all."""
    routing: StrategyName = StrategyName.PRIORITY
    routing_work: Annotated[int, Field(ge=1, le=10_000_000)] = WORK
    """Nodes times lines times warehouses that the exact search may look at inside a decision."""
    routing_solver_s: Annotated[float, Field(gt=0, le=20)] = SOLVER_S
    """Work the solver may put into one proposal."""

    def policy(self) -> RoutingPolicy:
        return RoutingPolicy(strategy=self.routing, work=self.routing_work)


def build() -> Service:
    """Raises pydantic's ValidationError, which names what the environment lacks."""
    settings = InventorySettings.load("inventory")
    watch = SourceWatch(settings.database_url)
    return Service(
        "inventory",
        make_consumer(settings.policy()),
        SCHEMA,
        settings,
        effects=[
            pull_effect(settings.database_url),
            search_effect(SqlPromiseBook(settings.database_url, settings.shortage_rule)),
            *([make_effect(settings.routing_solver_s)] if settings.routing is StrategyName.CHEAPEST else []),
        ],
        opens=[
            watch.start,
            # where places matter they are read before the first order comes: not while its shelves are locked
            *([] if settings.routing is StrategyName.PRIORITY else [lambda: asyncio.to_thread(gazetteer)]),
        ],
        closes=[watch.stop],
    )

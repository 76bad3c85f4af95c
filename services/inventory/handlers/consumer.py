"""The registration table: the other files of this room write into it, under the usual policy."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, cast

from contracts.feeds import STOCK_REPORTS
from services.inventory.routing.strategy import RoutingPolicy
from shared.consumer import Consumer, Says


def _empty() -> Consumer:
    return Consumer("inventory", queues=("inventory", STOCK_REPORTS), outside=frozenset({STOCK_REPORTS}))


consumer: Final = _empty()


def make_consumer(policy: RoutingPolicy) -> Consumer:
    """The same table under another policy: a decision that routes has a parameter of that name."""
    made = _empty()
    for key, hearing in consumer.hearings.items():
        routes = "policy" in inspect.signature(hearing.decide).parameters
        decide = cast("Callable[..., Says]", hearing.decide)
        made.hearings[key] = replace(hearing, decide=partial(decide, policy=policy)) if routes else hearing
    return made

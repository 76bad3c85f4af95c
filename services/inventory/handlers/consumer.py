"""The registration table: the other files of this room write into it, under the usual policy."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, cast

from services.inventory.routing.strategy import RoutingPolicy
from shared.consumer import Consumer, Says

consumer: Final = Consumer("inventory")


def make_consumer(policy: RoutingPolicy) -> Consumer:
    """The same table under another policy: a decision that routes has a parameter of that name."""
    made = Consumer("inventory")
    for key, hearing in consumer.hearings.items():
        routes = "policy" in inspect.signature(hearing.decide).parameters
        decide = cast("Callable[..., Says]", hearing.decide)
        made.hearings[key] = replace(hearing, decide=partial(decide, policy=policy)) if routes else hearing
    return made

"""The registration table: the other files of this room write into it, under the usual policy."""

import inspect
from dataclasses import replace
from functools import partial
from typing import Final

from services.inventory.routing.strategy import RoutingPolicy
from shared.consumer import Consumer, Handler

consumer: Final = Consumer("inventory")


def make_consumer(policy: RoutingPolicy) -> Consumer:
    """The same table under another policy: a decision that routes has a parameter of that name."""
    made = Consumer("inventory")
    for key, hearing in consumer.hearings.items():
        routes = "policy" in inspect.signature(hearing.decide).parameters
        decide: Handler = partial(hearing.decide, policy=policy) if routes else hearing.decide
        made.hearings[key] = replace(hearing, decide=decide)
    return made

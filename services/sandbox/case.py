"""One run of a scenario: what a storefront asked, the words it heard, and whether it is over and ended as it should.

A *word* is an event's short name, with what matters of it: ``confirmed``, ``confirmed backorder``, ``shipped in 2``,
``cancelled expired``, ``refused key_reused``, ``refund above_refundable``, ``unreadable malformed_json``.
"""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.checkout import PlaceCheckout, RequestRefund
from services.sandbox.shopper import Heard, Saying, content_of


@dataclass(eq=False)
class Case:
    """One run of a scenario: what was asked and what was heard so far."""

    scenario: "Scenario"
    rng: random.Random
    key: str
    checkout: dict[str, Any] = field(default_factory=dict)
    order_id: str = ""
    words: dict[str, int] = field(default_factory=dict)
    details: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """What the first event of each topic had to say beyond the state of the order."""
    placed_at: float = 0.0
    confirmed_at: float = 0.0
    said: list[tuple[str, str, str]] = field(default_factory=list)
    """(kind, key, content) of every request that must be answered by name."""
    answered: set[str] = field(default_factory=set)
    is_over: bool = False

    def heard(self, event: Heard) -> list[Saying]:
        """What the storefront says because of it."""
        word = word_of(event)
        first = word not in self.words
        self.answered.add(event.key)
        self.words[word] = self.words.get(word, 0) + 1
        self.details.setdefault(event.topic, event.body.get("detail", {}))
        self.order_id = self.order_id or str(event.body.get("order_id", ""))
        then = self.scenario.then.get(word)
        said = self.ask(then(self)) if then is not None and first else []
        self.is_over = self.is_as_expected or bool(self.unexpected)
        return said

    def begin(self) -> list[Saying]:
        return self.ask(self.scenario.first(self))

    def ask(self, sayings: list[Saying]) -> list[Saying]:
        for saying in sayings:
            if (kept := _asked(saying)) is not None:
                self.said.append(kept)
        return sayings

    @property
    def is_open(self) -> bool:
        """Its stock is held, and its money is on the way."""
        return (
            bool(self.scenario.places_an_order and not self.confirmed_at and not self.scenario.idles)
            and not self.is_over
        )

    @property
    def is_as_expected(self) -> bool:
        ended = any(all(word in self.words for word in end) for end in self.scenario.ends)
        return ended and not self.unexpected and self.answered.issuperset(key for _, key, _ in self.said)

    @property
    def unexpected(self) -> list[str]:
        """Endings this scenario does not have."""
        known = {word for end in self.scenario.ends for word in end}
        return [word for word in self.words if word.partition(" ")[0] in ENDINGS and word not in known]


ENDINGS: Final = frozenset({"cancelled", "refused", "unreadable", "refund", "returned"})


@dataclass(frozen=True)
class Scenario:
    """`ends`: ways it may end, each a list of words. `per_240`: how many of 240 orders go this way (0: the rest).
    `exactly`: words that must be heard by so many cases, no more and no fewer. `parks`: under which reason its
    messages are kept for a person. `idles`: it ends only when its reservation expires, so it is begun first.
    `moves`: how many units per case must have moved in the end, by kind of movement and SKU."""

    name: str
    what: str
    per_240: int
    ends: tuple[tuple[str, ...], ...]
    first: Callable[[Case], list[Saying]]
    then: Mapping[str, Callable[[Case], list[Saying]]] = field(default_factory=dict)
    exactly: Mapping[str, int] = field(default_factory=dict)
    parks: str = ""
    places_an_order: bool = True
    idles: bool = False
    moves: Mapping[tuple[str, str], int] = field(default_factory=dict)


def word_of(event: Heard) -> str:
    """The event as a scenario writes it."""
    domain, _, name = event.topic.partition(".")
    reason = str(event.body.get("reason", ""))
    detail = event.body.get("detail", {})
    match name:
        case "message_refused":
            return f"unreadable {reason}"
        case "refund_concluded":
            return "refund done" if event.body.get("refunded") else f"refund {reason}"
        case "refused" | "cancelled":
            return f"{name} {reason}"
        case "shortage_settled":
            return f"settled {detail.get('outcome', '')}"
        case "confirmed" if detail:  # by SKU, how many come later, by when and why
            return f"confirmed {', '.join(sorted({said.rpartition(', ')[2] for said in detail.values()}))}"
        case "shipped" if (parcels := len(detail.get("tracking_number", "").split(", "))) > 1:
            return f"shipped in {parcels}"
    return name if domain in ("order", "checkout") else event.topic


def _asked(saying: Saying) -> tuple[str, str, str] | None:
    """Under which kind and key this request must be answered; None where an order's events are the answer."""
    try:
        body = json.loads(saying.body)
        readable = isinstance(body, dict) and saying.source == "" and len(saying.body) < 200_000
    except ValueError:
        readable = False
    content = content_of(saying.body)
    if not readable or saying.id.startswith(BAD):
        return "message", saying.id, content
    if saying.type == RequestRefund.full_type:
        return "refund", body["refund_id"], content
    if saying.type == PlaceCheckout.full_type or body.get("checkout_id", "").startswith("unknown-"):
        return "checkout", body["checkout_id"], content
    return None


BAD: Final = "bad-"
"""Message ids of what nobody can read begin like this, so that the storefront knows its refusal again."""

"""An attempt is one request to the provider: its state says what we know of the call, its id is the idempotency key."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

from shared.machine import Machine


class AttemptKind(StrEnum):
    AUTHORIZE = "authorize"
    PREPARE = "prepare"  # where the provider makes a payment first, and holds or takes it when it is confirmed
    CONFIRM = "confirm"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    FIND = "find"  # how a pending payment stands: its notice may be lost


MADE_BY: Final = frozenset({AttemptKind.AUTHORIZE, AttemptKind.PREPARE})
"""Under the id of such an attempt the provider knows the payment."""
FIRST: Final = frozenset({AttemptKind.AUTHORIZE, AttemptKind.PREPARE, AttemptKind.CONFIRM})
"""Before these are known there is nothing to give back, and nobody to tell but who asked."""


class AttemptState(StrEnum):
    OPEN = "open"  # to be called by a worker
    CALLING = "calling"  # a worker has it, or died with it
    UNKNOWN = "unknown"  # called, and not known what came of it: asked again at `next_at` under the same id
    KNOWN = "known"
    WITHDRAWN = "withdrawn"  # never called, and never will be


ATTEMPT: Final = Machine(
    "attempt",
    AttemptState,
    start=AttemptState.OPEN,
    moves=[
        (AttemptState.OPEN, "take", AttemptState.CALLING),
        (AttemptState.OPEN, "withdraw", AttemptState.WITHDRAWN),
        (AttemptState.OPEN, "learn", AttemptState.KNOWN),  # an earlier call was answered after all
        (AttemptState.CALLING, "learn", AttemptState.KNOWN),
        (AttemptState.CALLING, "lose", AttemptState.UNKNOWN),
        (AttemptState.CALLING, "ask again", AttemptState.OPEN),
        (AttemptState.UNKNOWN, "learn", AttemptState.KNOWN),
        (AttemptState.UNKNOWN, "ask again", AttemptState.OPEN),
    ],
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to the provider; its id is the idempotency key, so everything that makes the request is kept here."""

    id: UUID
    order_id: UUID
    kind: AttemptKind
    refund_id: UUID | None
    amount_minor: int
    currency: str
    token: str
    webhook_url: str
    provider_payment_id: str
    state: AttemptState
    outcome: str
    tries: int
    """How often it was handed back to be called again; an open attempt with none was never called."""
    next_at: datetime
    """When its timer rings, unless it is known before."""
    provider: str = ""
    capture: bool = True
    """Whether authorizing takes the money at once."""
    version: int = 0

    @property
    def never_called(self) -> bool:
        return self.state is AttemptState.OPEN and self.tries == 0


def confirm_id(attempt_id: UUID) -> UUID:
    """The id of the attempt that confirms what this one prepared: known to whoever knows the payment."""
    return uuid5(attempt_id, AttemptKind.CONFIRM)


ENDED: Final = frozenset({AttemptState.KNOWN, AttemptState.WITHDRAWN})

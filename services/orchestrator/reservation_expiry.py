"""Reservation expiry: what `ReservationExpired` does to a checkout, wherever it stands. A table, like every saga.

The decision itself was taken on the reservation row, under its shelves' lock, nowhere else; the run only hears of it.
"""

from typing import Final

from services.orchestrator.checkout import CHECKOUT
from services.orchestrator.saga import BadSaga

UNDO: Final = "undo"
"""The notice is the refusal of the step the run waits in: everything above is undone, that step included."""
LEAVE: Final = "leave"
"""Commit stock was asked: on an expired hold it takes the stock again, or refuses; its answer decides, not the
timer."""

EXPIRY: Final = {
    # the checkout waits in     an expiry does
    "place order": UNDO,
    "hold stock": UNDO,
    "authorize payment": UNDO,
    "commit stock": LEAVE,
    "confirm order": LEAVE,
    "request fulfillment": LEAVE,
}


def _check() -> None:
    """The table and the engine must say the same: notices undo above the pivot, and only there."""
    for slug, stage in CHECKOUT.stage_of.items():
        step = CHECKOUT.steps[slug]
        does = UNDO if stage < CHECKOUT.pivot_stage else LEAVE
        if EXPIRY.get(step.name) != does:
            raise BadSaga(f"reservation expiry: {step.name} should {does}")


_check()

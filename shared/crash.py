"""Crash points: at each await of the frame a test can make the process kill itself, and the system must come out whole.

`WAYBILL_CRASH_AT=relay.confirmed:3` kills it (SIGKILL, no farewell) when it passes that point the third time. Without
the variable a point is one comparison.
"""

import os
import signal
from typing import Final

POINTS: Final = (
    # a batch: each name says what has just been done
    "batch.taken",
    "batch.begun",
    "batch.claimed",
    "batch.due_claimed",
    "batch.loaded",
    "batch.loaded_then",
    "batch.written",
    "batch.committed",
    "batch.acknowledged",
    "alone.counted",
    # the relay
    "relay.owned",
    "relay.read",
    "relay.publishing",
    "relay.confirmed",
    "relay.published",
    "relay.deleted",
    # effects, and what they learned
    "effects.taken",
    "effects.performed",
    "effects.heard",
    "local.submitted",
    "local.committed",
)

_ARMED, _, _NTH = os.environ.get("WAYBILL_CRASH_AT", "").partition(":")
if _ARMED and _ARMED not in POINTS:
    raise ValueError(f"WAYBILL_CRASH_AT: there is no point {_ARMED!r}; there are {', '.join(POINTS)}")
_passes_left = int(_NTH or 1)


def point(name: str) -> None:
    """The process ends here if a test has armed this point."""
    global _passes_left
    if name != _ARMED:
        return
    _passes_left -= 1
    if _passes_left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)

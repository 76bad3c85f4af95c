"""What only the clock can say: how long a fault lasts, how long a customer thinks, when the next checkout is due.

Everything else in these tests waits for a signal.
"""

import asyncio
import time


async def lasts(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def due(at: float) -> None:
    """Until that instant of `time.monotonic`; at once when it is past."""
    await asyncio.sleep(max(0.0, at - time.monotonic()))

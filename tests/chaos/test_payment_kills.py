"""Payment dies around its calls: before the provider is asked, while it is asked, and after it answered.

The provider's own books are the judge: no second charge, and every order ends.
"""

import asyncio
import signal
from typing import Final

from tests.chaos.campaign import ROUNDS, Campaign, Place
from tests.support.processes import ServiceProcess

KILLS: Final = 6 if ROUNDS == 1 else 25 * ROUNDS
IN_THE_CALL: Final = "in the call"
AROUND_THE_CALL: Final = ("effects.taken", IN_THE_CALL, "effects.performed")
"""The attempt is committed and nobody was asked; the provider has it and the answer is on its way; it was heard."""
DIES_WITHIN_S: Final = 60.0
PER_S: Final = 6.0
NOT_CAUGHT_UP: Final = 20
"""Kills in a row; then everything placed so far must come to its end."""


async def test_payment_killed_around_its_calls(place: Place) -> None:
    payment = place.system.of("payment")

    async def faults(campaign: Campaign) -> None:
        for number in range(KILLS):
            async with campaign.happening():
                await payment.kill()
                await _die(campaign, payment, AROUND_THE_CALL[number % 3])
            if number % NOT_CAUGHT_UP == NOT_CAUGHT_UP - 1 or number == KILLS - 1:
                await payment.start()
                await payment.until_ready()
                await campaign.caught_up()

    verdict = await Campaign(place, "payment killed around its calls", rate_per_s=PER_S).run(faults)
    assert verdict.times == KILLS


async def _die(campaign: Campaign, payment: ServiceProcess, where: str) -> None:
    provider = campaign.place.provider
    if where != IN_THE_CALL:
        await payment.start(WAYBILL_CRASH_AT=f"{where}:{campaign.chance.randint(1, 3)}")
        code = await payment.ended(DIES_WITHIN_S)
        assert code == -signal.SIGKILL, f"payment at {where}: {code}: {payment.last_words()}"
        return
    provider.half_open()
    try:
        await payment.start()
        await asyncio.wait_for(provider.holding.wait(), DIES_WITHIN_S)
        await payment.kill()
    finally:
        provider.cut()
        provider.heal()

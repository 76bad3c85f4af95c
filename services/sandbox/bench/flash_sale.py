"""A flash sale: everybody wants the same and there is little of it: exactly that is sold, and everybody is answered.

It lies in three warehouses, so that each runs empty while everybody is asking.
"""

import secrets
from pathlib import Path
from typing import Any, Final

from services.sandbox.bench.checkout import figures
from services.sandbox.bench.load import Plan
from services.sandbox.bench.stage import WAREHOUSES, Asked, Stock, Watching, stage
from services.sandbox.servers import Servers

HOT: Final = "FLASH-SALE"
ANSWER_WITHIN_S: Final = 300.0
TAKEN: Final = "SELECT coalesce(sum(allocated), 0)::bigint FROM inventory.shelves WHERE sku = $1"


async def flash_sale(servers: Servers, asked: Asked, folder: Path, watching: Watching) -> dict[str, Any]:
    mark = f"flash-{secrets.token_hex(4)}"
    async with stage(servers, asked, spread(asked.units), folder, watching) as at:
        plan = Plan(
            url="", heard_into="", mark=mark, loop="burst", buyers=asked.buyers, sku=HOT,
            answer_within_s=ANSWER_WITHIN_S,
        )  # fmt: skip
        told = await at.load(plan)
        sold = int(await at.ask(TAKEN, HOT))
        proof = await at.prove(mark, told["placed"])
    exact = sold == told["confirmed"] == min(asked.units, asked.buyers)
    return {
        **figures(told, at),
        "buyers": asked.buyers,
        "units": asked.units,
        "sold": sold,
        "answered_within_s": told["seconds"],
        **proof.shown(),
        "ok": exact and told["unanswered"] == 0 and proof.holds,
    }


def spread(units: int) -> Stock:
    """Over all warehouses, as evenly as it goes; none has a shelf for nothing."""
    each, rest = divmod(units, len(WAREHOUSES))
    shares = {(HOT, where): each + (turn < rest) for turn, where in enumerate(WAREHOUSES)}
    return {shelf: share for shelf, share in shares.items() if share}

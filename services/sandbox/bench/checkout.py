"""Checkouts, from the storefront's message to the order's confirmation: how many at most, and how fast at a rate.

Two lines per order, Zipf demand over 10,000 SKUs, the payment provider over HTTP.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.sandbox.bench.demand import sku
from services.sandbox.bench.load import Plan
from services.sandbox.bench.stage import PLENTY, WAREHOUSES, Asked, Stage, Watching, stage
from services.sandbox.servers import Servers


async def checkout_closed(servers: Servers, asked: Asked, folder: Path, watching: Watching) -> dict[str, Any]:
    """The most it can do: a new order for each answer, always as many open."""
    return await _checkouts(servers, asked, folder, watching, {"loop": "closed", "in_flight": asked.in_flight})


async def checkout_rate(servers: Servers, asked: Asked, folder: Path, watching: Watching) -> dict[str, Any]:
    """How long a customer waits at a steady rate."""
    return await _checkouts(servers, asked, folder, watching, {"loop": "open", "rate": asked.rate})


async def _checkouts(
    servers: Servers, asked: Asked, folder: Path, watching: Watching, pace: Mapping[str, Any]
) -> dict[str, Any]:
    stock = {(sku(number), WAREHOUSES[0]): PLENTY for number in range(asked.skus)}
    mark = f"bench-{secrets.token_hex(4)}"
    async with stage(servers, asked, stock, folder, watching) as at:
        before = await at.messages()
        plan = Plan(
            url="", heard_into="", mark=mark, seconds=asked.seconds, warmup_s=asked.warmup_s, skus=asked.skus, **pace
        )
        told = await at.load(plan)
        messages = await at.messages() - before
        proof = await at.prove(mark, told["placed"])
    return {
        **figures(told, at),
        **{name: value for name, value in pace.items() if name != "loop"},
        "warmup_s": asked.warmup_s,
        "skus": asked.skus,
        "messages_per_order": round(messages / told["placed"], 1) if told["placed"] else None,
        **proof.shown(),
        "ok": proof.holds and told["confirmed"] == told["placed"] > 0,
    }


def figures(told: Mapping[str, Any], at: Stage) -> dict[str, Any]:
    """What every benchmark of the whole system says."""
    return {
        "orders": told["orders"],
        "orders_per_s": told["orders_per_s"],
        "p50_ms": told["p50_ms"],
        "p99_ms": told["p99_ms"],
        "cpu_ms_per_order": at.meter.ms_per(told["orders"]),
        "cpus_used_by_others": at.meter.others,
        "seconds": told["seconds"],
        "settled_s": round(at.settled_s, 1),
        "confirmed": told["confirmed"],
        "cancelled": told["cancelled"],
        "unanswered": told["unanswered"],
        "layout": [" ".join(group.names) for group in at.groups if group.names != ("world",)],
    }

"""The world outside in one process: a payment provider and a warehouse."""

import asyncio
import os

from services.sandbox.provider import ProviderServer, ProviderSettings
from services.sandbox.warehouse import SandboxWarehouse
from shared.observability import logger


async def run_world(stop: asyncio.Event) -> None:
    """Until `stop`. Settings: WAREHOUSE_AMQP_URL, WAREHOUSE_PACE_S (0: accept and never report), WAREHOUSE_MISSING
    (warehouse/sku that no picker finds, with commas), SANDBOX_PROVIDER_*."""
    log = logger("world")
    provider = ProviderServer(ProviderSettings())
    url = await provider.start()
    missing = os.environ.get("WAREHOUSE_MISSING", "")
    warehouse = SandboxWarehouse(missing=frozenset(filter(None, missing.split(","))))
    pace_s = float(os.environ.get("WAREHOUSE_PACE_S", "0.2"))
    await warehouse.start(os.environ["WAREHOUSE_AMQP_URL"], pace_s=pace_s or None)
    log.info("started", provider_url=url)
    await stop.wait()
    await warehouse.stop()
    await provider.stop()
    log.info("stopped")

"""Stock sources in metrics and logs, read from their rows: whichever replica decided, every replica tells it."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from services.inventory.schema import SCHEMA
from shared import observability

LOOK_EVERY_S: Final = 5.0
LOOK_WITHIN_S: Final = 10.0
_LOOK: Final = f"""SELECT code, state, heard_at, warehouses, buffer,
        coalesce((SELECT sum((run->>1)::bigint - (run->>0)::bigint + 1) FROM jsonb_array_elements(missing) AS run), 0)
            ::bigint AS missing
    FROM {SCHEMA}.sources"""


class SourceWatch:
    """Looks every `LOOK_EVERY_S`; what it cannot see it does not tell."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self.log = observability.logger("inventory")
        self._known: dict[str, tuple[str, int]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._looking = asyncio.create_task(self._look_for_ever(), name="inventory-source-watch")

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _look_for_ever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_WITHIN_S):
                    self.tell(await self._look(), datetime.now(UTC))
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
                self.log.debug("sources_not_seen", why=str(away)[:200])  # the batches say so too, and louder
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> list[Any]:
        connection = await asyncpg.connect(self.database_url, timeout=LOOK_WITHIN_S)
        try:
            return list(await connection.fetch(_LOOK))
        finally:
            await connection.close(timeout=1)

    def tell(self, sources: list[Any], now: datetime) -> None:
        """Gauges always; a line in the log when a source turned stale or fresh, or a gap appeared."""
        for source in sources:
            code, state, missing = source["code"], source["state"], source["missing"]
            observability.SOURCE_STALE.labels(code).set(state == "stale")
            observability.SOURCE_MISSING.labels(code).set(missing)
            if source["heard_at"] is not None:
                observability.SOURCE_SILENT_S.labels(code).set((now - source["heard_at"]).total_seconds())
            was, had = self._known.get(code, ("fresh", 0))
            self._known[code] = (state, missing)
            if state != was:
                log = self.log.warning if state == "stale" else self.log.info
                log(f"stock_source_{state}", source=code, heard_at=str(source["heard_at"]), buffer=source["buffer"])
            if missing > had:
                self.log.warning("stock_source_gap", source=code, missing=missing)

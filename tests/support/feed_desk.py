"""An operator who imports feeds by the command line into a running service, and looks at its tables."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg

from tests.support.processes import ROOT
from tests.support.until import until

HEADER: Final = "sku,warehouse,quantity\n"


class Desk:
    """An operator with a source of their own, and warehouses nobody else counts."""

    def __init__(self, env: dict[str, str], owner: asyncpg.Connection, folder: Path) -> None:
        self.env, self.owner, self.folder = env, owner, folder
        self.source = f"erp-{uuid4().hex[:8]}"
        self.warehouse = f"w-{self.source[4:]}"

    async def oms(self, *words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services", "feed", *words,
            cwd=ROOT, env={**os.environ, "INVENTORY_DATABASE_URL": self.env["INVENTORY_DATABASE_URL"]},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, said = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode is not None
        assert b"Traceback" not in said, said.decode()
        return process.returncode, out.decode(), said.decode()

    async def described(self, *words: str) -> "Desk":
        status, _, said = await self.oms("describe", self.source, "--warehouse", self.warehouse, *words)
        assert status == 0, said

        async def known() -> bool:
            return bool(await self.owner.fetchval("SELECT count(*) FROM sources WHERE code = $1", self.source))

        await until(known, "the service has heard of the source")
        return self

    def file(self, *rows: tuple[str, int], name: str = "feed.csv") -> Path:
        path = self.folder / name
        path.write_text(HEADER + "".join(f"{sku},{self.warehouse},{quantity}\n" for sku, quantity in rows))
        return path

    async def imports(
        self, file: Path, sequence: int, *words: str, mode: str = "absolute"
    ) -> tuple[int, dict[str, Any]]:
        status, out, said = await self.oms(
            "import", str(file), "--source", self.source, "--sequence", str(sequence), "--mode", mode, "--json", *words
        )
        assert out, said
        return status, json.loads(out)

    async def shelves(self) -> dict[str, tuple[int, ...]]:
        """on hand, held, allocated, short by SKU"""
        rows = await self.owner.fetch(
            "SELECT sku, on_hand, held, allocated, short FROM shelves WHERE warehouse = $1", self.warehouse
        )
        return {row["sku"]: tuple(row)[1:] for row in rows}

    async def check_the_books(self) -> None:
        wrong = await self.owner.fetch(
            """SELECT s.sku FROM shelves s LEFT JOIN (
                   SELECT sku, warehouse, sum(on_hand_delta) AS units FROM movements GROUP BY 1, 2) m
               USING (sku, warehouse) WHERE s.on_hand <> coalesce(m.units, 0)"""
        )
        assert wrong == []
        assert await self.owner.fetchval("SELECT count(*) FROM parked") == 0

    async def source_row(self) -> dict[str, Any]:
        _, out, _ = await self.oms("sources", "--json")
        return next(one for one in json.loads(out) if one["source"] == self.source)

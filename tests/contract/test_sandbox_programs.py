"""The world's servers as programs of their own: each prints its address, serves, and ends when it is told to."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.support.processes import ROOT
from tests.support.provider_rigs import PATIENCE_S


@pytest.mark.parametrize(
    ("program", "options", "path"),
    [
        ("services.sandbox.provider", ("--books", "books.sqlite"), "/health"),
        ("services.sandbox.stripe", (), "/books"),
    ],
)
async def test_it_prints_its_address_serves_and_ends_when_told(
    tmp_path: Path, program: str, options: tuple[str, ...], path: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", program, "--port", "0", *options),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            url = (await process.stdout.readline()).decode().strip()
            async with aiohttp.ClientSession() as session, session.get(f"{url}{path}") as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        assert all((tmp_path / option).exists() for option in options if not option.startswith("--"))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

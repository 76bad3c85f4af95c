"""The commands as an operator types them, and a system for them to be typed at."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from services.sandbox.control import free_port
from services.sandbox.environment import Environment, prepare
from services.sandbox.processes import running
from services.sandbox.servers import Servers
from tests.support.processes import ROOT

ANSWER_S: Final = 90


def oms(env: Mapping[str, str], *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """One command, in a terminal of 100 columns."""
    return subprocess.run(
        [sys.executable, "-m", "services", *arguments],
        cwd=ROOT, env={**env, "COLUMNS": "100"}, input=said, capture_output=True, text=True, timeout=ANSWER_S,
        check=False,
    )  # fmt: skip


def bare() -> dict[str, str]:
    """Nothing of ours in the environment."""
    return {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_PASSWORD"))}


@dataclass
class System:
    """Everything running, and the environment an operator would have."""

    env: dict[str, str]

    def json(self, *arguments: str, fails: bool = False) -> Any:
        done = oms(self.env, *arguments, "--json")
        assert (done.returncode != 0) is fails, f"{arguments}: {done.stderr[-2000:]}{done.stdout[-2000:]}"
        return json.loads(done.stdout)

    def text(self, *arguments: str) -> str:
        done = oms(self.env, *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}{done.stdout[-2000:]}"
        return done.stdout


@contextmanager
def a_system(servers: Servers, folder: Path, **settings: str) -> Iterator[System]:
    """Everything, as an operator set it up."""
    environment: Environment = prepare(servers, f"cli_{uuid4().hex[:8]}")
    provider, webhook = free_port(), free_port()
    env = {
        **bare(),
        **environment.env,
        "SANDBOX_PROVIDER_PORT": str(provider),
        "SANDBOX_PROVIDER_WEBHOOK_SECRET": "secret-of-a-test",
        "PROVIDER_URL": f"http://127.0.0.1:{provider}",
        "PAYMENT_HTTP_PORT": str(webhook),
        "WEBHOOK_URL": f"http://127.0.0.1:{webhook}/webhooks/provider",
        "WEBHOOK_SECRET": "secret-of-a-test",
        "WAREHOUSE_PACE_S": "0.05",
        **settings,
    }
    try:
        with running([["all", "world"]], env, folder):
            made = System(env)
            assert oms(env, "seed", "--units", "500").returncode == 0
            yield made
    finally:
        environment.drop()

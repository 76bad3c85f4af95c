"""Services as their users run them: processes of `python -m services run`, started, killed, frozen and asked if ready.

Nothing of a service is imported here: what is known of a process is its exit code, its doors and its log.
"""

import asyncio
import ctypes
import os
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import aiohttp

from services.sandbox.control import free_port
from tests.support.until import until

ROOT: Final = Path(__file__).parents[2]
SERVICES: Final = ("order", "inventory", "payment", "fulfillment", "orchestrator")
WORLD: Final = "world"
READY_WITHIN_S: Final = 90.0
DRAINED_WITHIN_S: Final = 35.0
PR_SET_PDEATHSIG: Final = 1


def _die_with_parent() -> None:
    """A test run that is killed must not leave services behind, asking for servers that are gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class ServiceProcess:
    """One process with one or more services; started as often as a test likes, always on the same ports."""

    names: Sequence[str]
    env: Mapping[str, str]
    log: Path
    doors: Mapping[str, str]
    """Where each of its services (and the world's provider) answers."""
    process: asyncio.subprocess.Process | None = None
    starts: int = 0

    async def start(self, **more: str) -> Self:
        """Begin; `until_ready` waits. `more` goes into the environment of this start only."""
        assert self.process is None or self.dead, (
            f"{self.names} runs: a second one would be taken for it, and never die"
        )
        self.starts += 1
        with self.log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services", "run", *self.names,
                cwd=ROOT, env={**self.env, **more}, stdout=out, stderr=out, preexec_fn=_die_with_parent,
            )  # fmt: skip
        return self

    @property
    def running(self) -> asyncio.subprocess.Process:
        assert self.process is not None, f"{self.names} was never started"
        return self.process

    @property
    def dead(self) -> bool:
        return self.running.returncode is not None

    async def until_ready(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:

            async def all_ready() -> bool:
                if self.dead:
                    raise AssertionError(f"{self.names} ended with {self.running.returncode}: {self.last_words()}")
                for url in self.doors.values():
                    try:
                        async with session.get(url) as answer:
                            if answer.status != 200:
                                return False
                    except (aiohttp.ClientError, TimeoutError):
                        return False
                return True

            await until(all_ready, lambda: f"{self.names} ready; {self.last_words()}", within_s=READY_WITHIN_S)

    async def kill(self) -> None:
        """As the kernel or a power cut would: no farewell."""
        if not self.dead:
            self.running.kill()
        await self.running.wait()

    async def ended(self, within_s: float) -> int:
        """Its exit code, once it ends by itself."""
        async with asyncio.timeout(within_s):
            return await self.running.wait()

    def freeze(self) -> None:
        self.running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.running.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """SIGTERM, and its exit code after the drain."""
        if not self.dead:
            self.running.terminate()
        return await self.ended(DRAINED_WITHIN_S)

    def last_words(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class System:
    """Every service and the world outside, as processes over one environment."""

    env: dict[str, str]
    processes: dict[str, ServiceProcess] = field(default_factory=dict)
    provider_url: str = ""
    webhook_url: str = ""
    webhook_secret: str = ""

    def of(self, service: str) -> ServiceProcess:
        return next(process for process in self.processes.values() if service in process.names)

    async def start(self) -> Self:
        await asyncio.gather(*(process.start() for process in self.processes.values()))
        await self.until_ready()
        return self

    async def until_ready(self) -> None:
        await asyncio.gather(*(process.until_ready() for process in self.processes.values()))

    async def stop(self) -> dict[str, int]:
        """Exit codes by process, the world last: services may still be telling it something."""
        inside = {name: process for name, process in self.processes.items() if WORLD not in process.names}
        for process in self.processes.values():
            if not process.dead:
                process.thaw()
        codes = await asyncio.gather(*(process.stop() for process in inside.values()))
        for name, process in self.processes.items():
            if name not in inside:
                await process.stop()
        return dict(zip(inside, codes, strict=True))

    async def kill(self) -> None:
        await asyncio.gather(*(process.kill() for process in self.processes.values() if process.process))


def plan(env: Mapping[str, str], logs: Path, groups: Sequence[Sequence[str]], **settings: str) -> System:
    """A system not yet started. `groups` are the services of each process; the world has one of its own."""
    secret = secrets.token_hex(16)
    ports = {name: free_port() for name in (*SERVICES, WORLD)}
    provider_url = f"http://127.0.0.1:{ports[WORLD]}"
    webhook_url = f"http://127.0.0.1:{ports['payment']}/webhooks/provider"
    whole = {
        **{name: value for name, value in os.environ.items() if not name.endswith(("_DATABASE_URL", "_AMQP_URL"))},
        **env,
        **{f"{name.upper()}_HTTP_PORT": str(ports[name]) for name in SERVICES},
        "SANDBOX_PROVIDER_PORT": str(ports[WORLD]),
        "SANDBOX_PROVIDER_WEBHOOK_SECRET": secret,
        "PROVIDER_URL": provider_url,
        "WEBHOOK_SECRET": secret,
        "WEBHOOK_URL": webhook_url,
        **settings,
    }
    system = System(whole, provider_url=provider_url, webhook_url=webhook_url, webhook_secret=secret)
    logs.mkdir(parents=True, exist_ok=True)
    for names in (*groups, (WORLD,)):
        doors = {
            name: f"{provider_url}/health" if name == WORLD else f"http://127.0.0.1:{ports[name]}/ready"
            for name in names
        }
        key = "+".join(names)
        system.processes[key] = ServiceProcess(names, whole, logs / f"{key}.log", doors)
    return system

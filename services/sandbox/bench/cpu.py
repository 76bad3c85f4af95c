"""CPU by process group: who spends it is as telling as how much it is."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil

SYSTEM: Final = ("services", "postgresql", "rabbitmq")
"""What an operator pays for; load and world stand for storefronts, providers and warehouses."""
GROUPS: Final = (*SYSTEM, "load", "world")


def spent_s(roots: Sequence[int]) -> float:
    """CPU seconds of these processes and all below them, those that have ended included (their parent has waited for
    them: PostgreSQL's backends come and go)."""
    total = 0.0
    for pid in roots:
        try:
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for process in tree:
            try:
                total += sum(process.cpu_times()[:4])  # user, system, and both of children waited for
            except psutil.NoSuchProcess:
                continue
    return total


def _busy_s() -> float:
    """CPU seconds of the whole machine that were not idle."""
    times = psutil.cpu_times()
    return float(
        times.user
        + times.system
        + getattr(times, "nice", 0.0)
        + getattr(times, "irq", 0.0)
        + getattr(times, "softirq", 0.0)
        + getattr(times, "steal", 0.0)
    )


@dataclass
class Meter:
    """Counts from `start` to `stop`. A group without processes that can be seen from here is unknown, not zero."""

    roots: Mapping[str, Sequence[int]]
    spent: dict[str, float] = field(default_factory=dict, init=False)
    others: float | None = field(default=None, init=False)
    """CPUs that everything else on this machine kept busy meanwhile: well above 0 spoils every figure."""

    def start(self) -> None:
        self._began, self._busy_before, self._before = time.monotonic(), _busy_s(), self._read()

    def stop(self) -> None:
        self.spent = {name: seconds - self._before[name] for name, seconds in self._read().items()}
        elsewhere = _busy_s() - self._busy_before - sum(self.spent.values())
        self.others = round(max(0.0, elsewhere / (time.monotonic() - self._began)), 2)

    def ms_per(self, count: int) -> dict[str, float | None]:
        """Milliseconds by group, and `total` = services + postgresql + rabbitmq."""
        each: dict[str, float | None] = {
            name: round(self.spent[name] * 1000 / count, 2) if count and name in self.spent else None for name in GROUPS
        }
        system = [each[name] for name in SYSTEM]
        known = [one for one in system if one is not None]
        return {**each, "total": round(sum(known), 2) if len(known) == len(system) else None}

    def _read(self) -> dict[str, float]:
        return {name: spent_s(roots) for name, roots in self.roots.items() if roots}

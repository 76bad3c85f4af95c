"""A source counts what it says: by its sequence what is late, repeated or missing is known.

A silent source is stale, and its warehouses keep units back from new holds until it is heard again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, Final
from uuid import UUID

from contracts.feeds import DescribeSource, FeedMode, SourceMode
from services.inventory.domain import NETWORK, Warehouse
from shared.frozen import replace
from shared.machine import Machine

MAX_GAPS: Final = 100
"""Runs of missing sequences remembered per source; the oldest are forgotten."""


class SourceState(StrEnum):
    FRESH = "fresh"
    STALE = "stale"


SOURCE: Final = Machine(
    "source",
    SourceState,
    start=SourceState.FRESH,
    moves=[
        (SourceState.FRESH, "fall silent", SourceState.STALE),
        (SourceState.STALE, "be heard", SourceState.FRESH),
    ],
)


@dataclass(frozen=True, slots=True)
class Source:
    """`missing` are runs [first, last] of sequences never heard. `applying` is the feed under way: what the source says
    meanwhile waits. At `stale_at` it is stale, unless it is heard before."""

    code: str
    mode: SourceMode
    warehouses: list[Any]
    stale_after_s: int
    buffer: int
    described_at: datetime
    network: str = NETWORK
    state: SourceState = SourceState.FRESH
    last_sequence: int = 0
    heard_at: datetime | None = None
    stale_at: datetime | None = None
    missing: list[Any] = field(default_factory=list)
    applying: UUID | None = None
    version: int = 0

    def allows(self, mode: FeedMode) -> bool:
        return self.mode is SourceMode.ANY or self.mode.value == mode.value


class Turnout(Enum):
    """What a sequence means to somebody who heard others before."""

    NEXT = "next"  # newer than anything heard; there may be a gap before it
    LATE = "late"  # it was missed, and still counts: deltas add up in any order
    OLD = "old"  # heard before, or overtaken by a later count


def turnout(source: Source, sequence: int) -> Turnout:
    """Only a source that never says absolute counts can be late: a later count has the earlier change in it."""
    if sequence > source.last_sequence:
        return Turnout.NEXT
    if source.mode is SourceMode.DELTA and any(first <= sequence <= last for first, last in source.missing):
        return Turnout.LATE
    return Turnout.OLD


def heard(source: Source, sequence: int, now: datetime) -> Source:
    """The source after it said this. What it says first is where its counting begins."""
    missing = source.missing
    if sequence > source.last_sequence + 1 and source.last_sequence:
        missing = [*missing, [source.last_sequence + 1, sequence - 1]][-MAX_GAPS:]
    elif sequence <= source.last_sequence:
        missing = without(missing, sequence)
    return replace(source, last_sequence=max(source.last_sequence, sequence), missing=missing, **_awake(source, now))


def alive(source: Source, now: datetime) -> Source:
    """It said something, be it nothing new."""
    return replace(source, **_awake(source, now))


def _awake(source: Source, now: datetime) -> dict[str, Any]:
    return {"heard_at": now, "stale_at": _stale_at(source.stale_after_s, now), "state": SourceState.FRESH}


def _stale_at(stale_after_s: int, since: datetime) -> datetime | None:
    return since + timedelta(seconds=stale_after_s) if stale_after_s else None


def without(missing: Iterable[Any], sequence: int) -> list[Any]:
    """The runs less one sequence, which may split one."""
    left: list[Any] = []
    for first, last in missing:
        if not first <= sequence <= last:
            left.append([first, last])
            continue
        left += [run for run in ([first, sequence - 1], [sequence + 1, last]) if run[0] <= run[1]]
    return left


def silent(source: Source, now: datetime) -> Source | None:
    """The timer rang; None when it was heard meanwhile, is applying what it said, or is stale already."""
    if source.state is SourceState.STALE or source.stale_at is None or source.applying or source.stale_at > now:
        return None
    return replace(source, state=SOURCE.to(source.state, "fall silent"))


def described(standing: Source | None, word: DescribeSource, now: datetime) -> Source | None:
    """What a source is from now on; None when we know a later word."""
    if standing is None:
        return Source(
            word.source,
            word.mode,
            list(word.warehouses),
            word.stale_after_s,
            word.buffer,
            word.as_of,
            stale_at=_stale_at(word.stale_after_s, now),
        )
    if standing.described_at >= word.as_of:
        return None
    return replace(
        standing,
        mode=word.mode,
        warehouses=list(word.warehouses),
        stale_after_s=word.stale_after_s,
        buffer=word.buffer,
        described_at=word.as_of,
        stale_at=_stale_at(word.stale_after_s, standing.heard_at or now),
    )


def buffered(warehouses: Iterable[Warehouse], sources: Iterable[Source]) -> list[Warehouse]:
    """The warehouses that keep back other than they did: the largest buffer of their stale sources, or nothing."""
    buffers: dict[str, int] = {}
    for source in sources:
        if source.state is SourceState.STALE:
            for code in source.warehouses:
                buffers[code] = max(buffers.get(code, 0), source.buffer)
    return [
        replace(warehouse, kept_back=buffers.get(warehouse.code, 0))
        for warehouse in warehouses
        if warehouse.kept_back != buffers.get(warehouse.code, 0)
    ]

"""Sources in metrics and logs; and a pull that cannot be made says so instead of raising."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from contracts.feeds import FeedFormat, FeedMode
from services.inventory import pulls
from services.inventory.feeds import Pull
from services.inventory.pulls import TooMuch, pull_effect
from services.inventory.watch import SourceWatch
from services.sandbox.control import free_port

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def warning(self, event: str, **more: Any) -> None:
        self.lines.append(("warning", event, more["source"]))

    def info(self, event: str, **more: Any) -> None:
        self.lines.append(("info", event, more["source"]))


def source(code: str, state: str, missing: int = 0, silent_s: float = 0) -> dict[str, Any]:
    heard_at = NOW - timedelta(seconds=silent_s)
    return {"code": code, "state": state, "heard_at": heard_at, "buffer": 2, "missing": missing}


def gauge(name: str, code: str) -> float | None:
    return REGISTRY.get_sample_value(f"waybill_stock_source_{name}", {"source": code})


def test_a_source_that_turns_stale_and_a_gap_are_told_once() -> None:
    watch = SourceWatch("postgresql://nowhere")
    watch.log = log = Log()
    for state, missing in (("fresh", 0), ("stale", 0), ("stale", 0), ("stale", 3), ("fresh", 3), ("fresh", 1)):
        watch.tell([source("erp-1", state, missing, silent_s=90)], NOW)
    assert log.lines == [
        ("warning", "stock_source_stale", "erp-1"),
        ("warning", "stock_source_gap", "erp-1"),
        ("info", "stock_source_fresh", "erp-1"),
    ]
    assert (gauge("stale", "erp-1"), gauge("missing", "erp-1"), gauge("silent_seconds", "erp-1")) == (0, 1, 90)
    watch.tell([source("erp-1", "stale")], NOW)
    assert gauge("stale", "erp-1") == 1


def pull(url: str) -> Pull:
    return Pull("erp", url, FeedFormat.CSV, FeedMode.ABSOLUTE, 60, 5, False, False, asked=3, sequence=7)


async def test_a_pull_without_a_database_is_a_problem_told() -> None:
    perform = pull_effect(f"postgresql://waybill:x@127.0.0.1:{free_port()}/x").perform
    learned = await perform(pull("/nowhere.csv"))
    assert (learned.source, learned.asked, learned.feed_id) == ("erp", 3, None)  # type: ignore[attr-defined]
    assert "Connect" in learned.problem  # type: ignore[attr-defined]


async def test_a_feed_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pulls, "MAX_FEED_BYTES", 200_000)
    path = tmp_path / "feed.csv"
    path.write_bytes(b"x" * 150_000)
    assert sum([len(chunk) async for chunk in pulls._bounded(pulls._file(path))]) == 150_000
    path.write_bytes(b"x" * 300_000)
    with pytest.raises(TooMuch):
        assert [chunk async for chunk in pulls._bounded(pulls._file(path))]

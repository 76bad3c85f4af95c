"""Logs are JSON lines with order and saga ids; metrics are counted per batch, not per message, so they cost nothing."""

import logging
import sys
from functools import cache
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from shared.heard import Done

DECIDED = Counter("waybill_messages_decided_total", "Messages decided and committed", ["service", "topic"])
DUPLICATES = Counter("waybill_messages_duplicate_total", "Messages heard before and ignored", ["service"])
SET_ASIDE = Counter("waybill_messages_set_aside_total", "Messages put off to be tried again", ["service"])
PARKED = Counter("waybill_messages_parked_total", "Messages kept for a person to look at", ["service"])
CONFLICTS = Counter("waybill_batch_conflicts_total", "Version conflicts that made a batch decide again", ["service"])
BATCH_SIZE = Histogram(
    "waybill_batch_messages", "Messages per batch", ["service"], buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
BATCH_SECONDS = Histogram("waybill_batch_seconds", "Load, decide and commit", ["service"])
RELAYED = Counter("waybill_messages_relayed_total", "Outbox rows confirmed by the broker", ["service"])
UNCONFIRMED = Counter("waybill_messages_unconfirmed_total", "Publishes that will be sent again", ["service"])
OUTBOX_WAITING = Gauge("waybill_outbox_waiting", "Rows read in the last relay pass", ["service"])
PAUSES = Counter("waybill_pauses_total", "Times the consumer paused because database or broker was away", ["service"])

SOURCE_STALE = Gauge("waybill_stock_source_stale", "1 while nothing was heard of a source for too long", ["source"])
SOURCE_SILENT_S = Gauge("waybill_stock_source_silent_seconds", "Since a stock source was heard", ["source"])
SOURCE_MISSING = Gauge("waybill_stock_source_missing", "Sequences of a stock source that never came", ["source"])


def configure_logging(level: str = "INFO") -> None:
    """JSON lines on stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    for noisy in ("aio_pika", "aiormq", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def logger(service: str) -> Any:
    return structlog.get_logger().bind(service=service)


@cache
def _of(metric: Any, *labels: str) -> Any:
    """A metric's child: looking it up by its labels costs more than counting."""
    return metric.labels(*labels)


def count_batch(service: str, done: Done, seconds: float) -> None:
    """One set of counters per committed batch."""
    for topic, count in done.decided_types.items():
        _of(DECIDED, service, topic).inc(count)
    for metric, count in (
        (DUPLICATES, done.duplicates),
        (SET_ASIDE, done.set_aside),
        (PARKED, done.parked),
        (CONFLICTS, done.conflicts),
    ):
        if count:
            _of(metric, service).inc(count)
    _of(BATCH_SIZE, service).observe(done.heard + done.due_claimed)
    _of(BATCH_SECONDS, service).observe(seconds)


def count_relayed(service: str, read: int, confirmed: int) -> None:
    """One set of counters per look at the outbox."""
    _of(RELAYED, service).inc(confirmed)
    _of(OUTBOX_WAITING, service).set(read)
    if read and not confirmed:
        _of(UNCONFIRMED, service).inc(read)

"""The sandbox provider's books: what it did, kept apart from everything Waybill believes.

Invariants are checked against these entries, so they are append-only and an answer leaves only after `commit`:
a provider that is killed and started again on the same file remembers every answer it gave.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime

from services.sandbox.provider_desk import Kept, Webhook
from services.sandbox.provider_script import Entry, Payment, Status

_PAYMENT_COLUMNS = ", ".join(f.name for f in fields(Payment))
_PAYMENT_MARKS = ", ".join("?" for _ in fields(Payment))
_ENTRY_COLUMNS = ", ".join(f.name for f in fields(Entry))
_ENTRY_MARKS = ", ".join("?" for _ in fields(Entry))
_INSERT_ENTRY = f"INSERT INTO entries ({_ENTRY_COLUMNS}) VALUES ({_ENTRY_MARKS})"
_PUT_PAYMENT = f"""
INSERT INTO payments ({_PAYMENT_COLUMNS}) VALUES ({_PAYMENT_MARKS})
ON CONFLICT (id) DO UPDATE SET status = excluded.status, captured_minor = excluded.captured_minor,
    refunded_minor = excluded.refunded_minor, voided_minor = excluded.voided_minor,
    decline_reason = excluded.decline_reason, settles_at = excluded.settles_at
"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, status TEXT NOT NULL, amount_minor INTEGER NOT NULL,
    captured_minor INTEGER NOT NULL, refunded_minor INTEGER NOT NULL, voided_minor INTEGER NOT NULL,
    currency TEXT NOT NULL, reference TEXT NOT NULL, token TEXT NOT NULL, capture INTEGER NOT NULL,
    webhook_url TEXT, decline_reason TEXT, settles_at TEXT,
    CONSTRAINT never_more_than_authorized CHECK (captured_minor + voided_minor <= amount_minor),
    CONSTRAINT never_refunded_above_captured CHECK (refunded_minor <= captured_minor)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending_payments ON payments (reference) WHERE status = 'pending';
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, payment_id TEXT NOT NULL, key TEXT NOT NULL,
    amount_minor INTEGER NOT NULL, currency TEXT NOT NULL, reference TEXT NOT NULL, instant TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT raise(ABORT, 'entries are append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_are_never_deleted BEFORE DELETE ON entries
BEGIN SELECT raise(ABORT, 'entries are append-only'); END;
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, content_hash TEXT NOT NULL, status INTEGER, body BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS withdrawn (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (what TEXT PRIMARY KEY, calls INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY, url TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
"""


class SqliteBooks:
    def __init__(self, file: str) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, cached_statements=64)
        self._db.execute("PRAGMA journal_mode = WAL")
        # Survives the end of this process, not of the machine: enough for a stand-in, and an fsync less per call.
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self.commit()
        self._db.close()

    def commit(self) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def kept(self, key: str) -> Kept | None:
        row = self._db.execute("SELECT content_hash, status, body FROM keys WHERE key = ?", (key,)).fetchone()
        return None if row is None else Kept(*row)

    def keep(self, key: str, kept: Kept) -> None:
        self._write("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?)", (key, kept.content_hash, kept.status, kept.body))

    def payment(self, payment_id: str) -> Payment | None:
        return self._one("id = ?", payment_id)

    def payment_of_key(self, key: str) -> Payment | None:
        return self._one("key = ?", key)

    def pending_of_reference(self, reference: str) -> Payment | None:
        return self._one("reference = ? AND status = 'pending' ORDER BY id LIMIT 1", reference)

    def settling(self) -> list[Payment]:
        """Pending payments that change by themselves: armed again when the provider starts on older books."""
        return self._many("status = 'pending' AND settles_at IS NOT NULL")

    def payments(self) -> list[Payment]:
        return self._many("TRUE ORDER BY id")

    def put(self, payment: Payment) -> None:
        row = (
            payment.id,
            payment.key,
            payment.status.value,
            payment.amount_minor,
            payment.captured_minor,
            payment.refunded_minor,
            payment.voided_minor,
            payment.currency,
            payment.reference,
            payment.token,
            payment.capture,
            payment.webhook_url,
            payment.decline_reason,
            None if payment.settles_at is None else payment.settles_at.isoformat(),
        )
        self._write(_PUT_PAYMENT, row)

    def enter(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._write(_INSERT_ENTRY, tuple(entry.shown().values()))

    def entries(self) -> list[Entry]:
        rows = self._db.execute(f"SELECT {_ENTRY_COLUMNS} FROM entries ORDER BY number")
        return [Entry(*known, datetime.fromisoformat(instant)) for *known, instant in rows]  # type: ignore[call-arg]

    def send(self, webhook: Webhook) -> None:
        self._write("INSERT INTO webhooks VALUES (?, ?, ?)", (webhook.id, webhook.url, webhook.body))

    def sent(self, webhook_id: str) -> None:
        self._write("DELETE FROM webhooks WHERE id = ?", (webhook_id,))

    def unsent(self) -> list[Webhook]:
        return [Webhook(*row) for row in self._db.execute("SELECT id, url, body FROM webhooks ORDER BY id")]

    def withdraw(self, key: str) -> None:
        self._write("INSERT OR IGNORE INTO withdrawn VALUES (?)", (key,))

    def is_withdrawn(self, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM withdrawn WHERE key = ?", (key,)).fetchone() is not None

    def count(self, what: str) -> int:
        self._write("INSERT INTO counts VALUES (?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1", (what,))
        row = self._db.execute("SELECT calls FROM counts WHERE what = ?", (what,)).fetchone()
        return int(row[0])

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(statement, row)

    def _one(self, where: str, value: str) -> Payment | None:
        row = self._db.execute(f"SELECT {_PAYMENT_COLUMNS} FROM payments WHERE {where}", (value,)).fetchone()
        return None if row is None else _payment(row)

    def _many(self, where: str) -> list[Payment]:
        return [_payment(row) for row in self._db.execute(f"SELECT {_PAYMENT_COLUMNS} FROM payments WHERE {where}")]


def _payment(row: Sequence[object]) -> Payment:
    values = dict(zip((f.name for f in fields(Payment)), row, strict=True))
    settles_at = values["settles_at"]
    values |= {
        "status": Status(str(values["status"])),
        "capture": bool(values["capture"]),
        "settles_at": None if settles_at is None else datetime.fromisoformat(str(settles_at)),
    }
    return Payment(**values)  # type: ignore[arg-type]  # the columns are the fields, by construction


@dataclass
class MemoryBooks:
    """The same books in dictionaries, for a simulator that plays thousands of schedules a minute."""

    all_payments: dict[str, Payment] = field(default_factory=dict)
    all_entries: list[Entry] = field(default_factory=list)
    keys: dict[str, Kept] = field(default_factory=dict)
    ids_by_key: dict[str, str] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def kept(self, key: str) -> Kept | None:
        return self.keys.get(key)

    def keep(self, key: str, kept: Kept) -> None:
        self.keys[key] = kept

    def payment(self, payment_id: str) -> Payment | None:
        return self.all_payments.get(payment_id)

    def payment_of_key(self, key: str) -> Payment | None:
        payment_id = self.ids_by_key.get(key)
        return None if payment_id is None else self.all_payments[payment_id]

    def pending_of_reference(self, reference: str) -> Payment | None:
        waiting = (p for p in self.all_payments.values() if p.reference == reference and p.status is Status.PENDING)
        return next(waiting, None)

    def settling(self) -> list[Payment]:
        return [p for p in self.all_payments.values() if p.settles_at is not None]

    def payments(self) -> list[Payment]:
        return list(self.all_payments.values())

    def put(self, payment: Payment) -> None:
        self.all_payments[payment.id] = payment
        self.ids_by_key[payment.key] = payment.id

    def enter(self, entries: Sequence[Entry]) -> None:
        self.all_entries.extend(entries)

    def entries(self) -> list[Entry]:
        return list(self.all_entries)

    def send(self, webhook: Webhook) -> None:
        """Nothing to remember: the desk's reply carries the notice to the simulator."""

    def withdraw(self, key: str) -> None:
        self.withdrawn.add(key)

    def is_withdrawn(self, key: str) -> bool:
        return key in self.withdrawn

    def count(self, what: str) -> int:
        self.counts[what] = self.counts.get(what, 0) + 1
        return self.counts[what]

"""An envelope is a message on its way: CloudEvents attributes and a JSON body, still unread.

On the wire this is CloudEvents 1.0 in AMQP binary mode (`cloudEvents:` headers), or a *pack*: several envelopes for the
same queue of our own in one AMQP message (private framing, <= PACK_MESSAGES, <= PACK_BYTES).
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import orjson

from contracts.message import MESSAGES, Kind, Message

PREFIX: Final = "cloudEvents:"
PACK_TYPE: Final = "application/vnd.waybill.pack+json"
PACK_MESSAGES: Final = 50
PACK_BYTES: Final = 256 * 1024
MAX_BODY_BYTES: Final = 256 * 1024
"""Largest body we read: a checkout of 100 lines is about 20 kB."""
MAX_ATTRIBUTE: Final = 2_000
"""Characters kept of a header; ours are under 200."""
SHARDS: Final = 4
"""Relay shards per service: as many relays can share the work of one outbox, each keeping the order of its subjects."""


class HeadText(Mapping[str, str]):
    """A head as the outbox keeps it: JSON text that goes into a pack as it is, read only where somebody looks."""

    __slots__ = ("_read", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._read: dict[str, str] | None = None

    def _dict(self) -> dict[str, str]:
        if self._read is None:
            self._read = orjson.loads(self.text)
        return self._read

    def __getitem__(self, name: str) -> str:
        return self._dict()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict())

    def __len__(self) -> int:
        return len(self._dict())


@dataclass(frozen=True, slots=True)
class Envelope:
    """`head` holds CloudEvents attributes by their plain names (id, source, type, subject, time, correlationid,
    causationid, commandkey, sequence, traceparent)."""

    head: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.head.get("id", "")

    @property
    def type(self) -> str:
        return self.head.get("type", "")

    @property
    def source(self) -> str:
        return self.head.get("source", "")

    @property
    def subject(self) -> str:
        return self.head.get("subject", "")

    @property
    def command_key(self) -> str | None:
        return self.head.get("commandkey")


@dataclass(frozen=True, slots=True)
class Unreadable(Exception):
    """The body or the head could not be understood; `reason` is a name a program can compare."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class UnknownType(Exception):
    """Nobody here knows this type or version, yet: a newer sender may be ahead of us."""


def open_envelope(envelope: Envelope) -> Message:
    """Read the message; raises `Unreadable` for good, `UnknownType` where waiting may help."""
    if len(envelope.body) > MAX_BODY_BYTES:
        raise Unreadable("too_large", f"{len(envelope.body)} bytes; at most {MAX_BODY_BYTES} are read")
    message_type = MESSAGES.get(envelope.type)
    if message_type is None:
        raise UnknownType(envelope.type or "(no type)")
    if b"\\u0000" in envelope.body:
        raise Unreadable("wrong_schema", "text may not hold the character U+0000, which no database of ours can keep")
    try:
        return message_type.model_validate_json(envelope.body)
    except ValueError as error:
        raise _unreadable(envelope.body, error) from None


def _unreadable(body: bytes, error: ValueError) -> Unreadable:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as malformed:
        return Unreadable("malformed_json", str(malformed)[:500])
    errors = getattr(error, "errors", None)
    if errors is None:
        return Unreadable("wrong_schema", str(error)[:500])
    found = [
        f"{'.'.join(str(part) for part in item['loc']) or '(whole)'}: {item['msg']}"
        for item in errors(include_url=False, include_input=False)[:5]
    ]
    return Unreadable("wrong_schema", "; ".join(found)[:1500])


def content_hash(message: Message) -> str:
    """Of the canonical validated message: two bodies that mean the same have the same hash.

    Fields left at their default do not count, so that a version with one more optional field knows its own older words.
    """
    canonical = message.model_dump_json(exclude_defaults=True)
    return blake2b(message.full_type.encode() + canonical.encode(), digest_size=16).hexdigest()


def shard_of(subject: str) -> int:
    return zlib.crc32(subject.encode()) % SHARDS


def head_of(
    message: Message,
    *,
    id_: UUID,
    source: str,
    subject: str,
    now: datetime,
    cause: Mapping[str, str],
    command_key: str | None = None,
    sequence: int | None = None,
) -> dict[str, str]:
    """The attributes of a message said because of the message whose head is `cause`."""
    head = {
        "id": str(id_),
        "source": source,
        "type": message.full_type,
        "subject": subject,
        "time": _instant_text(now),
        "correlationid": cause.get("correlationid") or subject,
        "causationid": cause.get("id", ""),
        "traceparent": traceparent(cause.get("traceparent"), id_),
    }
    if command_key is not None:
        head["commandkey"] = command_key
    if sequence is not None:
        head["sequence"] = str(sequence)
    return head


@lru_cache(maxsize=8)
def _instant_text(now: datetime) -> str:
    """One batch has one instant and many messages."""
    return now.astimezone(UTC).isoformat().replace("+00:00", "Z")


def traceparent(parent: str | None, id_: UUID) -> str:
    """W3C trace context: the trace of the parent (or a new one), a span made of this message's id."""
    span = id_.hex[-16:]
    if parent and len(parent) == 55 and parent.count("-") == 3:
        _, trace, _, flags = parent.split("-")
        return f"00-{trace}-{span}-{flags}"
    return f"00-{id_.hex}-{span}-00"


def to_headers(head: Mapping[str, str]) -> dict[str, str]:
    """CloudEvents AMQP binding, binary mode; `traceparent` keeps its W3C name."""
    headers = {PREFIX + name: value for name, value in head.items() if name != "traceparent"}
    headers[PREFIX + "specversion"] = "1.0"
    if trace := head.get("traceparent"):
        headers["traceparent"] = trace
    return headers


def from_headers(headers: Mapping[str, Any], body: bytes) -> Envelope:
    """Never raises: whatever a stranger puts into headers becomes text that the database can keep."""
    head = {_text(name)[len(PREFIX) :]: _text(value) for name, value in headers.items() if str(name).startswith(PREFIX)}
    head.pop("specversion", None)
    if trace := headers.get("traceparent"):
        head["traceparent"] = _text(trace)
    return Envelope(head, body)


def _text(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.replace("\x00", "\ufffd")[:MAX_ATTRIBUTE]


def pack(envelopes: Iterable[Envelope]) -> bytes:
    return orjson.dumps([[_head_json(e.head), e.body.decode()] for e in envelopes])


def _head_json(head: Mapping[str, str]) -> Any:
    return orjson.Fragment(head.text) if isinstance(head, HeadText) else dict(head)


def unpack(body: bytes) -> list[Envelope]:
    """Raises `Unreadable` when the framing is broken: then the pack is parked whole."""
    try:
        return [Envelope(head, text.encode()) for head, text in orjson.loads(body)]
    except (ValueError, AttributeError, TypeError) as error:
        raise Unreadable("broken_pack", str(error)[:500]) from None


def is_public(kind: Kind) -> bool:
    return kind is Kind.EVENT

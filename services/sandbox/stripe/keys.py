"""One idempotency key, one call: its first answer is kept, good or bad, and given again to whoever asks the same.

Nothing is kept of a call that was refused before it began, so the same key may be used again for a corrected one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from services.sandbox.stripe.refusals import Refusal


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


@dataclass
class _Known:
    fingerprint: str
    answer: Answer | None = None
    in_flight: bool = False


class Keys:
    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def begin(self, key: str, path: str, parameters: Mapping[str, Any]) -> Answer | None:
        """The answer kept under this key, or None: then the call is in flight until `end`."""
        told = orjson.dumps([path, parameters], option=orjson.OPT_SORT_KEYS)
        fingerprint = hashlib.sha256(told).hexdigest()
        known = self._known.setdefault(key, _Known(fingerprint))
        if known.fingerprint != fingerprint:
            message = f"Keys for idempotent requests can only be used with the same parameters: '{key}'."
            raise Refusal(400, "idempotency_error", message, kept=False)
        if known.in_flight:
            message = "There is currently another in-progress request using this Idempotency Key."
            raise Refusal(409, "idempotency_error", message, kept=False, code="idempotency_key_in_use")
        if known.answer is None:
            known.in_flight = True
        return known.answer

    def keep(self, key: str, answer: Answer) -> None:
        self._known[key].answer = answer

    def forget(self, key: str) -> None:
        del self._known[key]

    def end(self, key: str) -> None:
        known = self._known.get(key)
        if known is not None:
            known.in_flight = False

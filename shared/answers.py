"""One answer per command key: a command asked again is told what it was told, and decides nothing.

The answers live in the service's own schema and change in the transaction of the batch that gives them.
"""

from collections.abc import Iterable, Sequence

from contracts.frame import CommandWithdrawn, KeyReused
from contracts.message import Kind, Message
from shared.consumer import Answer, Said, bare, do_key_of
from shared.envelope import Envelope, open_envelope
from shared.store import AnswerRow


class Answers:
    """Of one batch: `asked` are the keys that are looked up, `changed` the answers as its decisions leave them."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.changed: dict[str, AnswerRow] = {}
        self._stored: dict[str, AnswerRow] = {}

    def ask(self, key: str) -> None:
        """Look up a command's key; of an undo also its do's."""
        self.asked.add(key)
        if do := do_key_of(key):
            self.asked.add(do)

    def loaded(self, rows: Iterable[AnswerRow]) -> None:
        self._stored |= {row.command_key: row for row in rows}

    def again(self, key: str, content_hash: str) -> list[Said] | None:
        """What a command whose key was seen before is told; None: it is to be decided. An undo that overtook its do
        withdraws it."""
        if (known := self._known(key)) is not None:
            return _said_again(known, content_hash)
        do = do_key_of(key)
        if do is not None and self._known(do) is None:
            self.changed[do] = AnswerRow(do, "", "withdrawn")
        return None

    def give(self, key: str | None, content_hash: str, said: Sequence[Said]) -> None:
        """What was decided under `key`: its answer, or that one will come; and the answers to others that it gives."""
        if key is not None:
            replies = (one for item in said if (one := bare(item)) and one.kind is Kind.REPLY and not one.interim)
            reply = next(replies, None)
            pending = AnswerRow(key, content_hash, "pending")
            self.changed[key] = pending if reply is None else _answered(key, content_hash, reply)
        for item in said:
            if isinstance(item, Answer) and not item.reply.interim:
                earlier = self._known(item.key)
                self.changed[item.key] = _answered(item.key, earlier.content_hash if earlier else "", item.reply)

    @property
    def first(self) -> set[str]:
        """Keys that were looked up and had no row: should one exist when they are written, another was quicker."""
        return {key for key in self.changed if key in self.asked and key not in self._stored}

    def _known(self, key: str) -> AnswerRow | None:
        return self.changed.get(key) or self._stored.get(key)


def _answered(key: str, content_hash: str, reply: Message) -> AnswerRow:
    return AnswerRow(key, content_hash, "answered", reply.full_type, reply.model_dump_json())


def _said_again(known: AnswerRow, content_hash: str) -> list[Said]:
    if known.state == "withdrawn":
        return [CommandWithdrawn()]
    if known.content_hash and known.content_hash != content_hash:
        return [KeyReused()]
    if known.state == "answered":
        return [open_envelope(Envelope({"type": known.answer_type}, known.answer.encode()))]
    return []  # pending: the answer will come under this key

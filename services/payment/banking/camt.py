"""ISO 20022 camt.053, the bank's statement as XML: read as it comes, an entry at a time, and never trusted.

expat is used as it is: it tells the line of everything, it streams, and a document type, without which XML has no
entities to explode or files to fetch, is refused where it begins. Versions 02 to 13 differ where a status, a party and
an agent stand, and that is read in both places.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final
from xml.parsers import expat

from services.payment.banking.reading import (
    MAX_FIELD,
    Booked,
    Broken,
    Found,
    Seen,
    Wrong,
    day,
    entry_of,
    minor,
    plain,
)
from services.payment.creditor_reference import references_in

NAMESPACE: Final = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(0[2-9]|1[0-3])")
MAX_DEPTH: Final = 40
MAX_VALUES: Final = 500
"""Values kept of one entry or one of its transactions; what is more says nothing we read."""
MAX_TOKEN_BYTES: Final = 1024 * 1024
"""Read without one event: a tag or an attribute that never ends must not fill our memory."""
ENTRY: Final = ("Document", "BkToCstmrStmt", "Stmt", "Ntry")
DETAILS: Final = (*ENTRY, "NtryDtls", "TxDtls")
STATEMENT: Final = ENTRY[:-1]


NOT_PROVIDED: Final = "NOTPROVIDED"


@dataclass(slots=True)
class _Values:
    """What an element holds, by path below it; a path may be there several times."""

    line: int
    by: dict[str, list[str]] = field(default_factory=dict)
    count: int = 0

    def add(self, path: str, text: str) -> None:
        self.count += 1
        if self.count <= MAX_VALUES:
            self.by.setdefault(path, []).append(text)

    def one(self, *paths: str) -> str:
        """The first of the first path that is there."""
        return next((self.by[path][0] for path in paths if path in self.by), "")

    def all(self, path: str) -> list[str]:
        return self.by.get(path, [])

    def has(self, below: str) -> bool:
        return any(path == below or path.startswith(f"{below}/") for path in self.by)


class CamtReader:
    """A `Reader` of camt.053."""

    def __init__(self) -> None:
        self.found = Found()
        self._seen = Seen()
        self._parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = False
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        self._namespace = ""
        self._path: list[str] = []
        self._parts: list[str] = []
        self._length = self._silent = 0
        self._heard = False
        self._statement, self._entry = _Values(0), _Values(0)
        self._details: list[_Values] = []
        self._number = 0
        self._booked: list[Booked] = []

    def take(self, chunk: bytes) -> list[Booked]:
        self._seen.bytes(chunk, self.found)
        self._heard = False
        self._parse(chunk, last=False)
        self._silent = 0 if self._heard else self._silent + len(chunk)
        if self._silent > MAX_TOKEN_BYTES:
            raise self._broken("a tag that does not end", "")
        return self._taken()

    def end(self) -> list[Booked]:
        self._parse(b"", last=True)
        return self._taken()

    def _taken(self) -> list[Booked]:
        booked, self._booked = self._booked, []
        return booked

    def _parse(self, chunk: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError as error:
            place = f"{self._place()}, column {error.offset + 1}"
            self.found.problems.add(error.lineno, place, "", f"not well-formed: {expat.ErrorString(error.code)}")
            raise Broken from None

    def _broken(self, why: str, value: Any) -> Broken:
        self.found.problems.add(self._parser.CurrentLineNumber, self._place(), value, why)
        return Broken()

    def _place(self) -> str:
        return "/".join(self._path)

    # -- what the parser sees ------------------------------------------------------------------------------------

    def _doctype(self, name: str, *_: Any) -> None:
        raise self._broken("a document type is refused: entities could stand in it", name)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._heard = True
        namespace, _, name = tag.rpartition(" ")
        if not self._path:
            if NAMESPACE.fullmatch(namespace) is None or name != "Document":
                raise self._broken("no camt.053 of a version from 02 to 13", f"{name} {namespace}")
            self._namespace = namespace
        elif len(self._path) == 1 and name != "BkToCstmrStmt":
            raise self._broken("no bank statement", name)
        # what stands under a foreign namespace has no name of ours, so nobody reads it
        self._path.append((name if namespace == self._namespace else f"{{{namespace}}}{name}")[:200])
        if len(self._path) > MAX_DEPTH:
            raise self._broken("too deep", name)
        self._parts, self._length = [], 0
        path = tuple(self._path)
        line = self._parser.CurrentLineNumber
        if path == STATEMENT:
            self._statement, self._number = _Values(line), 0
        elif path == ENTRY:
            self._entry, self._details = _Values(line), []
            self._number += 1
        elif path == DETAILS:
            self._seen.entry(line, self.found)
            self._details.append(_Values(line))
        if currency := attributes.get("Ccy"):
            self._keep("@Ccy", currency)

    def _text(self, text: str) -> None:
        self._heard = True
        self._length += len(text)
        if self._length > MAX_FIELD and text.strip():
            raise self._broken(f"too long: a field has at most {MAX_FIELD:,} characters", "".join(self._parts)[:100])
        if self._length <= MAX_FIELD:
            self._parts.append(text)

    def _end(self, tag: str) -> None:
        self._heard = True
        text = "".join(self._parts).strip()
        self._parts, self._length = [], 0
        path = tuple(self._path)
        if text:
            self._keep("", text)
        if path == ENTRY:
            if not self._details:
                self._seen.entry(self._entry.line, self.found)
            self._end_of_entry()
        self._path.pop()

    def _keep(self, attribute: str, text: str) -> None:
        path = tuple(self._path)
        for above, values in ((DETAILS, self._details), (ENTRY, [self._entry]), (STATEMENT, [self._statement])):
            if path[: len(above)] == above and values:
                values[-1].add("/".join(path[len(above) :]) + attribute, text)
                return

    # -- what an entry says --------------------------------------------------------------------------------------

    def _end_of_entry(self) -> None:
        try:
            self._booked += self._read()
        except Wrong as wrong:
            self.found.problems.add(self._entry.line, wrong.place, wrong.value, wrong.why)

    def _read(self) -> Iterator[Booked]:
        entry = self._entry
        status = entry.one("Sts/Cd", "Sts", "Sts/Prtry")
        if status != "BOOK":
            if status not in ("PDNG", "INFO", "FUTR"):
                raise Wrong("Ntry/Sts", status, "no status: BOOK, PDNG, INFO or FUTR")
            self.found.not_booked += 1
            return
        account = plain(self._statement.one("Acct/Id/IBAN", "Acct/Id/Othr/Id"), 70)
        statement = plain(self._statement.one("Id"), 70)
        if not account or not statement:
            raise Wrong("Stmt/Acct/Id" if not account else "Stmt/Id", "", "missing")
        currency = entry.one("Amt@Ccy")
        amount = minor("Ntry/Amt", entry.one("Amt"), currency) * _sign("Ntry/CdtDbtInd", entry.one("CdtDbtInd"))
        booked_on = day("Ntry/BookgDt", entry.one("BookgDt/Dt", "BookgDt/DtTm", "ValDt/Dt", "ValDt/DtTm"))
        undone = _flag("Ntry/RvslInd", entry.one("RvslInd"))
        if amount == 0:
            self.found.of_nothing += 1
            return
        own = plain(entry.one("AcctSvcrRef"), 70)
        named = own or f"{statement}/{plain(entry.one('NtryRef'), 35) or f'#{self._number}'}"
        parts = _parts(amount, currency, self._details)
        for number, (details, part) in enumerate(zip(self._details, parts, strict=True) if parts else [], start=1):
            given = plain(details.one("Refs/AcctSvcrRef"), 40)
            name = named if len(parts) == 1 else f"{named}/{given if given and given != own else number}"
            fields = _fields(entry, details, part, undone)
            yield self._entry_of(account, statement, name, fields, currency, booked_on)
        if not parts:
            fields = _fields(entry, _together(entry, self._details), amount, undone)
            yield self._entry_of(account, statement, named, fields, currency, booked_on)

    def _entry_of(
        self, account: str, statement: str, name: str, fields: dict[str, Any], currency: str, booked_on: Any
    ) -> Booked:
        if (times := self._seen.times(account, name)) > 1:  # a name that is not one: the order in the file decides
            name = f"{name} ({times})"
        fields |= {"bank_reference": name, "currency": currency, "booked_on": booked_on}
        self.found.entries += 1
        return Booked(account, statement, self._entry.line, entry_of("Ntry", fields))


def _parts(amount: int, currency: str, details: Sequence[_Values]) -> list[int]:
    """The signed amount of each transaction of an entry; empty when they do not add up to it, as of a collective
    booking of which charges were taken: then it stays one entry, and a person looks."""
    if len(details) == 1:
        return [amount]
    parts: list[int] = []
    for one in details:
        path = next((path for path in ("Amt", "AmtDtls/TxAmt/Amt") if one.one(f"{path}@Ccy") == currency), "")
        if not path:
            return []
        sign = 1 if amount > 0 else -1
        if one.one("CdtDbtInd"):
            sign = _sign("TxDtls/CdtDbtInd", one.one("CdtDbtInd"))
        parts.append(sign * minor("TxDtls/Amt", one.one(path), currency))
    return parts if sum(parts) == amount and all(parts) else []


def _together(entry: _Values, details: Sequence[_Values]) -> _Values:
    """What several transactions that cannot be told apart say, as far as an entry has room for it: that something came
    back, and first of the words every reference, for one of them may be ours and waits for ever when it is cut off."""
    one = _Values(0)
    if any(each.has("RtrInf") for each in details):
        one.add("RtrInf", "")
    paths = ("RmtInf/Strd/CdtrRefInf/Ref", "Refs/EndToEndId", "RmtInf/Ustrd", "AddtlTxInf")
    texts = [[text for path in paths for text in each.all(path) if text != NOT_PROVIDED] for each in details]
    texts.append(entry.all("AddtlNtryInf"))
    references = references_in(*(" ".join(said) for said in texts))
    for text in dict.fromkeys(chain(references, *texts)):
        one.add("RmtInf/Ustrd", text)
    return one


def _fields(entry: _Values, details: _Values, amount: int, undone: bool) -> dict[str, Any]:
    reversal = undone or details.has("RtrInf")
    # whoever is not us: who paid what came in, who was paid what went out; a reversal names them as they were
    party = "Dbtr" if (amount > 0) != reversal else "Cdtr"
    people, bank = f"RltdPties/{party}", f"RltdPties/{party}Acct"
    free = " ".join(details.all("RmtInf/Ustrd")) or details.one("AddtlTxInf") or entry.one("AddtlNtryInf")
    end_to_end = plain(details.one("Refs/EndToEndId"), 35)
    return {
        "amount_minor": amount,
        "reversal": reversal,
        "reference": plain(details.one("RmtInf/Strd/CdtrRefInf/Ref"), 35),
        "end_to_end_id": "" if end_to_end == NOT_PROVIDED else end_to_end,
        "remittance": plain(free, 560),
        "counterparty": plain(details.one(f"{people}/Nm", f"{people}/Pty/Nm"), 140),
        "counterparty_account": plain(details.one(f"{bank}/Id/IBAN", f"{bank}/Id/Othr/Id"), 70),
    }


def _sign(place: str, text: str) -> int:
    if text not in ("CRDT", "DBIT"):
        raise Wrong(place, text, "neither CRDT nor DBIT")
    return 1 if text == "CRDT" else -1


def _flag(place: str, text: str) -> bool:
    if text not in ("", "true", "false", "1", "0"):
        raise Wrong(place, text, "neither true nor false")
    return text in ("true", "1")

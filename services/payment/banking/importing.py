"""`oms statement import`: a file is read whole, previewed or handed to payment, and told with what became of it."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.text import Text

from contracts.statement import MAX_ENTRIES_AT_ONCE, BookStatement
from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.told import amount, console, problems, table, tell_json
from services.ops.wishes import hand_over, who, worded
from services.payment.banking.camt import CamtReader
from services.payment.banking.columns import ColumnsReader
from services.payment.banking.entries import EntryState, Purpose, entry_id, flow_of
from services.payment.banking.matching import (
    SETTLES,
    Expected,
    Outcome,
    Standing,
    named_in,
    of_payment,
    of_refund,
    outcome_of,
)
from services.payment.banking.reading import Booked, Broken, Found, Reader
from services.payment.domain import Payment, PaymentState, Refund, RefundState
from shared.frozen import replace

PLACE: Final = BY_SERVICE["payment"]
CHUNK_BYTES: Final = 64 * 1024
PROBLEMS_SHOWN: Final = 20
ENTRIES_SHOWN: Final = 50
ASKED_AT_ONCE: Final = 5_000
NOT_KEPT: Final = frozenset({Outcome.PAID_LATE, Outcome.TRANSFER_RETURNED})

_KNOWN: Final = "SELECT id, outcome, state FROM payments.statement_entries WHERE id = ANY(:ids)"
_QUOTED: Final = """SELECT q.reference, q.purpose, p.order_id, p.amount_minor AS payment_minor,
        p.currency AS payment_currency, p.state AS payment_state, p.captured_minor, p.disputed_minor,
        r.amount_minor AS refund_minor, r.currency AS refund_currency, r.state AS refund_state,
        e.amount_minor - e.kept_minor AS entry_minor, e.currency AS entry_currency, e.state AS entry_state
    FROM payments.quoted_references q
    LEFT JOIN payments.payments p ON p.order_id = q.order_id
    LEFT JOIN payments.refunds r ON r.refund_id = q.refund_id
    LEFT JOIN payments.statement_entries e ON e.id = q.entry_id
    WHERE q.reference = ANY(:references)"""


class Format(StrEnum):
    CAMT = "camt"
    CSV = "csv"


def import_(
    file: Annotated[str, typer.Argument(help="The statement: camt.053 XML or CSV; - is standard input.")],
    format_: Annotated[
        Format | None, typer.Option("--format", help="camt or csv; by its first character when not given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what each entry would be; change nothing.")] = False,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who imports; who is logged in unless given.")] = "",
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Import a bank's statement: all of it, or nothing when anything in it is wrong. The same entry counts once.

    Exit status 1 when the file was refused.
    """
    booked, found = read(file, format_)
    told: dict[str, Any] = {
        "entries": found.entries,
        "not_booked": found.not_booked,
        "of_nothing": found.of_nothing,
        "problems": found.problems.count,
        "report": found.problems.as_json(),
        "decided": False,
        "why_not": "",
        "outcomes": {},
    }
    if not found.problems.count and booked:
        if dry_run:
            told["would"] = asyncio.run(_would(booked))
            told["outcomes"] = dict(Counter(one["outcome"] for one in told["would"]))
        else:
            handed = asyncio.run(hand_over(PLACE, list(messages(booked, by or who())), booked[0].statement))
            told |= {"decided": handed.decided, "why_not": handed.why_not}
            told["outcomes"] = asyncio.run(_outcomes(booked))
    if json:
        tell_json(told)
    else:
        _tell(told, dry_run)
    raise typer.Exit(1 if found.problems.count or told["why_not"] else 0)


def read(file: str, format_: Format | None = None) -> tuple[list[Booked], Found]:
    """Nothing of a file with a problem."""
    reader: Reader | None = None
    booked: list[Booked] = []
    try:
        for chunk in _chunks(file):
            if reader is None:
                begins = chunk.lstrip(b"\xef\xbb\xbf\r\n\t ")[:4]  # in UTF-16 a mark and a zero come before it
                chosen = format_ or (Format.CAMT if b"<" in begins else Format.CSV)
                reader = CamtReader() if chosen is Format.CAMT else ColumnsReader()
            booked += reader.take(chunk)
        reader = reader or ColumnsReader()
        booked += reader.end()
    except Broken:
        assert reader is not None  # only a reader raises it
    return ([] if reader.found.problems.count else booked), reader.found


def messages(booked: Sequence[Booked], by: str) -> Iterator[BookStatement]:
    """As many as it takes; each may be heard alone, and in any order."""
    for (account, statement), group in groupby(booked, lambda one: (one.account, one.statement)):
        entries = [one.entry for one in group]
        for first in range(0, len(entries), MAX_ENTRIES_AT_ONCE):
            part = tuple(entries[first : first + MAX_ENTRIES_AT_ONCE])
            yield worded(BookStatement, account=account, statement=statement, entries=part, by=by)


def _chunks(file: str) -> Iterator[bytes]:
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as opened:
            while chunk := opened.read(CHUNK_BYTES):
                yield chunk
    except OSError as trouble:
        raise fail(f"{file} cannot be read: {trouble.strerror}") from trouble


# -- what became of it, or would ---------------------------------------------------------------------------------------


async def _outcomes(booked: Sequence[Booked]) -> dict[str, int]:
    known = await _known(booked)
    return dict(Counter(outcome for outcome, _ in known.values()))


async def _known(booked: Sequence[Booked]) -> dict[UUID, tuple[str, str]]:
    ids = [entry_id(one.account, one.entry.bank_reference) for one in booked]
    known: dict[UUID, tuple[str, str]] = {}
    async with reading(PLACE) as connection:
        for first in range(0, len(ids), ASKED_AT_ONCE):
            for row in await rows(connection, _KNOWN, ids=ids[first : first + ASKED_AT_ONCE]):
                known[row["id"]] = (row["outcome"], row["state"])
    return known


async def _would(booked: Sequence[Booked]) -> list[dict[str, Any]]:
    """What each entry would be, by the rules that the service itself uses; the second of two that pay the same order
    is known to be the second."""
    names = {one: _names(one) for one in booked}
    wanted = sorted({name for found in names.values() for name in found})
    expected: dict[str, Expected] = {}
    async with reading(PLACE) as connection:
        for first in range(0, len(wanted), ASKED_AT_ONCE):
            for row in await rows(connection, _QUOTED, references=wanted[first : first + ASKED_AT_ONCE]):
                expected[row["reference"]] = _expected(row)
    known = await _known(booked)
    return [_told(one, names[one], expected, known) for one in booked]


def _told(
    one: Booked, names: Sequence[str], expected: dict[str, Expected], known: dict[UUID, tuple[str, str]]
) -> dict[str, Any]:
    entry, meant = one.entry, [name for name in names if name in expected]
    flow = flow_of(entry.amount_minor, entry.reversal)
    outcome = outcome_of(entry.amount_minor, entry.currency, flow, names, [expected[name] for name in meant])
    is_known = entry_id(one.account, entry.bank_reference) in known
    if outcome in SETTLES and not is_known:
        standing = Standing.GIVEN_BACK if outcome in NOT_KEPT else Standing.SETTLED
        expected[meant[0]] = replace(expected[meant[0]], standing=standing)
    return {
        "line": one.line,
        "bank_reference": entry.bank_reference,
        "booked_on": entry.booked_on.isoformat(),
        "amount_minor": entry.amount_minor,
        "currency": entry.currency,
        "outcome": "known" if is_known else outcome.value,
        "counterparty": entry.counterparty,
        "remittance": entry.remittance or entry.reference,
    }


def _names(one: Booked) -> tuple[str, ...]:
    return named_in(one.entry.reference, one.entry.end_to_end_id, one.entry.remittance)


def _expected(row: Any) -> Expected:
    match Purpose(row["purpose"]):
        case Purpose.PAYMENT:
            state, captured = PaymentState(row["payment_state"]), row["captured_minor"]
            stands = Payment(
                row["order_id"], row["payment_minor"], row["payment_currency"], "", state, "", None,
                captured_minor=captured, disputed_minor=row["disputed_minor"],
            )  # fmt: skip
            return of_payment(stands)
        case Purpose.REFUND:
            state_ = RefundState(row["refund_state"])
            id_, amount, currency = row["order_id"], row["refund_minor"], row["refund_currency"]
            return of_refund(Refund(id_, id_, id_, amount, currency, state_, command_key=""))
        case Purpose.SEND_BACK:
            waits = EntryState(row["entry_state"]) is EntryState.SENDING_BACK
            standing = Standing.WAITS if waits else Standing.SETTLED
            return Expected(Purpose.SEND_BACK, standing, row["entry_minor"], row["entry_currency"])


# -- telling -----------------------------------------------------------------------------------------------------------


def _tell(told: dict[str, Any], dry_run: bool) -> None:
    if told["problems"]:
        console.print(Text("refused: nothing of it is booked", "bold red"))
        problems(told["problems"], told["report"], PROBLEMS_SHOWN)
        return
    left = [f"{told[name]:,} {word}" for name, word in (("not_booked", "not booked yet"), ("of_nothing", "of nothing"))
            if told[name]]  # fmt: skip
    console.print(f"{told['entries']:,} booked{', left out: ' + ', '.join(left) if left else ''}")
    if told["why_not"]:
        console.print(Text(f"refused: {told['why_not']}", "bold red"))
    elif not dry_run and told["entries"] and not told["decided"]:
        console.print("said; payment has not decided all of it yet (is it running?)")
    for outcome, count in sorted(told["outcomes"].items(), key=lambda item: -item[1]):
        for_a_person = outcome in set(Outcome) - SETTLES - {Outcome.UNRELATED}
        console.print(Text(f"{count:>8,} {outcome.replace('_', ' ')}", "yellow" if for_a_person else ""))
    if dry_run and told.get("would"):
        table(
            "would be",
            ("line", "booked", "amount", "outcome", "from or to", "text"),
            (
                (one["line"], one["booked_on"], amount(one["amount_minor"], one["currency"]) + " " + one["currency"],
                 one["outcome"], one["counterparty"], one["remittance"])
                for one in told["would"][:ENTRIES_SHOWN]
            ),
            right=("line", "amount"),
        )  # fmt: skip

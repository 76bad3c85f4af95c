"""`oms statement`: what a bank says was booked, what nobody could match, and what is to be paid out.

A file is read here, whole or not at all, and handed to payment; the running service decides what each entry is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.text import Text

from contracts.message import Message
from contracts.statement import AssignEntry, DismissEntry, SendBackEntry
from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.told import QUIET, amount, console, many, plain, table, tell_json
from services.ops.wishes import decide, tell, who, worded
from services.payment.banking.importing import import_
from services.payment.creditor_reference import printed, reference_of

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Bank statements: what was booked, what nobody could match, and what is to be paid out.",
)
app.command("import")(import_)

PLACE: Final = BY_SERVICE["payment"]
SHOWN_AT_ONCE: Final = 200

_LIST: Final = """SELECT s.name AS statement, s.account, s.entries, s.matched, s.unrelated, s.repeated, s.imported_by,
        s.created_at, count(e.id) FILTER (WHERE e.state = 'open') AS open
    FROM payments.statements s LEFT JOIN payments.statement_entries e ON e.statement_id = s.id AND e.state = 'open'
    GROUP BY s.id ORDER BY s.created_at DESC LIMIT :limit"""
_ENTRIES: Final = """SELECT e.id, e.booked_on, e.amount_minor, e.currency, e.state, e.outcome, e.order_id,
        e.counterparty, e.counterparty_account, e.remittance, e.reference, e.reversal, e.bank_reference, e.account,
        e.decided_by, e.reason, e.problem, s.name AS statement
    FROM payments.statement_entries e JOIN payments.statements s ON s.id = e.statement_id
    WHERE (NOT :open OR e.state = 'open') AND (:statement = '' OR s.name = :statement)
    ORDER BY e.booked_on DESC, e.id LIMIT :limit"""
_ENTRY: Final = """SELECT id, state, outcome, amount_minor, currency, counterparty, remittance, order_id, problem,
        version
    FROM payments.statement_entries WHERE CAST(id AS text) LIKE :prefix || '%' LIMIT 2"""
_REFUNDS: Final = """SELECT q.reference, 'refund' AS why, r.amount_minor, r.currency, r.order_id, r.reason,
        r.created_at AS since, paid.counterparty AS name, paid.counterparty_account AS account
    FROM payments.quoted_references q JOIN payments.refunds r ON r.refund_id = q.refund_id AND r.state = 'asked'
    LEFT JOIN LATERAL (
        SELECT counterparty, counterparty_account FROM payments.statement_entries e
        WHERE e.order_id = q.order_id AND e.amount_minor > 0
          AND (e.state = 'assigned' OR e.kept_minor > 0 OR e.outcome IN ('paid', 'paid_late'))
        ORDER BY e.booked_on, e.id LIMIT 1) paid ON true
    ORDER BY r.created_at, q.reference LIMIT :limit"""
_SENT_BACK: Final = """SELECT id, amount_minor - kept_minor AS amount_minor, currency, reason,
        updated_at AS since, counterparty AS name,
        counterparty_account AS account
    FROM payments.statement_entries WHERE state = 'sending_back' ORDER BY updated_at, id LIMIT :limit"""

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Which = Annotated[str, typer.Argument(metavar="ENTRY", help="An entry's id, or its beginning.")]
By = Annotated[str, typer.Option(metavar="NAME", help="Who decides; who is logged in unless given.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000)]


@app.command("list")
def list_(limit: Limit = SHOWN_AT_ONCE, json: Json = False) -> None:
    """Statements that were imported, the latest first."""
    found = asyncio.run(_rows(_LIST, limit=limit))
    if json:
        tell_json(found)
        return
    table(
        many(len(found), "statement"),
        ("statement", "account", "entries", "matched", "unrelated", "open", "again", "by"),
        (
            (one["statement"], one["account"], one["entries"], one["matched"], one["unrelated"],
             Text(str(one["open"]), "bold red" if one["open"] else ""), one["repeated"], one["imported_by"])
            for one in found
        ),
        right=("entries", "matched", "unrelated", "open", "again"),
    )  # fmt: skip


@app.command()
def entries(
    open_: Annotated[bool, typer.Option("--open", help="Only those that a person must look at.")] = False,
    statement: Annotated[str, typer.Option(metavar="NAME", help="Only of this statement.")] = "",
    limit: Limit = SHOWN_AT_ONCE,
    json: Json = False,
) -> None:
    """Entries of statements, the latest first, and what they were taken for."""
    found = asyncio.run(_rows(_ENTRIES, open=open_, statement=statement, limit=limit))
    if json:
        tell_json(found)
        return
    table(
        "1 entry" if len(found) == 1 else f"{len(found)} entries",
        ("entry", "booked", "amount", "state", "from or to", "text"),
        (
            (one["id"][:8], one["booked_on"], _money(one), _state(one), one["counterparty"],
             one["remittance"] or one["reference"])
            for one in found
        ),
        right=("amount",),
        whole=("entry", "booked"),
    )  # fmt: skip


@app.command()
def assign(
    which: Which,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The id of the order it pays for.")],
    rest_goes_back: Annotated[
        bool, typer.Option("--rest-goes-back", help="It is too much: keep what the order costs.")
    ] = False,
    by: By = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Say which order an open entry pays for: all of it, and no more, unless the rest goes back."""
    entry = _entry(which)
    try:
        order_id = UUID(order)
    except ValueError:
        raise fail(f"{order!r} is no id of an order") from None
    wish = worded(AssignEntry, entry_id=entry["id"], order_id=order_id, by=by or who(), rest_goes_back=rest_goes_back)
    _decide(entry, wish, f"Does it pay for order {order_id}?", ("assigned", "sending_back"), yes, json)


@app.command("send-back")
def send_back(
    which: Which,
    reason: Annotated[str, typer.Option(metavar="TEXT")] = "",
    by: By = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Say that an open entry's money goes back: `oms statement payouts` lists it until a statement shows it gone."""
    entry = _entry(which)
    wish = worded(SendBackEntry, entry_id=entry["id"], by=by or who(), reason=reason)
    _decide(entry, wish, "Send it back?", ("sending_back",), yes, json)


@app.command()
def dismiss(
    which: Which,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What it is.")],
    by: By = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Say that an open entry is no business of ours."""
    entry = _entry(which)
    wish = worded(DismissEntry, entry_id=entry["id"], by=by or who(), reason=reason)
    _decide(entry, wish, "Is it no business of ours?", ("dismissed",), yes, json)


@app.command()
def payouts(limit: Limit = SHOWN_AT_ONCE, json: Json = False) -> None:
    """Transfers to be made: refunds, and entries that go back. Each must carry its reference, by which it is known.

    Whom to pay is who paid, as the bank told it; an order that was paid in another way names nobody.
    """
    found = asyncio.run(_payouts(limit))
    if json:
        tell_json(found)
        return
    table(
        many(len(found), "payout"),
        ("reference", "amount", "to", "account", "why", "order or entry"),
        (
            (printed(one["reference"]), _money(one), one["name"], one["account"], one["why"],
             one["order_id"] or one["entry_id"])
            for one in found
        ),
        right=("amount",),
        whole=("reference",),
    )  # fmt: skip


# -- saying and asking -------------------------------------------------------------------------------------------------


def _decide(
    entry: Mapping[str, Any], wish: Message, question: str, hoped: Sequence[str], yes: bool, json: bool
) -> None:
    """Exit status 1 when it did not become what was wished; why not is kept with the entry."""
    if not json:
        shown = f"{_money(entry)} from {entry['counterparty'] or 'somebody'}: {entry['remittance']}"
        console.print(Text.assemble((entry["id"][:8], "bold"), "  ", shown))
    handed = decide(PLACE, [wish], entry["id"], question=question, yes=yes)
    now = _entry(entry["id"])
    refused = now["problem"] if handed.decided and now["version"] != entry["version"] else ""
    if refused and not json:
        console.print(Text(f"refused: {refused}", "bold red"))
        raise typer.Exit(1)
    told = {name: now[name] for name in ("id", "state", "outcome", "order_id", "problem")}
    tell(PLACE, handed, told, json)
    if handed.decided and now["state"] not in hoped:
        raise typer.Exit(1)


def _entry(which: str) -> dict[str, Any]:
    if len(which) < 6 or not all(letter in "0123456789abcdef-" for letter in which.lower()):
        raise fail(f"{which!r} is no id of an entry, nor six characters of one; `oms statement entries` shows them")
    found = asyncio.run(_rows(_ENTRY, prefix=which.lower()))
    if len(found) != 1:
        raise fail(f"{'no entry has' if not found else 'several entries have'} an id that begins with {which}")
    return found[0]


async def _payouts(limit: int) -> list[dict[str, Any]]:
    refunds = [{**one, "entry_id": None} for one in await _rows(_REFUNDS, limit=limit)]
    back = [
        {**one, "reference": reference_of(one["id"]), "why": "send back", "order_id": None, "entry_id": one.pop("id")}
        for one in await _rows(_SENT_BACK, limit=limit)
    ]
    return sorted([*refunds, *back], key=lambda one: (one["since"], one["reference"]))[:limit]


async def _rows(query: str, **parameters: object) -> list[dict[str, Any]]:
    async with reading(PLACE) as connection:
        return plain(await rows(connection, query, **parameters))


def _money(entry: Mapping[str, Any]) -> str:
    return f"{amount(entry['amount_minor'], entry['currency'])} {entry['currency']}"


def _state(entry: Mapping[str, Any]) -> Text:
    told = entry["state"] if entry["state"] == "unrelated" else f"{entry['state']}: {entry['outcome']}"
    if entry["problem"]:
        told += f" ({entry['problem']})"
    return Text(told, {"open": "bold red", "sending_back": "yellow", "unrelated": QUIET}.get(entry["state"], "green"))

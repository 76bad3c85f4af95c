"""`oms reconcile`: what providers say they settled, against our ledger. A statement is kept whole or not at all; the
running service matches it, and what differs waits here until a person accepts the entry that is proposed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.text import Text

from contracts.settlement import MAX_UNSETTLED, AcceptDifference, NoteUnsettled
from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.told import QUIET, amount, console, many, plain, problems, shown, table, tell_json
from services.ops.wishes import decide, hand_over, tell, who, worded
from services.payment.ledger import SIDES, EntryKind, Transfer
from services.payment.provider.port import Settled, Settlements, SettlementsUnavailable
from services.payment.settings import ProviderSettings, clients
from services.payment.settlement import reading as reports
from services.payment.settlement.comparing import compare_unsettled
from services.payment.settlement.lines import Class
from services.payment.settlement.reading import Statement, earliest
from services.payment.settlement.staging import Staged, stage, unsettled

app = typer.Typer(
    add_completion=False, invoke_without_command=True, help="Settlements of payment providers, against the ledger."
)

PAYMENT: Final = BY_SERVICE["payment"]
STAGED_WITHIN_S: Final = 300.0
MATCHED_WITHIN_S: Final = 60.0
"""A report of so many lines is matched in seconds; this long without an end, nobody runs the service."""
LOOK_AGAIN_S: Final = 0.2
OVERLAP: Final = timedelta(days=2)
"""Asked for again each time: a provider may add to a day that was read."""
FIRST_TIME: Final = timedelta(days=30)
PROBLEMS_SHOWN: Final = 20
ROUNDS: Final = 5_000
"""Of `MAX_UNSETTLED` movements each."""

_OPEN: Final = """SELECT id, kind, provider, order_id, line_id, transfer_id, currency, ours_minor, theirs_minor, entry,
           entry_minor, found_at, state, accepted_by
    FROM payments.settlement_differences WHERE state = 'found' OR :all ORDER BY found_at, id LIMIT :limit"""
_BY_CLASS: Final = """SELECT d.kind, count(*) AS differences, count(*) FILTER (WHERE p.order_id IS NULL) AS of_no_order
    FROM payments.settlement_differences d LEFT JOIN payments.payments p ON p.order_id = d.order_id
    WHERE d.state = 'found' GROUP BY d.kind ORDER BY d.kind"""
_ONE: Final = """SELECT id, kind, provider, currency, entry, entry_minor, state
    FROM payments.settlement_differences WHERE id = :id"""
_PROVIDERS: Final = "SELECT DISTINCT provider FROM payments.settlements ORDER BY provider"
_HOW_FAR: Final = "SELECT state, pages, pages_done, lines FROM payments.settlements WHERE id = :id"
_BECAME: Final = """SELECT state, count(*) AS lines FROM payments.settlement_lines WHERE settlement_id = :id
    GROUP BY state ORDER BY state"""
_KNOWN: Final = "SELECT EXISTS (SELECT FROM payments.payments WHERE provider = :provider) AS known"
_LAST: Final = "SELECT max(occurred_at) AS last FROM payments.settlement_lines WHERE provider = :provider"

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.callback()
def differences(
    ctx: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Accepted and cleared ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Rows at most.")] = 200,
    json: Json = False,
) -> None:
    """Every difference between our ledger and what providers settled, and the entry each proposes.

    Reads PAYMENT_DATABASE_URL, and PAYMENT_SETTLED_WITHIN_DAYS for how long a provider may take.
    """
    if ctx.invoked_subcommand is not None:
        return
    found, waiting, by_class = asyncio.run(_differences(all_, limit))
    if json:
        tell_json({"differences": found, "timing": waiting, "by_class": by_class})
        return
    if not found and not waiting:
        console.print("nothing differs")
        return
    table(
        many(len(found), "difference"),
        ("difference", "class", "order", "provider's line", "ours", "theirs", "proposed", "state"),
        (
            (
                one["id"],
                Text(one["kind"], "bold"),
                one["order_id"],
                one["line_id"],
                amount(one["ours_minor"], one["currency"]),
                f"{amount(one['theirs_minor'], one['currency'])} {one['currency']}",
                _proposed(one),
                one["accepted_by"] or one["state"],
            )
            for one in found
        ),
        right=("ours", "theirs"),
        whole=("difference", "class"),
    )
    if waiting:
        console.print(f"{many(len(waiting), 'movement')} not settled yet, and within the grace:", style=QUIET)
    for one in waiting:
        told = f"  {one['kind']} of {one['order_id']}, {amount(one['ours_minor'], one['currency'])} {one['currency']}"
        console.print(f"{told}, {shown(datetime.fromisoformat(one['occurred_at']))}", style=QUIET, highlight=False)
    _tell_classes(by_class)


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="A statement as CSV; not with --from-provider.")] = "",
    from_provider: Annotated[
        bool, typer.Option("--from-provider", help="Ask the provider's API, with payment's settings.")
    ] = False,
    provider: Annotated[str, typer.Option(help="Whose it is, as payments name it.")] = "sandbox",
    reference: Annotated[str, typer.Option(metavar="R", help="Names the report: the same one counts once.")] = "",
    since: Annotated[
        datetime | None, typer.Option(metavar="INSTANT", help="From when on it is complete, in UTC.")
    ] = None,
    json: Json = False,
) -> None:
    """Import what a provider settled, all of it or nothing, and list what differs.

    The columns are line_id, kind, provider_payment_id, reference (our order), amount_minor (negative where it goes
    out), fee_minor, currency, occurred_at. Exit status 1 when it was refused, or not matched yet.
    """
    if bool(file) is from_provider:
        raise fail("give a file, or --from-provider")
    asked = None if since is None else since.replace(tzinfo=UTC)
    told = asyncio.run(_imported(file, provider, reference, asked))
    if json:
        tell_json(told)
    else:
        _tell_import(told)
    raise typer.Exit(0 if told["outcome"] in ("matched", "recognised") else 1)


@app.command()
def accept(
    which: Annotated[str, typer.Argument(metavar="DIFFERENCE", help="Its id, as `oms reconcile` lists it.")],
    by: Annotated[str, typer.Option(metavar="NAME", help="Who answers for it.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Have the entry booked that a difference proposes."""
    try:
        id_ = UUID(which)
    except ValueError:
        raise fail(f"{which!r} is no id of a difference; `oms reconcile` lists them") from None
    wish = worded(AcceptDifference, difference_id=id_, by=by or who())
    standing = asyncio.run(_one(id_))
    if standing is None:
        raise fail(f"no difference has the id {which}")
    if standing["state"] != "found":
        raise fail(f"this difference is {standing['state']} already")
    if not json:
        console.print(Text.assemble((f"{standing['kind']}  ", "bold"), _proposed(standing)))
    handed = decide(PAYMENT, [wish], str(id_), question="Book this?", yes=yes)
    tell(PAYMENT, handed, {"difference_id": str(id_), "by": wish.by, "proposed": _proposed(standing)}, json)


# -- what is asked and kept ----------------------------------------------------------------------------------------


async def _imported(file: str, provider: str, reference: str, since: datetime | None) -> dict[str, Any]:
    statement, covers_from = await _statement(file, provider, since)
    reference = reference or statement.hash
    if not statement.problems.count and not statement.lines:
        staged = Staged("recognised")
    else:
        async with reading(PAYMENT, within_s=STAGED_WITHIN_S) as connection:
            staged = await stage(connection, statement, provider=provider, reference=reference, covers_from=covers_from)
    told: dict[str, Any] = {
        "outcome": staged.outcome,
        "provider": provider,
        "reference": reference,
        "lines": staged.lines,
        "known": staged.known,
        "problems": statement.problems.count,
        "report": statement.problems.as_json(),
    }
    if staged.outcome == "rejected":
        return told
    if staged.settlement_id is not None and not await _followed(staged.settlement_id):
        return {**told, "outcome": "staged"}
    await _note_unsettled(provider)
    if staged.settlement_id is not None:
        async with reading(PAYMENT) as connection:
            became = await rows(connection, _BECAME, id=staged.settlement_id)
        told |= {"settlement_id": str(staged.settlement_id), "became": {row["state"]: row["lines"] for row in became}}
    return {**told, "outcome": "matched" if staged.outcome == "staged" else "recognised"}


async def _statement(file: str, provider: str, since: datetime | None) -> tuple[Statement, datetime]:
    """What is to be kept, and from when on it is complete."""
    if file:
        if not await _is_ours(provider):
            raise fail(f"no payment was ever made by {provider!r}")
        try:
            with Path(file).open("rb") as opened:  # noqa: ASYNC230 - nobody else waits
                body = opened.read(reports.MAX_BYTES + 1)
        except OSError as trouble:
            raise fail(f"{file} cannot be read: {trouble.strerror}") from trouble
        statement = reports.read(body)
        return statement, since or earliest(statement.lines) or datetime.now(UTC)
    since = since or await _since(provider)
    try:
        settled = await _asked(provider, since)
    except SettlementsUnavailable as away:
        raise fail(f"{provider} did not tell its settlements: {away}") from None
    return reports.of_provider(settled), since


async def _asked(provider: str, since: datetime) -> Sequence[Settled]:
    found = clients(_settings()).found
    if (client := found.get(provider)) is None:
        raise fail(f"{provider} is not set up: there are {', '.join(found)}")
    if not isinstance(client, Settlements):
        raise fail(f"{provider} cannot be asked; import its file")
    await client.__aenter__()
    try:
        return await client.list_settlements(since)
    finally:
        await client.close()


def _settings() -> ProviderSettings:
    """As the service reads them."""
    try:
        return ProviderSettings.load("payment")
    except ValidationError as invalid:
        error = invalid.errors(include_url=False)[0]
        raise fail(f"PAYMENT_{error['loc'][0]}".upper() + f": {error['msg']}") from None


async def _is_ours(provider: str) -> bool:
    """A line of a provider that nobody knows would be a difference for ever, and is never taken back."""
    async with reading(PAYMENT) as connection:
        (row,) = await rows(connection, _KNOWN, provider=provider)
    return bool(row["known"])


async def _since(provider: str) -> datetime:
    async with reading(PAYMENT) as connection:
        (row,) = await rows(connection, _LAST, provider=provider)
    last: datetime | None = row["last"]
    return last - OVERLAP if last is not None else datetime.now(UTC) - FIRST_TIME


async def _followed(settlement_id: UUID) -> bool:
    """Until every line is matched; false when nobody matches them."""
    far, still_since = -1, asyncio.get_running_loop().time()
    while True:
        async with reading(PAYMENT) as connection:
            (row,) = await rows(connection, _HOW_FAR, id=settlement_id)
        if row["state"] == "matched":
            return True
        now = asyncio.get_running_loop().time()
        if row["pages_done"] != far:
            far, still_since = row["pages_done"], now
        elif now - still_since > MATCHED_WITHIN_S:
            return False
        await asyncio.sleep(LOOK_AGAIN_S)


async def _note_unsettled(provider: str) -> None:
    """Payment looks again at what was told before it was booked, and at what is too late."""
    after = UUID(int=0)
    for _ in range(ROUNDS):
        async with reading(PAYMENT, within_s=STAGED_WITHIN_S) as connection:
            found = await unsettled(connection, provider, MAX_UNSETTLED, after)
        noted = tuple(
            row["id"] for row in found if row["told_before"] or _unsettled(row)["kind"] is Class.MISSING_THERE
        )
        if noted:
            await hand_over(PAYMENT, [NoteUnsettled(provider=provider, transfer_ids=noted)], provider)
        if len(found) < MAX_UNSETTLED:
            return
        after = found[-1]["id"]


async def _differences(
    all_: bool, limit: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """What is written down, what is only waited for, and how many of each class are open, however few are listed."""
    async with reading(PAYMENT) as connection:
        found = plain(await rows(connection, _OPEN, all=all_, limit=limit))
        by_class = plain(await rows(connection, _BY_CLASS))
        waiting: list[dict[str, Any]] = []
        for provider in await rows(connection, _PROVIDERS):
            more = await unsettled(connection, provider["provider"], limit, UUID(int=0))
            waiting += [_unsettled(row) for row in more]
    return found, plain(waiting), by_class


def _unsettled(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A movement no report has, as a difference that is not written down."""
    debit, credit = SIDES[EntryKind(row["kind"])]
    ours = Transfer(
        row["id"], row["order_id"], row["occurred_at"], row["currency"], debit, credit, row["amount_minor"],
        EntryKind(row["kind"]), "", row["provider"],
    )  # fmt: skip
    found = compare_unsettled(ours, datetime.now(UTC), _settings().settled_within_days)
    return {
        "kind": found.kind,
        "movement": row["kind"],
        "transfer_id": row["id"],
        "order_id": row["order_id"],
        "provider": row["provider"],
        "currency": row["currency"],
        "ours_minor": found.ours_minor,
        "occurred_at": row["occurred_at"],
    }


async def _one(id_: UUID) -> dict[str, Any] | None:
    async with reading(PAYMENT) as connection:
        return next(iter(plain(await rows(connection, _ONE, id=id_))), None)


# -- what is told --------------------------------------------------------------------------------------------------


def _proposed(one: Mapping[str, Any]) -> str:
    if one["entry"] is None:
        return "nothing to book"
    debit, credit = SIDES[EntryKind(one["entry"])]
    return f"{amount(one['entry_minor'], one['currency'])} {one['currency']} {debit} from {credit}"


def _tell_classes(by_class: Sequence[Mapping[str, Any]]) -> None:
    """What is of no order stands in no order's story: this is where it is told."""
    if by_class:
        console.print("open: " + ", ".join(f"{one['differences']} {one['kind']}" for one in by_class))
    if strange := [one for one in by_class if one["of_no_order"]]:
        told = ", ".join(f"{one['of_no_order']} {one['kind']}" for one in strange)
        console.print(Text(f"of no order of ours, told nowhere but here: {told}", "bold red"))


def _tell_import(told: Mapping[str, Any]) -> None:
    if told["outcome"] == "rejected":
        console.print(Text("rejected: nothing was imported", "bold red"))
        problems(told["problems"], told["report"], PROBLEMS_SHOWN)
    elif told["outcome"] == "staged":
        console.print(f"{many(told['lines'], 'line')} kept; payment has not matched them yet (is it running?)")
    else:
        became = ", ".join(f"{count} {state}" for state, count in told.get("became", {}).items())
        known = f", {told['known']} known before" if told["known"] else ""
        console.print(f"{many(told['lines'], 'line')} imported{known}{f': {became}' if became else ''}")
        console.print("`oms reconcile` lists what differs", style=QUIET)

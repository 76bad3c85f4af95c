"""`oms ledger`: what moved the money of an order, and where all of it is now: sums over one table of transfers.

Each row debits one account and credits another, so a trial balance that is not even has rows that are missing.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.text import Text

from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.route import order_of
from services.ops.told import QUIET, amount, console, many, money, plain, shown, table, tell_json

app = typer.Typer(add_completion=False)

ADDED_UP_WITHIN_S: Final = 600.0
"""The trial balance reads every transfer there is."""
_NAMED: Final = "CASE {side} WHEN 'provider_clearing' THEN {side} || ':' || provider ELSE {side} END"
_DEBIT, _CREDIT = _NAMED.format(side="debit"), _NAMED.format(side="credit")
_ENTRIES: Final = f"""SELECT id, occurred_at, kind, reference, currency, amount_minor, {_DEBIT} AS debit,
           {_CREDIT} AS credit
    FROM payments.transfers WHERE order_id = :order ORDER BY occurred_at, id"""
_BALANCE: Final = f"""SELECT currency, account, sum(debit)::bigint AS debit_minor, sum(credit)::bigint AS credit_minor
    FROM (SELECT currency, {_DEBIT} AS account, amount_minor AS debit, 0 AS credit FROM payments.transfers
          UNION ALL SELECT currency, {_CREDIT}, 0, amount_minor FROM payments.transfers) AS sides
    GROUP BY currency, account ORDER BY currency, account"""


@app.command()
def ledger(
    order: Annotated[str, typer.Argument(metavar="[ORDER]", help="An order's id, or its checkout id.")] = "",
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """The entries of one order and what each account has of it; without an order, the trial balance.

    Reads PAYMENT_DATABASE_URL; and ORDER_DATABASE_URL to find a checkout id.
    """
    if not order:
        _tell_balance(asyncio.run(_balance()), json)
        return
    id_, entries = asyncio.run(_entries(order))
    if not entries:
        raise fail(f"no money moved for {order!r}")
    accounts = by_account(entries)
    if json:
        tell_json({"order_id": str(id_), "entries": entries, "accounts": accounts})
        return
    table(
        f"{id_}, {'1 entry' if len(entries) == 1 else f'{len(entries)} entries'}",
        ("when", "what", "debit", "credit", "amount", "reference"),
        (
            (
                shown(datetime.fromisoformat(entry["occurred_at"])),
                entry["kind"],
                entry["debit"],
                entry["credit"],
                money(entry["amount_minor"], entry["currency"]),
                Text(entry["reference"], QUIET),
            )
            for entry in entries
        ),
        right=("amount",),
        whole=("when",),
    )
    console.print()
    _tell_accounts("What each account has of it", accounts)


async def _entries(which: str) -> tuple[UUID, list[dict[str, Any]]]:
    found = await order_of(which) or {"id": which}
    try:
        id_ = UUID(str(found["id"]))
    except ValueError:
        raise fail(f"no order has the id or checkout id {which!r}") from None
    async with reading(BY_SERVICE["payment"]) as connection:
        return id_, plain(await rows(connection, _ENTRIES, order=id_))


async def _balance() -> list[dict[str, Any]]:
    async with reading(BY_SERVICE["payment"], within_s=ADDED_UP_WITHIN_S) as connection:
        return plain(await rows(connection, _BALANCE))


def by_account(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What entries add up to, account by account."""
    sums: dict[tuple[str, str], list[int]] = {}
    for entry in entries:
        for side, name in enumerate(("debit", "credit")):
            sums.setdefault((entry["currency"], entry[name]), [0, 0])[side] += entry["amount_minor"]
    return [
        {"currency": currency, "account": account, "debit_minor": debit, "credit_minor": credit}
        for (currency, account), (debit, credit) in sorted(sums.items())
    ]


def totals(accounts: Iterable[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Debits and credits by currency."""
    sums: dict[str, list[int]] = {}
    for one in accounts:
        total = sums.setdefault(one["currency"], [0, 0])
        total[0] += one["debit_minor"]
        total[1] += one["credit_minor"]
    return sums


def _tell_balance(accounts: list[dict[str, Any]], json: bool) -> None:
    sums = totals(accounts)
    balanced = all(debit == credit for debit, credit in sums.values())
    if json:
        told = {
            currency: {
                "debit_minor": debit,
                "credit_minor": credit,
                "accounts": [
                    {name: value for name, value in one.items() if name != "currency"}
                    for one in accounts
                    if one["currency"] == currency
                ],
            }
            for currency, (debit, credit) in sums.items()
        }
        tell_json({"balanced": balanced, "currencies": told})
    elif not accounts:
        console.print("nothing is booked yet")
    else:
        _tell_accounts(f"Trial balance, {many(len(accounts), 'account')}", accounts)
    if not balanced:
        raise typer.Exit(1)


def _tell_accounts(title: str, accounts: Sequence[Mapping[str, Any]]) -> None:
    """Per currency the accounts and their sum; of each the side it stands on."""
    lines: list[tuple[object, ...]] = []
    for currency, (debit, credit) in totals(accounts).items():
        mine = [one for one in accounts if one["currency"] == currency]
        lines += [_line(one["account"], one["debit_minor"], one["credit_minor"], currency) for one in mine]
        even = Text("even", "green") if debit == credit else Text(f"off by {amount(debit - credit, currency)}", "red")
        lines.append((Text("in total", "bold"), currency, amount(debit, currency), amount(credit, currency), even))
    table(title, ("account", "currency", "debit", "credit", "balance"), lines, right=("debit", "credit", "balance"))


def _line(account: str, debit: int, credit: int, currency: str) -> tuple[object, ...]:
    balance = debit - credit
    side = "" if balance == 0 else " debit" if balance > 0 else " credit"
    return (
        account,
        currency,
        amount(debit, currency),
        amount(credit, currency),
        f"{amount(abs(balance), currency)}{side}",
    )

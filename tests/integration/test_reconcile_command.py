"""`oms reconcile` as an operator types it: against a running payment service, a real PostgreSQL, and the sandbox
provider over HTTP. What the provider settled is changed by hand in each way there is, and each is found.
"""

import asyncio
import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from contracts.message import Kind, Message
from contracts.payment import AuthorizePayment, RefundPayment
from services.payment.provider.port import Settled
from services.payment.provider.sandbox import SandboxProvider, SandboxProviderSettings
from services.payment.settlement.reading import COLUMNS
from services.sandbox.environment import Environment
from shared.envelope import head_of
from shared.ids import new_id
from tests.support.processes import ROOT, System, plan
from tests.support.until import until

LONG_AGO: Final = datetime.now(UTC) - timedelta(days=60)
FEE: Final = 39
Row = dict[str, str]


@pytest.fixture(scope="module")
async def system(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    made = plan(environment.env, tmp_path_factory.mktemp("logs"), [["payment"]])
    try:
        yield await made.start()
        assert set((await made.stop()).values()) == {0}
    finally:
        await made.kill()


class Desk:
    """An operator, and somebody who may look at every row."""

    def __init__(self, system: System, owner: asyncpg.Connection, folder: Path) -> None:
        self.system, self.owner, self.folder = system, owner, folder

    async def oms(self, *words: str) -> tuple[int, str, str]:
        env = {**self.system.env, "COLUMNS": "200"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services", *words,
            cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def json(self, *words: str, status: int = 0) -> Any:
        code, out, err = await self.oms(*words, "--json")
        assert code == status, (out, err)
        return json.loads(out)

    async def say(self, message: Message) -> None:
        id_ = new_id()
        key = f"orchestrator/{id_}/pay/do" if message.kind is Kind.COMMAND else None
        head = head_of(message, id_=id_, source="test", subject="", now=datetime.now(UTC), cause={}, command_key=key)
        await self.owner.execute(
            "INSERT INTO payments.due (id, queue, not_before, head, body) VALUES ($1, 'payment', now(), $2, $3)",
            id_, json.dumps(head), message.model_dump_json(),
        )  # fmt: skip

    async def pays(self, count: int) -> list[UUID]:
        orders = [new_id() for _ in range(count)]
        for order in orders:
            await self.say(
                AuthorizePayment(order_id=order, amount_minor=1000, currency="EUR", method="card", token="tok_ok")
            )
        for order in orders:
            await self.booked(order, "capture")
        return orders

    async def refunds(self, order: UUID, amount_minor: int) -> None:
        await self.say(RefundPayment(order_id=order, refund_id=new_id(), amount_minor=amount_minor, currency="EUR"))
        await self.booked(order, "refund")

    async def booked(self, order: UUID, kind: str) -> None:
        async def there() -> bool:
            query = "SELECT count(*) FROM payments.transfers WHERE order_id = $1 AND kind = $2"
            return bool(await self.owner.fetchval(query, order, kind))

        await until(there, f"{kind} of {order}", within_s=30)

    async def statement(self, orders: Sequence[UUID]) -> list[Row]:
        """What the provider settled of these orders, as rows of its file."""
        async with SandboxProvider(SandboxProviderSettings(self.system.provider_url)) as provider:
            settled = await provider.list_settlements(LONG_AGO)
        named = {str(order) for order in orders}
        return [row_of(one) for one in settled if one.reference in named]

    def file(
        self, rows: Sequence[Row], name: str = "statement.csv", *, spoiled: Callable[[str], str] = lambda text: text
    ) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        path = self.folder / name
        path.write_text(spoiled(text.getvalue()))
        return str(path)

    async def everything(self) -> list[Any]:
        tables = ("settlements", "settlement_lines", "settlement_differences", "transfers", "due", "parked")
        return [await self.owner.fetch(f"SELECT * FROM payments.{table} ORDER BY 1") for table in tables]

    async def clearing(self, orders: Sequence[UUID | None]) -> int:
        query = """SELECT sum(CASE WHEN debit = 'provider_clearing' THEN amount_minor
                                   WHEN credit = 'provider_clearing' THEN -amount_minor ELSE 0 END)::bigint
                   FROM payments.transfers WHERE order_id = ANY($1)"""
        return int(await self.owner.fetchval(query, list(orders)) or 0)


def row_of(one: Settled) -> Row:
    told = {name: str(getattr(one, name)) for name in COLUMNS if name not in ("line_id", "occurred_at")}
    return {**told, "line_id": one.id, "occurred_at": one.occurred_at.isoformat()}


@pytest.fixture
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(environment.env["DATABASE_URL"])
    yield connection
    await connection.close()


@pytest.fixture
def desk(system: System, owner: asyncpg.Connection, tmp_path: Path) -> Desk:
    return Desk(system, owner, tmp_path)


async def test_every_kind_of_difference_is_found_none_is_invented_and_each_is_accepted(desk: Desk) -> None:
    right, less, dearer, missing, later, back = orders = await desk.pays(6)
    await desk.refunds(back, 300)
    await desk.owner.execute(
        "UPDATE payments.transfers SET occurred_at = $2 WHERE order_id = $1", missing, LONG_AGO + timedelta(days=1)
    )
    rows = {(row["reference"], row["kind"]): row for row in await desk.statement(orders)}
    assert len(rows) == 7
    rows[str(less), "payment"]["amount_minor"] = "990"
    rows[str(dearer), "payment"]["fee_minor"] = str(FEE + 5)
    for order in (missing, later):
        del rows[str(order), "payment"]
    nobody = new_id()
    stranger = {**rows[str(right), "payment"], "line_id": "x1", "reference": str(nobody), "provider_payment_id": "p"}
    payout = {**stranger, "line_id": "x2", "kind": "payout", "reference": "", "amount_minor": "-2000", "fee_minor": ""}
    file = desk.file([*rows.values(), stranger, payout])

    since = f"{LONG_AGO:%Y-%m-%d}"
    told = await desk.json("reconcile", "import", file, "--since", since)
    assert (told["outcome"], told["lines"], told["became"]) == ("matched", 7, {"differing": 3, "matched": 4})

    listed = await desk.json("reconcile")
    found = {(one["kind"], one["order_id"]): one for one in listed["differences"]}
    assert {key: (one["ours_minor"], one["theirs_minor"], one["entry"], one["entry_minor"])
            for key, one in found.items()} == {
        ("amount", str(less)): (1000, 990, "shortfall", 10),
        ("fee", str(dearer)): (FEE, FEE + 5, "fee", 5),
        ("missing_here", str(nobody)): (0, 1000, "surplus", 1000 - FEE),
        ("missing_there", str(missing)): (1000, 0, "shortfall", 1000),
    }  # fmt: skip
    assert [(one["kind"], one["order_id"]) for one in listed["timing"]] == [("timing", str(later))]
    assert [(one["kind"], one["differences"], one["of_no_order"]) for one in listed["by_class"]] == [
        ("amount", 1, 0), ("fee", 1, 0), ("missing_here", 1, 1), ("missing_there", 1, 0),
    ]  # fmt: skip
    code, shown, _ = await desk.oms("reconcile")
    assert "open: 1 amount, 1 fee, 1 missing_here, 1 missing_there" in shown
    assert "of no order of ours, told nowhere but here: 1 missing_here" in shown
    assert code == 0 and "missing_there" in shown and "suspense from provider_clearing" in shown

    for one in found.values():
        accepted = await desk.json("reconcile", "accept", one["id"], "--by", "grace", "--yes")
        assert (accepted["decided"], accepted["by"]) == (True, "grace")
    assert ((done := await desk.json("reconcile"))["differences"], done["by_class"]) == ([], [])
    net = sum(int(row["amount_minor"]) - int(row["fee_minor"] or 0) for row in (*rows.values(), stranger))
    assert await desk.clearing([*orders, nobody]) == net + 1000  # what is settled later is still to come
    balance = await desk.json("ledger")
    assert balance["balanced"] is True
    code, _, err = await desk.oms("reconcile", "accept", found["amount", str(less)]["id"], "--yes")
    assert (code, "accepted already" in err) == (2, True)

    again = await desk.json("reconcile", "import", file, "--since", since)
    assert (again["outcome"], again["known"]) == ("recognised", 7)
    facts = await desk.owner.fetchval(
        "SELECT count(*) FROM payments.outbox WHERE body LIKE '%payment.settlement_differs%' AND subject = ANY($1)",
        [str(order) for order in orders],
    )
    assert facts in (0, 3)  # said, or on its way: no order service runs here


async def test_the_providers_own_api_agrees_with_the_ledger(desk: Desk) -> None:
    since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    first, second = await desk.pays(2)
    await desk.refunds(first, 250)
    told = await desk.json("reconcile", "import", "--from-provider", "--since", since)
    assert (told["outcome"], told["became"]) == ("matched", {"matched": 3})
    assert await desk.clearing([first, second]) == 2 * (1000 - FEE) - 250
    file = desk.file(await desk.statement([first, second]))
    again = await desk.json("reconcile", "import", file, "--reference", "the same as a file")
    assert (again["outcome"], again["known"]) == ("recognised", 3)


@pytest.mark.parametrize(
    ("spoiled", "row", "column", "why"),
    [
        (lambda text: text.replace("EUR", "EUX", 1), 2, "currency", "unknown currency"),
        (lambda text: text.replace("fee_minor", "charge", 1), 1, "fee_minor", "wrong columns"),
        (lambda text: text[:-38], 3, "", "columns where there are 8"),
        (lambda text: text.replace(",payment,", ',"payment,', 1), 3, "", "not CSV"),
        (lambda text: text + text.splitlines()[1] + "\n", 4, "line_id", "also in row 2"),
    ],
)
async def test_a_statement_that_is_wrong_anywhere_changes_nothing(
    desk: Desk, spoiled: Callable[[str], str], row: int, column: str, why: str
) -> None:
    rows = await desk.statement(await desk.pays(2))
    path = desk.file(rows, spoiled=spoiled)
    before = await desk.everything()
    told = await desk.json("reconcile", "import", path, status=1)
    assert told["outcome"] == "rejected"
    named = [one for one in told["report"] if (one["row"], one["column"]) == (row, column)]
    assert named and why in named[0]["why"], told["report"]
    assert await desk.everything() == before
    code, shown, _ = await desk.oms("reconcile", "import", path)
    assert (code, "nothing was imported" in shown) == (1, True)


async def test_the_same_line_said_otherwise_refuses_the_whole_statement(desk: Desk) -> None:
    rows = await desk.statement(await desk.pays(2))
    assert (await desk.json("reconcile", "import", desk.file(rows[:1])))["outcome"] == "matched"
    rows[0]["amount_minor"] = "1001"
    before = await desk.everything()
    told = await desk.json("reconcile", "import", desk.file(rows), status=1)
    assert [(one["row"], one["column"]) for one in told["report"]] == [(2, "line_id")]
    same_name = desk.file(rows[1:], "other.csv")
    reference = await desk.owner.fetchval("SELECT reference FROM payments.settlements ORDER BY created_at DESC LIMIT 1")
    told = await desk.json("reconcile", "import", same_name, "--reference", reference, status=1)
    assert "imported before under this reference" in told["report"][0]["why"]
    assert await desk.everything() == before


async def test_two_reports_at_once_settle_a_movement_once(desk: Desk) -> None:
    (order,) = await desk.pays(1)
    (row,) = await desk.statement([order])
    twin = {**row, "line_id": "twin"}
    files = [desk.file([row], "one.csv"), desk.file([twin], "two.csv")]
    await asyncio.gather(*(desk.json("reconcile", "import", file) for file in files))
    found = [one for one in (await desk.json("reconcile"))["differences"] if one["order_id"] == str(order)]
    assert [one["kind"] for one in found] == ["missing_here"]
    await desk.json("reconcile", "accept", found[0]["id"], "--yes")


async def test_what_cannot_be_asked_is_said(desk: Desk) -> None:
    for words, why in (
        (("import",), "give a file"),
        (("import", "x.csv", "--from-provider"), "give a file"),
        (("import", "nowhere.csv"), "cannot be read"),
        (("import", "report.csv", "--provider", "my bank"), "no payment was ever made by 'my bank'"),
        (("import", "--from-provider", "--provider", "other"), "other is not set up: there are sandbox, bank"),
        (("import", "--from-provider", "--provider", "bank"), "bank cannot be asked; import its file"),
        (("accept", "x"), "no id of a difference"),
        (("accept", str(new_id()), "--yes"), "no difference has the id"),
    ):
        code, _, err = await desk.oms("reconcile", *words)
        assert (code, why in err) == (2, True), err

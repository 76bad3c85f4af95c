"""`oms statement` on a real PostgreSQL: a file as a bank sends it, imported by the command line and decided by payment.

Payment is run by hand, with the bank as its only provider: what is due is decided while the command waits for it.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from contracts.message import Message
from contracts.payment import AuthorizePayment, RefundPayment
from services.payment.effects import payment_effect
from services.payment.handlers import make_consumer
from services.payment.policy import PaymentPolicy
from services.payment.provider.bank import BankTransfer
from services.sandbox.environment import Environment
from shared.batch import Batches
from shared.ids import new_id
from tests.support.processes import ROOT
from tests.support.replicas import heard, replicas_of
from tests.support.statements import Line, camt, table

LOOK_AGAIN_S: Final = 0.05
WITHIN_S: Final = 120


class Shop:
    """Payment, its bank, and an operator with a terminal."""

    def __init__(self, env: dict[str, str], payment: Batches, folder: Path) -> None:
        self.env, self.payment, self.folder = env, payment, folder

    async def hears(self, *messages: Message, key: str = "") -> None:
        await self.payment.run([heard(message, key or None) for message in messages], due=True)

    async def works(self) -> None:
        effect = payment_effect({"sandbox": BankTransfer()})
        for attempt in await effect.take(self.payment.store, 100):
            await self.hears(await effect.perform(attempt))

    async def ordered(self, amount_minor: int = 1000) -> tuple[UUID, str]:
        order_id = new_id()
        command = AuthorizePayment(
            order_id=order_id, amount_minor=amount_minor, currency="EUR", method="transfer", token="none"
        )
        await self.hears(command, key=f"orchestrator/{order_id}/pay/do")
        await self.works()
        shown: str = await self.value("SELECT provider_payment_id FROM payments WHERE order_id = $1", order_id)
        return order_id, shown

    async def value(self, query: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self.env["DATABASE_URL"])
        try:
            await connection.execute("SET search_path = payments")
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def oms(self, *words: str) -> tuple[int, str, str]:
        """One command, while payment decides what is due."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services", "statement", *words,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "120", "PAYMENT_DATABASE_URL": self.env["PAYMENT_DATABASE_URL"]},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        ended = asyncio.create_task(process.communicate())
        async with asyncio.timeout(WITHIN_S):
            while not ended.done():
                await self.payment.run([], due=True)
                await asyncio.wait([ended], timeout=LOOK_AGAIN_S)
        out, said = ended.result()
        assert process.returncode is not None
        assert b"Traceback" not in said, said.decode()
        return process.returncode, out.decode(), said.decode()

    async def json(self, *words: str, status: int = 0) -> Any:
        ended, out, said = await self.oms(*words, "--json")
        assert ended == status, (out, said)
        return json.loads(out)

    def file(self, text: str, name: str = "statement.xml") -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)


@pytest.fixture
async def shop(environment: Environment, tmp_path: Path) -> AsyncIterator[Shop]:
    async with replicas_of(environment, make_consumer(PaymentPolicy()), 1) as (payment,):
        yield Shop(environment.env, payment, tmp_path)


async def test_a_statement_from_the_file_to_the_order_s_money(shop: Shop) -> None:
    order_id, reference = await shop.ordered()
    late, other = await shop.ordered(), await shop.ordered(2500)
    lines = [
        Line("10.00", f"order {reference.lower()}", id="S-1"), Line("10.00", structured=late[1], id="S-2"),
        Line("24.99", other[1], id="S-3"), Line("7.77", "hello", id="S-4"), Line("-99.00", "rent", id="S-5"),
        Line("5.00", "soon", id="S-6", status="PDNG"), Line("0.00", id="S-7"),
    ]  # fmt: skip
    file = shop.file(camt(*lines))
    would = await shop.json("import", file, "--dry-run")
    expected = {"paid": 2, "too_little": 1, "no_reference": 1, "unrelated": 1}
    assert (would["outcomes"], would["entries"], would["decided"]) == (expected, 5, False)
    assert await shop.value("SELECT count(*) FROM statement_entries") == 0
    told = await shop.json("import", file, "--by", "grace")
    assert (told["decided"], told["outcomes"]) == (True, expected)
    assert (told["not_booked"], told["of_nothing"]) == (1, 1)
    assert await shop.value("SELECT state FROM payments WHERE order_id = $1", order_id) == "captured"
    again = await shop.json("import", file)
    assert again["outcomes"] == expected
    (listed,) = await shop.json("list")
    assert {name: listed[name] for name in ("statement", "entries", "matched", "unrelated", "open", "repeated")} == {
        "statement": "2026-03-02/041", "entries": 5, "matched": 2, "unrelated": 1, "open": 2, "repeated": 5,
    }  # fmt: skip
    assert (await shop.json("import", file, "--dry-run"))["outcomes"] == {"known": 5}
    opened = await shop.json("entries", "--open")
    assert {one["outcome"] for one in opened} == {"too_little", "no_reference"}
    assert await shop.value("SELECT count(*) FROM captures") == 2
    status, out, _ = await shop.oms("entries")
    assert status == 0 and "open: too_little" in out
    status, out, _ = await shop.oms("import", shop.file(camt(Line("1.00", id="S-8"), statement="042")))
    assert status == 0 and "1 booked" in out and "no reference" in out


async def test_a_person_assigns_and_sends_back_and_the_payouts_are_made(shop: Shop) -> None:
    order_id, _ = await shop.ordered(4200)
    lines = [Line("42.00", "my order", id="P-1"), Line("3.00", "oops", id="P-2", name="Zoë"), Line("1.00", id="P-3")]
    await shop.json("import", shop.file(table(lines), "statement.csv"))
    ids = {one["bank_reference"]: one["id"] for one in await shop.json("entries", "--open")}
    refused = await shop.json("assign", ids["P-2"], str(order_id), "--by", "grace", "--yes", status=1)
    assert (refused["state"], refused["problem"]) == ("open", "too_little")
    done = await shop.json("assign", ids["P-1"][:8], str(order_id), "--by", "grace", "--yes")
    assert (done["state"], done["order_id"]) == ("assigned", str(order_id))
    assert await shop.value("SELECT state FROM payments WHERE order_id = $1", order_id) == "captured"
    assert (await shop.json("send-back", ids["P-2"], "--yes"))["state"] == "sending_back"
    assert (await shop.json("dismiss", ids["P-3"], "--reason", "interest", "--yes"))["state"] == "dismissed"

    refund = RefundPayment(order_id=order_id, refund_id=new_id(), amount_minor=1200, currency="EUR", reason="late")
    await shop.hears(refund, key=f"orchestrator/{order_id}/refund/do")
    await shop.works()
    paid, back = sorted(await shop.json("payouts"), key=lambda one: str(one["why"]))
    assert (paid["why"], paid["amount_minor"], paid["name"]) == ("refund", 1200, "Ada Lovelace")
    assert (paid["account"], paid["order_id"]) == ("DE02120300000000202051", str(order_id))
    assert (back["why"], back["amount_minor"], back["name"]) == ("send back", 300, "Zoë")
    status, out, _ = await shop.oms("payouts")
    assert status == 0 and "12.00 EUR" in out and "3.00 EUR" in out

    lines = [
        Line("-12.00", end_to_end=paid["reference"], id="P-4"), Line("-3.00", f"back {back['reference']}", id="P-5"),
    ]  # fmt: skip
    told = await shop.json("import", shop.file(camt(*lines, statement="043")))
    assert told["outcomes"] == {"paid_out": 2}
    assert await shop.json("payouts") == []
    assert await shop.value("SELECT state FROM refunds WHERE order_id = $1", order_id) == "refunded"
    assert await shop.value("SELECT count(*) FROM statement_entries WHERE state = 'sent_back'") == 1


async def test_a_transfer_called_back_takes_its_payout_off_the_list(shop: Shop) -> None:
    order_id, reference = await shop.ordered()
    await shop.json("import", shop.file(camt(Line("10.00", reference, id="C-1"), statement="060")))
    refund = RefundPayment(order_id=order_id, refund_id=new_id(), amount_minor=400, currency="EUR")
    await shop.hears(refund, key=f"orchestrator/{order_id}/refund/do")
    await shop.works()
    assert len(await shop.json("payouts")) == 1
    back = Line("-10.00", reference, id="C-2", reversal=True)
    told = await shop.json("import", shop.file(camt(back, statement="061")))
    assert told["outcomes"] == {"transfer_returned": 1}
    assert await shop.json("payouts") == []
    refusal = await shop.value("SELECT state || ' ' || refusal FROM refunds WHERE order_id = $1", order_id)
    assert refusal == "refused transfer_returned"
    assert await shop.value("SELECT refund_reserved_minor FROM payments WHERE order_id = $1", order_id) == 0


async def test_of_too_much_the_rest_is_paid_out(shop: Shop) -> None:
    order_id, reference = await shop.ordered()
    await shop.json("import", shop.file(camt(Line("12.50", reference, id="M-1"), statement="046")))
    (entry,) = [one for one in await shop.json("entries", "--open") if one["bank_reference"] == "M-1"]
    given = ("assign", entry["id"], str(order_id), "--yes")
    assert (await shop.json(*given, status=1))["problem"] == "too_much"
    assert (await shop.json(*given, "--rest-goes-back"))["state"] == "sending_back"
    assert await shop.value("SELECT state FROM payments WHERE order_id = $1", order_id) == "captured"
    (rest,) = await shop.json("payouts")
    assert (rest["amount_minor"], rest["entry_id"]) == (250, entry["id"])
    await shop.json("import", shop.file(camt(Line("-2.50", rest["reference"], id="M-2"), statement="047")))
    assert await shop.json("payouts") == []


async def test_a_file_that_breaks_in_the_middle_changes_nothing(shop: Shop) -> None:
    _, reference = await shop.ordered()
    text = camt(Line("10.00", reference, id="B-1"), Line("1.00", id="B-2"), statement="044")
    before = await shop.value("SELECT count(*) FROM statement_entries")
    told = await shop.json("import", shop.file(text[: text.index("B-2")]), status=1)
    assert told["problems"] == 1 and "not well-formed" in told["report"][0]["why"]
    status, out, _ = await shop.oms("import", shop.file(text.replace(">1.00<", ">1.001<")))
    assert status == 1 and "nothing of it is booked" in out and "Ntry/Amt" in out
    assert await shop.value("SELECT count(*) FROM statement_entries") == before
    assert await shop.value("SELECT count(*) FROM due WHERE queue = 'payment'") == 0
    status, _, said = await shop.oms("import", str(shop.folder / "nowhere.xml"))
    assert (status, "cannot be read" in said) == (2, True)


async def test_what_is_asked_of_no_entry_is_refused(shop: Shop) -> None:
    status, _, said = await shop.oms("import", shop.file(camt(Line("1.00"))), "--by", "Grace Hopper")
    assert status == 2 and "by: " in said
    for which in ("nonsense", "abc", str(new_id())):
        status, _, said = await shop.oms("send-back", which, "--yes")
        assert status == 2 and ("no id of an entry" in said or "no entry has" in said)


async def test_two_imports_of_one_statement_at_once_count_once(environment: Environment, shop: Shop) -> None:
    """Two operators, two replicas: the second one's entries meet rows that were not there when it looked."""
    from contracts.statement import BookStatement
    from services.payment.banking.importing import messages, read

    orders = [await shop.ordered() for _ in range(30)]
    lines = [Line("10.00", reference, id=f"R-{number}") for number, (_, reference) in enumerate(orders)]
    booked, found = read(shop.file(camt(*lines, statement="045")))
    assert found.problems.count == 0
    pages: list[BookStatement] = list(messages(booked, "grace"))
    async with replicas_of(environment, make_consumer(PaymentPolicy()), 1) as (payment,), asyncio.timeout(WITHIN_S):
        await asyncio.gather(shop.hears(*pages), Shop(environment.env, payment, shop.folder).hears(*pages))
    assert await shop.value("SELECT count(*) FROM statement_entries WHERE bank_reference LIKE 'R-%'") == 30
    for order_id, _ in orders:
        assert await shop.value("SELECT captured_minor FROM payments WHERE order_id = $1", order_id) == 1000
    counted = await shop.value("SELECT entries || '/' || matched || '/' || repeated FROM statements WHERE name = '045'")
    assert counted == "30/30/30"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("UPDATE statement_entries SET state = 'open' WHERE state = 'matched'", "statement_entries_state_moves"),
        ("UPDATE statement_entries SET amount_minor = 0", "an_entry_moves_money"),
        (
            "UPDATE statement_entries SET state = 'sending_back' WHERE state = 'open'",
            "what_no_rule_decided_a_person_did",
        ),
    ],
)
async def test_a_hand_written_update_cannot_move_an_entry(shop: Shop, change: str, rule: str) -> None:
    _, reference = await shop.ordered()
    name = f"H-{new_id()}"
    lines = [Line("10.00", reference, id=f"{name}-1"), Line("1.00", id=f"{name}-2")]
    await shop.json("import", shop.file(camt(*lines, statement=name[:30])))
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await shop.value(change)
    assert rule in str(refused.value.constraint_name)

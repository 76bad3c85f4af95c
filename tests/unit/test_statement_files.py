"""A statement's file: which format it has is seen by how it begins, and what is wrong anywhere leaves nothing of it."""

from datetime import date
from pathlib import Path

import pytest

from contracts.statement import MAX_ENTRIES_AT_ONCE, BookedEntry
from services.payment.banking.camt import CamtReader
from services.payment.banking.importing import Format, messages, read
from services.payment.banking.matching import named_in
from services.payment.banking.reading import Booked
from tests.support.statements import Line, camt, table

PAID = Line("33.90", "thanks", id="A-1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "statement"


@pytest.mark.parametrize("begins", ["", "\ufeff", "\n \t\r\n"])
@pytest.mark.parametrize("format_", [None, *Format])
def test_a_format_is_seen_by_its_first_character_or_said(file: Path, begins: str, format_: Format | None) -> None:
    says = {Format.CAMT: camt(PAID).partition("?>")[2].lstrip(), Format.CSV: table([PAID])}
    for written, text in says.items():
        file.write_text(begins + text)
        booked, found = read(str(file), format_)
        right = format_ in (None, written)
        assert ([one.entry.bank_reference for one in booked], found.problems.count == 0) == (["A-1"] * right, right)


def test_a_file_in_utf_16_is_xml_too(file: Path) -> None:
    file.write_bytes(camt(PAID).replace("UTF-8", "UTF-16").encode("utf-16"))
    booked, found = read(str(file))
    assert (len(booked), found.problems.count) == (1, 0)


def test_an_empty_file_is_a_problem_and_not_a_statement_without_entries(file: Path) -> None:
    file.touch()
    booked, found = read(str(file))
    assert (booked, found.problems.count) == ([], 1)


def test_one_wrong_entry_leaves_nothing_of_the_others(file: Path) -> None:
    file.write_text(camt(PAID, Line("x", id="A-2"), Line("2.00", id="A-3")))
    booked, found = read(str(file))
    assert (booked, found.entries, found.problems.count) == ([], 2, 1)


def booked(account: str, statement: str, count: int) -> list[Booked]:
    return [
        Booked(
            account,
            statement,
            number,
            BookedEntry(
                bank_reference=f"{account} {statement} {number}",
                booked_on=date(2026, 3, 2),
                amount_minor=1,
                currency="EUR",
            ),
        )
        for number in range(count)
    ]


def test_a_message_is_of_one_statement_and_none_is_too_large() -> None:
    many = MAX_ENTRIES_AT_ONCE + 1
    entries = [*booked("A", "1", many), *booked("A", "2", 2), *booked("B", "2", MAX_ENTRIES_AT_ONCE)]
    said = list(messages(entries, "grace"))
    assert [(one.account, one.statement, len(one.entries), one.by) for one in said] == [
        ("A", "1", MAX_ENTRIES_AT_ONCE, "grace"),
        ("A", "1", 1, "grace"),
        ("A", "2", 2, "grace"),
        ("B", "2", MAX_ENTRIES_AT_ONCE, "grace"),
    ]
    assert [entry for one in said for entry in one.entries] == [one.entry for one in entries]


RETURNED = "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"


def collective(transactions: int, text: str, last: str, beside: str = "") -> BookedEntry:
    """One debit of many transactions that do not add up; what the last of them holds is given."""
    one = "<TxDtls>{refs}<Amt Ccy='EUR'>1.00</Amt>{more}</TxDtls>"
    all_ = [
        one.format(refs=f"<Refs><EndToEndId>E2E-{at:031}</EndToEndId></Refs>", more=text) for at in range(transactions)
    ]
    details = "".join([*all_, one.format(refs="", more=last)])
    head, _, rest = camt(Line("-9999.00")).partition("<TxDtls>")
    reader = CamtReader()
    file = (head + details + rest.partition("</TxDtls>")[2]).replace("</Ntry>", f"{beside}</Ntry>")
    (booked,) = reader.take(file.encode()) + reader.end()
    assert reader.found.problems.listed == []
    return booked.entry


@pytest.mark.parametrize(("transactions", "words"), [(4, 27), (20, 0), (600, 0)])
def test_of_many_transactions_that_stay_together_no_reference_is_cut_off(transactions: int, words: int) -> None:
    """Whichever may be ours goes first: a refund whose reference is cut off waits for ever."""
    text = f"<RmtInf><Ustrd>{'text ' * words}</Ustrd></RmtInf>"
    parts = "<RmtInf><Ustrd>rf31 tlqe</Ustrd><Ustrd>xleb qagd</Ustrd></RmtInf>"
    told = collective(transactions, text, parts)
    assert named_in(told.reference, told.end_to_end_id, told.remittance) == ("RF31TLQEXLEBQAGD",)
    assert len(told.remittance) <= 560 and "E2E-" in told.remittance


def test_what_is_said_beside_the_transactions_that_stay_together_is_read_too() -> None:
    beside = "<AddtlTxInf>RF31 TLQE XLEB QAGD</AddtlTxInf>"
    assert collective(1, "", beside).remittance.startswith("RF31TLQEXLEBQAGD E2E-")
    assert collective(1, "", "", beside.replace("Tx", "Ntry")).remittance.startswith("RF31TLQEXLEBQAGD E2E-")


@pytest.mark.parametrize("transactions", [20, 600])
def test_of_many_transactions_that_stay_together_each_may_be_a_return(transactions: int) -> None:
    assert collective(transactions, "", RETURNED).reversal and not collective(transactions, "", "").reversal

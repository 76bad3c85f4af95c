"""Statements of banks, good and bad: what is read of them, and where what is wrong is said to be."""

import re
from collections.abc import Callable, Sequence
from datetime import date

import pytest

from services.payment.banking import reading
from services.payment.banking.camt import MAX_DEPTH, MAX_VALUES, CamtReader
from services.payment.banking.columns import MORE, NEEDED, ColumnsReader
from services.payment.banking.reading import Booked, Broken, Found, Reader
from shared import problems
from tests.support.statements import ACCOUNT, Line, camt, entry, table

REFERENCE = "RF31TLQEXLEBQAGD"
PAID = Line("33.90", "RF31 TLQE XLEB QAGD", id="A-1")
READERS: dict[str, Callable[[], Reader]] = {"camt": CamtReader, "csv": ColumnsReader}


def read(text: str | bytes, step: int = 1000, kind: str = "camt") -> tuple[list[Booked], Found]:
    reader = READERS[kind]()
    given = text.encode() if isinstance(text, str) else text
    booked: list[Booked] = []
    try:
        for at in range(0, len(given), step):
            booked += reader.take(given[at : at + step])
        booked += reader.end()
    except Broken:
        assert reader.found.problems.count
    return booked, reader.found


def entries(text: str, **how: object) -> list[tuple[int, str, str]]:
    booked, found = read(text, **how)  # type: ignore[arg-type]
    assert found.problems.listed == []
    return [(one.entry.amount_minor, one.entry.currency, one.entry.bank_reference) for one in booked]


def why(text: str | bytes, kind: str = "camt") -> list[tuple[int, str, str]]:
    _, found = read(text, kind=kind)
    return [(one.row, one.column, one.why) for one in found.problems.listed]


@pytest.mark.parametrize("version", ["02", "04", "06", "08", "13"])
def test_every_version_says_the_same(version: str) -> None:
    (booked,), found = read(camt(PAID, version=version))
    assert found.problems.listed == []
    assert (booked.account, booked.statement) == (ACCOUNT, "2026-03-02/041")
    said = booked.entry
    assert (said.amount_minor, said.currency, said.booked_on) == (3390, "EUR", date(2026, 3, 2))
    assert (said.counterparty, said.counterparty_account) == ("Ada Lovelace", "DE02120300000000202051")
    assert (said.remittance, said.end_to_end_id, said.bank_reference) == ("RF31 TLQE XLEB QAGD", "", "A-1")


@pytest.mark.parametrize("step", [1, 7, 64, 100_000])
def test_it_does_not_matter_how_it_comes(step: int) -> None:
    text = camt(PAID, Line("-12.5", "refund", id="A-2", end_to_end=REFERENCE))
    assert entries(text, step=step) == [(3390, "EUR", "A-1"), (-1250, "EUR", "A-2")]
    lines = [PAID, Line("-12.5", id="A-2")]
    assert entries(table(lines), step=step, kind="csv") == [(3390, "EUR", "A-1"), (-1250, "EUR", "A-2")]


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("5", "EUR", 500), ("5.1", "EUR", 510), ("5.10000", "EUR", 510), ("980", "JPY", 980), ("1.234", "KWD", 1234)],
)
def test_an_amount_has_the_decimals_of_its_currency(amount: str, currency: str, minor: int) -> None:
    line = Line(amount, id="A-1", currency=currency)
    assert entries(camt(line)) == [(minor, currency, "A-1")]
    assert entries(table([line]), kind="csv") == [(minor, currency, "A-1")]


def test_a_structured_reference_and_several_lines_of_text() -> None:
    (booked,), _ = read(camt(Line("1.00", "order</Ustrd><Ustrd>of monday", structured=REFERENCE)))
    assert (booked.entry.reference, booked.entry.remittance) == (REFERENCE, "order of monday")


@pytest.mark.parametrize("kind", READERS)
def test_what_is_longer_than_an_entry_has_room_for_is_cut(kind: str) -> None:
    line = Line("1.00", "t" * 600, end_to_end="e" * 40, structured="r" * 40, name="n" * 150, iban="i" * 80)
    text = camt(line) if kind == "camt" else table([line]).replace("r,,", "r," + "e" * 40 + ",")
    (booked,), found = read(text, kind=kind)
    said = booked.entry
    kept = (said.remittance, said.end_to_end_id, said.reference, said.counterparty, said.counterparty_account)
    assert found.problems.listed == []
    assert kept == ("t" * 560, "e" * 35, "r" * 35, "n" * 140, "i" * 70)


def test_a_reversal_by_its_flag_and_by_its_reason() -> None:
    flagged, returned = Line("-33.90", reversal=True, id="A-1"), Line("-33.90", id="A-2")
    text = camt(flagged).replace(
        "  </Stmt>", entry(returned, 2, more="<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>") + "</Stmt>"
    )
    booked, found = read(text)
    assert found.problems.listed == []
    assert [(one.entry.amount_minor, one.entry.reversal) for one in booked] == [(-3390, True), (-3390, True)]
    assert booked[0].entry.counterparty == "Ada Lovelace"  # who had paid


def test_what_is_not_booked_and_what_moves_nothing_is_left_out() -> None:
    booked, found = read(camt(PAID, Line("1.00", status="PDNG"), Line("0.00"), Line("2.00", status="INFO")))
    assert (len(booked), found.entries, found.not_booked, found.of_nothing, found.problems.count) == (1, 1, 2, 1, 0)
    booked, found = read(table([PAID, Line("0.00")]), kind="csv")
    assert (len(booked), found.of_nothing, found.problems.count) == (1, 1, 0)


BATCH = """
   <Ntry><NtryRef>1</NtryRef><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
    <BookgDt><DtTm>2026-03-02T09:30:00+01:00</DtTm></BookgDt><AcctSvcrRef>B-1</AcctSvcrRef>
    <NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch>
     <TxDtls><Refs><AcctSvcrRef>T-1</AcctSvcrRef></Refs><Amt Ccy="EUR">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
      <RmtInf><Ustrd>one</Ustrd></RmtInf></TxDtls>
     <TxDtls><AmtDtls><TxAmt><Amt Ccy="EUR">5.00</Amt></TxAmt></AmtDtls><RmtInf><Ustrd>two</Ustrd></RmtInf></TxDtls>
    </NtryDtls></Ntry>
  </Stmt>"""


def test_a_collective_booking_is_as_many_entries_as_it_has_transactions() -> None:
    text = camt().replace("  </Stmt>", BATCH.format(amount="15.00"))
    assert entries(text) == [(1000, "EUR", "B-1/T-1"), (500, "EUR", "B-1/2")]


def test_a_collective_booking_that_does_not_add_up_stays_one_entry() -> None:
    (booked,), found = read(camt().replace("  </Stmt>", BATCH.format(amount="14.20")))
    assert found.problems.listed == []
    assert (booked.entry.amount_minor, booked.entry.remittance) == (1420, "one two")


def test_of_a_collective_booking_that_does_not_add_up_every_reference_is_kept_and_that_it_came_back() -> None:
    text = BATCH.format(amount="15.50").replace("CRDT", "DBIT")
    text = text.replace("<Refs>", "<Refs><EndToEndId>RF18-ours</EndToEndId>")
    (booked,), _ = read(camt().replace("  </Stmt>", text))
    assert (booked.entry.remittance, booked.entry.reversal) == ("RF18-ours one two", False)
    back = text.replace("</TxDtls>", "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf></TxDtls>")
    (booked,), _ = read(camt().replace("  </Stmt>", back.replace("RF18-ours", "NOTPROVIDED")))
    assert (booked.entry.remittance, booked.entry.reversal) == ("one two", True)


def test_entries_without_a_name_of_the_banks_are_named_after_their_statement() -> None:
    text = re.sub("<AcctSvcrRef>.*?</AcctSvcrRef>", "", camt(Line("1.00"), Line("2.00")))
    assert [name for *_, name in entries(text)] == ["2026-03-02/041/1", "2026-03-02/041/2"]
    text = re.sub("<NtryRef>.*?</NtryRef>", "", text)
    assert [name for *_, name in entries(text)] == ["2026-03-02/041/#1", "2026-03-02/041/#2"]
    assert [name for *_, name in entries(camt(Line("1", id="X"), Line("2", id="X")))] == ["X", "X (2)"]


def test_a_long_name_is_cut_where_it_always_was() -> None:
    """An entry is known again by its name: cut elsewhere, what was booked once would be booked again."""
    named = camt(Line("1.00", id="n" * 80), account="a" * 80, statement="s" * 80)
    (booked,), _ = read(named)
    assert (booked.account, booked.statement, booked.entry.bank_reference) == ("a" * 70, "s" * 70, "n" * 70)
    unnamed = re.sub("<AcctSvcrRef>.*?</AcctSvcrRef>", "", named).replace("<NtryRef>1<", f"<NtryRef>{'1' * 40}<")
    (booked,), _ = read(unnamed.replace("s" * 80, "s"))
    assert booked.entry.bank_reference == "s/" + "1" * 35
    (first, _), _ = read(camt().replace("  </Stmt>", BATCH.format(amount="15.00").replace("T-1", "t" * 50)))
    assert first.entry.bank_reference == "B-1/" + "t" * 40
    head, row = "account,entry,booked_on,amount,currency,statement", ["a" * 80, "n" * 110, "2026-03-02", "1", "EUR"]
    (booked,), _ = read(f"{head}\n{','.join([*row, 's' * 80])}", kind="csv")
    assert (booked.account, booked.statement, booked.entry.bank_reference) == ("a" * 70, "s" * 70, "n" * 100)


def test_a_foreign_namespace_says_nothing_of_ours() -> None:
    more = '<x:Amt xmlns:x="urn:bank" Ccy="EUR">99.00</x:Amt><SplmtryData><Envlp><Sts>PDNG</Sts></Envlp></SplmtryData>'
    text = camt(PAID).replace("<BookgDt>", more + "<BookgDt>")
    assert entries(text) == [(3390, "EUR", "A-1")]


def test_other_encodings_are_read_as_they_say() -> None:
    text = camt(Line("1.00", name="Zoë Müller")).replace("UTF-8", "ISO-8859-1").encode("latin-1")
    (booked,), _ = read(text)
    assert booked.entry.counterparty == "Zoë Müller"
    (booked,), _ = read(camt(PAID).replace("UTF-8", "UTF-16").encode("utf-16"))
    assert booked.entry.amount_minor == 3390


# -- bad input -------------------------------------------------------------------------------------------------------


def test_broken_in_the_middle_is_named_by_line_and_element() -> None:
    text = camt(PAID, Line("1.00", id="A-2"), Line("2.00", id="A-3"))
    half = text[: text.index("A-2") + 3]
    ((line, place, what),) = why(half)
    assert line == half.count("\n") + 1
    assert place.startswith("Document/BkToCstmrStmt/Stmt/Ntry/AcctSvcrRef, column ")
    assert what.startswith("not well-formed: no element found")
    before, tag, _ = text.partition("</NtryDtls>")
    ((line, place, what),) = why(text.replace(tag, "</NtryDtl>", 1))
    assert (line, what) == (before.count("\n") + 1, "not well-formed: mismatched tag")
    column = len(before) - before.rindex("\n") + len("</")  # where the name begins, the first of a line being 1
    assert place == f"Document/BkToCstmrStmt/Stmt/Ntry/NtryDtls, column {column}"


BOMB = """<?xml version="1.0"?><!DOCTYPE Document [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>&b;</BkToCstmrStmt></Document>"""
OUTSIDE = """<!DOCTYPE Document SYSTEM "file:///etc/passwd"><Document/>"""


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, BOMB.replace("[", 'SYSTEM "http://127.0.0.1/x" [')])
def test_a_document_type_is_refused_where_it_begins(text: str) -> None:
    ((_, _, what),) = why(text)
    assert what.startswith("a document type is refused")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (camt(PAID).replace("camt.053", "camt.052"), "no camt.053"),
        (camt(PAID).replace("camt.053.001.08", "camt.053.001.01"), "no camt.053"),
        (camt(PAID).replace(' xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"', ""), "no camt.053"),
        (camt(PAID).replace("BkToCstmrStmt", "BkToCstmrAcctRpt"), "no bank statement"),
        ("<html><body/></html>", "no camt.053"),
        ("", "not well-formed"),
        ("PK\x03\x04", "not well-formed"),
        ("<a>" * 50, "no camt.053"),
        (camt(PAID).replace("<Acct>", "<Acct>" + "<x>" * 60), "too deep"),
    ],
)
def test_what_is_no_statement_is_refused(text: str, what: str) -> None:
    ((_, _, told),) = why(text)
    assert told.startswith(what)


def test_elements_stand_in_each_other_to_a_depth() -> None:
    def nested(times: int) -> str:
        return camt(PAID).replace("<Acct>", "<x>" * times + "</x>" * times + "<Acct>")

    assert len(entries(nested(MAX_DEPTH - 3))) == 1
    assert [what for *_, what in why(nested(MAX_DEPTH - 2))] == ["too deep"]


@pytest.mark.parametrize(
    ("change", "place", "what"),
    [
        (('Ccy="EUR">33.90', 'Ccy="EUX">33.90'), "Ntry/Amt", "no currency"),
        (('Ccy="EUR">33.90', 'Ccy="JPY">33.90'), "Ntry/Amt", "JPY has 0 decimals"),
        (('Ccy="EUR">33.90', 'Ccy="EUR">33,90'), "Ntry/Amt", "not an amount"),
        (('Ccy="EUR">33.90', 'Ccy="EUR">-33.90'), "Ntry/Amt", "not an amount"),
        (('Ccy="EUR">33.90', 'Ccy="EUR">1e9'), "Ntry/Amt", "not an amount"),
        (('Ccy="EUR">33.90', 'Ccy="EUR">99999999999999.00'), "Ntry/Amt", "beyond any amount"),
        (("<BookgDt><Dt>2026-03-02", "<BookgDt><Dt>2026-02-30"), "Ntry/BookgDt", "not a date"),
        (("<BookgDt><Dt>2026-03-02", "<BookgDt><Dt>20260302"), "Ntry/BookgDt", "not a date"),
        (("<CdtDbtInd>CRDT</CdtDbtInd>\n", "<CdtDbtInd>BOTH</CdtDbtInd>\n"), "Ntry/CdtDbtInd", "neither CRDT nor DBIT"),
        (("<Cd>BOOK</Cd>", "<Cd>MAYBE</Cd>"), "Ntry/Sts", "no status"),
        (("<IBAN>DE89370400440532013000</IBAN>", ""), "Stmt/Acct/Id", "missing"),
        (("<Id>2026-03-02/041</Id>", ""), "Stmt/Id", "missing"),
    ],
)
def test_a_wrong_entry_is_named_by_its_line_and_element(change: tuple[str, str], place: str, what: str) -> None:
    text = camt(PAID)
    assert change[0] in text
    booked, found = read(text.replace(*change))
    assert booked == []
    ((line, where, told),) = [(one.row, one.column, one.why) for one in found.problems.listed]
    assert (line, where) == (text[: text.index("<Ntry>")].count("\n") + 1, place)
    assert told.startswith(what)


@pytest.mark.parametrize("kind", READERS)
def test_ten_million_characters_in_one_line_are_not_kept(kind: str) -> None:
    reader = READERS[kind]()
    begins = camt(Line("1.00", "FILL")).partition("FILL")[0] if kind == "camt" else "account,"
    reader.take(begins.encode())
    fed = 0
    with pytest.raises(Broken):
        while fed < 10_000_000:
            reader.take(b"x" * 65_536)
            fed += 65_536
    assert fed <= 2 * 65_536
    assert "too long" in reader.found.problems.listed[0].why


def test_a_field_is_read_up_to_its_longest() -> None:
    (booked,), _ = read(camt(Line("1.00", "x" * reading.MAX_FIELD)))
    assert booked.entry.remittance == "x" * 560
    ((*_, told),) = why(camt(Line("1.00", "x" * (reading.MAX_FIELD + 1))))
    assert told == "too long: a field has at most 4,000 characters"


def test_of_one_transaction_only_so_many_values_are_kept() -> None:
    for fill, kept in ((MAX_VALUES - 10, "thanks"), (MAX_VALUES, "")):
        text = camt(Line("1.00", "thanks")).replace("<RmtInf>", "<Fill>x</Fill>" * fill + "<RmtInf>")
        (booked,), found = read(text)
        assert (booked.entry.remittance, booked.entry.amount_minor, found.problems.count) == (kept, 100, 0)


def test_ten_million_characters_of_one_tag_are_not_kept() -> None:
    reader = CamtReader()
    reader.take(b"<")
    fed = 0
    with pytest.raises(Broken):
        while fed < 10_000_000:
            reader.take(b"x" * 65_536)
            fed += 65_536
    assert fed <= 20 * 65_536


def test_a_file_has_a_size_and_a_number_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_ENTRIES", 2)
    lines = [PAID, Line("1"), Line("2"), Line("3")]
    assert "too many entries" in why(camt(*lines))[0][2]
    assert "too many entries" in why(table(lines), "csv")[0][2]
    monkeypatch.setattr(reading, "MAX_BYTES", 1500)
    assert "too large" in why(camt(*lines))[0][2]


def test_every_transaction_counts_and_so_does_an_entry_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = re.sub("<NtryDtls>.*?</NtryDtls>", "", camt(PAID, Line("1"), Line("2")), flags=re.DOTALL)
    batch = camt(PAID).replace("  </Stmt>", BATCH.format(amount="15.00"))
    monkeypatch.setattr(reading, "MAX_ENTRIES", 3)
    assert (len(entries(bare)), len(entries(batch))) == (3, 3)
    monkeypatch.setattr(reading, "MAX_ENTRIES", 2)
    assert "too many entries" in why(bare)[0][2] and "too many entries" in why(batch)[0][2]


def test_many_problems_are_counted_and_not_all_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "MAX_PROBLEMS", 3)
    _, found = read(camt(*[Line("x")] * 10))
    assert (len(found.problems.listed), found.problems.count) == (3, 10)


COLUMNS = ", ".join((*NEEDED, *MORE))
NO_AMOUNT = "not an amount: digits, and a point before the decimals"
HEADER = "account,entry,booked_on,amount,currency\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", [(0, "", "empty: the first line names the columns")]),
        ("entry,booked_on,amount,currency\n", [(1, "account", "wrong columns: there is no account")]),
        (HEADER.replace("\n", ",colour\n"), [(1, "colour", f"wrong columns: they are {COLUMNS}")]),
        ('"account\nA,1,2026-03-02,5,EUR\n', [(1, "", "not CSV: unexpected end of data")]),
        (HEADER + "A,1,2026-03-02,5\n", [(2, "", "4 columns where there are 5")]),
        (HEADER + 'A,1,2026-03-02,5,"EUR\n', [(2, "", "not CSV: unexpected end of data")]),
        (HEADER + "A,1,2026-03-02,1.234,EUR\n", [(2, "amount", "EUR has 2 decimals")]),
        (HEADER + "A,1,2026-03-02,--1,EUR\n", [(2, "amount", NO_AMOUNT)]),
        (HEADER + "A,1,02.03.2026,1,EUR\n", [(2, "booked_on", "not a date: 2026-03-02")]),
        (HEADER + ",1,2026-03-02,1,EUR\n", [(2, "account", "missing")]),
        (HEADER + "A,1,2026-03-02,1,EUR\n" * 2, [(3, "entry", "there twice: an entry has a name of its own")]),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_by_its_column(text: str, told: Sequence[tuple[int, str, str]]) -> None:
    assert why(text, "csv") == told


def test_a_line_that_is_not_utf_8() -> None:
    assert why(HEADER.encode() + b"A,1,2026-03-02,1,EUR\nM\xfcller", "csv") == [
        (3, "", "not UTF-8: byte 2 of the line")
    ]


def test_semicolons_and_decimal_commas_go_together() -> None:
    text = "\ufeff" + HEADER.replace(",", ";").replace("\n", "\r\n") + "A;1;2026-03-02;-33,9;EUR\r\n"
    assert entries(text, kind="csv") == [(-3390, "EUR", "1")]


def test_a_reversal_in_a_table_is_said_in_several_words() -> None:
    said = {"": False, "0": False, "false": False, "No": False, "1": True, "TRUE": True, "yes": True}
    rows = "".join(f"A,{number},2026-03-02,1,EUR,{word}\n" for number, word in enumerate(said))
    booked, found = read(HEADER.replace("\n", ",reversal\n") + rows, kind="csv")
    assert found.problems.listed == []
    assert [one.entry.reversal for one in booked] == list(said.values())


def test_a_table_is_named_after_its_content() -> None:
    named = {read(table(lines), kind="csv")[0][0].statement for lines in ([PAID], [PAID], [PAID, Line("1")])}
    assert len(named) == 2


@pytest.mark.parametrize(
    ("separator", "amount", "why_not"),
    [
        (";", "1.000", "with semicolons an amount is 1234,56"),
        (";", "1.000,00", "with semicolons an amount is 1234,56"),
        (";", "1,000", "EUR has 2 decimals"),
        (",", "1.000", "EUR has 2 decimals"),
    ],
)
def test_what_may_have_been_meant_for_a_thousand_is_refused(separator: str, amount: str, why_not: str) -> None:
    rows = (["account", "entry", "booked_on", "amount", "currency"], [ACCOUNT, "E-1", "2026-03-02", amount, "EUR"])
    file = "\n".join(separator.join(row) for row in rows)
    ((row, column, told),) = why(file.encode(), "csv")
    assert (row, column) == (2, "amount") and why_not in told


@pytest.mark.parametrize("amount", ["-+5", "+-5", "--5", "++5", "- 5", "5-"])
def test_an_amount_has_one_sign_at_most(amount: str) -> None:
    rows = (["account", "entry", "booked_on", "amount", "currency"], [ACCOUNT, "E-1", "2026-03-02", amount, "EUR"])
    ((row, column, told),) = why("\n".join(",".join(row) for row in rows).encode(), "csv")
    assert (row, column) == (2, "amount") and "not an amount" in told

"""A statement is right in every row, or each wrong value is named by its row and column."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.payment.provider.port import Settled
from services.payment.settlement.lines import LineKind
from services.payment.settlement.reading import COLUMNS, of_provider, read
from shared.problems import Problem

HEADER = ",".join(COLUMNS)
GOOD = "s1,payment,pay_1,0192f0c0-0000-7000-8000-000000000001,1000,39,EUR,2026-03-02T12:00:00Z"
REFUND = "s2,refund,pay_1,0192f0c0-0000-7000-8000-000000000001,-400,,EUR,2026-03-03T12:00:00+01:00"


def problems(*rows: str, header: str = HEADER) -> list[Problem]:
    return read("\n".join((header, *rows)).encode()).problems.listed


def test_good_rows_are_lines() -> None:
    statement = read(f"\ufeff{HEADER}\r\n{GOOD}\r\n\r\n{REFUND}\r\n".encode())
    assert statement.problems.listed == []
    first, second = statement.lines
    assert (first.row, first.kind, first.amount_minor, first.fee_minor) == (2, LineKind.PAYMENT, 1000, 39)
    assert (second.row, second.amount_minor, second.fee_minor) == (4, -400, 0)
    assert first.order_id is not None and first.order_id == second.order_id
    assert first.occurred_at == datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_columns_may_stand_in_any_order() -> None:
    names, values = HEADER.split(","), GOOD.split(",")
    turned = read(f"{','.join(reversed(names))}\n{','.join(reversed(values))}\n".encode())
    assert turned.hash == read(f"{HEADER}\n{GOOD}\n".encode()).hash


@pytest.mark.parametrize(
    ("row", "column", "why"),
    [
        (GOOD.replace("EUR", "EUX"), "currency", "unknown currency"),
        (GOOD.replace("EUR", "eur"), "currency", "unknown currency"),
        (GOOD.replace("payment", "gift"), "kind", "unknown kind"),
        (GOOD.replace(",1000,", ",10.00,"), "amount_minor", "whole number"),
        (GOOD.replace(",1000,", ",0,"), "amount_minor", "zero"),
        (GOOD.replace(",1000,", ",-1000,"), "amount_minor", "not positive: a payment is"),
        (REFUND.replace("-400", "400"), "amount_minor", "not negative: a refund is"),
        (GOOD.replace(",1000,", ",9999999999999,"), "amount_minor", "beyond"),
        (GOOD.replace(",1000,", ",٣,"), "amount_minor", "whole number"),
        (GOOD.replace(",39,", ",x,"), "fee_minor", "whole number"),
        (GOOD.replace("12:00:00Z", "12:00:00"), "occurred_at", "no time zone"),
        (GOOD.replace("2026-03-02T12:00:00Z", "yesterday"), "occurred_at", "not an instant"),
        (GOOD.replace("s1", ""), "line_id", "empty"),
        (GOOD.replace("s1", "s" * 201), "line_id", "too long"),
        (GOOD.replace("pay_1", "päy"), "provider_payment_id", "ASCII"),
        (GOOD.rpartition(",")[0], "", "7 columns where there are 8"),
        (f"{GOOD},more", "", "9 columns where there are 8"),
    ],
)
def test_a_wrong_value_is_named_by_row_and_column(row: str, column: str, why: str) -> None:
    (found,) = problems(REFUND, row)
    assert (found.row, found.column) == (3, column)
    assert why in found.why


def test_every_wrong_value_of_a_row_is_named() -> None:
    found = problems(GOOD.replace("EUR", "???").replace("payment", "gift"))
    assert [(one.row, one.column) for one in found] == [(2, "kind"), (2, "currency")]


def test_a_line_id_twice_is_named_with_the_other_row() -> None:
    (found,) = problems(GOOD, REFUND, GOOD)
    assert (found.row, found.column, found.value) == (4, "line_id", "s1")
    assert found.why == "twice in this statement, also in row 2"


def test_wrong_columns_are_named_and_nothing_else_is_read() -> None:
    found = problems(GOOD, header=HEADER.replace("fee_minor", "charge"))
    assert [(one.row, one.column) for one in found] == [(1, "fee_minor"), (1, "charge")]
    assert [one.column for one in problems(GOOD, header=f"{HEADER},kind")] == ["kind"]


@pytest.mark.parametrize(
    ("broken", "row", "why"),
    [
        (f"{HEADER}\n{GOOD}\n{REFUND[:20]}".encode(), 3, "columns where there are 8"),
        (f'{HEADER}\n{GOOD}\ns2,"refund'.encode(), 3, "not CSV"),
        (f"{HEADER}\n{GOOD}\n".encode() + b"s2,\xff\xfe", 3, "not UTF-8"),
        (f"{HEADER}\n{GOOD}\n{'x' * 200_000}\n".encode(), 3, "not CSV"),
        (b"", 1, "wrong columns"),
        (f"{HEADER}\n".encode(), 0, "empty"),
    ],
)
def test_a_statement_broken_in_the_middle_says_where(broken: bytes, row: int, why: str) -> None:
    statement = read(broken)
    assert statement.problems.count >= 1
    assert (statement.problems.listed[0].row, why in statement.problems.listed[0].why) == (row, True)


def test_a_statement_has_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.payment.settlement.reading.MAX_ROWS", 1)
    (found,) = problems(GOOD, REFUND)
    assert (found.row, "too many rows" in found.why) == (3, True)
    monkeypatch.setattr("services.payment.settlement.reading.MAX_BYTES", 10)
    (found,) = problems(GOOD)
    assert (found.row, "too large" in found.why) == (0, True)


def test_what_an_api_tells_is_held_to_the_same() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    good = Settled("s1", "payment", "pay_1", "order", 1000, 39, "EUR", now)
    wrong = Settled("s2", "refund", "pay_1", "order", 400, 0, "EUR", now)
    statement = of_provider([good, wrong, good])
    assert [(one.row, one.column) for one in statement.problems.listed] == [(2, "amount_minor"), (3, "line_id")]
    assert of_provider([good]).lines[0].order_id is None


def test_a_refund_that_came_back_is_positive() -> None:
    came_back = Settled(
        "l1",
        "refund_reversal",
        "pi_1",
        "0192f0c0-0000-7000-8000-000000000001",
        400,
        0,
        "EUR",
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert of_provider([came_back]).problems.count == 0
    (problem,) = of_provider([replace(came_back, amount_minor=-400)]).problems.listed
    assert "not positive" in problem.why

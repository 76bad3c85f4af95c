"""A feed is read in bounded memory, whatever it is; what is wrong is named by row and column."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.feeds import FeedFormat, FeedMode
from services.inventory.reader import MAX_LINE_BYTES, Malformed, Reader
from shared.problems import MAX_PROBLEMS

HEADER = b"sku,warehouse,quantity\n"
NO_HEADER = ("sku", "warehouse", "quantity", "a-1", "berlin", "5")


def read(
    body: bytes, format_: FeedFormat = FeedFormat.CSV, mode: FeedMode = FeedMode.ABSOLUTE, chunk: int = 1 << 16
) -> tuple[bytes, Reader]:
    """The rows for COPY, and the reader that has ended."""
    reader, found = Reader(format_, mode), b""
    try:
        for at in range(0, len(body), chunk):
            found += reader.take(body[at : at + chunk])
        found += reader.end()
    except Malformed:
        assert reader.problems.count, "it says why"
    return found, reader


def told(reader: Reader) -> list[tuple[int, str, str]]:
    """(row, column, the first words of why)"""
    return [(one.row, one.column, one.why.partition(":")[0]) for one in reader.problems.listed]


@pytest.mark.parametrize(
    "body",
    [
        HEADER + b"A-1,berlin,5\nA-2,berlin,0\n",
        HEADER + b"A-1,berlin,5\nA-2,berlin,0",
        b"\xef\xbb\xbf" + HEADER + b"A-1,berlin,5\nA-2,berlin,0\n",
        (HEADER + b"A-1,berlin,5\nA-2,berlin,0\n").replace(b"\n", b"\r\n"),
        HEADER + b'"A-1","berlin","5"\n"A-2",berlin,"0"\n',
        HEADER + b" A-1 , berlin, 5\nA-2,berlin ,0 \n",
        b"SKU, Warehouse ,QUANTITY\nA-1,berlin,5\nA-2,berlin,0\n",
        HEADER + b"A-1,berlin,5\nA-2,berlin,0\n\n\n",
    ],
    ids=[
        "plain",
        "no last line end",
        "BOM",
        "CRLF",
        "quoted",
        "spaces",
        "header in capitals",
        "blank lines at the end",
    ],
)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_the_same_rows_however_they_are_written(body: bytes, chunk: int) -> None:
    rows, reader = read(body, chunk=chunk)
    assert (rows, reader.rows, told(reader)) == (b"2\tA-1\tberlin\t5\n3\tA-2\tberlin\t0\n", 2, [])


def test_columns_in_another_order() -> None:
    assert read(b"quantity,sku,warehouse\n5,A-1,berlin\n")[0] == b"2\tA-1\tberlin\t5\n"


def test_json_lines() -> None:
    body = (
        b'\xef\xbb\xbf{"sku": "A-1", "warehouse": "berlin", "quantity": 5}\r\n{"quantity":-3,"sku":"B","warehouse":"b"}'
    )
    rows, reader = read(body, FeedFormat.JSONL, FeedMode.DELTA, chunk=5)
    assert (rows, told(reader)) == (b"1\tA-1\tberlin\t5\n2\tB\tb\t-3\n", [])


@pytest.mark.parametrize(
    ("row", "column", "why"),
    [
        (b"A-1,berlin,-1", "quantity", "negative"),
        (b"A-1,berlin,many", "quantity", "not a whole number"),
        (b"A-1,berlin,1.5", "quantity", "not a whole number"),
        (b"A-1,berlin,", "quantity", "not a whole number"),
        (b"A-1,berlin,1e3", "quantity", "not a whole number"),
        (b"A-1,berlin,99999999999999999999", "quantity", "not a whole number"),
        (b"A-1,berlin,9999999999", "quantity", "beyond 1,000,000,000"),
        ("A-1,berlin,٣".encode(), "quantity", "not a whole number"),
        (b",berlin,1", "sku", "not a SKU"),
        (b"A 1,berlin,1", "sku", "not a SKU"),
        (b"A" * 65 + b",berlin,1", "sku", "not a SKU"),
        (b"A-1\x00,berlin,1", "sku", "not a SKU"),
        (b"A-1,Berlin,1", "warehouse", "not a warehouse"),
        (b"A-1,berlin", "", "2 columns where there are 3"),
        (b"A-1,berlin,1,2", "", "4 columns where there are 3"),
        (b'"A-1,berlin,1', "", "not CSV"),
        (b'"A-1"x,berlin,1', "", "not CSV"),
        (b"A-\xff,berlin,1", "", "not UTF-8"),
        (b"x" * (MAX_LINE_BYTES + 1), "", "too long"),
    ],
)
def test_a_bad_row_of_csv_is_named_and_the_others_are_read(row: bytes, column: str, why: str) -> None:
    rows, reader = read(HEADER + b"A-0,berlin,1\n" + row + b"\nA-2,berlin,2\n", chunk=100)
    assert rows == b"2\tA-0\tberlin\t1\n4\tA-2\tberlin\t2\n"
    assert told(reader) == [(3, column, why)]


@pytest.mark.parametrize(
    ("row", "column", "why"),
    [
        (b"[1, 2, 3]", "", "not an object of sku, warehouse, quantity"),
        (b'"A-1"', "", "not an object of sku, warehouse, quantity"),
        (b"null", "", "not an object of sku, warehouse, quantity"),
        (b"{", "", "not JSON"),
        (b'{"sku": "\xff"}', "", "not UTF-8"),
        (b"[" * 3000, "", "not JSON"),
        (b'{"sku":"A-1","warehouse":"berlin"}', "quantity", "no quantity"),
        (b'{"sku":"A-1","warehouse":"berlin","quantity":1,"price":2}', "price", "one too many"),
        (b'{"sku":"A-1","warehouse":"berlin","quantity":true}', "quantity", "not a whole number"),
        (b'{"sku":"A-1","warehouse":"berlin","quantity":"1"}', "quantity", "not a whole number"),
        (b'{"sku":"A-1","warehouse":"berlin","quantity":1.0}', "quantity", "not a whole number"),
        (b'{"sku":"A-1","warehouse":"berlin","quantity":-1}', "quantity", "negative"),
        (b'{"sku":7,"warehouse":"berlin","quantity":1}', "sku", "not a SKU"),
        (b'{"sku":"A\\u0000","warehouse":"berlin","quantity":1}', "sku", "not a SKU"),
        (b'{"sku":"A-1","warehouse":{},"quantity":1}', "warehouse", "not a warehouse"),
    ],
)
def test_a_bad_row_of_json_is_named_and_the_others_are_read(row: bytes, column: str, why: str) -> None:
    good = b'{"sku":"A-1","warehouse":"berlin","quantity":1}\n'
    rows, reader = read(good + row + b"\n" + good, FeedFormat.JSONL)
    assert rows == b"1\tA-1\tberlin\t1\n3\tA-1\tberlin\t1\n"
    assert told(reader) == [(2, column, why)]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"sku,warehouse\nA-1,berlin\n", [(1, "quantity", "wrong columns")]),
        (b"sku,warehouse,quantity,price\nA-1,berlin,1,2\n", [(1, "price", "wrong columns")]),
        (b"sku,sku,warehouse,quantity\n", [(1, "sku", "wrong columns")]),
        (b"A-1,berlin,5\n", [(1, name, "wrong columns") for name in NO_HEADER]),
        ("sku,warehouse,quantity\n".encode("utf-16"), [(1, "", "not UTF-8")]),
        (b"\xff,warehouse,quantity\n", [(1, "", "not UTF-8")]),
        (b"", [(0, "", "empty")]),
        (b"\n\n", [(0, "", "empty")]),
        (HEADER, [(0, "", "empty")]),
        (b"\xef\xbb\xbf", [(0, "", "empty")]),
        (b"x" * 10_000, [(1, "", "too long")]),
    ],
)  # fmt: skip
def test_what_makes_a_whole_feed_meaningless(body: bytes, found: list[tuple[int, str, str]]) -> None:
    rows, reader = read(body)
    assert (rows, told(reader)) == (b"", found)


def test_ten_million_characters_in_one_line_are_not_kept() -> None:
    reader = Reader(FeedFormat.CSV, FeedMode.ABSOLUTE)
    reader.take(HEADER)
    tracemalloc.start()
    chunk = b"x" * 65_536
    for _ in range(160):
        assert reader.take(chunk) == b""
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert reader.take(b"\nA-1,berlin,1\n") == b"3\tA-1\tberlin\t1\n"
    assert told(reader) == [(2, "", "too long")]


def test_problems_are_counted_and_the_first_listed() -> None:
    _, reader = read(HEADER + b"A-1,berlin,x\n" * (MAX_PROBLEMS + 500))
    assert (reader.problems.count, len(reader.problems.listed)) == (MAX_PROBLEMS + 500, MAX_PROBLEMS)


def test_a_wrong_value_is_shown_short_and_harmless() -> None:
    _, reader = read(HEADER + b"\x1b[31m" + b"y" * 900 + b",berlin,1\n")
    value = reader.problems.listed[0].value
    assert len(value) == 41 and value.endswith("…") and "\x1b" not in value


def test_the_hash_is_of_the_rows_and_what_they_mean() -> None:
    body = HEADER + b"A-1,berlin,5\n"
    hashes = [read(body)[1].hash, read(body.replace(b"\n", b"\r\n"), chunk=3)[1].hash]
    others = [read(body, mode=FeedMode.DELTA)[1].hash, read(HEADER + b"A-1,berlin,6\n")[1].hash]
    assert len({*hashes}) == 1 and len({*hashes, *others}) == 3


@given(st.binary(max_size=300), st.integers(1, 40), st.sampled_from(FeedFormat))
def test_nothing_breaks_it(body: bytes, chunk: int, format_: FeedFormat) -> None:
    prefix = HEADER if format_ is FeedFormat.CSV else b""
    rows, reader = read(prefix + body, format_, chunk=chunk)
    assert rows.count(b"\n") == reader.rows
    assert reader.rows or reader.problems.count
    assert rows == read(prefix + body, format_)[0], "however it is cut"

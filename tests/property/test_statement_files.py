"""Whatever bytes a file has, a reader says what is wrong or what is booked, in any pieces, and raises nothing else."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payment.banking.camt import CamtReader
from services.payment.banking.columns import ColumnsReader
from services.payment.banking.reading import Booked, Broken, Reader
from shared.problems import Problem
from tests.support.statements import Line, camt, table

LINES = (Line("33.90", "thanks", id="A"), Line("-5.00", "rent", id="B"), Line("0.00", id="C"), Line("1", id="D"))
FILES: dict[str, tuple[Callable[[], Reader], bytes]] = {
    "camt": (CamtReader, camt(*LINES).encode()),
    "csv": (ColumnsReader, table(LINES).encode()),
}
each_format = pytest.mark.parametrize("kind", FILES)


def read(make: Callable[[], Reader], pieces: list[bytes]) -> tuple[list[Booked], list[Problem]]:
    reader = make()
    booked: list[Booked] = []
    try:
        for piece in pieces:
            booked += reader.take(piece)
        booked += reader.end()
    except Broken:
        assert reader.found.problems.count
        return [], reader.found.problems.listed
    return booked, reader.found.problems.listed


@each_format
@given(data=st.data())
def test_any_bytes_in_any_place(kind: str, data: st.DataObject) -> None:
    make, good = FILES[kind]
    at = data.draw(st.integers(0, len(good)))
    gone = data.draw(st.integers(0, 40))
    put = data.draw(st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.sampled_from((b"<", b"&", b'"')))
    booked, problems = read(make, [good[:at] + put + good[at + gone :]])
    for one in booked:
        assert one.entry.amount_minor
        assert one.account and one.statement and one.line
    for problem in problems:
        assert problem.why and problem.value.isprintable()


@each_format
@given(data=st.data())
def test_any_pieces_say_the_same(kind: str, data: st.DataObject) -> None:
    make, good = FILES[kind]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(good)), max_size=12)))
    pieces = [good[start:end] for start, end in zip([0, *cuts], [*cuts, len(good)], strict=True)]
    assert read(make, pieces) == read(make, [good])


@each_format
@given(data=st.data())
def test_a_file_cut_short_is_not_a_shorter_one(kind: str, data: st.DataObject) -> None:
    """XML says where it ends; of CSV nobody can tell more than whether its last line is whole."""
    make, good = FILES[kind]
    end = data.draw(st.integers(0, good.rstrip().rindex(b"\n" if kind == "csv" else b"<")))
    booked, problems = read(make, [good[:end]])
    if kind == "camt":
        assert problems and booked == []
    else:
        assert len(booked) < 3

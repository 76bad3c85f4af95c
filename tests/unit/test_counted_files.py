"""A file of counts is read whole or not at all, and what is wrong in it is named by its line."""

from pathlib import Path

import pytest
import typer

from services.ops.stock_wishes import MOST_COUNTED, counted_in, units_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "count.csv"


def test_columns_are_found_by_name(file: Path) -> None:
    file.write_bytes("\ufeffremark,counted,sku\none broken,9,CUP\n\n,0,JAR\n".encode())
    assert counted_in(file) == {"CUP": 9, "JAR": 0}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"CUP,9\n", "the first line names the columns"),
        (b"", "the first line names the columns"),
        (b"sku,counted\nCUP,nine\n", "line 2"),
        (b"sku,counted\nCUP,1\nCUP,2\n", "line 3: CUP is there twice"),
        (b"sku,counted\nCUP,-1\n", "line 2"),
        (b"sku,counted\nCUP,1e3\n", "line 2"),
        ("sku,counted\nCUP,\u0663\n".encode(), "line 2"),
        (b"sku,counted\nCUP,99999999999\n", "line 2"),
        (b"sku,counted\n,1\n", "line 2"),
        (b"sku,counted\nCUP\n", "line 2"),
        (b"sku,counted\n", "counts nothing"),
        (b"sku,counted\nCUP,\xff\n", "cannot be read"),
        (b'sku,counted\n"' + b"C" * 200_000 + b'",1\n', "cannot be read"),
        (b"sku,counted\n" + b"".join(b"S-%d,1\n" % n for n in range(MOST_COUNTED + 1)), "more than 50,000 lines"),
    ],
)
def test_what_is_wrong_is_named(file: Path, content: bytes, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(content)
    with pytest.raises(typer.Exit) as ended:
        counted_in(file)
    assert ended.value.exit_code == 2
    assert named in " ".join(capsys.readouterr().err.split())


def test_a_file_that_is_not_there_is_said_not_to_be(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        counted_in(file)
    assert "cannot be read" in " ".join(capsys.readouterr().err.split())


def test_units_on_the_line() -> None:
    assert units_of(["TEA=3", "CUP=1"]) == {"TEA": 3, "CUP": 1}
    for wrong in (["TEA"], ["=3"], ["TEA=x"], ["TEA=0"], ["TEA=1", "TEA=2"]):
        with pytest.raises(typer.Exit):
            units_of(wrong)

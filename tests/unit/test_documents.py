"""What is generated says what the code says, and can be generated twice."""

from pathlib import Path

from services.documents import BEGIN, END, ROOT, SAGAS, STATES, _with_lists, documents, machines
from services.order.domain import OrderPolicy
from services.order.handlers import make_consumer


def test_generated_files_are_committed_as_they_are() -> None:
    drift = [str(path) for path, text in documents().items() if path.read_text(encoding="utf-8") != text]
    assert drift == [], "run: make contracts"


def test_every_machine_has_its_diagram_and_its_moves() -> None:
    text = STATES.read_text(encoding="utf-8")
    for _, table, column, machine in machines():
        assert f"`{table}.{column}`" in text
        for origin, on, to in machine.moves:
            assert f"| {origin} | {on} | {to} |" in text


def test_sagas_show_their_pivots_and_late_answers() -> None:
    text = SAGAS.read_text(encoding="utf-8")
    assert "**commit stock** (pivot)" in text
    assert "| PaymentAuthorized | record | undo again | record | undo again |" in text


def test_lists_are_put_between_their_marks_and_nothing_else_is_touched() -> None:
    consumer = make_consumer(OrderPolicy())
    once = _with_lists(f"# Order\n\nProse.\n\n{BEGIN}\nold\n{END}\n\nMore prose.\n", consumer)
    assert once.startswith("# Order\n\nProse.\n") and once.endswith("\n\nMore prose.\n")
    assert "old" not in once and "| PlaceOrder | command | OrderPlaced, OrderRefused |" in once
    assert _with_lists(once, consumer) == once
    assert _with_lists("# Order\n", consumer).count(BEGIN) == 1


def test_generated_paths_are_inside_the_project() -> None:
    assert all(isinstance(path, Path) and path.is_relative_to(ROOT) for path in documents())

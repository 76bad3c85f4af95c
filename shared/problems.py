"""What is wrong in a file somebody sent: where, what stands there, and why; all counted, the first thousand listed."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

MAX_PROBLEMS: Final = 1_000
"""Listed; all are counted."""
MAX_SHOWN: Final = 40
"""Characters of a wrong value in the report."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`row` is a line of the file, from 1; 0: the whole file. `column` is a column or an element's path; empty: the
    whole row."""

    row: int
    column: str
    value: str
    why: str


@dataclass(slots=True)
class Problems:
    listed: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, row: int, column: str, value: Any, why: str) -> None:
        self.count += 1
        if len(self.listed) < MAX_PROBLEMS:
            self.listed.append(Problem(row, column, shortened(value), why))

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(problem) for problem in sorted(self.listed, key=lambda problem: problem.row)]


def shortened(value: Any) -> str:
    """As text that any terminal and database can take."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[: MAX_SHOWN + 1])
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"

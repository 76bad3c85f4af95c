"""What routing keeps: every decision with its reasons, the shipments of a day, and what the solver is asked.

A day is one of UTC, by the database's clock. Of a warehouse with a daily capacity one row counts the shipments of its
day, and starts anew on the next; what an order added is written beside it, to be given back while that day lasts.
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from services.inventory.routing.search import Problem
from services.inventory.routing.strategy import StrategyName
from shared.machine import Machine


@dataclass(frozen=True, slots=True)
class RouteTaken:
    """One decision, append-only. `chosen` are [warehouse, SKU, units]; `candidates` as `Candidate.as_json`.

    `gap_permille`: 0 is proven to be the cheapest; NULL where nothing was to be proven, or is not known."""

    id: UUID
    order_id: UUID
    strategy: StrategyName
    chosen: list[Any]
    cost_minor: int | None
    gap_permille: int | None
    candidates: list[Any]
    note: str
    decided_at: datetime
    message_id: str


@dataclass(frozen=True, slots=True)
class Dispatch:
    """How many shipments a warehouse with a daily capacity was given on its latest day."""

    warehouse: str
    day: date
    shipments: int = 0

    def on(self, day: date) -> "Dispatch":
        """As it stands on a day: a new one begins with nothing. Never back, whatever a late clock says."""
        return self if day <= self.day else Dispatch(self.warehouse, day)


@dataclass(frozen=True, slots=True)
class Booking:
    """Which warehouses with a daily capacity count a shipment of this order, and of which day."""

    order_id: UUID
    day: date
    warehouses: list[Any]
    version: int = 0


class QuestionState(StrEnum):
    OPEN = "open"  # to be computed by a worker
    CALLING = "calling"  # a worker has it, or died with it
    KNOWN = "known"
    WITHDRAWN = "withdrawn"  # the order was released meanwhile


QUESTION: Final = Machine(
    "question",
    QuestionState,
    start=QuestionState.OPEN,
    moves=[
        (QuestionState.OPEN, "take", QuestionState.CALLING),
        (QuestionState.OPEN, "learn", QuestionState.KNOWN),  # a worker taken for dead told it after all
        (QuestionState.OPEN, "withdraw", QuestionState.WITHDRAWN),
        (QuestionState.CALLING, "learn", QuestionState.KNOWN),
        (QuestionState.CALLING, "ask again", QuestionState.OPEN),
        (QuestionState.CALLING, "withdraw", QuestionState.WITHDRAWN),  # computing it changes nothing
    ],
)
WAITING: Final = frozenset({QuestionState.OPEN, QuestionState.CALLING})


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the solver: all of it is here, so asking again is the same question.

    `hold` is the command that waits for the answer, `command_key` the key it is answered under. `number` counts the
    questions about one order, `tries` the workers that died with this one."""

    id: UUID
    order_id: UUID
    command_key: str
    number: int
    hold: dict[str, Any]
    problem: dict[str, Any]
    state: QuestionState
    tries: int
    next_at: datetime
    version: int = 0

    @property
    def waits(self) -> bool:
        return self.state in WAITING

    @property
    def asked(self) -> Problem:
        return Problem(**{name: _frozen(value) for name, value in self.problem.items()})

    @classmethod
    def about(cls, problem: Problem, **known: Any) -> Self:
        return cls(problem=asdict(problem), state=QuestionState.OPEN, tries=0, **known)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list | tuple) else value

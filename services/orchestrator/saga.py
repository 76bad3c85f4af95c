"""A saga is a table of steps read top to bottom; it checks itself at import.

Everything above the pivot can be undone and says by which answer; from the pivot on it only goes forward.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from contracts.frame import CommandWithdrawn, KeyReused
from contracts.message import Message
from shared.consumer import Said
from shared.ids import id_from
from shared.machine import Machine


class Phase(StrEnum):
    """Where a run is in its life."""

    WAITING = "waiting"  # going forward, waiting for answers
    UNDOING = "undoing"  # going back, waiting for answers
    COMPLETED = "completed"
    CANCELLED = "cancelled"


PHASES = Machine(
    "run",
    Phase,
    Phase.WAITING,
    [
        (Phase.WAITING, "give up", Phase.UNDOING),
        (Phase.WAITING, "complete", Phase.COMPLETED),
        (Phase.WAITING, "cancel", Phase.CANCELLED),  # nothing had been done yet
        (Phase.UNDOING, "cancel", Phase.CANCELLED),
    ],
)

LOOK_AGAIN_S: Final = 60.0
GRACE_S: Final = 60.0
"""Over what somebody may take, so that who is on time is heard first."""


@dataclass(frozen=True)
class RunState:
    """A saga's own view of its run: what was asked for and what was learned; its methods make the commands.

    What the engine asks of it is answered here as most sagas do: they learn nothing, wait a minute, and say nothing."""

    asked_for: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def order_id(self) -> UUID:
        return id_from(self.asked_for["order_id"])

    def learn(self, message: Message) -> Mapping[str, Any]:
        """What an answer adds to the facts."""
        return {}

    def waits_until(self, now: datetime, message: Message | None = None) -> datetime:
        """When to look again while the run waits for something that takes time."""
        return now + timedelta(seconds=LOOK_AGAIN_S)

    def waiting(self, message: Message | None = None) -> Sequence[Said]:
        """What is said when such a wait begins."""
        return ()

    def reason(self, message: Message) -> str:
        """Why the run ends, from the answer that ended it."""
        return message.topic.replace(".", "_")


State = Any
"""A `RunState` of the saga's own: each step's functions know which."""


@dataclass(frozen=True, slots=True)
class Step:
    """`do` makes the command, `done` settles it, `refused` turns the run back, `waits` and `undo_waits` say that the
    answer will take time. `ready` false: the command is not said yet, the run waits for a message from outside.
    `applies` false: there is nothing to do here, the run goes on. `never` true of another answer: it can't be done any
    more, and the run goes on without."""

    name: str
    do: Callable[[State], Message]
    done: type[Message]
    refused: tuple[type[Message], ...] = ()
    undo: Callable[[State], Message] | None = None
    undone: type[Message] | None = None
    undo_waits: type[Message] | None = None
    waits: type[Message] | None = None
    ready: Callable[[State], bool] | None = None
    applies: Callable[[State], bool] | None = None
    never: Callable[[Message], bool] | None = None

    @property
    def slug(self) -> str:
        return self.name.replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Together:
    """Steps asked at once; the stage is done when all are."""

    steps: tuple[Step, ...]

    def __init__(self, *steps: Step) -> None:
        object.__setattr__(self, "steps", steps)


class BadSaga(Exception):
    """The table contradicts itself: found at import."""


@dataclass(frozen=True, slots=True)
class Record:
    """Nothing to do about a late answer: it stays in the answers and in the metrics."""


@dataclass(frozen=True, slots=True)
class UndoAgain:
    """The answer says that something was done which must not stand: its undo is asked (again) under its key."""


RECORD = Record()
UNDO_AGAIN = UndoAgain()
Late = Record | UndoAgain


@dataclass(frozen=True)
class Saga:
    """`state` opens a run's state from (request, facts). `notices` are answers that nobody asked for: they
    refuse the step
    the run waits in, itself undone too, until the pivot was asked. `also`: other answers that may come."""

    name: str
    state: Callable[[Mapping[str, Any], Mapping[str, Any]], State]
    pivot: str
    stages: tuple[tuple[Step, ...], ...]
    notices: tuple[type[Message], ...]
    also: tuple[type[Message], ...]
    ended: Callable[[State, Phase, str], Sequence[Said]]

    def __init__(
        self,
        name: str,
        state: Callable[[Mapping[str, Any], Mapping[str, Any]], State],
        *,
        pivot: str,
        steps: Iterable[Step | Together],
        notices: Iterable[type[Message]] = (),
        also: Iterable[type[Message]] = (),
        ended: Callable[[State, Phase, str], Sequence[Said]] = lambda state, phase, reason: (),
    ) -> None:
        stages = tuple(step.steps if isinstance(step, Together) else (step,) for step in steps)
        for field, value in (
            ("name", name),
            ("state", state),
            ("pivot", pivot),
            ("stages", stages),
            ("notices", tuple(notices)),
            ("also", tuple(also)),
            ("ended", ended),
        ):
            object.__setattr__(self, field, value)
        self._check()

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        return {step.slug: step for stage in self.stages for step in stage}

    @cached_property
    def pivot_stage(self) -> int:
        return next(n for n, stage in enumerate(self.stages) if any(step.name == self.pivot for step in stage))

    @cached_property
    def stage_of(self) -> Mapping[str, int]:
        return {step.slug: n for n, stage in enumerate(self.stages) for step in stage}

    @cached_property
    def hears(self) -> tuple[type[Message], ...]:
        """Every answer a run of this saga may hear."""
        found: dict[type[Message], None] = {}
        for step in self.steps.values():
            for heard in (step.done, *step.refused, step.waits, step.undone, step.undo_waits):
                if heard is not None:
                    found[heard] = None
        return (*found, *self.notices, *self.also, CommandWithdrawn, KeyReused)

    def _check(self) -> None:
        names = [step.name for stage in self.stages for step in stage]
        if len(set(names)) != len(names):
            raise BadSaga(f"{self.name}: a step is there twice")
        if self.pivot not in names:
            raise BadSaga(f"{self.name}: no step is called {self.pivot!r}")
        for number, stage in enumerate(self.stages):
            for step in stage:
                if (step.undo is None) != (step.undone is None):
                    raise BadSaga(f"{self.name}/{step.name}: an undo and its answer come together")
                if number < self.pivot_stage and step.undo is None:
                    raise BadSaga(f"{self.name}/{step.name}: above the pivot, but it cannot be undone")
                if number > self.pivot_stage and step.refused:
                    raise BadSaga(f"{self.name}/{step.name}: after the pivot nothing is refused")


class Answers:
    """The table of late answers: total over what a saga may hear and the phases a run may be in."""

    def __init__(self, saga: Saga, rows: Iterable[tuple[type[Message], Phase, Late]]) -> None:
        self.saga = saga
        self.rows: dict[tuple[type[Message], Phase], Late] = {}
        for heard, phase, does in rows:
            if (heard, phase) in self.rows:
                raise BadSaga(f"{saga.name}: late {heard.__name__} in {phase} is there twice")
            self.rows[(heard, phase)] = does
        missing = [
            f"{heard.__name__} in {phase}" for heard in saga.hears for phase in Phase if (heard, phase) not in self.rows
        ]
        if missing:
            raise BadSaga(f"{saga.name}: the table of late answers lacks {', '.join(missing)}")

    def does(self, heard: type[Message], phase: Phase) -> Late:
        return self.rows[(heard, phase)]

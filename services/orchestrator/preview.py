"""What an operator's wish would do to a run, said by the engine that would do it, without doing it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

from services.orchestrator import engine
from services.orchestrator.domain import Run
from services.orchestrator.late import SAGAS
from services.orchestrator.saga import Phase
from shared.consumer import Ask, Publish, Said

ACTIONS: Final = ("retry", "skip", "compensate")


@dataclass(frozen=True, slots=True)
class Preview:
    """`why_not`: nothing would happen, and why."""

    says: tuple[str, ...] = ()
    phase: str = ""
    pending: tuple[str, ...] = ()
    why_not: str = ""


def preview(row: Mapping[str, Any], action: str, now: datetime) -> Preview:
    """The same decisions as `operate_run` takes, on a copy of the run."""
    run = Run(**{field.name: row[field.name] for field in fields(Run)})
    run = replace(run, phase=Phase(run.phase))
    if run.changing is None:
        return Preview(why_not=f"the run has ended: {run.phase}")
    saga = SAGAS[run.saga]
    if action == "retry":
        advanced = engine.ask_now(saga, run, now)
    elif action == "skip":
        try:
            advanced = engine.skip(saga, run, now)
        except (KeyError, ValueError) as missing:
            return Preview(why_not=f"the step's answer is needed to go on: {missing}")
    elif run.phase is not Phase.WAITING:
        return Preview(why_not="it is turning back already")
    elif run.position >= saga.pivot_stage:
        return Preview(why_not=f"it has come to {saga.pivot!r}: from there on it only goes forward")
    else:
        advanced = engine.give_up(saga, run, "operator", now)
    return Preview(tuple(map(_told, advanced.said)), advanced.run.phase.value, tuple(advanced.run.pending))


def steps_of(saga: str) -> tuple[tuple[str, ...], ...]:
    """The stages of a saga, for showing where a run stands."""
    return tuple(tuple(step.slug for step in stage) for stage in SAGAS[saga].stages)


def _told(said: Said) -> str:
    if isinstance(said, Ask):
        return f"{type(said.command).__name__} to {said.command.heard_by}"
    if isinstance(said, Publish):
        return f"{type(said.event).__name__} to {said.storefront}"
    return type(said).__name__

"""One pure engine runs every saga: `begin`, `hear`, `overdue`, `operate` take a run and give the run back with
messages.

Forward until the pivot, everything above it can be undone; from the pivot on it only goes forward, asked again until
answered. A step without answer may have happened: it is undone too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from contracts.frame import CommandWithdrawn, KeyReused
from contracts.message import Message
from services.orchestrator.domain import Run
from services.orchestrator.saga import PHASES, Answers, Phase, Saga, Step, UndoAgain
from shared.consumer import Ask, Said
from shared.frozen import replace

ASK_AGAIN_S: Final = 15.0
PATIENCE_ASKS: Final = 20
"""Asks before a step above the pivot is given up (5 minutes), or a run that can't be given up is called stuck. Counted
in asks and not by the clock: while the consumer is disconnected nothing is asked, so an outage gives nobody up."""
STUCK_ASK_AGAIN_S: Final = 60.0


@dataclass(slots=True)
class Advanced:
    """The run after a message, and what is to be said because of it. `late` names the row of the table that was met."""

    run: Run
    said: list[Said] = field(default_factory=list)
    late: tuple[str, Phase] | None = None


def key_of(run: Run, slug: str, direction: str) -> str:
    """The command key: the same on every ask, so that asking again brings the same answer."""
    return f"orchestrator/{run.id}/{slug}/{direction}"


def parse_key(key: str) -> tuple[str, str, str]:
    """(run id, step, direction) of a command key; raises ValueError."""
    _, run_id, slug, direction = key.split("/")
    return run_id, slug, direction


def begin(saga: Saga, run: Run, now: datetime) -> Advanced:
    """Ask the first stage of a new run."""
    return _enter(saga, run, 0, now)


def hear(saga: Saga, late: Answers, run: Run, slug: str, direction: str, message: Message, now: datetime) -> Advanced:
    """An answer came: expected, a notice, or late."""
    step = saga.steps[slug]
    heard = type(message)
    awaited = slug in run.pending
    if heard in saga.notices and run.phase is Phase.WAITING and run.position < saga.pivot_stage:
        return give_up(saga, run, saga.state(run.request, run.facts).reason(message), now)
    if awaited and run.phase is Phase.WAITING and direction == "do":
        if heard is step.done or (step.never is not None and step.never(message)):
            return _done(saga, run, slug, message, now)
        if heard is step.waits:
            return _takes_time(saga, run, message, now)
        if heard in step.refused or heard is CommandWithdrawn:
            return _refused(saga, run, slug, message, now)
        if heard is KeyReused:
            return _contradicted(saga, run, message, now)
    if awaited and run.phase is Phase.UNDOING and direction == "undo":
        if heard is step.undone:
            return _undone(saga, run, slug, now)
        if heard is step.undo_waits:
            return _takes_time(saga, run, message, now)
    does = late.does(heard, run.phase)
    advanced = Advanced(run, late=(heard.__name__, run.phase))
    if isinstance(does, UndoAgain) and step.undo is not None:
        advanced.said.append(_undo(saga, run, step))
    return advanced


def overdue(saga: Saga, run: Run, now: datetime) -> Advanced:
    """The run's timer rang: ask again, give up, or say that it is stuck."""
    if run.phase not in (Phase.WAITING, Phase.UNDOING) or run.next_ask_at > now:
        return Advanced(run)
    unready = run.phase is Phase.WAITING and not _ready(saga, run)
    patience_gone = run.asks >= PATIENCE_ASKS
    if run.phase is Phase.WAITING and run.position < saga.pivot_stage and (patience_gone or unready):
        return give_up(saga, run, "no_payment" if unready else "no_answer", now)
    stuck_since = run.stuck_since or (now if patience_gone else None)
    pause = STUCK_ASK_AGAIN_S if stuck_since else ASK_AGAIN_S
    run = replace(run, asks=run.asks + 1, next_ask_at=now + timedelta(seconds=pause), stuck_since=stuck_since)
    return Advanced(run, _ask_pending(saga, run))


def ready_now(saga: Saga, run: Run, facts: Mapping[str, Any], now: datetime) -> Advanced:
    """Something the run waited for came from outside: learn it and ask what was held back."""
    was_ready = _ready(saga, run)
    run = replace(run, facts={**run.facts, **facts})
    if run.phase is not Phase.WAITING or was_ready or not _ready(saga, run):
        return Advanced(run)
    return _ask_stage(saga, run, now)


def give_up(saga: Saga, run: Run, reason: str, now: datetime) -> Advanced:
    """Turn back from where the run stands, pending steps included: they may have happened."""
    run = replace(run, phase=PHASES.to(run.phase, "give up"), reason=reason, stuck_since=None)
    return _undo_from(saga, run, run.position, now)


def skip(saga: Saga, run: Run, now: datetime) -> Advanced:
    """An operator says that what the run waits for has been seen to by hand."""
    run = replace(run, stuck_since=None)
    for slug in list(run.pending):
        advanced = _undone(saga, run, slug, now) if run.phase is Phase.UNDOING else _done(saga, run, slug, None, now)
        if advanced.said or not advanced.run.pending:
            return advanced
        run = advanced.run
    return Advanced(run)


def ask_now(saga: Saga, run: Run, now: datetime) -> Advanced:
    """An operator asks the pending steps again at once. A wait that was agreed is as long as before."""
    next_ask_at = max(run.next_ask_at, now + timedelta(seconds=ASK_AGAIN_S))
    run = replace(run, asks=0, stuck_since=None, next_ask_at=next_ask_at)
    return Advanced(run, _ask_pending(saga, run))


# -- moves ---------------------------------------------------------------------------------------------------------


def _enter(saga: Saga, run: Run, stage: int, now: datetime) -> Advanced:
    if stage == len(saga.stages):
        return _end(saga, run, "complete")
    state = saga.state(run.request, run.facts)
    steps = [step.slug for step in saga.stages[stage] if step.applies is None or step.applies(state)]
    if not steps:
        return _enter(saga, run, stage + 1, now)
    run = replace(run, position=stage, pending=steps)
    if not _ready(saga, run):
        run = replace(run, next_ask_at=state.waits_until(now), asks=0)
        return Advanced(run, list(state.waiting()))
    return _ask_stage(saga, run, now)


def _ask_stage(saga: Saga, run: Run, now: datetime) -> Advanced:
    run = replace(
        run,
        asked=[*run.asked, *(slug for slug in run.pending if slug not in run.asked)],
        asks=0,
        next_ask_at=now + timedelta(seconds=ASK_AGAIN_S),
    )
    return Advanced(run, _ask_pending(saga, run))


def _ask_pending(saga: Saga, run: Run) -> list[Said]:
    state = saga.state(run.request, run.facts)
    if run.phase is Phase.UNDOING:
        return [_undo(saga, run, saga.steps[slug]) for slug in run.pending]
    return [Ask(saga.steps[slug].do(state), key_of(run, slug, "do")) for slug in run.pending if slug in run.asked]


def _undo(saga: Saga, run: Run, step: Step) -> Said:
    assert step.undo is not None
    return Ask(step.undo(saga.state(run.request, {**run.facts, "reason": run.reason})), key_of(run, step.slug, "undo"))


def _done(saga: Saga, run: Run, slug: str, message: Message | None, now: datetime) -> Advanced:
    facts = {**run.facts, **saga.state(run.request, run.facts).learn(message)} if message is not None else run.facts
    run = replace(run, facts=facts, pending=[other for other in run.pending if other != slug], stuck_since=None)
    return Advanced(run) if run.pending else _enter(saga, run, run.position + 1, now)


def _takes_time(saga: Saga, run: Run, message: Message, now: datetime) -> Advanced:
    """Nobody is asked until then, and who asked in vain so far is not stuck."""
    state = saga.state(run.request, run.facts)
    run = replace(run, asks=0, next_ask_at=state.waits_until(now, message), stuck_since=None)
    return Advanced(run, list(state.waiting(message)) if run.phase is Phase.WAITING else [])


def _refused(saga: Saga, run: Run, slug: str, message: Message, now: datetime) -> Advanced:
    reason = saga.state(run.request, run.facts).reason(message)
    if run.position > saga.pivot_stage:
        return Advanced(replace(run, stuck_since=run.stuck_since or now, reason=reason))
    run = replace(
        run,
        phase=PHASES.to(run.phase, "give up"),
        reason=reason,
        pending=[other for other in run.pending if other != slug],
        asked=[other for other in run.asked if other != slug],  # it said no: nothing to undo
    )
    return _undo_from(saga, run, run.position, now)


def _contradicted(saga: Saga, run: Run, message: Message, now: datetime) -> Advanced:
    """Somebody has another memory of what we asked: it may have been done. Above the pivot it is undone too; from there
    on a person must look."""
    reason = saga.state(run.request, run.facts).reason(message)
    if run.position < saga.pivot_stage:
        return give_up(saga, run, reason, now)
    return Advanced(replace(run, stuck_since=run.stuck_since or now, reason=reason))


def _undo_from(saga: Saga, run: Run, stage: int, now: datetime) -> Advanced:
    for number in range(stage, -1, -1):
        to_undo = [step.slug for step in saga.stages[number] if step.slug in run.asked and step.undo is not None]
        if to_undo:
            run = replace(
                run, position=number, pending=to_undo, asks=0, next_ask_at=now + timedelta(seconds=ASK_AGAIN_S)
            )
            return Advanced(run, _ask_pending(saga, run))
    return _end(saga, replace(run, position=0), "cancel")


def _undone(saga: Saga, run: Run, slug: str, now: datetime) -> Advanced:
    run = replace(run, pending=[other for other in run.pending if other != slug], stuck_since=None)
    return Advanced(run) if run.pending else _undo_from(saga, run, run.position - 1, now)


def _end(saga: Saga, run: Run, on: str) -> Advanced:
    run = replace(run, phase=PHASES.to(run.phase, on), pending=[], changing=None, stuck_since=None)
    return Advanced(run, list(saga.ended(saga.state(run.request, run.facts), run.phase, run.reason)))


def _ready(saga: Saga, run: Run) -> bool:
    if run.position >= len(saga.stages):
        return True
    gates: Iterable[Step] = (saga.steps[slug] for slug in run.pending)
    state = saga.state(run.request, run.facts)
    return all(step.ready is None or step.ready(state) for step in gates)

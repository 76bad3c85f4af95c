"""`oms sagas`: runs that are stuck, what they wait for, and what an operator may do about them: previewed, then said.

Nothing here changes a run: the wish is put among the orchestrator's due work, and decided there like any message.
"""

import asyncio
import importlib
import json as json_
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.text import Text

from contracts.saga import OperateRun
from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.told import QUIET, ago, console, many, plain, shown, span, table, tell_json
from services.ops.wishes import hand_over, who

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Sagas under way: which are stuck, and what helps.")

SHOWN_AT_ONCE: Final = 200
_STUCK: Final = """SELECT id, saga, order_id, phase, pending, asks, next_ask_at, reason, stuck_since, created_at
    FROM sagas.runs WHERE stuck_since IS NOT NULL OR (:everything AND changing IS NOT NULL)
    ORDER BY stuck_since NULLS LAST, created_at LIMIT :limit"""
_ONE: Final = "SELECT * FROM sagas.runs WHERE id = :id"

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as `oms sagas stuck` shows it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command()
def stuck(
    everything: Annotated[bool, typer.Option("--all", help="Every run that has not ended.")] = False, json: Json = False
) -> None:
    """Runs that go neither forward nor back by themselves, and which answer each waits for."""
    found = asyncio.run(_stuck(everything))
    if json:
        tell_json(found)
        return
    if not found:
        console.print("no run is under way" if everything else "no run is stuck")
        return
    table(
        many(len(found), "run"),
        ("run", "saga", "phase", "waits for", "asked", "stuck for", "asked again", "why"),
        (
            (
                run["id"],
                run["saga"],
                run["phase"],
                Text(", ".join(run["pending"]), "bold"),
                f"{run['asks'] + 1}×",
                ago(datetime.fromisoformat(run["stuck_since"])) if run["stuck_since"] else "",
                f"in {_until(run)}",
                run["reason"],
            )
            for run in found
        ),
        right=("asked",),
        whole=("run",),
    )


@app.command()
def show(which: RunId, json: Json = False) -> None:
    """One run: its steps, where it stands, what was asked and learned."""
    run = asyncio.run(_one(which))
    told = plain([run])[0]
    if json:
        tell_json(told)
        return
    console.print(Text.assemble((f"{run['saga']} {run['id']}", "bold"), f"  {run['phase']}"))
    for name in ("order_id", "storefront", "reason", "next_ask_at", "stuck_since", "created_at", "updated_at"):
        if run[name]:
            console.print(Text.assemble((f"{name.replace('_', ' '):>12} ", QUIET), shown(run[name])))
    steps = _orchestrator().steps_of(run["saga"])
    table(
        "\nSteps",
        ("step", "stands"),
        (
            (
                Text(step, "bold" if step in run["pending"] else ""),
                f"waits for its answer, asked again in {_until(told)}"
                if step in run["pending"]
                else "asked"
                if step in run["asked"]
                else "",
            )
            for stage in steps
            for step in stage
        ),
    )
    table("\nFacts", ("name", "value"), ((name, json_.dumps(value)[:300]) for name, value in run["facts"].items()))


@app.command()
def retry(which: RunId, yes: Yes = False, json: Json = False) -> None:
    """Ask what it waits for again, now."""
    _operate(which, "retry", yes, json)


@app.command()
def skip(which: RunId, yes: Yes = False, json: Json = False) -> None:
    """Take the steps it waits for as seen to by hand, and go on."""
    _operate(which, "skip", yes, json)


@app.command()
def compensate(which: RunId, yes: Yes = False, json: Json = False) -> None:
    """Turn back: undo what was done, the pending step included. Possible until the pivot."""
    _operate(which, "compensate", yes, json)


def _until(run: Mapping[str, Any]) -> str:
    """Days, where an answer said that it will take days."""
    return span((datetime.fromisoformat(run["next_ask_at"]) - datetime.now(UTC)).total_seconds())


def _operate(which: str, action: str, yes: bool, json: bool) -> None:
    run = asyncio.run(_one(which))
    seen = _orchestrator().preview(run, action, datetime.now(UTC))
    if seen.why_not:
        raise fail(f"{action} does nothing: {seen.why_not}")
    if not json:
        goes = Text.assemble(("would say ", QUIET), ", ".join(seen.says) or "nothing")
        goes.append_text(Text.assemble(("; the run is then ", QUIET), seen.phase))
        if seen.pending:
            goes.append_text(Text.assemble((", waiting for ", QUIET), ", ".join(seen.pending)))
        console.print(goes)
    if not yes:
        typer.confirm(f"{action} this run?", abort=True)
    wish = OperateRun(run_id=run["id"], action=action, operator=who())
    decided = asyncio.run(hand_over(BY_SERVICE["orchestrator"], [wish], str(run["order_id"]))).decided
    told = {"run": which, "action": action, "says": list(seen.says), "decided": decided}
    if json:
        tell_json(told)
    else:
        console.print("done" if decided else "said; the orchestrator has not decided it yet (is it running?)")


def _orchestrator() -> Any:
    """The saga's own engine says what it would do. By name: operators' tools do not hang on a service's code."""
    return importlib.import_module("services.orchestrator.preview")


async def _stuck(everything: bool) -> list[dict[str, Any]]:
    async with reading(BY_SERVICE["orchestrator"]) as connection:
        return plain(await rows(connection, _STUCK, everything=everything, limit=SHOWN_AT_ONCE))


async def _one(which: str) -> Mapping[Any, Any]:
    try:
        id_ = UUID(which)
    except ValueError:
        raise fail(f"{which!r} is no id of a run; `oms sagas stuck` shows them") from None
    async with reading(BY_SERVICE["orchestrator"]) as connection:
        found = await rows(connection, _ONE, id=id_)
    if not found:
        raise fail(f"no run has the id {which}")
    return found[0]

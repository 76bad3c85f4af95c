"""`oms contracts`: what can be generated is generated, committed and verified: schemas, AsyncAPI, parts of the docs.

Like the composition root it sees every service, and imports them by name.
"""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from contracts import generate
from contracts.message import Kind, Message
from shared.consumer import Consumer
from shared.machine import Machine
from shared.provision import SERVICES

app = typer.Typer(add_completion=False)

ROOT: Final = Path(__file__).parent.parent
STATES: Final = ROOT / "docs" / "states.md"
SAGAS: Final = ROOT / "docs" / "sagas.md"
BEGIN: Final = "<!-- generated -->"
END: Final = "<!-- /generated -->"


@app.command()
def contracts(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a file differs.")] = False,
    release: Annotated[bool, typer.Option("--release", help="Also keep today's schemas as released.")] = False,
) -> None:
    """Write schemas, AsyncAPI, diagrams and the services' lists of messages anew from the code."""
    drift = generate.generate(check)
    for path, text in documents().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        drift.append(f"{path.relative_to(ROOT)} is not what the code says")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    broken = generate.release() if release else []
    for line in [*drift, *broken]:
        typer.echo(line if check or line in broken else line.replace("is not what", "was not what"))
    if check and drift:
        typer.echo("run: make contracts")
    if not drift and not broken:
        typer.echo("everything generated is as the code says")
    raise typer.Exit(1 if (check and drift) or broken else 0)


def documents() -> dict[Path, str]:
    """Every generated part of the documentation, in its file."""
    found = {STATES: _states(), SAGAS: _sagas()}
    for service in SERVICES:
        readme = ROOT / "services" / service / "README.md"
        if readme.exists():
            found[readme] = _with_lists(readme.read_text(encoding="utf-8"), _consumer(service))
    return found


# -- states --------------------------------------------------------------------------------------------------------


def machines() -> Iterator[tuple[str, str, str, Machine[Any]]]:
    """(service, table, column, machine) of everything that has a life."""
    for service in SERVICES:
        tables = importlib.import_module(f"services.{service}.tables")
        for table, column, machine in tables.MACHINES:
            yield service, f"{tables.SCHEMA}.{table}", column, machine


def _states() -> str:
    lines = [
        "# Every state and every move",
        "",
        "What is not in these tables is refused by name, in the code and by a trigger in the database. Written by",
        "`make contracts` from the tables in the code.",
    ]
    for service, table, column, machine in machines():
        lines += [
            "",
            f"## {machine.name} ({service}: `{table}.{column}`)",
            "",
            "```mermaid",
            machine.mermaid(),
            "```",
            "",
        ]
        lines += ["| from | on | to |", "|---|---|---|"]
        lines += [f"| | (begin) | {start} |" for start in machine.start]
        lines += [f"| {origin} | {on} | {to} |" for origin, on, to in machine.moves]
    return "\n".join(lines) + "\n"


# -- sagas ---------------------------------------------------------------------------------------------------------


def _sagas() -> str:
    late = importlib.import_module("services.orchestrator.late")
    phases = list(importlib.import_module("services.orchestrator.saga").Phase)
    lines = [
        "# Every saga, and every late answer",
        "",
        "Read a table of steps from top to bottom for the happy path. Down to the pivot a refusal undoes the steps",
        "above it; from the pivot on it only goes forward. Written by `make contracts` from the tables in the code.",
    ]
    for name, saga in late.SAGAS.items():
        lines += ["", f"## {name}", "", "| | step | done | refused | waits | undone | undo waits |"]
        lines += [f"|{'---|' * 7}"]
        for number, stage in enumerate(saga.stages, start=1):
            for step in stage:
                title = f"**{step.name}** (pivot)" if step.name == saga.pivot else step.name
                refused = ", ".join(one.__name__ for one in step.refused)
                others = (_named(step.done), refused, _named(step.waits), _named(step.undone), _named(step.undo_waits))
                lines.append(f"| {number} | {title} | {' | '.join(others)} |")
        if saga.notices:
            lines += ["", f"Refuse whatever step it waits in: {', '.join(one.__name__ for one in saga.notices)}."]
        lines += ["", "Late answers: what arrives, and what is done about it while the run is ...", ""]
        lines += [f"| arrives | {' | '.join(phases)} |", f"|---|{'---|' * len(phases)}"]
        for heard in saga.hears:
            does = (_does(late.LATE[name].does(heard, phase)) for phase in phases)
            lines.append(f"| {heard.__name__} | {' | '.join(does)} |")
    return "\n".join(lines) + "\n"


def _named(message: type[Message] | None) -> str:
    return "" if message is None else message.__name__


def _does(late: object) -> str:
    """`UndoAgain` reads as: undo again."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(late).__name__).lower()


# -- what a service hears and says ---------------------------------------------------------------------------------


def _consumer(service: str) -> Consumer:
    handlers = importlib.import_module(f"services.{service}.handlers")
    if hasattr(handlers, "consumer"):
        found = handlers.consumer
    else:
        policies = {"order": "OrderPolicy", "payment": "PaymentPolicy", "orchestrator": "CheckoutPolicy"}
        found = handlers.make_consumer(getattr(handlers, policies[service])())
    assert isinstance(found, Consumer)
    return found


def _with_lists(readme: str, consumer: Consumer) -> str:
    """The README with its generated part written anew; it goes to the end where there is none yet."""
    lists = f"{BEGIN}\n{_lists(consumer)}\n{END}"
    between = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END), re.DOTALL)
    if between.search(readme):
        return between.sub(lambda _: lists, readme)
    if BEGIN in readme:
        before, _, after = readme.partition(BEGIN)
        return f"{before}{lists}{after}"
    return f"{readme.rstrip()}\n\n{lists}\n"


def _lists(consumer: Consumer) -> str:
    hearings = sorted(
        consumer.hearings.values(), key=lambda one: (one.message_type.kind.value, one.message_type.__name__)
    )
    heard = [f"| {one.message_type.__name__} | {one.message_type.kind} | {_says(one.says)} |" for one in hearings]
    return "\n".join(
        [
            f"Queues: {', '.join(f'`{queue}`' for queue in consumer.queues)}.",
            "",
            "| hears | as | and may say |",
            "|---|---|---|",
            *heard,
        ]
    )


def _says(says: tuple[type[Message], ...]) -> str:
    public = [one.__name__ for one in says if one.kind is Kind.EVENT]
    inside = [one.__name__ for one in says if one.kind is not Kind.EVENT]
    return ", ".join([*inside, *(f"*{name}*" for name in public)])

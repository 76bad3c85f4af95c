"""`oms demo`: brings servers, runs the demo on them, and leaves nothing running."""

import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on stdout.")] = False,
    orders: Annotated[int, typer.Option(min=100, max=5_000, help="Checkouts to place, of every kind.")] = 240,
    story: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="Also what `oms order` tells of one order of this kind; more than once."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed places the same orders.")] = 1,
) -> None:
    """The whole system on servers of its own: orders of every kind, and what became of them.

    Exit status 0 only if every invariant holds and every kind of order ended as it should, none of them zero times.
    Uses AMQP_URL and DATABASE_URL where both are given (in a database and a virtual host of its own); otherwise it
    brings servers, and takes them away again.
    """
    from services.sandbox.demo import Demo, as_json
    from services.sandbox.demo_view import live, show, tell_stories
    from services.sandbox.environment import prepare
    from services.sandbox.processes import NotRunning
    from services.sandbox.scenarios import SCENARIOS
    from services.sandbox.servers import ServersUnavailable, bring

    console = Console(stderr=json)
    if strange := set(story or ()) - {scenario.name for scenario in SCENARIOS}:
        kinds = ", ".join(scenario.name for scenario in SCENARIOS)
        console.print(f"no kind of order is called {', '.join(sorted(strange))}; there are: {kinds}", style="bold red")
        raise typer.Exit(2)
    logs = Path(tempfile.mkdtemp(prefix="waybill-demo-"))

    def say(line: str) -> None:
        console.print(line, style="bright_black", highlight=False)

    try:
        with bring(say=say) as servers:
            with console.status("making a database and a virtual host of our own"):
                environment = prepare(servers, f"waybill_demo_{secrets.token_hex(4)}")
            try:
                run = Demo(servers, environment.env, orders=orders, seed=seed, logs=logs, say=say)
                outcome = asyncio.run(run.run(lambda following: live(following, console)))
            finally:
                environment.drop()
    except (ServersUnavailable, NotRunning) as error:
        console.print(str(error), style="bold red", highlight=False)
        say(f"what the services wrote: {logs}")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        shutil.rmtree(logs, ignore_errors=True)
        console.print("stopped; nothing is left running", style="bright_black")
        raise typer.Exit(130) from None
    if json:
        typer.echo(as_json(outcome))
    else:
        show(outcome, console)
        tell_stories(outcome, story or (), console)
    if outcome.ok:
        shutil.rmtree(logs, ignore_errors=True)
    else:
        say(f"what the services wrote: {logs}")
    raise typer.Exit(0 if outcome.ok else 1)

"""`oms bench`: how much, how fast, and for how much CPU; every benchmark is one line of JSON on stdout."""

from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="checkout_closed, checkout_rate, flash_sale, feed, relay, routing, simulator, webhooks; none: all"
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=3_600, help="Measured, after the warm-up.")] = 60.0,
    warmup: Annotated[float, typer.Option(min=0, max=600, help="Seconds before that.")] = 10.0,
    rate: Annotated[float, typer.Option(min=0.1, max=5_000, help="checkout_rate: orders per second.")] = 20.0,
    in_flight: Annotated[int, typer.Option(min=1, max=5_000, help="checkout_closed: unanswered at once.")] = 1_000,
    skus: Annotated[int, typer.Option(min=2, max=100_000, help="On the shelves.")] = 10_000,
    buyers: Annotated[int, typer.Option(min=1, max=100_000, help="flash_sale: how many come.")] = 10_000,
    units: Annotated[int, typer.Option(min=1, max=100_000, help="flash_sale: how many there are.")] = 500,
    rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="feed: how many rows it has.")] = 1_000_000,
    webhooks: Annotated[int, typer.Option(min=1, max=100_000, help="webhooks: payments they pay.")] = 5_000,
    layout: Annotated[
        list[str] | None, typer.Option(help="The services of one process; once per process. Default: two processes.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Only the lines of JSON, no progress and no table.")] = False,
) -> None:
    """Measure on real servers with fsync on: one line of JSON per benchmark on stdout, progress on stderr.

    Exit status 0 only if everything asked was answered and every invariant holds. docs/benchmarks.md says how to read
    the lines.
    """
    from services.sandbox.bench.command import Asked, run

    asked = Asked(
        seconds=seconds,
        warmup_s=warmup,
        rate=rate,
        in_flight=in_flight,
        skus=skus,
        buyers=buyers,
        units=units,
        rows=rows,
        webhooks=webhooks,
    ).with_layout(layout or ())
    raise typer.Exit(run(names or (), asked, quiet=json))

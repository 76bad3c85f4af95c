"""How the demo looks: a live table while orders are under way, then what became of each kind, and the invariants."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from services.ops import order
from services.ops.invariants import Invariant
from services.sandbox.case import Case
from services.sandbox.demo import Became, Demo, Outcome

COLUMNS = (
    # heading     any of these words
    ("accepted", ("accepted",)),
    ("confirmed", ("confirmed",)),
    ("delivered", ("delivered",)),
    ("cancelled", ("cancelled",)),
    ("refunded", ("refunded",)),
    ("refused", ("refused", "unreadable", "refund")),
)
TOLD = (
    *("confirmed", "shipped", "stock_arrived", "delivered", "units", "cancelled", "refunded", "refund", "refused"),
    *("unreadable", "parked"),
)
"""Words that say what became of an order, in this order; the others are on the way there, or repeat them."""
ON_THE_WAY = frozenset({"confirmed", "shipped", "stock_arrived"})
"""Told only where they are what a scenario is about."""
GOOD, BAD, QUIET = "green", "bold red", "bright_black"


@contextmanager
def live(demo: Demo, console: Console) -> Iterator[None]:
    """The live view, as long as the context is open. Without a terminal nothing moves, so nothing is drawn."""
    progress = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=None, complete_style="cyan", finished_style=GOOD),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        expand=True,
    )
    shop = demo.shop
    begun = progress.add_task("asked", total=len(shop.cases))
    ended = progress.add_task("ended", total=len(shop.cases))

    def draw() -> RenderableType:
        progress.update(begun, completed=shop.begun)
        progress.update(ended, completed=shop.over())
        return Group(progress, _under_way(shop.cases))

    if not console.is_terminal:
        yield
        return
    with Live(console=console, get_renderable=draw, refresh_per_second=2, transient=True, vertical_overflow="crop"):
        yield


def _under_way(cases: Sequence[Case]) -> Table:
    """What still moves comes first: on a small screen the rest is cut off."""
    by_scenario: dict[str, list[Case]] = {}
    for case in cases:
        by_scenario.setdefault(case.scenario.name, []).append(case)
    table = Table(box=None, expand=True, header_style="bold", padding=(0, 1))
    table.add_column("scenario")
    for heading in ("asked", *(heading for heading, _ in COLUMNS), "open"):
        table.add_column(heading, justify="right")
    order = sorted(by_scenario.items(), key=lambda item: all(case.is_over for case in item[1]))
    for name, of in order:
        begun = [case for case in of if case.placed_at]
        still = sum(1 for case in of if not case.is_over)
        counts = [sum(1 for case in of if _has(case, words)) for _, words in COLUMNS]
        style = QUIET if not still else ""
        table.add_row(name, *(str(count or "") for count in (len(begun), *counts, still)), style=style)
    return table


def _has(case: Case, words: Sequence[str]) -> bool:
    return any(word.partition(" ")[0] in words and word != "refund done" for word in case.words)


def show(outcome: Outcome, console: Console) -> None:
    """The result, for people."""
    console.print(_became_table(outcome.became))
    console.print(_invariants_table(outcome.invariants))
    for one in outcome.became:
        for wrong in one.wrong:
            console.print(Text(f"  {one.scenario.name}: {wrong}", style=BAD))
    for invariant in outcome.invariants:
        for example in invariant.examples:
            console.print(Text(f"  {invariant.name}: {example}", style=BAD))
    for what, many in outcome.moving.items():
        console.print(Text(f"  still moving: {many} {what}", style=BAD))
    p50, p99 = outcome.confirmed_within_ms
    orders = sum(one.asked for one in outcome.became if one.scenario.places_an_order)
    held = sum(invariant.holds for invariant in outcome.invariants)
    kinds = sum(one.holds for one in outcome.became)
    verdict = "every invariant holds" if outcome.ok else "not as it should be"
    console.print(
        Text.assemble(
            (verdict, GOOD if outcome.ok else BAD),
            f": {held} of {len(outcome.invariants)} invariants, {kinds} of {len(outcome.became)} kinds as expected; "
            f"{orders} checkouts, {outcome.events_heard} events heard, {outcome.seconds:.0f} s; "
            f"confirmed after {p50:.0f} ms (median), {p99:.0f} ms (p99)",
        )
    )


def _became_table(became: Sequence[Became]) -> Table:
    table = Table(title="What became of each kind", title_justify="left", title_style="bold", expand=True, box=None)
    table.add_column("scenario", no_wrap=True, style="bold")
    table.add_column("what happens", style=QUIET)
    table.add_column("what became of them")
    table.add_column("as expected", justify="right", no_wrap=True)
    for one in became:
        told = [
            f"{count} {word.replace('_', ' ')}"
            for known in TOLD
            for word, count in sorted(one.words.items())
            if word.partition(" ")[0] == known and word != "refund done" and _is_told(word, one)
        ]
        mark = Text(f"{one.as_expected} of {one.asked} ", GOOD if one.holds else BAD)
        mark.append("✓" if one.holds else "✗")
        table.add_row(one.scenario.name, one.scenario.what, ", ".join(told), mark)
    return table


def _is_told(word: str, one: Became) -> bool:
    if word.partition(" ")[0] not in ON_THE_WAY:
        return True
    return word != "confirmed" and any(word in end for end in one.scenario.ends)


def _invariants_table(invariants: Sequence[Invariant]) -> Table:
    table = Table(title="\nInvariants", title_justify="left", title_style="bold", expand=True, box=None)
    table.add_column("invariant", style="bold")
    table.add_column("in words", style=QUIET)
    table.add_column("checked", justify="right")
    table.add_column("broken", justify="right", no_wrap=True)
    for invariant in invariants:
        mark = Text(f"{invariant.broken} ", GOOD if invariant.holds else BAD)
        mark.append("✓" if invariant.holds else "✗")
        table.add_row(invariant.name, invariant.what, str(invariant.checked), mark)
    return table


def tell_stories(outcome: Outcome, kinds: Sequence[str], console: Console) -> None:
    """What support reads of the first order of each of these kinds."""
    for one in outcome.became:
        if one.scenario.name in kinds and one.story:
            console.print(f"\n{one.scenario.name}: {one.scenario.what}", style="bold cyan")
            order.show(dict(one.story))

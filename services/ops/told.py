"""How commands tell what they found: tables for people, JSON for machines, on stdout and nothing else there."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console()
QUIET = "bright_black"


def tell_json(found: object) -> None:
    typer.echo(json.dumps(found, default=str, ensure_ascii=False, indent=2))


def plain(rows: Iterable[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON has them: instants in RFC 3339."""
    return [{str(name): _value(value) for name, value in row.items()} for row in rows]


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str | int | float | bool | dict | list | None) else str(value)


def table(
    title: str,
    headings: Sequence[str],
    found: Iterable[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """One table; headings in `right` hold numbers, those in `whole` are never broken."""
    drawn = Table(title=title, title_justify="left", title_style="bold", box=None, header_style=QUIET, padding=(0, 1))
    for heading in headings:
        justify: Literal["right", "left"] = "right" if heading in right else "left"
        drawn.add_column(heading, justify=justify, overflow="fold", no_wrap=heading in whole or heading in right)
    for line in found:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in line))
    console.print(drawn)


def problems(count: int, report: Sequence[Mapping[str, Any]], most: int) -> None:
    """What is wrong in a file, where and why; `most` of them."""
    if not count:
        return
    table(
        many(count, "problem"),
        ("row", "column", "value", "what is wrong"),
        ((one["row"] or "", one["column"], one["value"], one["why"]) for one in report[:most]),
        right=("row",),
    )
    if count > most:
        console.print(Text(f"… {count - min(most, len(report)):,} more; --json lists a thousand", QUIET))


def shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def ago(instant: datetime) -> str:
    """How long it has been, in the largest unit that says something."""
    return span((datetime.now(UTC) - instant).total_seconds())


def span(seconds: float) -> str:
    """Nothing, where it is below zero."""
    seconds = max(0.0, seconds)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def many(count: int, what: str) -> str:
    """1 run, 2 runs."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def amount(amount_minor: int, currency: str) -> str:
    """12.34: with the decimals its currency has."""
    from shared.money import decimals

    places = decimals(currency) or 0
    return f"{amount_minor / 10**places:,.{places}f}"


def money(amount_minor: int, currency: str) -> str:
    """12.34 EUR."""
    return f"{amount(amount_minor, currency)} {currency}"

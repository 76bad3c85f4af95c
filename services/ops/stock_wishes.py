"""What an operator says about shelves: a correction, a stock-take, safety stock, a delivery; previewed, then said."""

import asyncio
import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from contracts.inventory import ReceiveStock
from contracts.warehousing import MAX_COUNTS, MAX_UNITS, CorrectStock, CountedUnits, CountStock, SetSafetyStock
from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.told import QUIET, console, table
from services.ops.wishes import decide, tell, who, worded
from shared.ids import new_id

INVENTORY: Final = BY_SERVICE["inventory"]
MOST_COUNTED: Final = 50_000
"""Lines of one file: a hundred messages, previewed in one question. A larger stock-take is several files."""
SHOWN: Final = 50
"""Changes shown before they are asked for; what is more is counted."""

_SHELVES: Final = """SELECT s.sku, s.on_hand, s.held, s.allocated, s.safety_stock,
           s.on_hand - coalesce(since.units, 0) AS expected
    FROM inventory.shelves s LEFT JOIN LATERAL (
        SELECT sum(on_hand_delta)::bigint AS units FROM inventory.movements m
        WHERE m.sku = s.sku AND m.warehouse = s.warehouse AND m.occurred_at > :as_of) AS since ON true
    WHERE s.warehouse = :warehouse AND s.sku = ANY(:skus)"""
_NOW: Final = "SELECT clock_timestamp() AS now"
_OUTCOMES: Final = """SELECT outcome, sku, difference FROM inventory.stock_takes
    WHERE reference = ANY(:references) AND outcome <> 'agreed' ORDER BY sku LIMIT :limit"""
UNIT: Final = "SKU=N"

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
SkuArgument = Annotated[str, typer.Argument(metavar="SKU")]
WarehouseArgument = Annotated[str, typer.Argument(metavar="WAREHOUSE")]
Reference = Annotated[str, typer.Option(metavar="R", help="Names it: the same one counts once.")]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Counters as they stand, or would."""

    sku: str
    on_hand: int = 0
    promised: int = 0
    safety: int = 0
    expected: int = 0
    """On hand at the instant that was asked for."""

    @property
    def short(self) -> int:
        return max(0, self.promised - self.on_hand)

    @property
    def available(self) -> int:
        return self.on_hand - self.promised - self.safety

    def told(self) -> dict[str, int]:
        return {
            "on_hand": self.on_hand,
            "short": self.short,
            "safety_stock": self.safety,
            "available": self.available,
        }


def correct(
    sku: SkuArgument,
    warehouse: WarehouseArgument,
    delta: Annotated[int, typer.Argument(metavar="DELTA", help="Units found (3) or missing (-3).")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why the books are wrong.")],
    reference: Reference = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Correct what the books say of one shelf, with a reason. What was promised and is not there is then short."""
    reference = reference or f"correction-{new_id()}"
    wish = worded(CorrectStock, reference=reference, sku=sku, warehouse=warehouse, delta=delta, reason=reason, by=who())
    before = _standing(sku, warehouse)
    after = Shelf(sku, before.on_hand + delta, before.promised, before.safety)
    if after.on_hand < 0:
        raise fail(f"{warehouse} has {before.on_hand} {sku}: {-delta} cannot be missing")
    _preview(warehouse, [(before, after)], json)
    handed = decide(INVENTORY, [wish], reference, question="Correct this shelf?", yes=yes)
    tell(INVENTORY, handed, _change(reference, warehouse, before, after), json)


def safety(
    sku: SkuArgument,
    warehouse: WarehouseArgument,
    units: Annotated[int, typer.Argument(metavar="N", min=0, max=MAX_UNITS)],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Set how many units of a shelf are kept back from new orders."""
    wish = worded(SetSafetyStock, sku=sku, warehouse=warehouse, units=units, as_of=asyncio.run(_now()))
    before = _standing(sku, warehouse)
    after = Shelf(sku, before.on_hand, before.promised, units)
    _preview(warehouse, [(before, after)], json)
    handed = decide(INVENTORY, [wish], sku, question="Keep back so many?", yes=yes)
    tell(INVENTORY, handed, _change("", warehouse, before, after), json)


def receive(
    units: Annotated[list[str], typer.Argument(metavar=f"{UNIT}...", help="What arrived.")],
    warehouse: Annotated[str, typer.Option(metavar="W", help="Where. A new name makes a warehouse.")],
    reference: Annotated[str, typer.Option(metavar="R", help="Names the delivery: the same one counts once.")],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put a delivery on its shelves, which are made where there are none."""
    wanted = units_of(units)
    receipts = [{"sku": sku, "warehouse": warehouse, "quantity": quantity} for sku, quantity in wanted.items()]
    wish = worded(ReceiveStock, reference=reference, receipts=receipts)
    standing = asyncio.run(_shelves(warehouse, list(wanted)))
    changes = []
    for sku, quantity in wanted.items():
        before = standing.get(sku, Shelf(sku))
        changes.append((before, Shelf(sku, before.on_hand + quantity, before.promised, before.safety)))
    _preview(warehouse, changes, json)
    handed = decide(INVENTORY, [wish], reference, question="Take this delivery in?", yes=yes)
    told = [_change(reference, warehouse, before, after) for before, after in changes]
    tell(INVENTORY, handed, {"reference": reference, "warehouse": warehouse, "shelves": told}, json)


def count(
    warehouse: WarehouseArgument,
    counts: Annotated[
        list[str], typer.Argument(metavar=f"FILE.csv|{UNIT}...", help="A file with columns sku and counted; or counts.")
    ],
    as_of: Annotated[
        datetime | None, typer.Option(metavar="INSTANT", help="When it was counted, in UTC; now unless given.")
    ] = None,
    reference: Reference = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Set shelves to what was counted on them. What moved since the count is not counted away.

    Shows what differs from the books before it asks. A line of a shelf whose units cannot be made sense of changes
    nothing and is named: count it again.
    """
    counted = counted_in(Path(counts[0])) if len(counts) == 1 and "=" not in counts[0] else units_of(counts, least=0)
    now = asyncio.run(_now())
    at = now if as_of is None else as_of.replace(tzinfo=UTC)
    if at > now:
        raise fail("what was counted was not counted in the future")
    reference = reference or f"stock-take-{new_id()}"
    standing = asyncio.run(_shelves(warehouse, list(counted), at))
    sheets = list(_sheets(reference, warehouse, counted, standing, at))
    changes = [
        (before, Shelf(sku, before.on_hand + units - before.expected, before.promised, before.safety))
        for sku, units in counted.items()
        if (before := standing.get(sku, Shelf(sku))).expected != units
    ]
    if not json:
        console.print(f"{len(counted):,} counted, {len(changes):,} differ from the books")
    _preview(warehouse, changes, json)
    handed = decide(INVENTORY, sheets, reference, question="Set these shelves to what was counted?", yes=yes)
    found = asyncio.run(_outcomes([sheet.reference for sheet in sheets]))
    if not json:
        for row in found:
            if row["outcome"] != "corrected":
                console.print(Text(f"{row['sku']}: {row['outcome']}; count it again", "yellow"))
    told = {"reference": reference, "warehouse": warehouse, "counted": len(counted), "differ": len(changes)}
    by_outcome = Counter(row["outcome"] for row in found)
    tell(INVENTORY, handed, {**told, "outcomes": dict(by_outcome), "lines": found}, json)


def units_of(given: Iterable[str], *, least: int = 1) -> dict[str, int]:
    """TEA=3 CUP=1: units by SKU."""
    found: dict[str, int] = {}
    for one in given:
        sku, _, units = one.rpartition("=")
        _counted(found, sku, units, f"{one!r}", least)
    return found


def counted_in(path: Path) -> dict[str, int]:
    """Whole or not at all; what is wrong is named by its line."""
    found: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"sku", "counted"} <= set(reader.fieldnames or ()):
                raise fail(f"{path}: the first line names the columns, sku and counted among them")
            for row in reader:
                if len(found) == MOST_COUNTED:
                    raise fail(f"{path} has more than {MOST_COUNTED:,} lines: make it several")
                _counted(found, row["sku"] or "", row["counted"] or "", f"{path}, line {reader.line_num}", 0)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise fail(f"{path} cannot be read: {error}") from None
    if not found:
        raise fail(f"{path} counts nothing")
    return found


def _counted(found: dict[str, int], sku: str, units: str, where: str, least: int) -> None:
    sku, units = sku.strip(), units.strip()
    if not sku or not (units.isascii() and units.isdigit() and len(units) <= len(str(MAX_UNITS))):
        raise fail(f"{where}: a SKU and a number are needed, as {UNIT} or in two columns")
    if int(units) < least:
        raise fail(f"{where}: at least {least}")
    if sku in found:
        raise fail(f"{where}: {sku} is there twice")
    found[sku] = int(units)


def _sheets(
    reference: str, warehouse: str, counted: Mapping[str, int], standing: Mapping[str, Shelf], at: datetime
) -> Iterator[CountStock]:
    """As many messages as it takes; each may be heard alone."""
    lines = [
        worded(CountedUnits, sku=sku, counted=units, expected=standing.get(sku, Shelf(sku)).expected)
        for sku, units in counted.items()
    ]
    for start in range(0, len(lines), MAX_COUNTS):
        named = reference if len(lines) <= MAX_COUNTS else f"{reference}/{start // MAX_COUNTS + 1}"
        part = tuple(lines[start : start + MAX_COUNTS])
        yield worded(CountStock, reference=named, warehouse=warehouse, counts=part, as_of=at, by=who())


async def _now() -> datetime:
    """The database's clock: it is what movements are timed by."""
    async with reading(INVENTORY) as connection:
        (row,) = await rows(connection, _NOW)
        now: datetime = row["now"]
        return now


async def _shelves(warehouse: str, skus: Sequence[str], as_of: datetime | None = None) -> dict[str, Shelf]:
    async with reading(INVENTORY) as connection:
        found = await rows(
            connection, _SHELVES, warehouse=warehouse, skus=list(skus), as_of=as_of or datetime.max.replace(tzinfo=UTC)
        )
        return {
            row["sku"]: Shelf(
                row["sku"], row["on_hand"], row["held"] + row["allocated"], row["safety_stock"], max(0, row["expected"])
            )
            for row in found
        }


async def _outcomes(references: Sequence[str]) -> list[dict[str, Any]]:
    async with reading(INVENTORY) as connection:
        found = await rows(connection, _OUTCOMES, references=list(references), limit=MOST_COUNTED)
        return [dict(row) for row in found]


def _standing(sku: str, warehouse: str) -> Shelf:
    found = asyncio.run(_shelves(warehouse, [sku])).get(sku)
    if found is None:
        raise fail(f"{warehouse} has never stored {sku}; `oms stock receive` makes a shelf, `oms stock show` finds it")
    return found


def _change(reference: str, warehouse: str, before: Shelf, after: Shelf) -> dict[str, Any]:
    about = {"sku": before.sku, "warehouse": warehouse, "before": before.told(), "after": after.told()}
    return {"reference": reference, **about} if reference else about


def _preview(warehouse: str, changes: Sequence[tuple[Shelf, Shelf]], json: bool) -> None:
    if json or not changes:
        return
    columns = ("on hand", "short", "safety", "available")
    table(
        f"{warehouse}, before → after",
        ("sku", *columns),
        (
            (
                before.sku,
                *(_arrow(was, will) for was, will in zip(before.told().values(), after.told().values(), strict=True)),
            )
            for before, after in changes[:SHOWN]
        ),
        right=columns,
        whole=("sku",),
    )
    if len(changes) > SHOWN:
        console.print(f"and {len(changes) - SHOWN:,} more", style=QUIET)


def _arrow(was: int, will: int) -> Text:
    return Text(str(was), QUIET) if was == will else Text(f"{was} → {will}", "bold")

"""`oms stock transfer`: units on their way between warehouses: listed, requested, sent, received, cancelled."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from contracts.message import Message
from contracts.warehousing import CancelTransfer, ReceiveTransfer, RequestTransfer, SendTransfer
from services.ops.places import BY_SERVICE, fail, reading, rows
from services.ops.stock_wishes import UNIT, units_of
from services.ops.told import QUIET, ago, console, many, plain, table, tell_json
from services.ops.wishes import Handed, decide, tell, who, worded
from shared.ids import new_id

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Units on their way between warehouses.")

INVENTORY: Final = BY_SERVICE["inventory"]
SHOWN_AT_ONCE: Final = 200
_COLUMNS: Final = """t.id, t.origin, t.destination, t.state, t.lines, t.arrived, t.refusal, t.reason, t.requested_by,
    t.requested_at, t.sent_at, t.ended_at"""
_LIST: Final = f"""SELECT {_COLUMNS} FROM inventory.transfers t
    WHERE :everything OR t.state IN ('requested', 'sent') ORDER BY t.requested_at DESC LIMIT :limit"""
_ONE: Final = f"""SELECT {_COLUMNS},
        (SELECT jsonb_object_agg(s.sku, s.on_hand - s.held - s.allocated) FROM inventory.shelves s
         WHERE s.warehouse = t.origin AND t.lines @> jsonb_build_array(jsonb_build_object('sku', s.sku))
           AND s.sku IN (SELECT line ->> 'sku' FROM jsonb_array_elements(t.lines) AS line)) AS free
    FROM inventory.transfers t WHERE t.id = :id"""

Which = Annotated[str, typer.Argument(metavar="ID", help="As `oms stock transfer list` shows it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that ended.")] = False, json: Json = False
) -> None:
    """Transfers under way, the newest first."""
    found = asyncio.run(_list(everything))
    if json:
        tell_json(found)
        return
    if not found:
        console.print("no transfer is under way" if not everything else "there was never a transfer")
        return
    table(
        f"{many(len(found), 'transfer')}, newest first",
        ("transfer", "from", "to", "units", "state", "since", ""),
        (
            (
                row["id"],
                row["origin"],
                row["destination"],
                _units(row),
                row["state"],
                ago(datetime.fromisoformat(row["ended_at"] or row["sent_at"] or row["requested_at"])),
                Text(row["refusal"], "red") if row["refusal"] else row["reason"],
            )
            for row in found
        ),
    )


@app.command()
def request(
    origin: Annotated[str, typer.Argument(metavar="FROM")],
    destination: Annotated[str, typer.Argument(metavar="TO")],
    units: Annotated[list[str], typer.Argument(metavar=f"{UNIT}...")],
    id_: Annotated[str, typer.Option("--id", metavar="ID", help="Its name; made up unless given.")] = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Write down that units are to go from one warehouse to another. Nothing is held for it."""
    wanted = units_of(units)
    wish = worded(
        RequestTransfer,
        transfer_id=id_ or f"transfer-{new_id()}",
        origin=origin,
        destination=destination,
        lines=[{"sku": sku, "quantity": quantity} for sku, quantity in wanted.items()],
        by=who(),
    )
    if not json:
        told = ", ".join(f"{quantity} {sku}" for sku, quantity in wanted.items())
        console.print(f"{wish.transfer_id}: {told} from {origin} to {destination}")
    _decide(wish.transfer_id, wish, "Request this transfer?", yes, json)


@app.command()
def send(which: Which, yes: Yes = False, json: Json = False) -> None:
    """It has left: its units are off hand at the origin, if they are promised to nobody there."""
    row = asyncio.run(_one(which))
    if not json:
        free = row["free"] or {}
        table(
            f"{row['origin']} to {row['destination']}",
            ("sku", "units", "free there, before → after"),
            (
                (line["sku"], line["quantity"], _left(free.get(line["sku"], 0), line["quantity"]))
                for line in row["lines"]
            ),
            right=("units",),
        )
    _decide(which, worded(SendTransfer, transfer_id=which), "Send it?", yes, json)


@app.command()
def receive(
    which: Which,
    differing: Annotated[
        list[str] | None,
        typer.Argument(metavar=f"{UNIT}...", help="Only what did not come as it was sent; 0: nothing."),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it differs.")] = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """It has arrived, as it was sent or not; when nothing came, it is lost."""
    row = asyncio.run(_one(which))
    came = units_of(differing or (), least=0)
    if not json:
        table(
            f"{row['origin']} to {row['destination']}",
            ("sku", "sent", "came"),
            (
                (
                    line["sku"],
                    line["quantity"],
                    Text(
                        str(n := came.get(line["sku"], line["quantity"])), "bold red" if n != line["quantity"] else ""
                    ),
                )
                for line in row["lines"]
            ),
            right=("sent", "came"),
        )
    units = [{"sku": sku, "quantity": quantity} for sku, quantity in came.items()]
    wish = worded(ReceiveTransfer, transfer_id=which, differing=units, reason=reason)
    _decide(which, wish, "Take it in?", yes, json)


@app.command()
def cancel(
    which: Which,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it is not sent.")],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """It is not sent after all."""
    row = asyncio.run(_one(which))
    if not json:
        console.print(f"{which}: {row['state']} → cancelled")
    _decide(which, worded(CancelTransfer, transfer_id=which, reason=reason), "Cancel it?", yes, json)


def _decide(which: str, wish: Message, question: str, yes: bool, json: bool) -> None:
    """A wish that was heard may still have been refused: the transfer says so."""
    handed = decide(INVENTORY, [wish], which, question=question, yes=yes)
    row: dict[str, Any] = {"id": which}
    if handed.decided:
        row = asyncio.run(_one(which))
        row.pop("free")
        if row["refusal"]:
            handed = Handed(True, row["refusal"])
    elif not handed.why_not and not json:
        console.print(f"{which}:", end=" ")
    tell(INVENTORY, handed, row, json)


async def _list(everything: bool) -> list[dict[str, Any]]:
    async with reading(INVENTORY) as connection:
        return plain(await rows(connection, _LIST, everything=everything, limit=SHOWN_AT_ONCE))


async def _one(which: str) -> dict[str, Any]:
    async with reading(INVENTORY) as connection:
        found = plain(await rows(connection, _ONE, id=which))
    if not found:
        raise fail(f"no transfer has the id {which!r}; `oms stock transfer list` shows them")
    return found[0]


def _units(row: dict[str, Any]) -> str:
    return ", ".join(f"{line['quantity']} {line['sku']}" for line in row["lines"])


def _left(free: int, units: int) -> Text:
    return Text(f"{free} → {free - units}", "bold red" if free < units else QUIET)

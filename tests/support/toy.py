"""Two small services that pass coins: enough to try the frame, the store and the simulator without the real ones.

`purse` hears Pay, asks `till` to take the coins, and gives up by undoing; `till` never holds more than its limit.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.frame import CommandWithdrawn
from contracts.message import Command, Local, Reply, Request
from shared.consumer import Ask, Consumer, Moment, Says
from shared.machine import Machine
from shared.schema import created, instants, states_check
from shared.table import Discipline, Need, Table
from shared.working_set import Rows
from tests.support.company import Part

TILL_HOLDS_AT_MOST = 1_000_000


class Pay(Request, topic="toy.pay", heard_by="toy.requests"):
    purse_id: UUID
    coins: int


class TakeCoins(Command, topic="toy.take_coins", heard_by="toy_till"):
    purse_id: UUID
    coins: int


class CoinsTaken(Reply, topic="toy.coins_taken"):
    purse_id: UUID


class TillFull(Reply, topic="toy.till_full"):
    purse_id: UUID


class GiveBack(Command, topic="toy.give_back", heard_by="toy_till"):
    purse_id: UUID


class GivenBack(Reply, topic="toy.given_back"):
    purse_id: UUID


class PurseWaits(Local, topic="toy.purse_waits", heard_by="toy_purse"):
    purse_id: UUID


class PurseState(StrEnum):
    PAYING = "paying"
    PAID = "paid"
    UNDOING = "undoing"
    EMPTY = "empty"


PURSE = Machine(
    "purse",
    PurseState,
    PurseState.PAYING,
    [
        (PurseState.PAYING, "pay", PurseState.PAID),
        (PurseState.PAYING, "give up", PurseState.UNDOING),
        (PurseState.UNDOING, "end", PurseState.EMPTY),
    ],
)


@dataclass(frozen=True, slots=True)
class Purse:
    id: UUID
    state: PurseState
    coins: int
    tags: dict[str, Any]
    version: int = 0


@dataclass(frozen=True, slots=True)
class Till:
    name: str
    coins: int


@dataclass(frozen=True, slots=True)
class Taking:
    purse_id: UUID
    coins: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class TillMove:
    id: UUID
    purse_id: UUID
    delta: int


METADATA = sa.MetaData(schema="toy")
PURSES = Table(
    Purse,
    sa.Table(
        "purses",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("coins", sa.BigInteger, nullable=False),
        sa.Column("tags", sa.dialects.postgresql.JSONB, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
        states_check(PURSE, "state"),
        sa.CheckConstraint("coins > 0", name="a_purse_has_coins"),
    ),
    ("id",),
    Discipline.VERSIONED,
    fixed=frozenset({"coins"}),
)
TILLS = Table(
    Till,
    sa.Table(
        "tills",
        METADATA,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("coins", sa.BigInteger, nullable=False),
        *instants(),
        sa.CheckConstraint("coins >= 0", name="never_overdrawn"),
    ),
    ("name",),
    Discipline.LOCKED,
)
TAKINGS = Table(
    Taking,
    sa.Table(
        "takings",
        METADATA,
        sa.Column("purse_id", sa.Uuid, primary_key=True),
        sa.Column("coins", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *instants(),
    ),
    ("purse_id",),
    Discipline.VERSIONED,
)
TILL_MOVES = Table(
    TillMove,
    sa.Table(
        "till_moves",
        METADATA,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("purse_id", sa.Uuid, nullable=False),
        sa.Column("delta", sa.BigInteger, nullable=False),
        created(),
        sa.UniqueConstraint("purse_id", "delta", name="a_till_moves_once_each_way"),
    ),
    ("id",),
    Discipline.APPEND,
)
TABLES: tuple[Table[Any], ...] = (PURSES, TILLS, TAKINGS, TILL_MOVES)
MACHINES: tuple[tuple[str, str, Machine[Any]], ...] = (("purses", "state", PURSE),)

purse = Consumer("toy_purse", queues=("toy_purse", "toy.requests"), outside=frozenset({"toy.requests"}))
till = Consumer("toy_till")


def _key(purse_id: UUID, direction: str) -> str:
    return f"toy_purse/{purse_id}/take/{direction}"


@purse.hears(Pay, needs=lambda message: [Need.of(PURSES, "id", message.purse_id)])
def pay(message: Pay, rows: Rows, moment: Moment) -> Says:
    if rows.get(PURSES, message.purse_id) is not None:
        return None
    rows.put(Purse(message.purse_id, PurseState.PAYING, message.coins, {"from": [moment.source]}))
    command = TakeCoins(purse_id=message.purse_id, coins=message.coins)
    return Ask(command, _key(message.purse_id, "do"))


@purse.hears(CoinsTaken, needs=lambda message: [Need.of(PURSES, "id", message.purse_id)])
def coins_taken(message: CoinsTaken, rows: Rows, moment: Moment) -> Says:
    mine = rows.get(PURSES, message.purse_id)
    assert mine is not None
    if mine.state is PurseState.PAYING:
        rows.put(replace(mine, state=PurseState.PAID))
    return None


@purse.hears(TillFull, needs=lambda message: [Need.of(PURSES, "id", message.purse_id)])
def till_full(message: TillFull, rows: Rows, moment: Moment) -> Says:
    mine = rows.get(PURSES, message.purse_id)
    assert mine is not None
    if mine.state is PurseState.PAYING:
        rows.put(replace(mine, state=PurseState.UNDOING))
    return Ask(GiveBack(purse_id=message.purse_id), _key(message.purse_id, "undo"))


@purse.hears(GivenBack, needs=lambda message: [Need.of(PURSES, "id", message.purse_id)])
def given_back(message: GivenBack, rows: Rows, moment: Moment) -> Says:
    mine = rows.get(PURSES, message.purse_id)
    assert mine is not None
    if mine.state is PurseState.UNDOING:
        rows.put(replace(mine, state=PurseState.EMPTY))
    return None


@purse.hears(CommandWithdrawn, needs=lambda message: [])
def withdrawn(message: CommandWithdrawn, rows: Rows, moment: Moment) -> None:
    return None


@till.hears(
    TakeCoins, needs=lambda message: [Need.of(TILLS, "name", "main"), Need.of(TAKINGS, "purse_id", message.purse_id)]
)
def take_coins(message: TakeCoins, rows: Rows, moment: Moment) -> CoinsTaken | TillFull:
    main = rows.get(TILLS, "main") or Till("main", 0)
    if main.coins + message.coins > TILL_HOLDS_AT_MOST:
        return TillFull(purse_id=message.purse_id)
    rows.put(replace(main, coins=main.coins + message.coins))
    rows.put(Taking(message.purse_id, message.coins))
    rows.put(TillMove(moment.new_id(), message.purse_id, message.coins))
    return CoinsTaken(purse_id=message.purse_id)


@till.hears(
    GiveBack, needs=lambda message: [Need.of(TILLS, "name", "main"), Need.of(TAKINGS, "purse_id", message.purse_id)]
)
def give_back(message: GiveBack, rows: Rows, moment: Moment) -> GivenBack:
    taking, main = rows.get(TAKINGS, message.purse_id), rows.get(TILLS, "main")
    if taking is not None and main is not None and taking.coins:
        rows.put(replace(main, coins=main.coins - taking.coins))
        rows.put(TillMove(moment.new_id(), message.purse_id, -taking.coins))
        rows.put(replace(taking, coins=0))
    return GivenBack(purse_id=message.purse_id)


PARTS = (
    Part("toy_purse", purse, (PURSES,), MACHINES),
    Part("toy_till", till, (TILLS, TAKINGS, TILL_MOVES), ()),
)

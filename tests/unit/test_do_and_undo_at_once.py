"""A command and its undo, decided by two replicas at the same time: whoever commits second decides again."""

from uuid import uuid4

import pytest

from contracts.frame import CommandWithdrawn
from shared.batch import Batches
from shared.envelope import Envelope, open_envelope
from shared.heard import Heard
from shared.ids import new_id
from tests.simulation.steps import Task, pause
from tests.support.company import envelope_of
from tests.support.memory import MemoryStore
from tests.support.toy import TAKINGS, TILL_MOVES, TILLS, CoinsTaken, GiveBack, GivenBack, TakeCoins, till
from tests.support.world import START

PURSE = uuid4()


def heard(message: TakeCoins | GiveBack, direction: str) -> Heard:
    id_ = new_id()
    key = f"toy_purse/{PURSE}/take/{direction}"
    return Heard("toy_till", envelope_of(message, id_=id_, source="toy_purse", now=START, command_key=key), id_)


def batch(store: MemoryStore, message: TakeCoins | GiveBack, direction: str) -> Task:
    async def work() -> None:
        await Batches(till, store, new_id).run([heard(message, direction)])

    return Task(direction, None, work())


def until(task: Task, step: str) -> None:
    while task.at != step:
        assert task.step(), f"it ended before {step!r}"


def finish(task: Task) -> None:
    while task.step():
        pass


def said(store: MemoryStore) -> list[object]:
    return [open_envelope(Envelope(row.head, row.body.encode())) for row in store.said()]


@pytest.mark.parametrize("do_stands_at", ["begin", "load", "claim inbox ids", "load tills", "write"])
def test_a_do_overtaken_by_its_undo_takes_nothing(do_stands_at: str) -> None:
    store = MemoryStore(tables=(TILLS, TAKINGS, TILL_MOVES), step=pause)
    do = batch(store, TakeCoins(purse_id=PURSE, coins=7), "do")
    undo = batch(store, GiveBack(purse_id=PURSE), "undo")
    until(do, do_stands_at)
    finish(undo)
    finish(do)
    assert store.rows(TAKINGS) == []
    assert said(store) == [GivenBack(purse_id=PURSE), CommandWithdrawn()]


@pytest.mark.parametrize("undo_stands_at", ["load", "claim inbox ids", "load tills", "write"])
def test_an_undo_overtaken_by_its_do_gives_back_what_that_took(undo_stands_at: str) -> None:
    store = MemoryStore(tables=(TILLS, TAKINGS, TILL_MOVES), step=pause)
    do = batch(store, TakeCoins(purse_id=PURSE, coins=7), "do")
    undo = batch(store, GiveBack(purse_id=PURSE), "undo")
    until(undo, undo_stands_at)
    finish(do)
    finish(undo)
    assert [row.coins for row in store.rows(TAKINGS)] == [0]
    assert said(store) == [CoinsTaken(purse_id=PURSE), GivenBack(purse_id=PURSE)]

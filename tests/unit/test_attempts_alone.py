"""Only a failure alone counts as an attempt: a database that comes and goes parks nobody's message."""

from uuid import uuid4

import pytest

from shared.batch import Batches
from shared.failures import MAX_ATTEMPTS
from shared.heard import Heard
from shared.ids import new_id
from shared.store import Unavailable
from tests.support.company import envelope_of
from tests.support.memory import MemoryStore
from tests.support.toy import TAKINGS, TILL_MOVES, TILLS, TakeCoins, till
from tests.support.world import START, finish

TABLES = (TILLS, TAKINGS, TILL_MOVES)


def redelivered() -> Heard:
    """As it comes from the broker when its consumer was lost with it."""
    id_ = new_id()
    message = TakeCoins(purse_id=uuid4(), coins=1)
    key = f"toy_purse/{message.purse_id}/take/do"
    envelope = envelope_of(message, id_=id_, source="toy_purse", now=START, command_key=key)
    return Heard("toy_till", envelope, id_, alone=True)


def test_a_database_that_goes_away_does_not_count() -> None:
    away = True

    async def step(name: str) -> None:
        if name == "write" and away:
            raise Unavailable("the database went away")

    store = MemoryStore(tables=TABLES, step=step)
    batches, heard = Batches(till, store, new_id), redelivered()
    for _ in range(MAX_ATTEMPTS + 2):
        with pytest.raises(Unavailable):
            finish(batches.run([heard]))
    away = False
    finish(batches.run([heard]))
    assert not store.parked
    assert [row.coins for row in store.rows(TAKINGS)] == [1]


def test_a_message_that_kills_its_process_is_parked() -> None:
    class Killed(BaseException):
        pass

    async def step(name: str) -> None:
        if name == "write" and len(lives) <= MAX_ATTEMPTS:
            raise Killed

    lives: list[int] = []
    store = MemoryStore(tables=TABLES, step=step)
    first = redelivered()
    for life in range(MAX_ATTEMPTS):
        lives.append(life)
        with pytest.raises(Killed):
            finish(Batches(till, store, new_id).run([Heard("toy_till", first.envelope, first.id, alone=True)]))
    lives.append(MAX_ATTEMPTS)
    finish(Batches(till, store, new_id).run([Heard("toy_till", first.envelope, first.id, alone=True)]))
    assert [row.reason for row in store.parked.values()] == ["kills_its_consumer"]

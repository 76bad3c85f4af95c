"""The world carries messages between services until it is quiet."""

from uuid import uuid4

from tests.support.toy import PARTS, PURSES, TILLS, CoinsTaken, Pay, PurseState, TakeCoins
from tests.support.world import World


def a_world() -> World:
    return World(parts=lambda _: PARTS)


def test_a_request_goes_round_until_it_is_quiet() -> None:
    world, purse_id = a_world(), uuid4()
    world.hears(Pay(purse_id=purse_id, coins=7))
    assert world.said_to("toy_till") == [TakeCoins(purse_id=purse_id, coins=7)]
    assert world.said_to("toy_purse") == [CoinsTaken(purse_id=purse_id)]
    assert world.store("toy_purse").row(PURSES, purse_id).state is PurseState.PAID
    assert world.store("toy_till").row(TILLS, "main").coins == 7


def test_the_same_message_twice_is_heard_once() -> None:
    world, purse_id = a_world(), uuid4()
    message_id = str(world.new_id())
    for _ in range(2):
        world.hears(Pay(purse_id=purse_id, coins=7), id=message_id)
    assert len(world.said_to("toy_till")) == 1

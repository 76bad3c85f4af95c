"""A refund asked while its order is being changed waits; when it has waited long enough it is refused, once for all."""

from uuid import UUID

from contracts.checkout import CheckoutAccepted, RefundConcluded, RequestRefund
from contracts.inventory import ReceiveStock, StockReceipt
from contracts.values import Money
from services.orchestrator.tables import ACCEPTED, RUNS
from tests.support.checkouts import a_checkout
from tests.support.world import World


def a_world() -> World:
    world = World()
    receipts = (StockReceipt(sku="tea", warehouse="north", quantity=9),)
    world.hears(ReceiveStock(reference="first", receipts=receipts), source="warehouse")
    return world


def order_of(world: World) -> UUID:
    [accepted] = [event for event in world.told("demo-shop") if isinstance(event, CheckoutAccepted)]
    return accepted.order_id


def conclusions(world: World) -> list[RefundConcluded]:
    return [event for event in world.told("demo-shop") if isinstance(event, RefundConcluded)]


def a_refund(order_id: UUID, amount_minor: int = 100) -> RequestRefund:
    money = Money(amount_minor=amount_minor, currency="EUR")
    return RequestRefund(refund_id="r-1", order_id=order_id, amount=money)


def test_refused_after_its_wait_it_stays_refused() -> None:
    world = a_world()
    world.hears(a_checkout("c-1", {"tea": 1}, token=None))
    wish = a_refund(order_of(world))
    world.hears(wish)
    assert conclusions(world) == []
    world.passes(minutes=11)
    assert [(end.refunded, end.reason) for end in conclusions(world)] == [(False, "order_busy")]
    world.passes(minutes=10)  # the order is over by now, and free for another change
    world.hears(wish)
    assert [(end.refunded, end.reason) for end in conclusions(world)] == [(False, "order_busy")] * 2
    assert [run.saga for run in world.store("orchestrator").rows(RUNS)] == ["checkout"]
    world.hears(a_refund(wish.order_id, 200))
    assert conclusions(world)[-1].reason == "key_reused"


def test_what_waits_is_not_answered_before_its_time() -> None:
    world = a_world()
    world.hears(a_checkout("c-1", {"tea": 1}, token=None))
    world.hears(a_refund(order_of(world)))
    world.passes(minutes=5)
    assert conclusions(world) == []
    assert len(world.store("orchestrator").rows(ACCEPTED)) == 1

"""Backorders, pre-orders, what is made to order and kits, from the checkout to the last shipment, over all services."""

from datetime import timedelta
from typing import Any

from contracts.fulfillment import OrderShipment, ReportShipment, RequestFulfillment
from contracts.inventory import ReceiveStock, StockCommitted, StockReceipt, WaitingServed
from contracts.order import OrderCancelledEvent, OrderConfirmedEvent, OrderStockArrivedEvent
from contracts.product import DescribeProduct, Supply
from contracts.story import StoryFact
from contracts.values import FulfillmentStatus
from services.inventory.tables import BACKLOGS, RESERVATIONS, SHELVES, WAITING_LINES
from services.order.lifecycle import ItemStatus, OrderState
from services.order.tables import ITEMS, ORDERS
from tests.simulation.invariants import broken_now
from tests.support.checkouts import a_checkout
from tests.support.stock_room import StockRoom, commit, hold
from tests.support.world import START, World


def a_world(**products: dict[str, Any]) -> World:
    world = World()
    receive(world, "first", tea=5, cup=5)
    for sku, what in products.items():
        world.hears(DescribeProduct.model_validate({"sku": sku, "as_of": START, **what}), source="ops")
    return world


def receive(world: World, reference: str, *, warehouse: str = "north", **stock: int) -> None:
    receipts = tuple(StockReceipt(sku=sku, warehouse=warehouse, quantity=units) for sku, units in stock.items())
    world.hears(ReceiveStock(reference=reference, receipts=receipts), source="warehouse")


def told(world: World, type_: type[Any]) -> list[Any]:
    return [event for event in world.told("demo-shop") if isinstance(event, type_)]


def order_of(world: World, checkout_id: str) -> Any:
    [order] = [row for row in world.store("order").rows(ORDERS) if row.checkout_id == checkout_id]
    return order


def statuses(world: World, checkout_id: str) -> dict[str, ItemStatus]:
    order_id = order_of(world, checkout_id).id
    return {item.sku: item.status for item in world.store("order").rows(ITEMS) if item.order_id == order_id}


def shipments(world: World) -> list[OrderShipment]:
    return [said for said in world.said_to("warehouse.orders") if isinstance(said, OrderShipment)]


def deliver(world: World) -> None:
    """The warehouse does what it was asked to."""
    for number, shipment in enumerate(shipments(world)):
        for status in (FulfillmentStatus.ACKNOWLEDGED, FulfillmentStatus.SHIPPED, FulfillmentStatus.DELIVERED):
            report = ReportShipment(
                report_id=f"{number}/{status}",
                fulfillment_id=shipment.fulfillment_id,
                status=status,
                occurred_at=world.now,
            )
            world.hears(report, source="warehouse")


def shelf(world: World, sku: str, warehouse: str = "north") -> tuple[int, int, int]:
    row = world.store("inventory").row(SHELVES, sku, warehouse)
    return row.on_hand, row.held, row.allocated


BACKORDER = {"supply": Supply.BACKORDER, "limit": 10, "lead_days": 14}


def test_what_is_not_there_is_promised_and_sent_when_it_comes() -> None:
    world = a_world(tea=BACKORDER)
    world.hears(a_checkout("c-1", {"tea": 8, "cup": 1}))
    [confirmed] = told(world, OrderConfirmedEvent)
    assert confirmed.detail == {"tea": "3 by 2026-01-15, backorder"}
    assert statuses(world, "c-1") == {"tea": ItemStatus.BACKORDERED, "cup": ItemStatus.RESERVED}
    assert [[(pick.sku, pick.quantity) for pick in sent.picks] for sent in shipments(world)] == [
        [("tea", 5), ("cup", 1)]
    ]
    world.passes(days=3)
    receive(world, "second", tea=2)
    assert len(shipments(world)) == 1, "a promise is served whole"
    receive(world, "third", tea=2)
    assert [(pick.sku, pick.quantity) for pick in shipments(world)[1].picks] == [("tea", 3)]
    [arrived] = told(world, OrderStockArrivedEvent)
    assert arrived.detail == {"tea": "3"}
    assert shelf(world, "tea") == (9, 0, 8)
    deliver(world)
    assert order_of(world, "c-1").state is OrderState.DELIVERED
    assert shelf(world, "tea") == (1, 0, 0)
    assert broken_now(world) == []


def test_more_than_may_wait_is_refused_and_nobody_waits() -> None:
    world = a_world(tea=BACKORDER)
    world.hears(a_checkout("c-1", {"tea": 12}))
    world.hears(a_checkout("c-2", {"tea": 4}))
    [cancelled] = told(world, OrderCancelledEvent)
    assert (cancelled.checkout_id, cancelled.reason) == ("c-2", "stock_short")
    assert world.store("inventory").row(BACKLOGS, "tea").units == 7
    world.hears(a_checkout("c-3", {"tea": 3}))
    assert world.store("inventory").row(BACKLOGS, "tea").units == 10


def test_the_oldest_promise_is_served_first_and_nobody_overtakes() -> None:
    world = a_world(tea={**BACKORDER, "limit": 100})
    for number, units in enumerate((9, 3, 1), start=1):  # 5 lie there: the first waits for 4
        world.hears(a_checkout(f"c-{number}", {"tea": units}))
        world.passes(minutes=1)
    receive(world, "second", tea=3)
    assert told(world, OrderStockArrivedEvent) == [], "three would do for the second, and it is not its turn"
    world.hears(a_checkout("c-4", {"tea": 1}))
    assert statuses(world, "c-4")["tea"] is ItemStatus.BACKORDERED, "what lies there is spoken for"
    receive(world, "third", tea=5)
    assert [event.checkout_id for event in told(world, OrderStockArrivedEvent)] == ["c-1", "c-2", "c-3"]
    receive(world, "fourth", tea=1)
    assert told(world, OrderStockArrivedEvent)[-1].checkout_id == "c-4"
    assert world.store("inventory").row(BACKLOGS, "tea").units == 0


def test_a_hold_that_expires_leaves_the_queue_and_frees_it_for_others() -> None:
    world = a_world(tea=BACKORDER)
    world.hears(a_checkout("c-1", {"tea": 15}, token=None))
    world.hears(a_checkout("c-2", {"tea": 1}))
    assert told(world, OrderCancelledEvent)[0].reason == "stock_short"
    world.passes(minutes=16)
    assert world.store("inventory").row(BACKLOGS, "tea").units == 0
    assert shelf(world, "tea") == (5, 0, 0)
    [line] = world.store("inventory").rows(WAITING_LINES)
    assert (line.status, line.queue) == ("withdrawn", None)


def test_units_given_back_go_to_who_waits() -> None:
    world = a_world(tea=BACKORDER)
    world.hears(a_checkout("c-1", {"tea": 5}, token=None))
    world.hears(a_checkout("c-2", {"tea": 2}))
    assert statuses(world, "c-2")["tea"] is ItemStatus.BACKORDERED
    world.passes(minutes=16)
    assert told(world, OrderStockArrivedEvent)[0].checkout_id == "c-2"
    assert shelf(world, "tea") == (5, 0, 2)


def test_what_arrives_while_the_money_is_awaited_is_held() -> None:
    world = a_world(tea=BACKORDER)
    world.hears(a_checkout("c-1", {"tea": 7}, token=None))
    receive(world, "second", tea=2)
    assert shelf(world, "tea") == (7, 7, 0)
    world.passes(minutes=16)
    assert shelf(world, "tea") == (7, 0, 0)
    assert broken_now(world) == []


def test_a_preorder_waits_for_its_date_whatever_lies_there() -> None:
    release = START + timedelta(days=30)
    world = a_world(game={"supply": Supply.PREORDER, "limit": 3, "release_at": release})
    receive(world, "early", game=2)
    for number in range(1, 4):
        world.hears(a_checkout(f"c-{number}", {"game": 1}))
    world.hears(a_checkout("c-4", {"game": 1}))
    assert told(world, OrderCancelledEvent)[0].checkout_id == "c-4", "the cap is reached"
    assert statuses(world, "c-1") == {"game": ItemStatus.PREORDERED}
    receive(world, "more", game=2)
    assert shipments(world) == []
    world.passes(days=31)
    assert [event.checkout_id for event in told(world, OrderStockArrivedEvent)] == ["c-1", "c-2", "c-3"]
    world.hears(a_checkout("c-5", {"game": 1}))
    assert statuses(world, "c-5") == {"game": ItemStatus.RESERVED}, "after its release it is plain stock"
    world.hears(a_checkout("c-6", {"game": 1}))
    assert told(world, OrderCancelledEvent)[-1].reason == "stock_short"


def test_a_date_brought_forward_frees_who_waits() -> None:
    release = START + timedelta(days=30)
    world = a_world(game={"supply": Supply.PREORDER, "limit": 3, "release_at": release})
    receive(world, "early", game=2)
    world.hears(a_checkout("c-1", {"game": 1}))
    sooner = {"sku": "game", "supply": Supply.PREORDER, "limit": 3, "release_at": START + timedelta(days=2)}
    world.hears(DescribeProduct.model_validate({**sooner, "as_of": START + timedelta(hours=1)}), source="ops")
    world.passes(days=3)
    assert [event.checkout_id for event in told(world, OrderStockArrivedEvent)] == ["c-1"]


def test_what_is_made_to_order_is_sent_when_it_is_made() -> None:
    world = a_world(table={"supply": Supply.MADE_TO_ORDER, "lead_days": 21})
    receive(world, "sample", table=1)
    world.hears(a_checkout("c-1", {"table": 1}))
    world.hears(a_checkout("c-2", {"table": 2}))
    assert statuses(world, "c-1") == {"table": ItemStatus.RESERVED}
    assert statuses(world, "c-2") == {"table": ItemStatus.IN_PRODUCTION}
    receive(world, "workshop", table=2)
    assert statuses(world, "c-2") == {"table": ItemStatus.RESERVED}
    deliver(world)
    assert order_of(world, "c-2").state is OrderState.DELIVERED


KIT = {"supply": Supply.KIT, "parts": {"tea": 2, "cup": 1}}


def test_a_kit_is_put_together_from_its_parts_in_one_warehouse() -> None:
    world = a_world(gift=KIT)
    receive(world, "south", warehouse="south", tea=2, cup=9)
    world.hears(a_checkout("c-1", {"gift": 3}))
    assert shelf(world, "tea") == (5, 0, 4) and shelf(world, "cup") == (5, 0, 2)
    assert shelf(world, "tea", "south") == (2, 0, 2) and shelf(world, "cup", "south") == (9, 0, 1)
    asked = [said for said in world.said_to("fulfillment") if isinstance(said, RequestFulfillment)]
    assert asked[0].kits == {"gift": {"tea": 2, "cup": 1}}
    assert {(pick.sku, pick.quantity) for sent in shipments(world) for pick in sent.picks} == {("gift", 2), ("gift", 1)}
    deliver(world)
    assert order_of(world, "c-1").state is OrderState.DELIVERED
    assert shelf(world, "tea") == (1, 0, 0) and shelf(world, "cup", "south") == (8, 0, 0)
    [reservation] = world.store("inventory").rows(RESERVATIONS)
    assert reservation.status == "shipped"
    assert broken_now(world) == []


def test_a_kit_and_its_parts_in_one_order_do_not_take_the_same_units() -> None:
    world = a_world(gift=KIT)
    world.hears(a_checkout("c-1", {"gift": 2, "tea": 2}))
    assert told(world, OrderCancelledEvent)[0].reason == "stock_short"
    world.hears(a_checkout("c-2", {"tea": 1, "gift": 2}))
    assert shelf(world, "tea") == (5, 0, 5) and shelf(world, "cup") == (5, 0, 2)
    assert broken_now(world) == []


def test_a_kit_with_a_part_nobody_stores_is_unknown() -> None:
    world = a_world(gift={"supply": Supply.KIT, "parts": {"tea": 1, "ribbon": 1}})
    world.hears(a_checkout("c-1", {"gift": 1}))
    assert told(world, OrderCancelledEvent)[0].reason == "unknown_sku"


def test_paid_a_second_too_late_a_place_in_the_queue_is_taken_again() -> None:
    room = StockRoom().stocked(("tea", "north", 5))
    room.hears(DescribeProduct.model_validate({"sku": "tea", "as_of": room.now, **BACKORDER}))
    room.hears(hold(1, ("tea", 7), for_s=60.0))
    room.passes(61.0)
    assert [(line.status, line.version) for line in room.store.rows(WAITING_LINES)] == [("withdrawn", 2)]
    [committed] = [said for said in room.hears(commit(1)) if isinstance(said, StockCommitted)]
    assert [(wait.sku, wait.quantity) for wait in committed.waits] == [("tea", 2)]
    assert [(line.status, line.queue) for line in room.store.rows(WAITING_LINES)] == [("waiting", "tea")]
    assert room.store.row(BACKLOGS, "tea").units == 2
    served = room.hears(ReceiveStock(reference="r", receipts=(StockReceipt(sku="tea", warehouse="north", quantity=2),)))
    assert served == []
    assert [type(said) for said in room.passes(0.0)] == [WaitingServed, StoryFact]
    room.check_the_books()

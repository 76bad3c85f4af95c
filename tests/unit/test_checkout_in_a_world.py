"""The whole checkout, message by message, over the real handlers of all services."""

from contracts.checkout import CheckoutAccepted, PaymentToken, ProvidePayment
from contracts.inventory import ReceiveStock, StockReceipt
from contracts.message import Message
from services.inventory.tables import SHELVES
from services.order.lifecycle import OrderState
from services.order.tables import ORDERS
from tests.simulation.invariants import broken_now
from tests.support.checkouts import a_checkout
from tests.support.world import World, events_of


def a_world(**stock: int) -> World:
    world = World()
    receipts = tuple(StockReceipt(sku=sku, warehouse="north", quantity=quantity) for sku, quantity in stock.items())
    world.hears(ReceiveStock(reference="first", receipts=receipts), source="warehouse")
    return world


def order_state(world: World) -> OrderState:
    [order] = world.store("order").rows(ORDERS)
    state: OrderState = order.state
    return state


def shelf(world: World, sku: str) -> tuple[int, int, int]:
    row = world.store("inventory").row(SHELVES, sku, "north")
    return row.on_hand, row.held, row.allocated


def accepted(told: list[Message]) -> CheckoutAccepted:
    [one] = [message for message in told if isinstance(message, CheckoutAccepted)]
    return one


def test_one_message_places_an_order() -> None:
    world = a_world(tea=5)
    world.hears(a_checkout("c-1", {"tea": 2}))
    assert events_of(world.told("demo-shop")) == [
        "checkout.accepted",
        "order.confirmed",
    ]
    assert order_state(world) is OrderState.PAID
    assert shelf(world, "tea") == (5, 0, 2)


def test_a_declined_payment_gives_everything_back() -> None:
    world = a_world(tea=5)
    world.hears(a_checkout("c-1", {"tea": 2}, token="tok_declined"))
    assert order_state(world) is OrderState.CANCELLED
    assert shelf(world, "tea") == (5, 0, 0)


def test_a_payment_that_comes_after_expiry_is_refused_by_name_and_nothing_is_taken() -> None:
    world = a_world(tea=5)
    world.hears(a_checkout("c-1", {"tea": 2}, token=None))
    world.passes(minutes=16)
    world.hears(ProvidePayment(checkout_id="c-1", payment=PaymentToken(token="tok_ok")))
    assert events_of(world.told("demo-shop"))[-1] == "checkout.refused"
    assert world.provider.books()["payments"] == []
    assert shelf(world, "tea") == (5, 0, 0)
    assert broken_now(world) == []


def test_silence_lets_the_reservation_expire() -> None:
    world = a_world(tea=5)
    world.hears(a_checkout("c-1", {"tea": 2}, token=None))
    assert order_state(world) is OrderState.PAYMENT_PENDING
    world.passes(minutes=16)
    assert order_state(world) is OrderState.CANCELLED
    assert shelf(world, "tea") == (5, 0, 0)


def test_a_payment_that_follows_in_time_confirms() -> None:
    world = a_world(tea=5)
    world.hears(a_checkout("c-1", {"tea": 2}, token=None))
    world.passes(minutes=10)
    world.hears(ProvidePayment(checkout_id="c-1", payment=PaymentToken(token="tok_ok")))
    assert order_state(world) is OrderState.PAID
    assert accepted(world.told("demo-shop")).order_id == world.store("order").rows(ORDERS)[0].id

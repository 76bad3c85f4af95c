"""Two replicas of a service on one real PostgreSQL, begun by a start gun: what both are told at once has one effect."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.checkout import PlaceCheckout
from contracts.inventory import CommitStock, HoldStock, ReceiveStock, ReleaseStock
from contracts.message import Message
from contracts.order import CancelOrder, PlaceOrder
from contracts.payment import AuthorizePayment, ReleasePayment
from services.inventory.handlers import consumer as inventory
from services.orchestrator.handlers import CheckoutPolicy
from services.orchestrator.handlers import make_consumer as make_orchestrator
from services.order.domain import OrderPolicy
from services.order.handlers import make_consumer as make_order
from services.payment.handlers import make_consumer as make_payment
from services.payment.policy import PaymentPolicy
from services.sandbox.environment import Environment
from shared.batch import Batches
from shared.consumer import Consumer
from shared.envelope import Envelope
from shared.heard import Heard
from shared.ids import foreign_id
from tests.support.replicas import heard, replicas_of, start_gun
from tests.support.shopping import checkout

ROUNDS: Final = 15
PAIR: Final = 2


@pytest.fixture(scope="module")
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(environment.env["DATABASE_URL"])
    yield connection
    await connection.close()


def from_shop(message: Message, message_id: str) -> Heard:
    head = {"id": message_id, "type": message.full_type, "source": "demo-shop"}
    body = message.model_dump_json(exclude_none=True).encode()
    return Heard(message.heard_by, Envelope(head, body), foreign_id("demo-shop", message_id), foreign=True)


def hold(order: UUID, sku: str, quantity: int = 1) -> HoldStock:
    return HoldStock.model_validate(
        {"order_id": order, "lines": [{"sku": sku, "quantity": quantity}], "hold_for_s": 900}
    )


async def receive(batches: Batches, sku: str, quantity: int) -> None:
    receipts = [{"sku": sku, "warehouse": "leipzig", "quantity": quantity}]
    await batches.run([heard(ReceiveStock.model_validate({"reference": f"r-{uuid4()}", "receipts": receipts}))])


async def test_the_same_messages_at_two_replicas_at_once(environment: Environment, owner: asyncpg.Connection) -> None:
    """As after a cut, when the broker delivers again what the other has not yet acknowledged."""
    async with replicas_of(environment, inventory, PAIR) as pair:
        await receive(pair[0], "TWICE", 1000)
        for _ in range(ROUNDS):
            messages = [heard(hold(uuid4(), "TWICE"), f"orchestrator/{uuid4()}/hold-stock/do") for _ in range(20)]
            await start_gun(pair, [messages, list(reversed(messages))])
    assert await owner.fetchval("SELECT held FROM inventory.shelves WHERE sku = 'TWICE'") == 20 * ROUNDS
    count = (
        "SELECT count(*), count(DISTINCT head::jsonb ->> 'commandkey') FROM inventory.outbox"
        " WHERE destination = 'orchestrator' AND head::jsonb ->> 'type' LIKE '%stock_held%'"
    )
    assert tuple(await owner.fetchrow(count)) == (20 * ROUNDS, 20 * ROUNDS)


async def test_the_same_command_under_two_message_ids_at_once(
    environment: Environment, owner: asyncpg.Connection
) -> None:
    """Asked again just as the first ask arrives: done once, answered twice the same."""
    async with replicas_of(environment, inventory, PAIR) as pair:
        await receive(pair[0], "ASKED", 1000)
        for _ in range(ROUNDS):
            commands = [(hold(uuid4(), "ASKED"), f"orchestrator/{uuid4()}/hold-stock/do") for _ in range(10)]
            await start_gun(pair, [[heard(*command) for command in commands] for _ in pair])
    assert await owner.fetchval("SELECT held FROM inventory.shelves WHERE sku = 'ASKED'") == 10 * ROUNDS
    different = (
        "SELECT count(*) FROM (SELECT head::jsonb ->> 'commandkey' FROM inventory.outbox"
        " WHERE head::jsonb ->> 'commandkey' <> ''"
        " GROUP BY 1 HAVING count(DISTINCT body) > 1) AS d"
    )
    assert await owner.fetchval(different) == 0


def place(order: UUID) -> PlaceOrder:
    cart = checkout(f"c-{order}")
    line = {"sku": "A-1", "quantity": 1, "unit_price_minor": 2000}
    return PlaceOrder.model_validate(
        {
            "order_id": order,
            "storefront": "demo-shop",
            "checkout_id": cart["checkout_id"],
            "customer": cart["customer"],
            "shipping_address": cart["shipping_address"],
            "currency": "EUR",
            "lines": [line],
            "total_minor": 2000,
        }
    )


DO_AND_UNDO: Final[dict[str, tuple[Consumer, Callable[[UUID], Message], Callable[[UUID], Message], str, str]]] = {
    "stock": (
        inventory,
        lambda order: hold(order, "UNDONE"),
        lambda order: ReleaseStock(order_id=order, reason="test"),
        "hold-stock",
        "SELECT coalesce(sum(held), 0) FROM inventory.shelves WHERE sku = 'UNDONE'",
    ),
    "payment": (
        make_payment(PaymentPolicy()),
        lambda order: AuthorizePayment(order_id=order, amount_minor=100, currency="EUR", method="card", token="tok_ok"),
        lambda order: ReleasePayment(order_id=order, reason="test"),
        "authorize-payment",
        "SELECT count(*) FROM payments.attempts WHERE state = 'open'",
    ),
    "order": (
        make_order(OrderPolicy()),
        place,
        lambda order: CancelOrder(order_id=order, reason="test"),
        "place-order",
        "SELECT count(*) FROM orders.orders WHERE state <> 'cancelled'",
    ),
}


@pytest.mark.parametrize("what", DO_AND_UNDO)
async def test_a_do_and_its_undo_at_once_leave_nothing(
    environment: Environment, owner: asyncpg.Connection, what: str
) -> None:
    """Whichever comes first: either it was done and undone, or it was withdrawn and never done."""
    consumer, do, undo, step, left = DO_AND_UNDO[what]
    async with replicas_of(environment, consumer, PAIR) as pair:
        if what == "stock":
            await receive(pair[0], "UNDONE", 1000)
        for _ in range(ROUNDS):
            stems = [(uuid4(), f"orchestrator/{uuid4()}/{step}") for _ in range(5)]
            dos = [heard(do(order), f"{stem}/do") for order, stem in stems]
            undos = [heard(undo(order), f"{stem}/undo") for order, stem in stems]
            await start_gun(pair, [dos, undos])
    assert await owner.fetchval(left) == 0


async def test_commit_and_release_at_once_end_one_way(environment: Environment, owner: asyncpg.Connection) -> None:
    async with replicas_of(environment, inventory, PAIR) as pair:
        await receive(pair[0], "EITHER", 1000)
        for _ in range(ROUNDS):
            orders = [uuid4() for _ in range(5)]
            await pair[0].run([heard(hold(order, "EITHER"), f"orchestrator/{order}/hold-stock/do") for order in orders])
            commits = [heard(CommitStock(order_id=order), f"orchestrator/{order}/commit-stock/do") for order in orders]
            releases = [
                heard(ReleaseStock(order_id=order, reason="test"), f"orchestrator/{order}/hold-stock/undo")
                for order in orders
            ]
            await start_gun(pair, [commits, releases])
    shelf = await owner.fetchrow("SELECT on_hand, held, allocated FROM inventory.shelves WHERE sku = 'EITHER'")
    assert shelf is not None and shelf["held"] == 0
    allocated = "SELECT count(*) FROM inventory.reservations r, jsonb_array_elements(r.picks) AS p" \
        " WHERE r.status = 'committed' AND p ->> 'sku' = 'EITHER'"  # fmt: skip
    assert shelf["allocated"] == await owner.fetchval(allocated)


async def test_one_checkout_said_twice_at_once_is_one_order(
    environment: Environment, owner: asyncpg.Connection
) -> None:
    """Under the same message id and under another, at both replicas; a third time with other content."""
    async with replicas_of(environment, make_orchestrator(CheckoutPolicy()), PAIR) as pair:
        for _ in range(ROUNDS):
            carts = [PlaceCheckout.model_validate(checkout(f"same-{uuid4()}")) for _ in range(5)]
            firsts = [from_shop(cart, f"{cart.checkout_id}-1") for cart in carts]
            others = [from_shop(cart, f"{cart.checkout_id}-2") for cart in carts]
            await start_gun(pair, [[*firsts, *firsts], [*firsts, *others]])
    runs = await owner.fetchval(
        "SELECT count(*) FROM sagas.runs WHERE request -> 'checkout' ->> 'checkout_id' LIKE 'same-%'"
    )
    assert runs == 5 * ROUNDS
    places: Any = await owner.fetchrow(
        "SELECT count(*), count(DISTINCT subject) FROM sagas.outbox WHERE head::jsonb ->> 'type' LIKE '%place_order%'"
    )
    assert tuple(places) == (5 * ROUNDS, 5 * ROUNDS)

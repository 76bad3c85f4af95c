"""Whatever is sent: a refusal by name to the sender where there is one, else parked with its reason; a good order right
after it is confirmed, and no service minds.

Everything goes through the real broker into the whole system, as a storefront or a careless colleague would send it.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from uuid import uuid4

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import HeadersType

from services.sandbox.environment import Environment
from tests.support.processes import SERVICES, System, plan
from tests.support.shopping import checkout, deliver_goods
from tests.support.storefront import Storefront
from tests.support.until import until

RETRY_FOR_S: Final = 3.0
"""How long a message may wait for what it is about: ten minutes as shipped, too long for a test."""


@pytest.fixture(scope="module")
async def system(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    made = plan(
        environment.env,
        tmp_path_factory.mktemp("logs"),
        [SERVICES],
        RETRY_FOR_S=str(RETRY_FOR_S),
        WAREHOUSE_PACE_S="0",
    )
    try:
        await made.start()
        await deliver_goods(environment.env, {"A-1": 10_000, "A-2": 10_000})
        yield made
        assert set((await made.stop()).values()) == {0}, "a service did not drain cleanly"
    finally:
        await made.kill()


@pytest.fixture(scope="module")
async def shop(system: System) -> AsyncIterator[Storefront]:
    async with Storefront(system.env["STOREFRONT_AMQP_URL"]) as shop:
        yield shop


@pytest.fixture(scope="module")
async def owner(environment: Environment) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(environment.env["DATABASE_URL"])
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
async def a_good_order_right_after_is_confirmed(system: System, shop: Storefront) -> AsyncIterator[None]:
    yield
    good = f"good-{uuid4()}"
    await shop.place(checkout(good))
    assert (await shop.until_end(good)).topic == "order.confirmed"
    assert not any(process.dead for process in system.processes.values())


def new_checkout(**more: Any) -> dict[str, Any]:
    return checkout(f"bad-{uuid4()}", **more)


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in new_checkout().items() if name != field}


def line(**more: Any) -> list[dict[str, Any]]:
    return [{"sku": "A-1", "quantity": 1, "unit_price": {"amount_minor": 2000, "currency": "EUR"}, **more}]


def with_line(**more: Any) -> bytes:
    return json.dumps(new_checkout(lines=line(**more))).encode()


UNREADABLE: Final[dict[str, tuple[Callable[[], bytes], str, str]]] = {
    # name: body, reason, a word of the detail
    "malformed JSON": (lambda: b'{"checkout_id": "x", ', "malformed_json", ""),
    "nothing at all": (lambda: b"", "malformed_json", ""),
    "not UTF-8": (lambda: b'{"checkout_id": "\xff\xfe"}', "malformed_json", ""),
    "JSON, but no object": (lambda: b"[1, 2, 3]", "wrong_schema", ""),
    "deeply nested": (lambda: b"[" * 100_000, "malformed_json", ""),
    "a field is missing": (lambda: json.dumps(without("total")).encode(), "wrong_schema", "total"),
    "a field too many": (lambda: json.dumps(new_checkout(card_number="4111")).encode(), "wrong_schema", "card_number"),
    "no lines": (lambda: json.dumps(new_checkout(lines=[])).encode(), "wrong_schema", "lines"),
    "too many lines": (lambda: json.dumps(new_checkout(lines=line() * 101)).encode(), "wrong_schema", "lines"),
    "quantity zero": (lambda: with_line(quantity=0), "wrong_schema", "quantity"),
    "quantity negative": (lambda: with_line(quantity=-1), "wrong_schema", "quantity"),
    "quantity a fraction": (lambda: with_line(quantity=1.5), "wrong_schema", "quantity"),
    "quantity a word": (lambda: with_line(quantity="1"), "wrong_schema", "quantity"),
    "price negative": (
        lambda: with_line(unit_price={"amount_minor": -1, "currency": "EUR"}),
        "wrong_schema",
        "amount_minor",
    ),
    "price infinite": (
        lambda: with_line(unit_price={"amount_minor": float("inf"), "currency": "EUR"}),
        "",
        "",
    ),
    "price beyond 64 bits": (
        lambda: with_line(unit_price={"amount_minor": 2**70, "currency": "EUR"}),
        "wrong_schema",
        "amount_minor",
    ),
    "a NUL in a name": (
        lambda: json.dumps(
            new_checkout(shipping_address={"name": "A\0da", "line1": "1", "city": "c", "country": "GB"})
        ).encode(),
        "wrong_schema",
        "U+0000",
    ),
    "a lone surrogate": (
        lambda: b'{"checkout_id": "\\ud800"}',
        "",
        "",
    ),
    "oversize": (lambda: json.dumps(new_checkout(comment="x" * 300_000)).encode(), "too_large", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
async def test_what_cannot_be_read_is_refused_by_name_and_kept(
    shop: Storefront, owner: asyncpg.Connection, case: str
) -> None:
    body, reason, word = UNREADABLE[case]
    sent = body()
    id_ = await shop.say("checkout.place", sent)
    refusal = await shop.until_refused(id_)
    assert refusal.body["message_type"] == "waybill.checkout.place.v1"
    assert refusal.body["reason"] in ({reason} if reason else {"malformed_json", "wrong_schema"})
    assert word in refusal.body["detail"]
    kept = await owner.fetchrow("SELECT body, reason FROM sagas.parked WHERE head ->> 'id' = $1", id_)
    assert kept is not None and kept["body"] == sent and kept["reason"] == refusal.body["reason"]


@pytest.mark.parametrize(
    ("topic", "version", "reason"),
    [
        ("checkout.place", 9, "unknown_version"),
        ("checkout.plaice", 1, "unknown_type"),
        ("order.place_order", 1, "unknown_type"),
        ("orchestrator.operate_run", 1, "unknown_type"),
    ],
)
async def test_what_is_not_known_is_refused_at_once(shop: Storefront, topic: str, version: int, reason: str) -> None:
    id_ = await shop.say(topic, json.dumps(new_checkout()).encode(), version=version)
    assert (await shop.until_refused(id_)).body["reason"] == reason


async def test_a_message_without_a_type_is_refused(shop: Storefront) -> None:
    id_ = await shop.say("checkout.place", b"{}", headers={"type": None})
    assert (await shop.until_refused(id_)).body["reason"] == "unknown_type"


async def test_a_message_without_an_id_is_refused(shop: Storefront) -> None:
    await shop.say("checkout.place", json.dumps(new_checkout()).encode(), headers={"id": None})
    await shop.until_heard(lambda said: said.body.get("reason") == "no_message_id", "a refusal without an id")


async def test_a_source_that_is_not_the_user_is_refused(shop: Storefront) -> None:
    id_ = await shop.say("checkout.place", json.dumps(new_checkout()).encode(), headers={"source": "another-shop"})
    assert (await shop.until_refused(id_)).body["reason"] == "forged_source"


@pytest.mark.parametrize(
    "headers",
    [
        {"cloudEvents:id": bytearray(b"\xff\xfe")},
        {"cloudEvents:id": "a\0b"},
        {"cloudEvents:id": "x" * 20_000},
        {"cloudEvents:id": 17},
        {"cloudEvents:type": bytearray(b"\xff")},
        {"cloudEvents:type": {"a": [1]}},
        {"traceparent": bytearray(b"\xff" * 55)},
        {"x-delivery-count": "many"},
        {"cloudEvents:commandkey": "orchestrator/x/hold-stock/do"},
        {"cloudEvents:subject": "a\0b", "cloudEvents:correlationid": "\0"},
    ],
    ids=str,
)
async def test_strange_headers_disturb_nobody(system: System, headers: dict[str, Any]) -> None:
    """Answered or refused; here it only matters that the fixture's good order is confirmed afterwards."""
    usual = {
        "cloudEvents:id": str(uuid4()),
        "cloudEvents:source": "demo-shop",
        "cloudEvents:type": "waybill.checkout.place.v1",
    }
    async with await aio_pika.connect(system.env["STOREFRONT_AMQP_URL"], timeout=20) as connection:
        channel = await connection.channel(publisher_confirms=True)
        door = await channel.get_exchange("waybill.storefront", ensure=False)
        body = json.dumps(new_checkout()).encode()
        message = aio_pika.Message(body, headers={**usual, **headers}, user_id="demo-shop", delivery_mode=2)
        await door.publish(message, "storefront.requests", timeout=10)


async def test_nobody_vouches_for_a_message_without_user(system: System, owner: asyncpg.Connection) -> None:
    """Nobody can be told, so it is parked."""
    id_ = str(uuid4())
    headers: HeadersType = {
        "cloudEvents:id": id_,
        "cloudEvents:source": "demo-shop",
        "cloudEvents:type": "waybill.checkout.place.v1",
    }
    async with await aio_pika.connect(system.env["STOREFRONT_AMQP_URL"], timeout=20) as connection:
        channel = await connection.channel(publisher_confirms=True)
        door = await channel.get_exchange("waybill.storefront", ensure=False)
        await door.publish(
            aio_pika.Message(json.dumps(new_checkout()).encode(), headers=headers), "storefront.requests"
        )
    assert await parked(owner, "sagas", id_) == "forged_source"


async def parked(owner: asyncpg.Connection, schema: str, id_: str) -> str:
    """The reason a message was parked with."""
    sql = f"SELECT reason FROM {schema}.parked WHERE head ->> 'id' = $1"
    return str(await until(lambda: owner.fetchval(sql, id_), f"{id_} parked in {schema}"))


# -- what can be read and is wrong ------------------------------------------------------------------------------------


async def test_an_unknown_sku_cancels_the_order_by_name(shop: Storefront) -> None:
    placed = checkout(f"bad-{uuid4()}", ("NO-SUCH", 1, 100))
    await shop.place(placed)
    end = await shop.until_end(placed["checkout_id"])
    assert (end.topic, end.body["reason"]) == ("order.cancelled", "unknown_sku")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"total": {"amount_minor": 2000, "currency": "USD"}}, "mixed_currencies"),
        ({"tax": {"amount_minor": 0, "currency": "USD"}}, "mixed_currencies"),
        ({"total": {"amount_minor": 1999, "currency": "EUR"}}, "totals_do_not_add_up"),
        ({"shipping": {"amount_minor": 1, "currency": "EUR"}}, "totals_do_not_add_up"),
        ({"discount": {"amount_minor": 2001, "currency": "EUR"}}, "discount_above_goods"),
    ],
    ids=str,
)
async def test_sums_that_cannot_be_are_refused_by_name(shop: Storefront, more: dict[str, Any], reason: str) -> None:
    placed = new_checkout(**more)
    await shop.place(placed)
    end = await shop.until_end(placed["checkout_id"])
    assert (end.topic, end.body["reason"]) == ("checkout.refused", reason)


async def test_a_currency_nobody_has_is_refused_by_name(shop: Storefront) -> None:
    placed = json.loads(json.dumps(new_checkout()).replace('"EUR"', '"XXQ"'))
    await shop.place(placed)
    end = await shop.until_end(placed["checkout_id"])
    assert end.topic in ("checkout.refused", "order.cancelled") and "currency" in end.body["reason"]


async def test_a_used_checkout_id_with_other_content_is_refused_and_the_first_stands(
    shop: Storefront, owner: asyncpg.Connection
) -> None:
    first = new_checkout()
    id_ = first["checkout_id"]
    await shop.place(first)
    assert (await shop.until_end(id_)).topic == "order.confirmed"
    await shop.place(checkout(id_, ("A-1", 7, 1000)))
    await shop.until_heard(
        lambda said: said.body.get("checkout_id") == id_ and said.body.get("reason") == "key_reused", "key_reused"
    )
    await shop.place(first)  # the same again: the same answer, and no second order
    accepted = [said.id for said in shop.about(id_) if said.topic == "checkout.accepted"]
    await shop.until_heard(
        lambda said: (
            (said.topic, said.body.get("checkout_id")) == ("checkout.accepted", id_) and said.id not in accepted
        ),
        "the answer said again",
    )
    assert await owner.fetchval("SELECT count(*) FROM orders.orders WHERE checkout_id = $1", id_) == 1
    assert await owner.fetchval("SELECT sum(total_minor) FROM orders.orders WHERE checkout_id = $1", id_) == 2000


async def test_a_refund_of_an_unknown_order_is_refused_by_name(shop: Storefront) -> None:
    refund = {"refund_id": f"r-{uuid4()}", "order_id": str(uuid4()), "amount": {"amount_minor": 5, "currency": "EUR"}}
    await shop.say("checkout.request_refund", json.dumps(refund).encode())
    concluded = await shop.until_heard(
        lambda said: said.topic == "checkout.refund_concluded" and said.body["refund_id"] == refund["refund_id"],
        "the refund's conclusion",
    )
    assert (concluded.body["refunded"], concluded.body["reason"]) == (False, "unknown_order")


async def test_a_payment_for_an_unknown_checkout_waits_and_is_refused_by_name(shop: Storefront) -> None:
    unknown = f"nobody-{uuid4()}"
    await shop.say(
        "checkout.provide_payment",
        json.dumps({"checkout_id": unknown, "payment": {"token": "tok_ok"}}).encode(),
    )
    end = await shop.until_end(unknown, within_s=RETRY_FOR_S + 30)
    assert (end.topic, end.body["reason"]) == ("checkout.refused", "unknown_checkout")


async def test_a_payment_that_comes_before_its_checkout_is_used(shop: Storefront) -> None:
    placed = new_checkout(token=None)
    payment = {"checkout_id": placed["checkout_id"], "payment": {"token": "tok_ok"}}
    await shop.say("checkout.provide_payment", json.dumps(payment).encode())
    await shop.place(placed)
    assert (await shop.until_end(placed["checkout_id"])).topic == "order.confirmed"


async def test_events_of_an_unknown_order_are_refused_by_name(shop: Storefront) -> None:
    body = json.dumps({"order_id": str(uuid4())}).encode()
    id_ = await shop.say("checkout.replay_events", body, routing_key="order.requests")
    assert (await shop.until_refused(id_)).body["reason"] == "unknown_order"


# -- a careless colleague ---------------------------------------------------------------------------------------------


async def say_inside(system: System, queue: str, body: bytes, **properties: Any) -> None:
    """Straight onto a queue of ours, as only an administrator can."""
    async with await aio_pika.connect(system.env["AMQP_URL"], timeout=20) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange("waybill.commands", ensure=False)
        await exchange.publish(aio_pika.Message(body, delivery_mode=2, **properties), queue, timeout=10)


SCHEMA_OF: Final = {
    "order": "orders",
    "inventory": "inventory",
    "payment": "payments",
    "fulfillment": "fulfillment",
    "orchestrator": "sagas",
}


async def test_what_nobody_here_knows_is_parked_where_it_came(system: System, owner: asyncpg.Connection) -> None:
    unknown = [
        (b"{}", "waybill.nobody.knows.v1", "unknown_type"),
        (b"\xff\xfe", "waybill.nobody.knows.v1", "malformed_json"),
        (b"{}", "", "unknown_type"),
    ]
    sent = [(service, str(uuid4()), *case) for service in SERVICES for case in unknown]
    for service, id_, body, type_, _ in sent:
        await say_inside(system, service, body, headers={"cloudEvents:id": id_, "cloudEvents:type": type_})
    for service, id_, _, _, reason in sent:
        assert await parked(owner, SCHEMA_OF[service], id_) == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"{", "malformed_json"), (b'{"order_id": "none"}', "wrong_schema"), (b" " * 300_000, "too_large")],
)
async def test_a_command_that_cannot_be_read_is_parked(
    system: System, owner: asyncpg.Connection, body: bytes, reason: str
) -> None:
    id_ = str(uuid4())
    headers = {"cloudEvents:id": id_, "cloudEvents:type": "waybill.inventory.hold_stock.v1"}
    await say_inside(system, "inventory", body, headers=headers)
    assert await parked(owner, "inventory", id_) == reason


async def test_a_broken_pack_is_parked_whole(system: System, owner: asyncpg.Connection) -> None:
    id_ = str(uuid4())
    await say_inside(system, "payment", b"[[1", content_type="application/vnd.waybill.pack+json", message_id=id_)
    assert await parked(owner, "payments", id_) == "broken_pack"


async def test_a_message_without_a_uuid_is_parked(system: System, owner: asyncpg.Connection) -> None:
    id_ = f"no-uuid-{uuid4()}"
    await say_inside(system, "order", b"{}", headers={"cloudEvents:id": id_})
    assert await parked(owner, "orders", id_) == "no_message_id"

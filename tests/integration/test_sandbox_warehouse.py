"""The sandbox warehouse over a real broker, with nothing but the rights its user has."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from contracts.fulfillment import OrderShipment, ReportShipment
from contracts.shortage import AmendShipment
from contracts.values import Address, Kits, Pick
from services.fulfillment.domain import Fulfillment, follow
from services.sandbox.servers import Servers, bring
from services.sandbox.warehouse import STEPS, SandboxWarehouse
from shared.envelope import from_headers, head_of, open_envelope, to_headers
from shared.topology import COMMANDS, definitions, users

VHOST = "warehouse-test"
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Private ones always: a broker that may be stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAYBILL_SERVERS", "private")
        with bring(fsync=False) as brought:
            brought.broker_definitions(definitions(VHOST, {user: f"{user}-secret" for user in users()}))
            yield brought


def url_of(servers: Servers, user: str) -> str:
    parts = urlsplit(servers.amqp_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"{user}:{user}-secret@{host}", f"/{VHOST}", "", ""))


@asynccontextmanager
async def as_fulfillment(servers: Servers) -> AsyncIterator[AbstractChannel]:
    connection = await aio_pika.connect(url_of(servers, "fulfillment"), timeout=20)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        yield channel


@asynccontextmanager
async def warehouse_at(servers: Servers, pace_s: float | None) -> AsyncIterator[SandboxWarehouse]:
    warehouse = SandboxWarehouse()
    await warehouse.start(url_of(servers, "warehouse"), pace_s)
    try:
        yield warehouse
    finally:
        await warehouse.stop()


async def order_shipments(channel: AbstractChannel, ids: list[UUID], kits: Kits | None = None) -> None:
    for fulfillment_id in ids:
        order = OrderShipment(
            fulfillment_id=fulfillment_id,
            order_id=uuid4(),
            warehouse="north",
            ship_to=Address(name="Ada", line1="1 Row", city="London", country="GB"),
            picks=(Pick(warehouse="north", sku="TEA-1", quantity=1),),
            kits=kits or {},
        )
        await publish(channel, order)


async def publish(channel: AbstractChannel, said: OrderShipment | AmendShipment) -> None:
    exchange = await channel.get_exchange(COMMANDS, ensure=False)
    head = head_of(
        said,
        id_=uuid4(),
        source="fulfillment",
        subject=str(said.order_id),
        now=datetime.now(UTC),
        cause={},
        command_key=f"fulfillment/{said.fulfillment_id}/{said.topic}/do",
    )
    message = aio_pika.Message(said.model_dump_json().encode(), headers=dict(to_headers(head)))
    await exchange.publish(message, said.heard_by, mandatory=True, timeout=20)


class Counter:
    """Reads the reports as our service would, and follows every shipment by its machine."""

    def __init__(self, ids: list[UUID]) -> None:
        self.shipments = {id_: Fulfillment(id_, id_, "north", {}, [{}], version=1) for id_ in ids}
        self.reports: dict[UUID, list[str]] = {id_: [] for id_ in ids}
        self.moved = asyncio.Event()

    async def read(self, channel: AbstractChannel) -> None:
        queue = await channel.get_queue(ReportShipment.heard_by, ensure=False)
        async with queue.iterator() as messages:
            async for message in messages:
                envelope = from_headers(message.headers, message.body)
                assert (message.user_id, envelope.source) == ("warehouse", "warehouse")
                assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
                report = open_envelope(envelope)
                assert isinstance(report, ReportShipment)
                if report.fulfillment_id not in self.reports:  # left over from the test before
                    await message.ack()
                    continue
                self.reports[report.fulfillment_id].append(report.status)
                if followed := follow(self.shipments[report.fulfillment_id], report):
                    self.shipments[report.fulfillment_id] = followed.steps[-1]
                await message.ack()
                self.moved.set()

    def delivered(self) -> int:
        return sum(shipment.state == "delivered" for shipment in self.shipments.values())

    async def until_delivered(self, count: int) -> None:
        async with asyncio.timeout(WITHIN_S):
            while self.delivered() < count:
                self.moved.clear()
                await self.moved.wait()


async def test_every_shipment_is_walked_to_the_customer(servers: Servers) -> None:
    ids = [uuid4() for _ in range(30)]
    counter = Counter(ids)
    async with as_fulfillment(servers) as channel, warehouse_at(servers, 0.01) as warehouse:
        reading = asyncio.create_task(counter.read(channel))
        await order_shipments(channel, ids + ids[:5])  # some are ordered twice: the same shipment
        await counter.until_delivered(len(ids))
        async with asyncio.timeout(WITHIN_S):
            await warehouse.until(lambda: warehouse.waiting == 0)
            while sum(map(len, counter.reports.values())) < 27 * len(STEPS) + 3 * (2 * len(STEPS) + 1):
                counter.moved.clear()
                await counter.moved.wait()
        reading.cancel()
    once = [reports for reports in counter.reports.values() if reports == list(STEPS)]
    assert len(once) == 27, "three of thirty shipments report everything twice"
    assert all(shipment.tracking_number.startswith("SP") for shipment in counter.shipments.values())


async def test_kits_are_put_together_before_they_are_picked(servers: Servers) -> None:
    ids = [uuid4() for _ in range(2)]
    counter = Counter(ids)
    async with as_fulfillment(servers) as channel, warehouse_at(servers, 0.01):
        reading = asyncio.create_task(counter.read(channel))
        await order_shipments(channel, ids, {"TEA-1": {"LEAF": 2, "TIN": 1}})
        await counter.until_delivered(len(ids))
        reading.cancel()
    for reports in counter.reports.values():
        assert reports[:3] == ["acknowledged", "in_production", "picking"]
        assert [step for step in reports if step != "in_production"] == list(STEPS)


async def test_a_broker_restart_in_the_middle_loses_no_shipment(servers: Servers) -> None:
    ids = [uuid4() for _ in range(60)]
    counter = Counter(ids)
    async with warehouse_at(servers, 0.3) as warehouse:
        async with as_fulfillment(servers) as channel:
            reading = asyncio.create_task(counter.read(channel))
            await order_shipments(channel, ids)
            async with asyncio.timeout(WITHIN_S):
                await counter.moved.wait()
            reading.cancel()
        await asyncio.to_thread(servers.stop_broker)
        assert warehouse.waiting > 0
        await asyncio.to_thread(servers.start_broker)
        async with as_fulfillment(servers) as channel:
            reading = asyncio.create_task(counter.read(channel))
            await counter.until_delivered(len(ids))
            reading.cancel()


async def test_without_a_pace_it_keeps_what_it_hears_and_says_nothing(servers: Servers) -> None:
    ids = [uuid4() for _ in range(3)]
    async with as_fulfillment(servers) as channel, warehouse_at(servers, None) as warehouse:
        await order_shipments(channel, ids)
        async with asyncio.timeout(WITHIN_S):
            await warehouse.until(lambda: set(warehouse.shipments) == set(ids))
        assert warehouse.reported == 0 and warehouse.waiting == 3


async def test_a_picker_in_front_of_an_empty_shelf_waits_for_word(servers: Servers) -> None:
    without, called_off = uuid4(), uuid4()
    counter = Counter([without])
    async with as_fulfillment(servers) as channel, warehouse_at(servers, 0.01) as warehouse:
        warehouse.missing = frozenset({"north/TEA-1"})
        reading = asyncio.create_task(counter.read(channel))
        counter.shipments[called_off] = Fulfillment(called_off, called_off, "north", {}, [{}], version=1)
        counter.reports[called_off] = []
        await order_shipments(channel, [without, called_off])
        async with asyncio.timeout(WITHIN_S):
            await warehouse.until(lambda: sum(one.halted for one in warehouse.shipments.values()) == 2)
        other = (Pick(warehouse="north", sku="TEA-2", quantity=1),)
        await publish(channel, amended(without, 2, other))
        await publish(channel, amended(called_off, 2, ()))
        await publish(channel, amended(without, 1, ()))  # older: changes nothing
        await counter.until_delivered(1)
        async with asyncio.timeout(WITHIN_S):
            await warehouse.until(lambda: warehouse.waiting == 0)
        reading.cancel()
    assert counter.reports[without] == list(STEPS)
    assert counter.reports[called_off] == list(STEPS[:2])


def amended(fulfillment_id: UUID, revision: int, picks: tuple[Pick, ...]) -> AmendShipment:
    return AmendShipment(fulfillment_id=fulfillment_id, order_id=uuid4(), revision=revision, picks=picks)

"""The frame's promises on a real broker and a real database, told with messages of this test's own.

One `Service` runs here in the inventory's place (its role, its user, its queue) and hears a consumer made for the test;
the test itself is the orchestrator, and reads what is answered.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import pytest

from contracts.frame import CommandWithdrawn, KeyReused
from services.sandbox.environment import Environment
from shared import failures
from shared.envelope import Envelope, from_headers
from shared.ids import new_id
from shared.service import Service
from shared.settings import ServiceSettings
from tests.support.proxy import Proxy
from tests.support.scale import Bench, Note, Scale, Unweigh, Unweighed, Weigh, Weighed, key
from tests.support.until import until

NEWS: Final = "storefront.demo-shop.events"


@pytest.fixture(scope="module")
async def bench(environment: Environment) -> AsyncIterator[Bench]:
    scale = Scale()
    amqp = Proxy(environment.env["AMQP_URL"], 5672)
    await amqp.start()
    patch = pytest.MonkeyPatch()
    patch.setattr(failures, "RETRY_DELAYS_S", (0.05,) * 5)
    settings = ServiceSettings(
        database_url=environment.env["INVENTORY_DATABASE_URL"],
        amqp_url=amqp.in_front_of(environment.env["INVENTORY_AMQP_URL"]),
        retry_for_s=1.0,
    )
    service = Service("inventory", scale.consumer(), "inventory", settings)
    await service.start()
    connection = await aio_pika.connect(environment.env["AMQP_URL"])
    owner = await asyncpg.connect(environment.env["DATABASE_URL"])
    made = Bench(scale, service, amqp, await connection.channel(publisher_confirms=True), owner)

    async def hear_reply(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        made.hear_reply(message)
        await message.ack()

    async def hear_news(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        made.news.append((from_headers(message.headers, message.body), message.content_type or ""))
        await message.ack()

    await (await made.channel.get_queue("orchestrator", ensure=False)).consume(hear_reply)
    await (await made.channel.get_queue(NEWS, ensure=False)).consume(hear_news)
    try:
        yield made
    finally:
        patch.undo()
        await service.stop()
        await connection.close()
        await owner.close()
        await amqp.stop()


async def test_a_poison_is_parked_with_its_error_and_the_others_do_not_mind(bench: Bench) -> None:
    poison = f"poison {uuid4()}"
    bench.scale.fails[poison] = 1000
    good = [f"good {uuid4()}" for _ in range(20)]
    ids = await bench.tell(*(Weigh(thing=thing) for thing in [*good[:10], poison, *good[10:]]))
    await until(lambda: all(bench.scale.done[thing] == 1 for thing in good), "the good ones")
    row = await bench.parked(ids[10])
    assert (row["reason"], row["attempts"], row["queue"]) == ("failed", failures.MAX_ATTEMPTS, "inventory")
    assert "too heavy" in row["error"] and json.loads(row["body"])["thing"] == poison
    assert all(bench.scale.done[thing] == 1 for thing in good)
    assert bench.scale.fails[poison] == 1000 - failures.MAX_ATTEMPTS


async def test_what_fails_twice_is_done_the_third_time_once(bench: Bench) -> None:
    thing, asked = f"stubborn {uuid4()}", key()
    bench.scale.fails[thing] = 2
    await bench.tell(Weigh(thing=thing), key=asked)
    await bench.until_answered(asked)
    assert bench.scale.done[thing] == 1
    assert await bench.owner.fetchval("SELECT count(*) FROM inventory.due WHERE error <> ''") == 0


async def test_the_same_message_twice_is_heard_once(bench: Bench) -> None:
    thing, asked = f"twice {uuid4()}", key()
    envelope = Envelope(
        {"id": str(new_id()), "type": Weigh.full_type, "commandkey": asked},
        Weigh(thing=thing).model_dump_json().encode(),
    )
    for _ in range(5):
        await bench.send([envelope])
    await bench.send([envelope, envelope])
    after = key()
    await bench.tell(Weigh(thing="after"), key=after)
    await bench.until_answered(after)
    assert bench.scale.done[thing] == 1 and len(bench.answers(asked)) == 1


async def test_a_command_asked_again_gets_the_same_answer_under_a_new_id(bench: Bench) -> None:
    thing, asked = f"again {uuid4()}", key()
    for times in range(1, 4):
        await bench.tell(Weigh(thing=thing), key=asked)
        await bench.until_answered(asked, times)
    answers = bench.answers(asked)
    assert {answer.body for answer in answers} == {Weighed(thing=thing, marks=1).model_dump_json().encode()}
    assert len({answer.id for answer in answers}) == 3 and bench.scale.done[thing] == 1


async def test_a_key_with_other_content_is_refused_and_the_answer_stands(bench: Bench) -> None:
    asked = key()
    first, second = f"first {uuid4()}", f"second {uuid4()}"
    await bench.tell(Weigh(thing=first), key=asked)
    await bench.until_answered(asked)
    await bench.tell(Weigh(thing=second), key=asked)
    answers = await bench.until_answered(asked, 2)
    assert [answer.type for answer in answers] == [Weighed.full_type, KeyReused.full_type]
    await bench.tell(Weigh(thing=first), key=asked)
    assert (await bench.until_answered(asked, 3))[2].body == answers[0].body
    assert bench.scale.done[second] == 0


async def test_an_undo_that_comes_first_withdraws_its_do(bench: Bench) -> None:
    do = key()
    undo, thing = do.removesuffix("do") + "undo", f"undone {uuid4()}"
    await bench.tell(Unweigh(thing=thing), key=undo)
    assert [answer.type for answer in await bench.until_answered(undo)] == [Unweighed.full_type]
    await bench.tell(Weigh(thing=thing), key=do)
    assert [answer.type for answer in await bench.until_answered(do)] == [CommandWithdrawn.full_type]
    assert bench.scale.done[thing] == 0


async def test_what_never_becomes_known_is_parked_by_name(bench: Bench) -> None:
    (id_,) = await bench.tell(Note(order_id=uuid4(), thing="not yet"))
    assert (await bench.parked(id_))["reason"] == "unknown_thing"


async def test_a_timer_rings_once_and_a_cleared_one_never(bench: Bench) -> None:
    rings, cleared, moved = uuid4(), uuid4(), uuid4()
    await bench.tell(
        Note(order_id=rings, thing="timer", after_s=0.3),
        Note(order_id=cleared, thing="timer", after_s=0.3),
        Note(order_id=moved, thing="timer", after_s=600),
    )
    await bench.tell(Note(order_id=cleared, thing="stop timer"), Note(order_id=moved, thing="timer", after_s=0.3))
    await until(lambda: bench.scale.done[f"rang {rings}"] and bench.scale.done[f"rang {moved}"], "both rings")
    later = uuid4()
    await bench.tell(Note(order_id=later, thing="timer", after_s=0.2))
    await until(lambda: bench.scale.done[f"rang {later}"], "a later ring")
    assert [bench.scale.done[f"rang {order}"] for order in (rings, moved, cleared)] == [1, 1, 0]
    left = "SELECT count(*) FROM inventory.due WHERE owner = ANY($1::text[])"
    assert await bench.owner.fetchval(left, [str(order) for order in (rings, moved, cleared, later)]) == 0


async def test_answers_travel_in_packs_and_events_never(bench: Bench) -> None:
    keys = [key() for _ in range(100)]
    packages, news = bench.packages, len(bench.news)
    envelopes = [
        Envelope({"id": str(new_id()), "type": Weigh.full_type, "commandkey": asked}, b'{"thing": "bulk"}')
        for asked in keys
    ]
    await bench.send(envelopes[:50])
    await bench.send(envelopes[50:])
    order = uuid4()
    await bench.tell(*(Note(order_id=order, thing=f"{n}") for n in range(10)))
    await until(lambda: all(bench.answers(asked) for asked in keys), "a hundred answers")
    await until(lambda: len(bench.news) >= news + 10, "ten events")
    assert bench.packages - packages <= 20, "a hundred answers did not travel together"
    assert all(content_type == "application/json" for _, content_type in bench.news)


async def test_order_is_kept_per_subject_through_cuts_of_the_connection(bench: Bench) -> None:
    orders = [uuid4() for _ in range(5)]
    for step in range(40):
        await bench.tell(*(Note(order_id=order, thing=f"step {step:02}") for order in orders))
        if step in (10, 25):
            bench.amqp.cut()

    def heard_of(order: UUID) -> list[tuple[int, str]]:
        """(sequence, step) in the order they came, each the first time."""
        seen: dict[str, tuple[int, str]] = {}
        for envelope, _ in bench.news:
            said = json.loads(envelope.body)
            if said.get("order_id") == str(order):
                seen.setdefault(envelope.id, (int(envelope.head["sequence"]), said["thing"]))
        return list(seen.values())

    await until(lambda: all(len(heard_of(order)) == 40 for order in orders), "every step of every order", within_s=60)
    for order in orders:
        assert [sequence for sequence, _ in heard_of(order)] == list(range(1, 41))
        assert sorted(step for _, step in heard_of(order)) == [f"step {step:02}" for step in range(40)]


async def test_a_dead_pack_is_taken_apart_and_only_the_guilty_one_is_parked(bench: Bench) -> None:
    """As the broker does it after too many deliveries: through the dead-letter exchange."""
    poison, good = f"dead poison {uuid4()}", [f"dead good {uuid4()}" for _ in range(4)]
    bench.scale.fails[poison] = 1000
    ids = await bench.tell(
        *(Weigh(thing=thing) for thing in [*good[:2], poison, *good[2:]]),
        exchange="waybill.dead",
        route="inventory.dead",
    )
    await until(lambda: all(bench.scale.done[thing] == 1 for thing in good), "the innocent")
    assert (await bench.parked(ids[2]))["reason"] == "failed"
    assert await bench.owner.fetchval("SELECT count(*) FROM inventory.parked WHERE head ->> 'id' = ANY($1)", ids) == 1


async def test_what_an_operator_replays_is_done_and_answered(bench: Bench, environment: Environment) -> None:
    thing, asked = f"replayed {uuid4()}", key()
    bench.scale.fails[thing] = failures.MAX_ATTEMPTS
    (id_,) = await bench.tell(Weigh(thing=thing), key=asked)
    await bench.parked(id_)
    oms = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", "parked", "replay", id_, "--yes", env={**os.environ, **environment.env}
    )
    assert await oms.wait() == 0
    assert len(await bench.until_answered(asked)) == 1
    assert bench.scale.done[thing] == 1 and (await bench.parked(id_))["state"] == "replayed"


async def test_a_message_that_kills_its_consumer_every_time_is_parked(bench: Bench) -> None:
    """Its attempts were counted before it was decided, by consumers that did not live to tell."""
    (killer,) = [Envelope({"id": str(new_id()), "type": Weigh.full_type, "commandkey": key()}, b'{"thing": "killer"}')]
    await bench.owner.execute(
        "INSERT INTO inventory.inbox (queue, message_id, state, attempts) VALUES ('inventory', $1, 'trying', $2)",
        UUID(killer.id),
        failures.MAX_ATTEMPTS,
    )
    await bench.send([killer], exchange="waybill.dead", route="inventory.dead")
    assert (await bench.parked(killer.id))["reason"] == "kills_its_consumer"
    assert bench.scale.done["killer"] == 0


async def test_ready_tells_what_is_missing(bench: Bench) -> None:
    assert all((await bench.service.readiness()).values())
    listening, speaking = bench.service.listening, bench.service.speaking
    assert listening is not None and speaking is not None
    bench.amqp.blackhole()  # whoever comes back now is heard after we have looked
    try:
        bench.amqp.cut()
        await until(lambda: not (listening.connected_since or speaking.connected), "the cut to be noticed")
        readiness = await bench.service.readiness()
    finally:
        bench.amqp.heal()
    assert {name for name, so in readiness.items() if not so} == {"consuming", "publishing"}
    await until(listening.consuming, "the connection to come back")
    asked = key()
    await bench.tell(Weigh(thing="after the cut"), key=asked)
    await bench.until_answered(asked)


async def test_a_connection_without_a_consumer_is_not_ready(bench: Bench) -> None:
    """The channel alone is closed: the connection is as good as before, and nobody hears a thing."""
    listening = bench.service.listening
    assert listening is not None
    first = listening.broker.subscribers[0]
    channel = await first._queue_obj.channel.get_underlay_channel()  # type: ignore[attr-defined]
    tag, callback = next(iter(channel.consumers.items()))
    await channel.basic_cancel(tag)
    readiness = await bench.service.readiness()
    assert not readiness["consuming"] and all(so for name, so in readiness.items() if name != "consuming")
    await channel.basic_consume(first._queue_obj.name, callback, consumer_tag=tag)  # type: ignore[attr-defined]
    assert all((await bench.service.readiness()).values())


async def test_nothing_waits_to_be_said_in_the_end(bench: Bench) -> None:
    sql = "SELECT (SELECT count(*) FROM inventory.outbox) = 0"
    await until(lambda: bench.owner.fetchval(sql), "an empty outbox")

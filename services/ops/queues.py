"""`oms queues`: what waits where, in the broker and in every service's tables."""

import asyncio
import os
from typing import Annotated, Any, Final
from urllib.parse import quote, unquote, urlsplit

import aio_pika
import aiohttp
import typer
from rich.text import Text

from services.ops.places import fail, reachable, reading, rows
from services.ops.told import QUIET, console, shown, table, tell_json
from shared.topology import DEFAULT_STOREFRONTS, QUEUES, listener_queue

app = typer.Typer(add_completion=False)
ANSWER_WITHIN_S: Final = 15.0

_WAITING: Final = """SELECT (SELECT count(*) FROM {s}.outbox) AS outbox,
    (SELECT min(created_at) FROM {s}.outbox) AS oldest,
    (SELECT count(*) FROM {s}.due WHERE name <> '') AS timers,
    (SELECT count(*) FROM {s}.due WHERE name = '') AS retries,
    (SELECT count(*) FROM {s}.due WHERE not_before < now() - interval '5 seconds') AS overdue,
    (SELECT count(*) FROM {s}.parked WHERE state = 'parked') AS parked"""


@app.command()
def queues(json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False) -> None:
    """Every queue with its depth and consumers, and what waits in each service's tables.

    The broker is asked through MANAGEMENT_URL or AMQP_URL (an administrator's), the tables through each service's
    own ORDER_DATABASE_URL and so on; what is not named is left out. Of MANAGEMENT_URL's virtual hosts the one in
    AMQP_URL is meant, else /. RabbitMQ's counts may lag by seconds.
    """
    found = asyncio.run(_look())
    if json:
        tell_json(found)
        return
    broken = [one for one in found["queues"] if one["dead"] and one["messages"]]
    table(
        "Queues",
        ("queue", "messages", "consumers"),
        (
            (
                Text(one["name"], QUIET if one["dead"] and not one["messages"] else ""),
                Text(shown(one["messages"]), "bold red" if one["dead"] and one["messages"] else ""),
                Text(shown(one["consumers"]), "bold red" if one["consumers"] == 0 and not one["listener"] else ""),
            )
            for one in found["queues"]
        ),
        right=("messages", "consumers"),
    )
    if broken:
        console.print(Text(f"{len(broken)} dead queues hold messages", "bold red"))
    table(
        "\nServices",
        ("service", "outbox", "oldest", "timers", "retries", "overdue", "parked"),
        (
            (
                one["service"],
                one["outbox"],
                one["oldest"],
                one["timers"],
                one["retries"],
                Text(shown(one["overdue"]), "bold red" if one["overdue"] else ""),
                Text(shown(one["parked"]), "yellow" if one["parked"] else ""),
            )
            for one in found["services"]
        ),
        right=("outbox", "timers", "retries", "overdue", "parked"),
    )


async def _look() -> dict[str, list[dict[str, Any]]]:
    services = []
    for place in reachable():
        async with reading(place) as connection:
            (waiting,) = await rows(connection, _WAITING.replace("{s}", place.schema))
            services.append({"service": place.service, **waiting})
    return {"queues": await _queues(), "services": services}


async def _queues() -> list[dict[str, Any]]:
    names = [name for queue in QUEUES for name in (queue.name, queue.dead)]
    names += [listener_queue(storefront) for storefront in DEFAULT_STOREFRONTS]
    try:
        if management := os.environ.get("MANAGEMENT_URL"):
            counted = await _by_management(management, names)
        elif url := os.environ.get("AMQP_URL"):
            counted = await _by_declaring(url, names)
        else:
            raise fail("to be set: MANAGEMENT_URL, or AMQP_URL of an administrator")
    except (OSError, TimeoutError, aiohttp.ClientError, aio_pika.exceptions.AMQPError) as away:
        raise fail(f"the broker cannot be asked: {away or type(away).__name__}") from away
    return [
        {
            "name": name,
            "messages": messages,
            "consumers": consumers,
            "dead": name.endswith(".dead"),
            "listener": name.startswith("storefront.") and name.endswith(".events"),
        }
        for name, (messages, consumers) in counted.items()
    ]


async def _by_declaring(url: str, names: list[str]) -> dict[str, tuple[int, int]]:
    connection = await aio_pika.connect(url, timeout=ANSWER_WITHIN_S)
    async with connection:
        channel = await connection.channel()
        found = {}
        for name in names:
            queue = await channel.declare_queue(name, passive=True, timeout=ANSWER_WITHIN_S)
            declared = queue.declaration_result
            found[name] = (declared.message_count or 0, declared.consumer_count or 0)
        return found


async def _by_management(url: str, names: list[str]) -> dict[str, tuple[int, int]]:
    vhost = unquote(urlsplit(os.environ.get("AMQP_URL", "")).path.removeprefix("/")) or "/"
    parts = urlsplit(url)
    auth = aiohttp.BasicAuth(unquote(parts.username or ""), unquote(parts.password or ""))
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/api/queues/{quote(vhost, safe='')}"
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    async with aiohttp.ClientSession(auth=auth, timeout=timeout) as session, session.get(where) as response:
        response.raise_for_status()
        listed = {queue["name"]: queue for queue in await response.json()}
    if listed.keys().isdisjoint(names):
        raise fail(f"virtual host {vhost} has none of Waybill's queues; which one has, AMQP_URL says")
    return {
        name: (int(listed[name].get("messages", 0)), int(listed[name].get("consumers", 0)))
        for name in names
        if name in listed
    }

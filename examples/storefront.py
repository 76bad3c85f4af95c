"""A storefront in plain aio-pika, written from contracts/generated/asyncapi.json alone: it imports nothing of Waybill.

    python examples/storefront.py amqp://demo-shop:SECRET@localhost:5672/waybill --sku TEA-EARL-GREY --price 895

Places one checkout and prints every event about it until the order is confirmed, cancelled or refused.
Exit status: 0 confirmed, 1 cancelled or refused, 2 no answer in time.
"""

import argparse
import asyncio
import json
import os
import sys
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aio_pika

ENDS = {"order.confirmed": 0, "order.cancelled": 1, "checkout.refused": 1, "checkout.message_refused": 1}


def checkout(options: argparse.Namespace) -> dict[str, object]:
    placed: dict[str, object] = {
        "checkout_id": f"cart-{uuid4()}",
        "customer": {"reference": "customer-1815", "email": "ada@example.com"},
        "shipping_address": {"name": "Ada Lovelace", "line1": "12 Analytical Row", "city": "London", "country": "GB"},
        "lines": [{"sku": options.sku, "quantity": options.quantity, "unit_price": euros(options.price)}],
        "total": euros(options.quantity * options.price),
    }
    return placed | ({"payment": {"method": "card", "token": options.token}} if options.token else {})


def euros(cents: int) -> dict[str, object]:
    return {"amount_minor": cents, "currency": "EUR"}


async def shop(options: argparse.Namespace) -> int:
    storefront = options.storefront or unquote(urlsplit(options.amqp_url).username or "")
    request, message_id = checkout(options), str(uuid4())
    connection = await aio_pika.connect(options.amqp_url)
    async with connection, asyncio.timeout(options.timeout_s):
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        events = await channel.get_queue(f"storefront.{storefront}.events", ensure=False)
        door = await channel.get_exchange("waybill.storefront", ensure=False)
        headers = {"specversion": "1.0", "id": message_id, "source": storefront, "type": "waybill.checkout.place.v1"}
        message = aio_pika.Message(
            json.dumps(request).encode(),
            headers={f"cloudEvents:{name}": value for name, value in headers.items()},
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            user_id=storefront,
        )
        await door.publish(message, routing_key="storefront.requests")  # returns when the broker has confirmed it
        async with events.iterator() as heard:
            async for event in heard:
                topic = str(event.headers["cloudEvents:type"]).removeprefix("waybill.").removesuffix(".v1")
                said = json.loads(event.body)
                await event.ack()
                if request["checkout_id"] != said.get("checkout_id") and message_id != said.get("message_id"):
                    continue  # about another order of this storefront
                print(json.dumps({"event": topic, **said}), flush=True)
                if topic in ENDS:
                    return ENDS[topic]
    return 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("amqp_url", nargs="?", default=os.environ.get("AMQP_URL"), help="default: $AMQP_URL")
    parser.add_argument("--storefront", default=os.environ.get("STOREFRONT"), help="default: the user in the URL")
    parser.add_argument("--sku", default="TEA-EARL-GREY")
    parser.add_argument("--quantity", type=int, default=2)
    parser.add_argument("--price", type=int, default=895, help="of one, in minor units")
    parser.add_argument("--token", default="tok_ok", help="payment token; empty for none")
    parser.add_argument("--timeout-s", type=float, default=60)
    try:
        return asyncio.run(shop(parser.parse_args()))
    except TimeoutError:
        return 2


if __name__ == "__main__":
    sys.exit(main())

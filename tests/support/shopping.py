"""Checkouts as JSON, as any shop would write them, and the goods to sell: nothing of ours is imported."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import aio_pika


def cart(*lines: tuple[str, int, int], currency: str = "EUR", **payment: str) -> dict[str, Any]:
    """`lines` are (sku, quantity, unit price in minor units); `payment` may be its method and token, or follow."""

    def money(minor: int) -> dict[str, Any]:
        return {"amount_minor": minor, "currency": currency}

    return {
        "customer": {"reference": "customer-1"},
        "shipping_address": {"name": "Ada", "line1": "12 Row", "city": "London", "country": "GB"},
        "lines": [{"sku": sku, "quantity": units, "unit_price": money(price)} for sku, units, price in lines],
        "total": money(sum(units * price for _, units, price in lines)),
        **({"payment": payment} if payment else {}),
    }


def checkout(
    checkout_id: str, *lines: tuple[str, int, int], token: str | None = "tok_ok", **more: Any
) -> dict[str, Any]:
    """In euros, by card."""
    payment = {} if token is None else {"method": "card", "token": token}
    wanted = lines or (("A-1", 1, 1000), ("A-2", 2, 500))
    return {"checkout_id": checkout_id, **cart(*wanted, **payment), **more}


async def deliver_goods(env: Mapping[str, str], goods: Mapping[str, int], *, warehouse: str = "leipzig") -> None:
    """Stock arrives; counted once per call."""
    receipts = [{"sku": sku, "warehouse": warehouse, "quantity": units} for sku, units in goods.items()]
    await say_to_inventory(env, "receive_stock", {"reference": f"delivery-{uuid4()}", "receipts": receipts})


async def say_to_inventory(env: Mapping[str, str], topic: str, body: Mapping[str, Any]) -> None:
    """As an operator would."""
    headers = {"specversion": "1.0", "id": str(uuid4()), "source": "ops", "type": f"waybill.inventory.{topic}.v1"}
    async with await aio_pika.connect(env["AMQP_URL"], timeout=20) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange("waybill.commands", ensure=False)
        message = aio_pika.Message(
            json.dumps(body).encode(),
            headers={f"cloudEvents:{name}": value for name, value in headers.items()},
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, "inventory", timeout=20)

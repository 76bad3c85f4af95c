"""`oms shop` and `oms seed`: goods for the shelves, and a storefront that places orders and follows them live."""

import asyncio
import json as json_
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from services.sandbox.carts import GOODS, cart, receipts
from services.sandbox.case import word_of
from services.sandbox.shopper import Heard, Shopper, StorefrontAway, place

shop_app = typer.Typer(add_completion=False)
seed_app = typer.Typer(add_completion=False)

ENDINGS: Final = frozenset({"confirmed", "cancelled", "refused", "unreadable"})
WAREHOUSES: Final = ("leipzig", "lyon", "osaka")


def _fail(why: str) -> typer.Exit:
    Console(stderr=True).print(why, style="bold red", highlight=False, markup=False)
    return typer.Exit(2)


@shop_app.command()
def shop(
    orders: Annotated[int, typer.Option(min=1, max=100_000, help="How many to make up.")] = 20,
    file: Annotated[
        Path | None, typer.Option(help="JSON lines, each the body of a PlaceCheckout; instead of making them up.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=5_000, help="Orders per second.")] = 10.0,
    seed: Annotated[int, typer.Option(help="The same seed makes up the same carts.")] = 1,
    wait: Annotated[float, typer.Option(min=1, help="Seconds to wait for the last order.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Place orders as the storefront demo-shop and follow them live until each is confirmed, cancelled or refused.

    Connects by STOREFRONT_AMQP_URL, for example amqp://demo-shop:SECRET@127.0.0.1:35672/waybill. Goods that are made
    up are those of `oms seed`. Exit status 0 when every order was answered in time.
    """
    url = os.environ.get("STOREFRONT_AMQP_URL")
    if not url:
        raise _fail("to be set: STOREFRONT_AMQP_URL, for example amqp://demo-shop:SECRET@127.0.0.1:35672/waybill")
    checkouts = _read(file) if file is not None else _made_up(orders, seed)
    try:
        answered, found = asyncio.run(_shop(url, checkouts, rate, wait, Console(stderr=json), quiet=json))
    except StorefrontAway as away:
        raise _fail(str(away)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if json:
        typer.echo(json_.dumps(found, indent=2))
    raise typer.Exit(0 if answered else 1)


@seed_app.command()
def seed(
    units: Annotated[int, typer.Option(min=1, max=1_000_000, help="Of each SKU, in each warehouse.")] = 1_000,
    reference: Annotated[str, typer.Option(help="Names the delivery: the same one counts once.")] = "",
) -> None:
    """Put the goods that `oms shop` orders on the shelves of three warehouses.

    Publishes as AMQP_URL (an administrator) or INVENTORY_AMQP_URL (the inventory service's own user).
    """
    url = os.environ.get("AMQP_URL") or os.environ.get("INVENTORY_AMQP_URL")
    if not url:
        raise _fail("to be set: AMQP_URL (an administrator) or INVENTORY_AMQP_URL")
    stock = {(sku, where): units for sku in GOODS for where in WAREHOUSES}
    asyncio.run(_seed(url, receipts(reference or f"seed-{secrets.token_hex(6)}", stock)))
    typer.echo(f"{units} of each of {len(GOODS)} SKUs are on their way to {', '.join(WAREHOUSES)}")


async def _seed(url: str, body: dict[str, Any]) -> None:
    import aio_pika

    from contracts.catalogue import COMMANDS
    from contracts.inventory import ReceiveStock
    from shared.ids import new_id

    head = {"specversion": "1.0", "id": str(new_id()), "source": "ops", "type": ReceiveStock.full_type}
    try:
        connection = await aio_pika.connect(url, timeout=10)
        async with connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await channel.get_exchange(COMMANDS, ensure=False)
            message = aio_pika.Message(
                json_.dumps(body).encode(),
                headers={f"cloudEvents:{name}": value for name, value in head.items()},
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, ReceiveStock.heard_by, mandatory=True)
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPError) as away:
        raise _fail(f"the broker cannot be reached: {away or type(away).__name__}") from None


def _made_up(orders: int, seed: int) -> list[dict[str, Any]]:
    """Fresh checkout ids each time: the same carts may be bought again."""
    rng, mark = random.Random(seed), secrets.token_hex(4)
    return [cart(rng, f"shop-{mark}-{number:05d}") for number in range(1, orders + 1)]


def _read(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _fail(f"{file} cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            checkout = json_.loads(line)
        except ValueError as error:
            raise _fail(f"{file}, line {number}: {error}") from None
        if not isinstance(checkout, dict):
            raise _fail(f"{file}, line {number}: a checkout is a JSON object")
        found.append({"checkout_id": f"shop-{secrets.token_hex(6)}", **checkout})
    if not found:
        raise _fail(f"{file} holds no checkout")
    return found


async def _shop(
    url: str, checkouts: Sequence[dict[str, Any]], rate: float, wait_s: float, console: Console, *, quiet: bool
) -> tuple[bool, dict[str, Any]]:
    wanted = {str(checkout["checkout_id"]) for checkout in checkouts}
    said_at: dict[str, float] = {}
    words: dict[str, list[str]] = {key: [] for key in wanted}
    ended: dict[str, float] = {}
    message_ids: dict[str, str] = {}
    changed = asyncio.Event()

    async def hear(event: Heard) -> None:
        key = message_ids.get(event.key, event.key)
        if key not in wanted:
            return
        word = word_of(event)
        words[key].append(word)
        if word.partition(" ")[0] in ENDINGS:
            ended.setdefault(key, time.monotonic())
        changed.set()

    def draw() -> Table:
        counts = Counter(word for heard in words.values() for word in dict.fromkeys(heard))
        drawn = Table(
            box=None,
            min_width=46,
            title_justify="left",
            title=f"{len(said_at)} of {len(checkouts)} placed, {len(ended)} answered",
        )
        drawn.add_column("heard", style="bold")
        drawn.add_column("orders", justify="right")
        for word, count in counts.most_common():
            drawn.add_row(word.replace("_", " "), str(count))
        return drawn

    started = time.monotonic()
    async with Shopper(url, hear) as shopper:
        with _live(draw, console, quiet):
            for number, checkout in enumerate(checkouts):
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
                saying = place(checkout)
                message_ids[saying.id] = str(checkout["checkout_id"])
                said_at[str(checkout["checkout_id"])] = time.monotonic()
                await shopper.say(saying)
            ends = time.monotonic() + wait_s
            while len(ended) < len(wanted) and time.monotonic() < ends:
                changed.clear()
                try:
                    await asyncio.wait_for(changed.wait(), max(0.01, ends - time.monotonic()))
                except TimeoutError:
                    break
    took = sorted((ended[key] - said_at[key]) * 1000 for key in ended if key in said_at)
    p50, p99 = (round(took[len(took) // 2]), round(took[int(len(took) * 0.99)])) if took else (None, None)
    open_ = sorted(wanted - ended.keys())
    if not quiet:
        if not console.is_terminal:
            console.print(draw())
        told = f"answered after {p50} ms (median), {p99} ms (p99)" if took else "nothing was answered"
        console.print(told if not open_ else f"{told}; still open: {len(open_)}, for example {open_[0]}")
        if accepted := [key for key in sorted(wanted) if "accepted" in words[key]]:
            console.print(f"the story of one: oms order {accepted[0]}", highlight=False, markup=False, soft_wrap=True)
    return not open_, {
        "placed": len(checkouts),
        "answered": len(ended),
        "heard": dict(Counter(word for heard in words.values() for word in dict.fromkeys(heard))),
        "p50_ms": p50,
        "p99_ms": p99,
        "open": open_,
        "orders": {key: words[key] for key in sorted(wanted)} if len(wanted) <= 1_000 else {},
    }


@contextmanager
def _live(draw: Any, console: Console, quiet: bool) -> Iterator[None]:
    if quiet or not console.is_terminal:
        yield
        return
    with Live(console=console, get_renderable=draw, refresh_per_second=4):
        yield

"""Every command as an operator types it, against services that run: what it says to people, and to machines."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest

from services.sandbox.control import free_port
from tests.support.processes import ROOT
from tests.support.shopping import cart
from tests.support.terminal import System, bare, oms
from tests.support.until import until


@pytest.fixture(scope="module")
def shopped(system: System) -> dict[str, Any]:
    """Six orders, placed and followed by `oms shop`."""
    found: dict[str, Any] = system.json("shop", "--orders", "6", "--rate", "20")
    return found


def test_shop_places_orders_and_follows_them(shopped: dict[str, Any]) -> None:
    assert (shopped["placed"], shopped["answered"], shopped["open"]) == (6, 6, [])
    assert shopped["heard"]["confirmed"] == 6
    assert shopped["p50_ms"] > 0


def test_shop_names_an_order_whose_story_may_be_asked_for(system: System) -> None:
    told = system.text("shop", "--orders", "2", "--rate", "20")
    named = told.splitlines()[-1].partition("oms order ")[2]
    assert system.json("order", named)["checkout_id"] == named


def test_shop_takes_a_file(system: System, tmp_path: Path) -> None:
    file = tmp_path / "carts.jsonl"
    declined = cart(("TEA-AMBER", 1, 895), currency="GBP", token="tok_declined")
    file.write_text(json.dumps(declined) + "\n\n" + json.dumps({**declined, "lines": []}) + "\n")
    told = system.json("shop", "--file", str(file))
    assert told["heard"] == {"accepted": 1, "cancelled payment_declined": 1, "unreadable wrong_schema": 1}
    file.write_text("{}\nnonsense\n")
    assert "line 2" in oms(system.env, "shop", "--file", str(file)).stderr


def test_an_order_is_told_whole(system: System, shopped: dict[str, Any]) -> None:
    checkout_id = next(iter(shopped["orders"]))
    told = system.json("order", checkout_id)
    assert told["checkout_id"] == checkout_id
    assert len(told["lines"]) == 2
    names = {line["name"] for line in told["story"]}
    assert {"order.placed", "order.paid", "payment.captured"} <= names, names
    assert system.json("order", told["id"])["id"] == told["id"]
    text = system.text("order", told["id"])
    assert "Lines" in text and "Story" in text and "order.paid" in text
    assert max(map(len, text.splitlines())) <= 100


def test_an_order_tells_why_it_comes_from_where_it_does(system: System, shopped: dict[str, Any]) -> None:
    checkout_id = next(iter(shopped["orders"]))
    told = system.json("route", "explain", checkout_id)
    assert told["currency"] and told["decisions"][0]["strategy"] == "priority"
    assert "by the priority list" in system.text("route", "explain", told["order_id"])
    tried = system.json("route", "try", "--order", checkout_id)
    assert {one["strategy"] for one in tried["strategies"]} == {"priority", "nearest", "cheapest"}
    assert f"0.00 {told['currency']}" not in tried["strategies"][0]["in_words"]


def test_an_unknown_order_is_said_to_be(system: System) -> None:
    done = oms(system.env, "order", str(uuid4()))
    assert done.returncode == 2
    assert "no order has the id" in done.stderr


def test_queues_are_listed_with_what_waits(system: System) -> None:
    told = system.json("queues")
    queues = {one["name"]: one for one in told["queues"]}
    assert {"order", "storefront.requests", "inventory.dead", "storefront.demo-shop.events"} <= queues.keys()
    assert queues["order"]["consumers"] == 1
    assert {one["service"] for one in told["services"]} == {
        "order", "inventory", "payment", "fulfillment", "orchestrator",
    }  # fmt: skip
    assert "storefront.requests" in system.text("queues")


def test_a_virtual_host_without_our_queues_is_not_told_as_one_where_nothing_waits(system: System) -> None:
    if "MANAGEMENT_URL" not in system.env:
        pytest.skip("these servers have no management API")
    done = oms({name: value for name, value in system.env.items() if name != "AMQP_URL"}, "queues")
    assert done.returncode == 2
    assert "AMQP_URL says" in done.stderr


async def test_parked_messages_are_explained_replayed_and_dismissed(system: System) -> None:
    message_id = f"poison-{uuid4()}"
    connection = await aio_pika.connect(system.env["STOREFRONT_AMQP_URL"])
    async with connection:
        channel = await connection.channel()
        door = await channel.get_exchange("waybill.storefront", ensure=False)
        about = {"specversion": "1.0", "id": message_id, "source": "demo-shop", "type": "waybill.checkout.place.v1"}
        headers = {f"cloudEvents:{name}": value for name, value in about.items()}
        await door.publish(
            aio_pika.Message(b'{"half', headers=dict(headers), user_id="demo-shop"), "storefront.requests"
        )

    def listed() -> list[dict[str, Any]]:
        return [one for one in system.json("parked", "list") if one["head"].get("id") == message_id]

    (first,) = await until(lambda: listed() or None, "parked", within_s=60)
    assert (first["service"], first["reason"]) == ("orchestrator", "malformed_json")
    assert system.json("parked", "show", first["id"])["body"] == '{"half'
    assert "malformed_json" in system.text("parked", "show", first["id"])
    assert "malformed_json" in system.text("parked", "list")
    (replayed,) = system.json("parked", "replay", first["id"])
    assert replayed["done"] is True

    (second,) = await until(lambda: listed() or None, "parked again, for it is still broken", within_s=60)
    assert second["id"] != first["id"]
    (again,) = system.json("parked", "replay", first["id"])
    assert again["done"] is False
    (dismissed,) = system.json("parked", "dismiss", second["id"])
    assert dismissed["done"] is True
    assert listed() == []
    states = {one["id"]: one["state"] for one in system.json("parked", "list", "--all")}
    assert (states[first["id"]], states[second["id"]]) == ("replayed", "dismissed")
    assert "no parked message has the id" in oms(system.env, "parked", "show", str(uuid4())).stderr


async def test_a_run_is_shown_and_turned_back(system: System, tmp_path: Path) -> None:
    """A checkout whose payment follows waits; an operator turns it back after a preview."""
    file = tmp_path / "cart.jsonl"
    checkout_id = f"waits-{uuid4()}"
    cart = {
        "checkout_id": checkout_id,
        "customer": {"reference": "ada"},
        "shipping_address": {"name": "Ada", "line1": "1 Row", "city": "London", "country": "GB"},
        "lines": [{"sku": "TEA-AMBER", "quantity": 1, "unit_price": {"amount_minor": 895, "currency": "GBP"}}],
        "total": {"amount_minor": 895, "currency": "GBP"},
    }
    file.write_text(json.dumps(cart))
    told = system.json("shop", "--file", str(file), "--wait", "5", fails=True)
    assert told["open"] == [checkout_id]
    order_id = system.json("order", checkout_id)["id"]
    (run,) = [one for one in system.json("sagas", "stuck", "--all") if one["order_id"] == order_id]
    assert run["pending"] == ["authorize-payment"]
    assert "authorize-payment" in system.text("sagas", "show", run["id"])
    asked = oms(system.env, "sagas", "compensate", run["id"], said="n\n")
    assert asked.returncode == 1
    assert "ReleaseStock to inventory" in asked.stdout
    assert system.json("sagas", "compensate", run["id"], "--yes")["decided"] is True

    def cancelled() -> str | None:
        state: str = system.json("order", checkout_id)["state"]
        return state if state == "cancelled" else None

    await until(cancelled, "cancelled", within_s=60)
    assert "the run has ended" in oms(system.env, "sagas", "retry", run["id"], "--yes").stderr
    assert "no run is stuck" in system.text("sagas", "stuck")


def test_maintain_makes_days_ahead_and_may_be_repeated(system: System, shopped: dict[str, Any]) -> None:
    """While everything runs, with today's messages already there."""
    first = system.json("maintain")
    assert all(len(one["made"]) == 8 for one in first.values())
    assert first["sagas"]["moved"] > 0
    again = system.json("maintain")
    assert all(one == {"made": [], "moved": 0, "dropped": [], "feeds": 0} for one in again.values())
    assert system.json("shop", "--orders", "2")["heard"]["confirmed"] == 2
    assert "Inbox partitions" in system.text("maintain")


def test_every_command_is_listed_and_has_help() -> None:
    listed = set(re.findall(r"^│ ([\w-]+) ", oms(bare(), "--help").stdout, re.MULTILINE))
    told = set(re.findall(r"^\| `oms ([\w-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert told <= listed and len(told) > 10, told - listed
    asked = {command: oms(bare(), command, "--help") for command in listed}
    silent = {name: done.stderr for name, done in asked.items() if done.returncode or "Usage" not in done.stdout}
    assert silent == {}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("shop",), "STOREFRONT_AMQP_URL"),
        (("seed",), "AMQP_URL"),
        (("order", "x"), "ORDER_DATABASE_URL"),
        (("queues",), "ORDER_DATABASE_URL"),
        (("parked", "list"), "ORDER_DATABASE_URL"),
        (("sagas", "stuck"), "ORCHESTRATOR_DATABASE_URL"),
        (("stock", "audit"), "INVENTORY_DATABASE_URL"),
        (("feed", "sources"), "INVENTORY_DATABASE_URL"),
        (("feed", "import", "x", "--source", "x", "--sequence", "1", "--mode", "delta"), "INVENTORY_DATABASE_URL"),
        (("maintain",), "DATABASE_URL"),
        (("migrate",), "DATABASE_URL"),
        (("run", "order"), "ORDER_DATABASE_URL"),
        (("run", "payment"), "PAYMENT_DATABASE_URL"),
        (("run", "world"), "WAREHOUSE_AMQP_URL"),
        (("run", "nothing"), "no service is called nothing"),
    ],
)
def test_what_is_missing_is_named(arguments: tuple[str, ...], named: str) -> None:
    done = oms(bare(), *arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({}, "PROVIDER_URL or STRIPE_API_KEY"),
        ({"PROVIDER_URL": "http://provider.invalid"}, "WEBHOOK_SECRET is needed"),
        ({"PAYMENT_HTTP_PORT": "none"}, "PAYMENT_HTTP_PORT"),
    ],
)
def test_settings_that_make_no_sense_together_are_said_so(more: dict[str, str], named: str) -> None:
    places = {"DATABASE_URL": "postgresql://x@localhost/x", "AMQP_URL": "amqp://x@localhost/"}
    done = oms({**bare(), **places, **more}, "run", "payment")
    assert done.returncode == 2
    assert named in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_away_is_said_to_be() -> None:
    away = {**bare(), "STOREFRONT_AMQP_URL": f"amqp://demo-shop:secret@127.0.0.1:{free_port()}/waybill"}
    done = oms(away, "shop", "--orders", "1")
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert "secret" not in done.stderr


def test_a_database_that_is_away_is_said_to_be() -> None:
    away = {**bare(), "ORDER_DATABASE_URL": f"postgresql://waybill_order:secret@127.0.0.1:{free_port()}/waybill"}
    done = oms(away, "order", "x")
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert "secret" not in done.stderr

"""What an order still waits for, as its story has it."""

from typing import Any

import pytest

from services.ops.order import _parts, still_waits


def paid(**waits: int) -> dict[str, Any]:
    later = [
        {"sku": sku, "quantity": units, "kind": "backorder", "promised_at": "2026-01-15T12:00:00Z"}
        for sku, units in waits.items()
    ]
    return {"name": "order.paid", "metadata": {"waits": later} if later else {}}


def arrived(**units: int) -> dict[str, Any]:
    picks = [{"sku": sku, "quantity": many, "warehouse": "north"} for sku, many in units.items()]
    return {"name": "order.stock_arrived", "metadata": {"picks": picks}}


def left(*story: dict[str, Any]) -> dict[str, int]:
    return {wait["sku"]: wait["quantity"] for wait in still_waits(story)}


def test_who_was_promised_all_at_once_waits_for_nothing() -> None:
    assert left(paid()) == {}


def test_what_has_come_is_not_waited_for() -> None:
    assert left(paid(LAMP=3, CHAIR=1)) == {"LAMP": 3, "CHAIR": 1}
    assert left(paid(LAMP=3, CHAIR=1), arrived(CHAIR=1)) == {"LAMP": 3}
    assert left(paid(LAMP=3, CHAIR=1), arrived(CHAIR=1), arrived(LAMP=1, CHAIR=0)) == {"LAMP": 2}


def test_the_story_is_not_changed_by_reading_it() -> None:
    story = [paid(LAMP=2), arrived(LAMP=2)]
    assert left(*story) == left(*story) == {}


def settled(outcome: str, sku: str, quantity: int) -> dict[str, Any]:
    """As the story keeps it: a detail is text."""
    told = {"outcome": outcome, "sku": sku, "quantity": str(quantity), "promised_at": "2026-03-01T00:00:00+00:00"}
    return {"name": "order.shortage_settled", "metadata": told}


@pytest.mark.parametrize("name", ["order.cancelled", "order.payment_failed"])
def test_nothing_is_waited_for_when_the_money_is_gone(name: str) -> None:
    gone: dict[str, Any] = {"name": name, "metadata": {"missing_minor": "700", "cancelled": "LAMP: 2"}}
    assert left(paid(LAMP=2), gone) == {}


def test_a_missing_payment_is_told_in_words() -> None:
    facts = {"missing_minor": "4498", "currency": "EUR", "cancelled": "cup: 1", "items": {}, "why": "transfer_returned"}
    assert _parts({"metadata": facts}, "EUR") == ["44.98 EUR is missing", "cancelled cup: 1", "transfer returned"]


def test_who_chose_to_wait_for_what_was_missing_waits_until_it_comes() -> None:
    confirmed: dict[str, Any] = {"name": "order.confirmed", "metadata": {}}
    came = {"name": "order.stock_arrived", "metadata": {"picks": [{"sku": "rug", "quantity": 1}]}}
    story = [confirmed, settled("wait", "rug", 1), settled("wait", "rug", 2), settled("refund", "mug", 1)]
    (waits,) = still_waits(story)
    assert (waits["sku"], waits["quantity"], waits["kind"]) == ("rug", 3, "shortage")
    assert left(*story, came) == {"rug": 2}
    assert left(*story, came, came, came) == {}

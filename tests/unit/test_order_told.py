"""What an order still waits for, as its story has it."""

from typing import Any

from services.ops.order import still_waits


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

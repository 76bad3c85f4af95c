"""The demo's scenarios: carts add up, every kind is there, and a case knows when it is over."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from contracts.checkout import PlaceCheckout
from services.sandbox.carts import CURRENCIES, cart, receipts
from services.sandbox.case import Case, word_of
from services.sandbox.demo import became
from services.sandbox.operators import PRODUCTS, STOCK, SUPPLIES
from services.sandbox.scenarios import KIT_PARTS, SCARCE_UNITS, SCENARIOS, UNITS_LATER, cases
from services.sandbox.shopper import Heard, content_of


@pytest.mark.parametrize("seed", range(50))
def test_a_cart_can_be_read_and_adds_up(seed: int) -> None:
    made = PlaceCheckout.model_validate_json(json.dumps(cart(random.Random(seed), "c1")))
    parts = {"discount": -1, "tax": 1, "shipping": 1, "shipping_tax": 1}
    extras = sum(sign * money.amount_minor for name, sign in parts.items() if (money := getattr(made, name)))
    goods = sum(line.quantity * line.unit_price.amount_minor for line in made.lines)
    assert made.total.amount_minor == goods + extras > 0
    assert len(made.lines) == 2
    assert {line.unit_price.currency for line in made.lines} == {made.total.currency}


def test_carts_come_in_currencies_with_no_two_and_three_decimals() -> None:
    rng = random.Random(7)
    used = {cart(rng, f"c{n}")["total"]["currency"] for n in range(200)}
    assert {CURRENCIES[code] for code in used} == {0, 2, 3}


def test_a_cart_without_payment_has_none() -> None:
    assert "payment" not in cart(random.Random(1), "c1", token=None)


def test_receipts_name_every_shelf_once() -> None:
    body = receipts("r", {("TEA", "lyon"): 2, ("TEA", "leipzig"): 1})
    assert [(one["warehouse"], one["quantity"]) for one in body["receipts"]] == [("leipzig", 1), ("lyon", 2)]


@pytest.mark.parametrize("orders", [100, 200, 240, 1000])
def test_every_scenario_is_played_and_the_orders_are_as_many_as_asked(orders: int) -> None:
    played = cases(orders, seed=3)
    counts = Counter(case.scenario.name for case in played)
    assert set(counts) == {scenario.name for scenario in SCENARIOS}
    assert min(counts.values()) >= 2
    assert counts["the last units"] > SCARCE_UNITS
    assert sum(case.scenario.places_an_order for case in played) == orders
    assert len({case.key for case in played}) == len(played)
    assert played[0].scenario.idles, "what idles is begun first"


def test_the_same_seed_plays_the_same() -> None:
    def said(seed: int) -> list[bytes]:
        return [saying.body for case in cases(200, seed) for saying in case.begin()]

    assert said(5) == said(5) != said(6)


def heard(topic: str, **body: Any) -> Heard:
    return Heard("id", f"waybill.{topic}.v1", body)


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (heard("checkout.accepted", checkout_id="c"), "accepted"),
        (heard("checkout.refused", checkout_id="c", reason="key_reused"), "refused key_reused"),
        (heard("order.cancelled", checkout_id="c", reason="expired"), "cancelled expired"),
        (heard("order.refunded", checkout_id="c"), "refunded"),
        (heard("order.confirmed", checkout_id="c", detail={}), "confirmed"),
        (heard("order.confirmed", checkout_id="c", detail={"A": "2 by 2026-01-15, backorder"}), "confirmed backorder"),
        (
            heard("order.confirmed", detail={"A": "2 by 2026-01-15, preorder", "B": "1 by 2026-01-15, backorder"}),
            "confirmed backorder, preorder",
        ),
        (heard("order.shipped", checkout_id="c", detail={"tracking_number": "SP1"}), "shipped"),
        (heard("order.shipped", checkout_id="c", detail={"tracking_number": "SP1, SP2"}), "shipped in 2"),
        (heard("checkout.refund_concluded", refund_id="r", refunded=True), "refund done"),
        (heard("checkout.refund_concluded", refund_id="r", refunded=False, reason="not_paid"), "refund not_paid"),
        (heard("checkout.message_refused", message_id="m", reason="too_large"), "unreadable too_large"),
    ],
)
def test_an_event_is_a_word(event: Heard, word: str) -> None:
    assert word_of(event) == word


def a_case(name: str) -> Case:
    scenario = next(one for one in SCENARIOS if one.name == name)
    case = Case(scenario, random.Random(1), "c1")
    case.begin()
    return case


def tell(case: Case, *topics: str, **body: Any) -> None:
    for topic in topics:
        case.heard(heard(topic, checkout_id="c1", order_id="o1", **body))


def test_a_case_is_over_when_it_heard_all_it_must() -> None:
    case = a_case("paid at once")
    tell(case, "checkout.accepted", "order.confirmed")
    assert not case.is_over
    tell(case, "order.delivered")
    assert case.is_over and case.is_as_expected


def test_a_case_that_ends_otherwise_is_over_and_wrong() -> None:
    case = a_case("paid at once")
    tell(case, "checkout.accepted")
    tell(case, "order.cancelled", reason="expired")
    assert case.is_over and not case.is_as_expected
    assert case.unexpected == ["cancelled expired"]


def test_a_refund_is_asked_once_however_often_the_order_is_confirmed() -> None:
    case = a_case("refunded in full")
    confirmed = heard("order.confirmed", checkout_id="c1", order_id="o1")
    assert len(case.heard(confirmed)) == 2, "asked twice under one id, as impatient people do"
    assert case.heard(confirmed) == []
    assert [kind for kind, _, _ in case.said] == ["checkout", "refund", "refund"]


def test_what_cannot_be_read_is_answered_by_its_message_id() -> None:
    case = next(case for case in cases(200, 1) if case.scenario.name == "malformed JSON")
    (saying,) = case.begin()
    with pytest.raises(ValueError):
        json.loads(saying.body)
    assert case.said == [("message", saying.id, content_of(saying.body))]
    case.heard(heard("checkout.message_refused", message_id=saying.id, reason="malformed_json"))
    assert case.is_as_expected


def test_contents_that_mean_the_same_are_the_same() -> None:
    assert content_of(b'{"a": 1, "b": 2}') == content_of(b'{"b":2,"a":1}') != content_of(b'{"a": 2}')


# -- what is not there yet, and what is put together ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, word, _ in SUPPLIES])
def test_what_is_waited_for_comes_after_a_word_that_every_case_must_hear(name: str, word: str) -> None:
    scenario = next(one for one in SCENARIOS if one.name == name)
    assert all(word in end for end in scenario.ends)


def test_what_is_promised_for_later_is_not_there_for_anybody() -> None:
    on_shelves = Counter[str]()
    for (sku, _), units in STOCK.items():
        on_shelves[sku] += units
    supplies = {what["sku"]: what["supply"] for what in PRODUCTS if "supply" in what}
    for sku, supply in supplies.items():
        assert on_shelves[sku] < UNITS_LATER, f"{sku} ({supply}) could be sent at once"


def test_a_case_promised_all_at_once_where_it_should_wait_is_not_as_expected() -> None:
    case = a_case("backorder")
    tell(case, "checkout.accepted", "order.confirmed", "order.delivered")
    assert not case.is_as_expected
    later = heard(
        "order.confirmed", checkout_id="c1", order_id="o1", detail={"LAMP-LATER": "2 by 2026-01-15, backorder"}
    )
    case.heard(later)
    assert not case.is_as_expected, "nobody said that it came"
    tell(case, "order.stock_arrived")
    assert case.is_as_expected


def kits_of(count: int) -> list[Case]:
    found = []
    for _ in range(count):
        case = a_case("kit")
        tell(case, "checkout.accepted", "order.confirmed", "order.delivered")
        found.append(case)
    return found


def test_the_parts_of_kits_must_have_left_the_shelves() -> None:
    of = kits_of(2)
    moved = {("ship", part): 2 * units for part, units in KIT_PARTS.items()}
    good = became(of[0].scenario, of, moved)
    assert good.holds and good.words["units shipped"] == 2 * sum(KIT_PARTS.values())
    bad = became(of[0].scenario, of, moved | {("ship", "SET-CUP"): 3})
    assert not bad.holds and bad.wrong == ("3 units of SET-CUP shipped instead of 4",)

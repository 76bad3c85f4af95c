"""What may happen to a checkout, as a table: what the storefront does, and which words it must hear to be over."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from contracts.checkout import PlaceCheckout, ProvidePayment, ReplayOrderEvents, RequestRefund
from contracts.shortage import AnswerShortage, Choice
from contracts.values import MAX_QUANTITY
from services.sandbox.carts import GOODS, Line, cart
from services.sandbox.case import BAD, Case, Scenario
from services.sandbox.shopper import Saying, new_message_id, place

SCARCE: Final = "RARE-VASE"
SCARCE_UNITS: Final = 5
APART: Final = {"GLOBE-WEST": "leipzig", "GLOBE-EAST": "osaka"}
"""Each lies in one warehouse only: whoever wants both gets two shipments."""
BACKORDERED, PREORDERED, MADE_TO_ORDER = "LAMP-LATER", "BOOK-UNRELEASED", "CHAIR-MADE"
KIT: Final = "SET-FOR-TWO"
KIT_PARTS: Final = {"SET-POT": 1, "SET-CUP": 2}
RETURNED: Final = "HAT-RETURNED"
OVERSOLD: Final = {
    "oversold, exchanged": "RUG-WOVEN",
    "oversold, waits": "RUG-KNOTTED",
    "oversold, money back": "RUG-TUFTED",
    "oversold, no answer": "RUG-FELTED",
}
"""Scenario -> what a sync will say is not there after all."""
SUBSTITUTE: Final = "RUG-BRAIDED"
UNITS_LATER: Final = 2
"""Of what is not there, each buyer wants so many."""
NOWHERE: Final = "0195567a-0000-7000-8000-00000000dead"
"""An order nobody ever placed."""


# -- what a storefront does ----------------------------------------------------------------------------------------


def _places(
    token: str | None, lines: Callable[[random.Random], list[Line]] | None = None, method: str = "card"
) -> Callable[[Case], list[Saying]]:
    def first(case: Case) -> list[Saying]:
        case.checkout = cart(case.rng, case.key, token=token, lines=lines(case.rng) if lines else None, method=method)
        return [place(case.checkout)]

    return first


def _thrice(case: Case) -> list[Saying]:
    """Twice under one message id, as a broker might, and once under another, as an impatient shop does."""
    case.checkout = cart(case.rng, case.key)
    once = place(case.checkout)
    return [once, once, place(case.checkout)]


def _again(case: Case) -> list[Saying]:
    return [place(case.checkout)]


def _other_content(case: Case) -> list[Saying]:
    return [place({**case.checkout, "customer": {"reference": "somebody-else"}})]


def _pays(case: Case) -> list[Saying]:
    payment = {"checkout_id": case.key, "payment": {"method": "card", "token": "tok_ok"}}
    return [Saying(ProvidePayment.full_type, json.dumps(payment).encode(), new_message_id())]


def _refunds(share: Callable[[int], int], number: int = 1) -> Callable[[Case], list[Saying]]:
    """Asked twice each, as impatient people do."""

    def ask(case: Case) -> list[Saying]:
        total = case.checkout["total"]
        refund = {
            "refund_id": f"{case.key}-refund-{number}",
            "order_id": case.order_id,
            "amount": {**total, "amount_minor": share(total["amount_minor"])},
            "reason": "goodwill",
        }
        saying = Saying(RequestRefund.full_type, json.dumps(refund).encode(), new_message_id())
        return [saying, replace(saying, id=new_message_id())]

    return ask


def _refund_of_nothing(case: Case) -> list[Saying]:
    refund = {
        "refund_id": f"{case.key}-refund-1",
        "order_id": NOWHERE,
        "amount": {"amount_minor": 100, "currency": "EUR"},
    }
    return [Saying(RequestRefund.full_type, json.dumps(refund).encode(), new_message_id())]


def _pays_for_nothing(case: Case) -> list[Saying]:
    payment = {"checkout_id": case.key, "payment": {"method": "card", "token": "tok_ok"}}
    return [Saying(ProvidePayment.full_type, json.dumps(payment).encode(), new_message_id())]


def _chooses(choice: Choice) -> Callable[[Case], list[Saying]]:
    def answer(case: Case) -> list[Saying]:
        body = {"order_id": case.order_id, "shortage_id": case.details["order.shortage"]["shortage_id"]}
        body |= {"choice": choice.value} | ({"substitute": SUBSTITUTE} if choice is Choice.SUBSTITUTE else {})
        return [Saying(AnswerShortage.full_type, json.dumps(body).encode(), new_message_id())]

    return answer


def _replays(case: Case) -> list[Saying]:
    wish = {"order_id": case.order_id, "after_sequence": 0}
    return [Saying(ReplayOrderEvents.full_type, json.dumps(wish).encode(), new_message_id(), door="order.requests")]


def _changed(change: Callable[[dict[str, Any]], None]) -> Callable[[Case], list[Saying]]:
    """A checkout that can be read, with one thing wrong in it."""

    def first(case: Case) -> list[Saying]:
        case.checkout = cart(case.rng, case.key, currency="EUR")
        change(case.checkout)
        return [place(case.checkout)]

    return first


def _unreadable(
    change: Callable[[dict[str, Any]], bytes], *, type_: str = PlaceCheckout.full_type, source: str = ""
) -> Callable[[Case], list[Saying]]:
    """A message nobody can read; its refusal names its id."""

    def first(case: Case) -> list[Saying]:
        body = change(cart(case.rng, f"unreadable-{case.key}"))
        return [Saying(type_, body, case.key, source)]

    return first


def _mixed(checkout: dict[str, Any]) -> None:
    checkout["lines"][1]["unit_price"]["currency"] = "USD"


def _off_by_one(checkout: dict[str, Any]) -> None:
    checkout["total"]["amount_minor"] += 1


def _quantity(units: int) -> Callable[[dict[str, Any]], bytes]:
    def change(checkout: dict[str, Any]) -> bytes:
        checkout["lines"][0]["quantity"] = units
        return json.dumps(checkout).encode()

    return change


def _without_lines(checkout: dict[str, Any]) -> bytes:
    del checkout["lines"]
    return json.dumps(checkout).encode()


def _oversize(checkout: dict[str, Any]) -> bytes:
    return json.dumps({**checkout, "note": "x" * 300_000}).encode()


def _one_rare(rng: random.Random) -> list[Line]:
    return [Line(SCARCE, 1), Line(rng.choice(GOODS), 1)]


def _too_many(rng: random.Random) -> list[Line]:
    return [Line(rng.choice(GOODS[:10]), 1), Line(rng.choice(GOODS[10:]), MAX_QUANTITY)]


def _these(*lines: Line, and_another: bool = False) -> Callable[[random.Random], list[Line]]:
    """Just these, or with something that is always there."""

    def chosen(rng: random.Random) -> list[Line]:
        return [*lines, *([Line(rng.choice(GOODS), 1)] if and_another else [])]

    return chosen


def _never_stored(rng: random.Random) -> list[Line]:
    return [Line(rng.choice(GOODS), 1), Line("NO-SUCH-THING", 1)]


# -- the table -----------------------------------------------------------------------------------------------------

MORE: Final = frozenset({"oversold, money back"})
"""Where something else is in the cart."""
LATER: Final = "bnpl"
"""Bought now and paid later: held, and captured per shipment."""
DELIVERED: Final = ("accepted", "confirmed", "delivered")


def _later(kind: str) -> tuple[str, ...]:
    """Confirmed although not all of it is there."""
    return ("accepted", f"confirmed {kind}", "stock_arrived", "delivered")


PLACE: Final = PlaceCheckout.full_type

SCENARIOS: Final = (
    # how orders go well
    Scenario("paid at once", "by card, at once", 0, (DELIVERED,), _places("tok_ok")),
    Scenario("same message again", "three times, and once later", 10,
             ((*DELIVERED,),), _thrice, {"confirmed": _again}),
    Scenario("paid, then timeout", "done, but never answered", 10,
             (DELIVERED,), _places("tok_do_then_timeout")),
    Scenario("timeout, then paid", "not done, and never answered", 6,
             (DELIVERED,), _places("tok_timeout")),
    Scenario("provider error", "two errors, then it works", 8, (DELIVERED,), _places("tok_error")),
    Scenario("pending, then paid", "the provider says it later", 8, (DELIVERED,), _places("tok_pending_then_paid")),
    Scenario("duplicate webhook", "everything said twice", 8,
             (DELIVERED,), _places("tok_duplicate_webhook")),
    Scenario("webhook first", "the notice overtakes the answer", 6, (DELIVERED,), _places("tok_webhook_first")),
    Scenario("payment follows", "the payment comes later", 10,
             ((*DELIVERED, "payment_pending"),), _places(None), {"payment_pending": _pays}),
    Scenario("paid per shipment", "held; taken as parcels leave", 5, ((*DELIVERED, "shipped in 2"),),
             _places("tok_ok_capture_timeout", _these(*(Line(sku, 1) for sku in APART)), LATER)),
    Scenario("refunded before sent", "a part is never taken", 4, ((*DELIVERED, "refund done", "refunded"),),
             _places("tok_ok", method=LATER), {"confirmed": _refunds(lambda total: total // 4)}),
    # how they end early
    Scenario("card declined", "nothing is kept", 12, (("accepted", "cancelled payment_declined"),),
             _places("tok_declined")),
    Scenario("pending, then failed", "the provider says no, later", 8,
             (("accepted", "cancelled payment_declined"),), _places("tok_pending_then_failed")),
    Scenario("abandoned payment", "the reservation expires", 10,
             (("accepted", "payment_pending", "cancelled expired"),
              ("accepted", "payment_pending", "cancelled no_payment")), _places(None), idles=True),  # two clocks
    Scenario("short stock", "more than there is", 8, (("accepted", "cancelled stock_short"),),
             _places("tok_ok", _too_many)),
    Scenario("the last units", f"{SCARCE_UNITS} units, more buyers", 12,
             (DELIVERED, ("accepted", "cancelled stock_short")), _places("tok_ok", _one_rare),
             exactly={"confirmed": SCARCE_UNITS}),
    Scenario("unknown SKU", "nobody ever stored it", 6, (("accepted", "cancelled unknown_sku"),),
             _places("tok_ok", _never_stored)),
    # what is elsewhere, not there yet, or put together
    Scenario("split shipment", "no warehouse has all of it", 6, ((*DELIVERED, "shipped in 2"),),
             _places("tok_ok", _these(*(Line(sku, 1) for sku in APART)))),
    Scenario("backorder", "a stock feed brings the rest", 4, (_later("backorder"),),
             _places("tok_ok", _these(Line(BACKORDERED, UNITS_LATER), and_another=True))),
    Scenario("pre-order", "sent on its release date", 4, (_later("preorder"),),
             _places("tok_ok", _these(Line(PREORDERED, UNITS_LATER), and_another=True))),
    Scenario("made to order", "the workshop makes it first", 3, (_later("production"),),
             _places("tok_ok", _these(Line(MADE_TO_ORDER, UNITS_LATER), and_another=True))),
    Scenario("kit", "its parts leave the shelves", 6, (DELIVERED,),
             _places("tok_ok", _these(Line(KIT, 1), and_another=True)),
             moves={("ship", part): units for part, units in KIT_PARTS.items()}),
    Scenario("returned goods", "back on the shelf", 4, (DELIVERED,), _places("tok_ok", _these(Line(RETURNED, 1))),
             moves={("ship", RETURNED): 1, ("restock", RETURNED): 1}),
    # what was promised, and is not there after all
    *(
        Scenario(name, what, 3, (ends,), _places("tok_ok", _these(Line(OVERSOLD[name], 1), and_another=name in MORE)),
                 {"shortage": _chooses(choice)} if choice else {})
        for name, what, choice, ends in (
            ("oversold, exchanged", "a sync; another SKU is taken", Choice.SUBSTITUTE,
             ("accepted", "confirmed", "processing", "shortage", "settled substitute", "delivered")),
            ("oversold, waits", "a sync; waits for more", Choice.WAIT,
             ("accepted", "confirmed", "processing", "shortage", "settled wait", "stock_arrived", "delivered")),
            ("oversold, money back", "a sync; the rest is sent", Choice.REFUND,
             ("accepted", "confirmed", "processing", "shortage", "settled refund", "refunded", "delivered")),
            ("oversold, no answer", "a sync; all the money back", None,
             ("accepted", "confirmed", "processing", "shortage", "settled refund", "cancelled shortage", "refunded")),
        )
    ),
    # money back
    Scenario("refunded in full", "asked twice, given back once", 8, ((*DELIVERED, "refund done", "refunded"),),
             _places("tok_ok"), {"confirmed": _refunds(lambda total: total)}),
    Scenario("refunded in part", "a third, then another", 6, ((*DELIVERED, "refund done", "refunded"),),
             _places("tok_ok"), {"confirmed": _refunds(lambda total: total // 3),
                                 "refund done": _refunds(lambda total: total // 3, 2)}),
    Scenario("refund, slow provider", "given back, never answered", 4, ((*DELIVERED, "refund done", "refunded"),),
             _places("tok_ok_refund_timeout"), {"confirmed": _refunds(lambda total: total)}),
    Scenario("refund above total", "refused by name", 4, ((*DELIVERED, "refund above_refundable"),),
             _places("tok_ok"), {"confirmed": _refunds(lambda total: total + 1)}),
    Scenario("events again", "asks to be told again", 4, (DELIVERED,),
             _places("tok_ok"), {"delivered": _replays}),
    # what is refused by name
    Scenario("key reused", "the same id with other content", 8, ((*DELIVERED, "refused key_reused"),),
             _places("tok_ok"), {"accepted": _other_content}),
    Scenario("mixed currencies", "a line in another currency", 4, (("refused mixed_currencies",),),
             _changed(_mixed)),
    Scenario("totals do not add up", "off by one cent", 4, (("refused totals_do_not_add_up",),), _changed(_off_by_one)),
    Scenario("payment of nothing", "for a checkout nobody placed", 3, (("refused unknown_checkout",),),
             _pays_for_nothing, places_an_order=False),
    Scenario("refund of nothing", "for an order nobody placed", 3, (("refund unknown_order",),),
             _refund_of_nothing, places_an_order=False),
    # what nobody can read
    Scenario("zero quantity", "no line is empty", 2, (("unreadable wrong_schema",),), _unreadable(_quantity(0)),
             parks="wrong_schema", places_an_order=False),
    Scenario("negative quantity", "nor less than that", 2, (("unreadable wrong_schema",),), _unreadable(_quantity(-1)),
             parks="wrong_schema", places_an_order=False),
    Scenario("wrong schema", "a checkout without lines", 2, (("unreadable wrong_schema",),),
             _unreadable(_without_lines), parks="wrong_schema", places_an_order=False),
    Scenario("malformed JSON", "poison", 3, (("unreadable malformed_json",),),
             _unreadable(lambda checkout: json.dumps(checkout).encode()[:-9] + b"\xff"),
             parks="malformed_json", places_an_order=False),
    Scenario("unknown version", "of a message we know", 2, (("unreadable unknown_version",),),
             _unreadable(lambda checkout: json.dumps(checkout).encode(), type_=PLACE.replace(".v1", ".v9")),
             parks="unknown_version", places_an_order=False),
    Scenario("unknown message", "of a type nobody knows", 2, (("unreadable unknown_type",),),
             _unreadable(lambda checkout: json.dumps(checkout).encode(), type_="waybill.checkout.barter.v1"),
             parks="unknown_type", places_an_order=False),
    Scenario("oversize", "300 kB", 2, (("unreadable too_large",),), _unreadable(_oversize), parks="too_large",
             places_an_order=False),
    Scenario("forged source", "in another shop's name", 2, (("unreadable forged_source",),),
             _unreadable(lambda checkout: json.dumps(checkout).encode(), source="other-shop"),
             parks="forged_source", places_an_order=False),
)  # fmt: skip


def cases(orders: int, seed: int) -> list[Case]:
    """Every scenario more than once, shuffled, those that idle first; of them `orders` are checkouts one can read."""
    rng = random.Random(seed)
    counts = {scenario.name: max(2, round(scenario.per_240 * orders / 240)) for scenario in SCENARIOS[1:]}
    # of the last units there must be more buyers than units
    counts["the last units"] = max(counts["the last units"], SCARCE_UNITS + 3)
    placing = sum(counts[scenario.name] for scenario in SCENARIOS[1:] if scenario.places_an_order)
    counts[SCENARIOS[0].name] = max(2, orders - placing)
    found = [scenario for scenario in SCENARIOS for _ in range(counts[scenario.name])]
    rng.shuffle(found)
    found.sort(key=lambda scenario: not scenario.idles)
    return [
        Case(scenario, random.Random(rng.random()), _key(scenario, number))
        for number, scenario in enumerate(found, start=1)
    ]


def _key(scenario: Scenario, number: int) -> str:
    if scenario.parks:
        return f"{BAD}{number:04d}"
    return f"unknown-{number:04d}" if "refused unknown_checkout" in scenario.ends[0] else f"demo-{number:04d}"

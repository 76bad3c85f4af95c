"""What storefronts do in a schedule: checkouts of every payment kind, over SKUs that are too few for everybody, on
their way, not released yet, or put together from others; and what arrives meanwhile.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from contracts.checkout import PaymentToken, PlaceCheckout, ProvidePayment
from contracts.inventory import ReceiveStock, StockReceipt
from contracts.product import DescribeProduct, Supply
from contracts.warehousing import CountedUnits, CountStock
from tests.simulation.outside import Shop, Wish
from tests.simulation.stock import NORTH, SOLD, SOUTH, Word
from tests.support.checkouts import a_checkout

STOCKED: Final = ("tea", "cup", "pot")
KIT, BACKORDERED, PREORDERED = "set", "mug", "game"
SKUS: Final = (*STOCKED, *STOCKED, KIT, BACKORDERED, PREORDERED, SOLD)
NEVER_SHORT: Final = (BACKORDERED, PREORDERED, SOLD)
MAY_WAIT: Final = 6
"""Units of a SKU that may wait at once. Who is served makes room for others, so more than that may wait in all."""
RELEASED_AFTER: Final = timedelta(hours=6)
ENOUGH_AFTER: Final = timedelta(days=20)
WAREHOUSES: Final = (NORTH, SOUTH)
SHOPS: Final = ("shop-a", "shop-b")
ORDERS: Final = (5, 6)
UNREADABLE: Final = "unreadable"
HOLD_S: Final = 900.0
UNIT_PRICES_MINOR: Final = (1_999, 1, 33_333)


@dataclass(frozen=True)
class Plan:
    """A shop, its checkout, and when it begins."""

    rng: random.Random
    shop: Shop
    checkout_id: str
    lines: dict[str, int]
    at: datetime

    def place(self, token: str | None, method: str = "card", wait_s: float = 0.0) -> PlaceCheckout:
        price = self.rng.choice(UNIT_PRICES_MINOR)
        checkout = a_checkout(self.checkout_id, self.lines, token=token, method=method, unit_price_minor=price)
        self.say(checkout, wait_s)
        return checkout

    def pay(self, wait_s: float, token: str = "tok_ok") -> None:
        payment = ProvidePayment(checkout_id=self.checkout_id, payment=PaymentToken(token=token))
        self.say(payment, wait_s)

    def say(self, message: PlaceCheckout | ProvidePayment, wait_s: float = 0.0, id_: str = "") -> None:
        self.shop.wishes.append(Wish(self.at + timedelta(seconds=wait_s), message, id_))


def _token(token: str) -> Callable[[Plan], None]:
    def kind(plan: Plan) -> None:
        plan.place(token)

    return kind


def _by(method: str, token: str) -> Callable[[Plan], None]:
    def kind(plan: Plan) -> None:
        plan.place(token, method=method)

    return kind


def _refunded(method: str = "card") -> Callable[[Plan], None]:
    def kind(plan: Plan) -> None:
        tail = plan.rng.choice(("", "_refund_error", "_refund_timeout"))
        plan.shop.refunds[plan.checkout_id] = plan.rng.choice([[-1], [100, 200], [-1, 1], [100, -1, 10**9]])
        plan.place(f"tok_ok{tail}", method=method)

    return kind


def _wire(plan: Plan, calls_back: bool = False) -> None:
    """Of what nobody counts too few of: what comes short of a paid order owes a refund, and that is another story."""
    lines = dict(zip(plan.rng.sample(NEVER_SHORT, len(plan.lines)), plan.lines.values(), strict=True))
    if calls_back:
        plan.shop.calls_back.add(plan.checkout_id)
    replace(plan, lines=lines).place("none", method="wire")


def _wire_called_back(plan: Plan) -> None:
    _wire(plan, calls_back=True)


def _same_checkout_again(plan: Plan) -> None:
    """A client that retries: under the same message id, and under a new one."""
    checkout = plan.place("tok_ok")
    plan.say(checkout, plan.rng.choice((0.0, 1.0, 2_000.0)))
    plan.shop.wishes[-1].id_ = plan.shop.wishes[-2].id_ = f"message-of-{plan.checkout_id}"
    plan.say(checkout, plan.rng.choice((0.0, 5.0)))


def _key_reused(plan: Plan) -> None:
    checkout = plan.place("tok_ok")
    plan.say(checkout.model_copy(update={"billing_address": checkout.shipping_address}), plan.rng.choice((0.0, 60.0)))


def _payment_follows(plan: Plan) -> None:
    plan.place(None)
    plan.pay(plan.rng.uniform(0.0, HOLD_S * 0.9))


def _payment_first(plan: Plan) -> None:
    plan.place(None, wait_s=2.0)
    plan.pay(0.0)


def _payment_too_late(plan: Plan) -> None:
    plan.place(None)
    plan.pay(HOLD_S + plan.rng.choice((-1.0, 0.0, 0.5, 30.0, 600.0)))


def _silence(plan: Plan) -> None:
    plan.place(None)


def _unreadable_first(plan: Plan) -> None:
    """Half a message: told so, parked, and in nobody's way."""
    checkout = plan.place("tok_ok", wait_s=1.0)
    broken = checkout.model_copy(update={"checkout_id": f"{UNREADABLE}-{plan.checkout_id}"})
    plan.shop.wishes.append(Wish(plan.at, broken, f"broken-{plan.checkout_id}", broken=True))


def _two_payments(plan: Plan) -> None:
    plan.place(None)
    plan.pay(1.0)
    plan.pay(plan.rng.choice((1.0, 30.0)), token="tok_ok_void_error")


KINDS: Final[dict[str, Callable[[Plan], None]]] = {
    "ok": _token("tok_ok"),
    "declined": _token("tok_declined"),
    "error": _token("tok_error"),
    "timeout": _token("tok_timeout_void_error"),
    "do then timeout": _token("tok_do_then_timeout_void_timeout"),
    "pending": _token("tok_pending"),
    "pending then paid": _token("tok_pending_then_paid"),
    "pending then failed": _token("tok_pending_then_failed"),
    "transfer, paid": _by("transfer", "tok_pending_then_paid"),
    "transfer, never": _by("transfer", "tok_pending"),
    "per shipment": _by("bnpl", "tok_ok"),
    "per shipment, decided later": _by("bnpl", "tok_pending_then_paid"),
    "per shipment, captures fail": _by("bnpl", "tok_do_then_timeout_capture_timeout_void_error"),
    "per shipment, refunded": _refunded("bnpl"),
    "wire": _wire,
    "wire, called back": _wire_called_back,
    "wire, called back again": _wire_called_back,  # twice in this table, like refunds
    "duplicate webhook": _token("tok_duplicate_webhook"),
    "webhook first": _token("tok_webhook_first"),
    "refunded": _refunded(),
    "refunded again and again": _refunded(),  # twice in this table: refunds have fewer chances than checkouts
    "same checkout again": _same_checkout_again,
    "key reused": _key_reused,
    "payment follows": _payment_follows,
    "payment first": _payment_first,
    "payment too late": _payment_too_late,
    "silence": _silence,
    "two payments": _two_payments,
    "unreadable first": _unreadable_first,
}


def write(rng: random.Random, start: datetime, shops: dict[str, Shop], played: Counter[str]) -> None:
    """Give the shops their wishes."""
    for number in range(rng.randint(*ORDERS)):
        kind = rng.choice(list(KINDS))
        played[kind] += 1
        skus = dict.fromkeys(rng.sample(SKUS, rng.randint(1, 2)))
        lines = {sku: rng.randint(1, 3) for sku in skus}
        at = start + timedelta(seconds=rng.choice((0.0, 0.0, 0.0, 20.0, 500.0, 890.0)))
        KINDS[kind](Plan(rng, shops[rng.choice(SHOPS)], f"c{number}", lines, at))


def stock(rng: random.Random) -> ReceiveStock:
    receipts = [
        StockReceipt(sku=sku, warehouse=warehouse, quantity=rng.randint(1, 4))
        for sku in (*STOCKED, BACKORDERED)
        for warehouse in WAREHOUSES
    ]
    return ReceiveStock(reference="opening", receipts=tuple(receipts))


def products(start: datetime) -> list[DescribeProduct]:
    described = (
        {"sku": "tea", "substitutes": ["pot"], "lead_days": 3},
        {"sku": KIT, "supply": Supply.KIT, "parts": {"tea": 1, "cup": 2}},
        {"sku": BACKORDERED, "supply": Supply.BACKORDER, "limit": MAY_WAIT, "lead_days": 7},
        {"sku": PREORDERED, "supply": Supply.PREORDER, "limit": MAY_WAIT, "release_at": start + RELEASED_AFTER},
    )
    return [DescribeProduct.model_validate({**what, "as_of": start}) for what in described]


def deliveries(rng: random.Random, start: datetime) -> list[Word]:
    """What may be waited for, in parts: some while checkouts are under way, the rest days later. Somebody counts a
    shelf and finds less, or more, than was thought; in the end there is enough of everything for whoever waits on."""
    found: list[Word] = []
    for number in range(rng.choice((0, 0, 1, 2))):
        at = start + timedelta(seconds=rng.choice((2.0, 60.0, 1_000.0, 100_000.0)))
        counts = tuple(CountedUnits(sku=sku, counted=rng.choice((0, 0, 1, 3))) for sku in rng.sample(STOCKED, 2))
        where = rng.choice(WAREHOUSES)
        count = CountStock(reference=f"count-{number}", warehouse=where, counts=counts, as_of=at, by="sim")
        found.append(Word(at, "keeper", count))
    enough = tuple(StockReceipt(sku=sku, warehouse=NORTH, quantity=20) for sku in (*STOCKED, BACKORDERED, PREORDERED))
    found.append(Word(start + ENOUGH_AFTER, "warehouse", ReceiveStock(reference="enough", receipts=enough)))
    for sku in (BACKORDERED, PREORDERED):
        left = MAY_WAIT
        while left:
            units = rng.randint(1, left)
            left -= units
            at = start + timedelta(seconds=rng.choice((1.0, 30.0, 899.0, 5_000.0, 200_000.0)))
            receipt = StockReceipt(sku=sku, warehouse=rng.choice(WAREHOUSES), quantity=units)
            found.append(Word(at, "warehouse", ReceiveStock(reference=f"{sku}-{left}", receipts=(receipt,))))
    return found

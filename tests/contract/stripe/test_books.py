"""Hundreds of seeded calls with everything going wrong: their books and what we learned agree to the cent."""

import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from services.payment.provider.port import (
    Authorized,
    AuthorizeRequest,
    Captured,
    CaptureRequest,
    Declined,
    Impossible,
    Pending,
    Prepared,
    ProviderAnswer,
    Refunded,
    RefundRequest,
    Settled,
    Unknown,
    Voided,
    VoidRequest,
)
from services.sandbox.stripe.tokens import Fault
from tests.support.stripe_rig import StripeRig

pytestmark = pytest.mark.asyncio

OPERATIONS = 300
TOKENS = ("pm_card_visa",) * 6 + (
    "pm_card_chargeDeclined",
    "pm_sandbox_pending",
    "pm_sandbox_do_then_timeout",
    "pm_sandbox_error",
    "pm_card_createDispute",
    "pm_sandbox_dispute_won",
    "pm_sandbox_dispute_lost",
    "pm_sandbox_ok_refund_timeout_void_error",
)
FAULTS = tuple(fault for fault in Fault if fault is not Fault.NONE)
ASKS = 6  # every fault passes sooner
CURRENCIES = ("EUR", "EUR", "USD", "JPY")
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass
class Ours:
    """What we believe of one payment, from the answers alone."""

    currency: str
    amount_minor: int
    status: str = "prepared"
    captured_minor: int = 0
    refunded_minor: int = 0
    voided_minor: int = 0


@dataclass
class Shop:
    rig: StripeRig
    random: random.Random
    payments: dict[str, Ours] = field(default_factory=dict)
    calls: int = 0

    async def known(self, operation: str, call: Callable[[], Awaitable[ProviderAnswer]]) -> ProviderAnswer:
        """Asked with the same key until it is known; and once more, to hear the same."""
        self.rig.server.faults.clear()
        if self.random.random() < 0.35:
            self.rig.server.faults.order(operation, self.random.choice(FAULTS), times=1)
        self.calls += 1
        for _ in range(ASKS):
            answer = await call()
            if not isinstance(answer, Unknown):
                if self.random.random() < 0.2:
                    again = await call()
                    assert type(again) is type(answer), (answer, again)
                return answer
        raise AssertionError(f"{operation} was never known: {answer}")

    async def pays(self) -> None:
        key, currency = f"attempt {self.calls}", self.random.choice(CURRENCIES)
        amount_minor, capture = self.random.randint(100, 100_000), self.random.random() < 0.4
        request = AuthorizeRequest(amount_minor, currency, self.random.choice(TOKENS), key, capture)
        prepared = await self.known("create", lambda: self.rig.provider.prepare(key, request))
        assert isinstance(prepared, Prepared)
        ours = self.payments[prepared.provider_payment_id] = Ours(currency, amount_minor)
        request = replace(request, provider_payment_id=prepared.provider_payment_id)
        match await self.known("confirm", lambda: self.rig.provider.authorize(key, request)):
            case Captured(_, captured_minor):
                ours.status, ours.captured_minor = "captured", captured_minor
            case Authorized():
                ours.status = "authorized"
            case Pending():
                ours.status = "pending"
            case Declined():
                ours.status = "declined"
            case other:
                raise AssertionError(other)

    async def captures(self, id_: str, ours: Ours) -> None:
        key, part = f"capture {self.calls}", self.random.randint(1, ours.amount_minor)
        match await self.known("capture", lambda: self.rig.provider.capture(key, CaptureRequest(id_, part))):
            case Captured():
                ours.status = "captured"
                ours.captured_minor += part
            case Impossible():
                assert part > ours.amount_minor - ours.captured_minor - ours.voided_minor or ours.status != "authorized"
            case other:
                raise AssertionError(other)

    async def voids(self, id_: str, ours: Ours) -> None:
        key = f"void {self.calls}"
        match await self.known("cancel", lambda: self.rig.provider.void(key, VoidRequest(id_))):
            case Voided(_, voided_minor):
                ours.voided_minor += voided_minor
                ours.status = ours.status if ours.captured_minor else "voided"
            case Impossible():
                assert ours.captured_minor or ours.status == "voided"
            case other:
                raise AssertionError(other)

    async def refunds(self, id_: str, ours: Ours) -> None:
        key, part = f"refund {self.calls}", self.random.randint(1, max(1, ours.captured_minor))
        match await self.known("refund", lambda: self.rig.provider.refund(key, RefundRequest(id_, part))):
            case Refunded():
                ours.refunded_minor += part
            case Impossible(error):
                above = part > ours.captured_minor - ours.refunded_minor
                assert above or error == "charge_disputed", (error, ours, part)
            case other:
                raise AssertionError(other)

    async def settles(self) -> None:
        for id_, ours in self.payments.items():
            if ours.status == "pending":
                await self.rig.settle(id_, paid=self.random.random() < 0.6)
                self.learn(ours, await self.rig.provider.find(id_))
                return

    async def disputes(self, id_: str, ours: Ours) -> None:
        charge = self.rig.server.shelf.intents[id_].charge
        if ours.captured_minor and charge is not None and not charge.disputed:
            await self.rig.script("dispute", payment_intent=id_, amount=self.random.randint(1, ours.captured_minor))
        for dispute in list(self.rig.server.shelf.disputes):
            if self.random.random() < 0.3:
                await self.rig.script("dispute/close", dispute=dispute, won=self.random.random() < 0.5)

    def learn(self, ours: Ours, answer: ProviderAnswer) -> None:
        match answer:
            case Captured(_, captured_minor):
                ours.status, ours.captured_minor = "captured", captured_minor
            case Authorized():
                ours.status = "authorized"
            case _:
                ours.status = "failed"


async def play(rig: StripeRig, seed: int) -> Shop:
    shop = Shop(rig, random.Random(seed))
    while shop.calls < OPERATIONS:
        if not shop.payments or shop.random.random() < 0.25:
            await shop.pays()
            continue
        id_ = shop.random.choice(list(shop.payments))
        ours = shop.payments[id_]
        match shop.random.choices(("capture", "void", "refund", "settle", "dispute"), (4, 1, 4, 1, 1))[0]:
            case "capture":
                await shop.captures(id_, ours)
            case "void":
                await shop.voids(id_, ours)
            case "refund":
                await shop.refunds(id_, ours)
            case "settle":
                await shop.settles()
            case _:
                await shop.disputes(id_, ours)
    return shop


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_their_books_and_ours_agree_to_the_cent(seed: int) -> None:
    rig = await StripeRig(hang_s=0.001, webhook_url="").start()
    try:
        shop = await play(rig, seed)
        books = await rig.their_books()
        theirs: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in books["entries"]:
            theirs[entry["payment_intent"]][entry["kind"]] += entry["amount"]
        for id_, ours in shop.payments.items():
            believed = (ours.captured_minor, ours.refunded_minor, ours.voided_minor)
            assert believed == (theirs[id_]["capture"], theirs[id_]["refund"], theirs[id_]["void"]), (id_, ours)
            match await rig.provider.find(id_):
                case Captured(_, captured_minor, refunded_minor):
                    assert (captured_minor, refunded_minor) == believed[:2]
                case Refunded(_, refunded_minor):
                    assert (refunded_minor, refunded_minor) == believed[:2]
                case _:
                    assert believed[:2] == (0, 0)
        done = Counter((entry["kind"], entry["key"]) for entry in books["entries"] if entry["key"])
        assert set(done.values()) == {1}, "a key that did something twice"
        settled = await rig.client.list_settlements(EPOCH)
        assert_settled(settled, books["accounts"], theirs, shop)
    finally:
        await rig.stop()


def assert_settled(
    settled: Sequence[Settled],
    accounts: dict[str, dict[str, int]],
    theirs: dict[str, Counter[str]],
    shop: Shop,
) -> None:
    """Every cent of our balance is a line of a payment of ours, and the lines are what the payments say."""
    assert len({line.id for line in settled}) == len(settled)
    balance: Counter[str] = Counter()
    by_payment: dict[str, Counter[str]] = defaultdict(Counter)
    for line in settled:
        assert line.reference.startswith("attempt ")
        assert line.currency == shop.payments[line.provider_payment_id].currency
        balance[line.currency] += line.amount_minor - line.fee_minor
        by_payment[line.provider_payment_id][line.kind] += line.amount_minor
        by_payment[line.provider_payment_id]["fee"] += line.fee_minor
    for currency, totals in accounts.items():
        assert sum(totals.values()) == 0
        assert totals.get("balance", 0) == balance[currency.upper()]
    for id_, ours in shop.payments.items():
        lines, entries = by_payment[id_], theirs[id_]
        assert lines["payment"] == ours.captured_minor
        assert lines["refund"] == -ours.refunded_minor
        assert lines["dispute"] == -entries["dispute"]
        assert lines["dispute_reversal"] == entries["dispute_won"]
        assert lines["fee"] == entries["fee"]

"""The world outside: a provider that may not answer, a warehouse that reports, storefronts that ask and listen."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

import orjson

from contracts.checkout import CheckoutAccepted, RequestRefund
from contracts.fulfillment import ReportShipment
from contracts.message import Message
from contracts.order import OrderConfirmedEvent, OrderPaymentPendingEvent, OrderShortageEvent
from contracts.shortage import AmendShipment, AnswerShortage, Choice
from contracts.statement import BookedEntry, BookStatement
from contracts.values import FulfillmentStatus, Money
from services.payment.creditor_reference import reference_of
from services.payment.provider.bank import BankTransfer
from services.payment.provider.port import (
    AuthorizeRequest,
    CaptureRequest,
    ProviderAnswer,
    RefundRequest,
    Unknown,
    VoidRequest,
)
from shared.envelope import Envelope
from tests.simulation.faults import Fault, Faults
from tests.simulation.steps import pause
from tests.simulation.stock import Word
from tests.support.checkouts import CURRENCY
from tests.support.scripted_provider import ScriptedProvider

F = FulfillmentStatus
PLANS: Final = (
    (F.SHIPPED, F.DELIVERED),
    (F.DELIVERED,),
    (F.ACKNOWLEDGED, F.SHIPPED, F.DELIVERED),
    (F.ACKNOWLEDGED, F.PICKING, F.PICKED, F.PACKING, F.PACKED, F.LABELED, F.SHIPPED, F.DELIVERED),
)
"""What a warehouse says of a shipment; a silent warehouse catches up with its last word."""
SLOWEST_REPORT_S: Final = 600.0


class UnreliableProvider:
    """The scripted provider behind a line that may break before or after it has done what was asked."""

    prepares: ClassVar[bool] = False

    def __init__(self, provider: ScriptedProvider, faults: Faults) -> None:
        self.provider, self._faults = provider, faults

    async def _ask(self, call: Callable[[], Awaitable[ProviderAnswer]]) -> ProviderAnswer:
        await pause("ask the provider")
        if self._faults.strikes(Fault.UNKNOWN_UNDONE):
            return Unknown("connection: lost on the way there")
        answer = await call()
        await pause("the provider answers")
        if self._faults.strikes(Fault.UNKNOWN_DONE):
            return Unknown("connection: lost on the way back")
        return answer

    async def prepare(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        return await self._ask(lambda: self.provider.prepare(key, request))

    async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        return await self._ask(lambda: self.provider.authorize(key, request))

    async def capture(self, key: str, request: CaptureRequest) -> ProviderAnswer:
        return await self._ask(lambda: self.provider.capture(key, request))

    async def void(self, key: str, request: VoidRequest) -> ProviderAnswer:
        return await self._ask(lambda: self.provider.void(key, request))

    async def refund(self, key: str, request: RefundRequest) -> ProviderAnswer:
        return await self._ask(lambda: self.provider.refund(key, request))

    async def withdraw(self, key: str, authorize_key: str) -> ProviderAnswer:
        return await self._ask(lambda: self.provider.withdraw(key, authorize_key))

    async def find(self, provider_payment_id: str) -> ProviderAnswer:
        return await self._ask(lambda: self.provider.find(provider_payment_id))


class Bank(BankTransfer):
    """Customers pay what they are told to quote, and some have it called back once their order is confirmed. What we
    owe is paid out later. Each booking is on a statement of its own; `payments` is what the bank would say."""

    def __init__(self, rng: random.Random, clock: Callable[[], datetime], show: Callable[[Word], None]) -> None:
        self._rng, self._clock, self._show = rng, clock, show
        self._orders: dict[str, str] = {}
        self._asked: set[str] = set()
        self.payments: dict[str, dict[str, Any]] = {}

    def pays(self, order_id: str, quote: str, amount_minor: int) -> None:
        """Perhaps when nobody waits for it any more."""
        if quote in self._orders:
            return
        self._orders[quote] = order_id
        self.payments[order_id] = {"reference": order_id, "quote": quote, "status": "", "captured_minor": amount_minor}
        self.payments[order_id] |= {"refunded_minor": 0, "taken_back_minor": 0}
        self._book(quote, amount_minor, self._rng.choice((0.0, 5.0, 300.0, 3_600.0)))

    def calls_back(self, order_id: str) -> None:
        payment = self.payments[order_id]
        payment["taken_back_minor"] = payment["captured_minor"]
        wait_s = self._rng.choice((0.0, 1.0, 60.0, 400.0, 2_000.0, 400_000.0))
        self._book(payment["quote"], -payment["captured_minor"], wait_s, reversal=True)

    async def refund(self, key: str, request: RefundRequest) -> ProviderAnswer:
        """Asked again and again until a statement shows it: one transfer."""
        if key not in self._asked:
            self._asked.add(key)
            order_id = self._orders[request.provider_payment_id]
            self.payments[order_id]["refunded_minor"] += request.amount_minor
            self._book(reference_of(key), -request.amount_minor, self._rng.choice((60.0, 20_000.0)))
        return await super().refund(key, request)

    def _book(self, reference: str, amount_minor: int, wait_s: float, *, reversal: bool = False) -> None:
        at = self._clock() + timedelta(seconds=wait_s)
        name = f"{reference}{'-back' if reversal else ''}"
        entry = BookedEntry(
            bank_reference=name,
            booked_on=at.date(),
            amount_minor=amount_minor,
            currency=CURRENCY,
            reversal=reversal,
            reference=reference,
        )
        self._show(Word(at, "treasurer", BookStatement(account="A", statement=name, entries=(entry,), by="sim")))


@dataclass
class ScriptedWarehouse:
    """Hears `OrderShipment`, plans its reports once per shipment, and says each when its time has come."""

    rng: random.Random
    clock: Callable[[], datetime]
    shipments: dict[str, Any] = field(default_factory=dict)
    """What was ordered, by its id, as it was amended; all of it leaves in the end."""
    amended: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Of a shipment, the highest revision and what is left of it; perhaps before it was ordered."""
    reports: list[tuple[datetime, ReportShipment]] = field(default_factory=list)

    def hear(self, envelope: Envelope) -> None:
        order = orjson.loads(envelope.body)
        shipment = order["fulfillment_id"]
        if envelope.type == AmendShipment.full_type:
            self._amend(shipment, order)
            return
        if shipment in self.shipments:
            return  # the same order twice is the same shipment
        self.shipments[shipment] = order
        if shipment in self.amended:
            _, order["picks"] = self.amended[shipment]
        if not order["picks"]:
            return  # called off before it was heard of
        at = self.clock()
        for number, status in enumerate(self.rng.choice(PLANS)):
            at += timedelta(seconds=self.rng.uniform(0, SLOWEST_REPORT_S))
            report = ReportShipment(
                report_id=f"{shipment}-{number}",
                fulfillment_id=UUID(shipment),
                status=status,
                carrier="post" if status is F.SHIPPED else "",
                tracking_number=f"T{shipment[-6:]}" if status is F.SHIPPED else "",
                occurred_at=at,
            )
            self.reports.append((at, report))

    def _amend(self, shipment: str, word: Any) -> None:
        revision, _ = self.amended.get(shipment, (0, None))
        if word["revision"] <= revision:
            return
        self.amended[shipment] = word["revision"], word["picks"]
        if shipment in self.shipments:
            self.shipments[shipment]["picks"] = word["picks"]
        if not word["picks"]:  # nothing more is reported of it
            self.reports = [one for one in self.reports if str(one[1].fulfillment_id) != shipment]

    def due_reports(self) -> list[ReportShipment]:
        now = self.clock()
        due = [report for at, report in self.reports if at <= now]
        self.reports = [item for item in self.reports if item[0] > now]
        return due

    def next_instant(self) -> datetime | None:
        return min((at for at, _ in self.reports), default=None)


@dataclass
class Wish:
    """What a storefront will say: not before `at`; `id_` repeats under the same message id; `broken` on its way."""

    at: datetime
    message: Message
    id_: str = ""
    broken: bool = False


@dataclass
class Shop:
    """A storefront: what it will say, what it heard, and the refunds it asks for once an order is confirmed."""

    name: str
    wishes: list[Wish] = field(default_factory=list)
    refunds: dict[str, list[int]] = field(default_factory=dict)
    """Amounts to ask back, by checkout; -1 is all of it."""
    bank: Bank | None = None
    calls_back: set[str] = field(default_factory=set)
    """Checkouts whose customer pays by transfer and has it called back."""
    provider: ScriptedProvider | None = None
    lapses: dict[str, float] = field(default_factory=dict)
    """Checkouts whose money is held and let go by the provider, so many seconds after they were confirmed."""
    orders: dict[str, str] = field(default_factory=dict)
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: list[Message] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def hear(self, envelope: Envelope, now: datetime) -> None:
        """An event; a repeated one keeps its id and is heard once."""
        if envelope.id in self.ids:
            return
        self.ids.add(envelope.id)
        said = orjson.loads(envelope.body)
        self.heard.append((envelope.type, said))
        if envelope.type == CheckoutAccepted.full_type:
            self.orders[said["checkout_id"]] = said["order_id"]
        elif envelope.type == OrderPaymentPendingEvent.full_type and "quote" in said["detail"]:
            assert self.bank is not None
            self.bank.pays(said["order_id"], said["detail"]["quote"], said["total_minor"])
        elif envelope.type == OrderConfirmedEvent.full_type:
            self._ask_refunds(said, now)
            if said["checkout_id"] in self.calls_back:
                assert self.bank is not None
                self.bank.calls_back(said["order_id"])
            if said["checkout_id"] in self.lapses:
                assert self.provider is not None
                self.provider.lets_go(said["order_id"], now + timedelta(seconds=self.lapses[said["checkout_id"]]))
        elif envelope.type == OrderShortageEvent.full_type:
            self._answer(said["detail"], said["order_id"], now)

    def _answer(self, short: dict[str, str], order_id: str, now: datetime) -> None:
        """One customer in five says nothing; others change their mind, or answer when it is too late."""
        chance = UUID(short["shortage_id"]).int
        substitute = short["substitutes"] or None
        wishes = (Choice.WAIT, Choice.REFUND, Choice.SUBSTITUTE if substitute else Choice.WAIT)
        for times in range(chance % 5 and 1 + chance % 2):
            choice = wishes[(chance + times) % len(wishes)]
            answer = AnswerShortage(
                order_id=UUID(order_id),
                shortage_id=UUID(short["shortage_id"]),
                choice=choice,
                substitute=substitute if choice is Choice.SUBSTITUTE else None,
            )
            wait_s = (0.0, 5.0, 3_600.0, 48 * 3_600.0)[chance // 5 % 4]
            self.wishes.append(Wish(now + timedelta(seconds=wait_s + times), answer))

    def _ask_refunds(self, said: dict[str, Any], now: datetime) -> None:
        for number, amount in enumerate(self.refunds.pop(said["checkout_id"], ())):
            wish = RequestRefund(
                refund_id=f"r{number}-{said['checkout_id']}",
                order_id=UUID(said["order_id"]),
                amount=Money(amount_minor=said["total_minor"] if amount < 0 else amount, currency=said["currency"]),
                reason="changed their mind",
            )
            self.wishes.append(Wish(now, wish))
            if number == 0:
                self.wishes.append(Wish(now, wish))  # asked twice, answered as one

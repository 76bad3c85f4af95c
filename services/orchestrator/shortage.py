"""Shortage: the warehouse is told first, then the customer is asked, then the units, the lines and the money follow.

The pivot is the first step: what is in a parcel already is sent after all, and then nothing is short for this order.
From there on it only goes forward, and silence means the money back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.fulfillment import FulfillmentRequested, RequestFulfillment
from contracts.message import Message
from contracts.order import RefundSettled, SettleRefund
from contracts.payment import PaymentRefunded, PaymentRefundRefused, RefundPayment
from contracts.shortage import (
    AlternativesOffered,
    Choice,
    LinesSettled,
    OfferAlternatives,
    SettleLines,
    SettleShortage,
    ShortageSettled,
    StockTakenBack,
    TakeBackStock,
    UnitsKept,
    UnitsWithdrawn,
    WithdrawRefused,
    WithdrawUnits,
)
from contracts.values import Pick
from services.orchestrator.saga import Phase, Saga, Step
from shared.consumer import Said
from shared.ids import id_from


@dataclass(frozen=True)
class Shortage:
    """What is short (`UnitsShort`), and what was learned on the way."""

    asked_for: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def order_id(self) -> UUID:
        return id_from(self.asked_for["order_id"])

    @property
    def shortage_id(self) -> UUID:
        """The run's own id: an order may be short of the same units twice."""
        return id_from(self.asked_for["run_id"])

    @property
    def answer_by(self) -> datetime:
        return datetime.fromisoformat(self.asked_for["answer_by"])

    @property
    def later(self) -> datetime:
        return datetime.fromisoformat(self.asked_for["later"])

    @property
    def _units(self) -> dict[str, Any]:
        short = self.asked_for
        return {"order_id": self.order_id, "sku": short["sku"], "quantity": short["quantity"]}

    # -- commands ------------------------------------------------------------------------------------------------

    def withdraw_units(self) -> WithdrawUnits:
        return WithdrawUnits(**self._units, warehouse=self.asked_for["warehouse"])

    def take_back_stock(self) -> TakeBackStock:
        found = id_from(self.asked_for["shortage_id"])
        return TakeBackStock(**self._units, shortage_id=found, warehouse=self.asked_for["warehouse"])

    def offer_alternatives(self) -> OfferAlternatives:
        return OfferAlternatives(
            **self._units,
            shortage_id=self.shortage_id,
            substitutes=tuple(self.asked_for["substitutes"]),
            later=self.later,
            answer_by=self.answer_by,
        )

    def has_choice(self) -> bool:
        return "choice" in self.facts

    def settle_shortage(self) -> SettleShortage:
        return SettleShortage(
            **self._units,
            shortage_id=self.shortage_id,
            choice=Choice(self.facts["choice"]),
            substitute=self.facts.get("substitute"),
            promised_at=self.later,
        )

    def settle_lines(self) -> SettleLines:
        return SettleLines(
            **self._units,
            shortage_id=self.shortage_id,
            outcome=Choice(self.facts["outcome"]),
            substitute=self.facts.get("substitute"),
            promised_at=self.later,
        )

    def has_refund(self) -> bool:
        return bool(self.facts["refund_minor"])

    def refund_payment(self) -> RefundPayment:
        return RefundPayment(
            order_id=self.order_id,
            refund_id=self.shortage_id,
            amount_minor=self.facts["refund_minor"],
            currency=self.facts["currency"],
            reason="shortage",
        )

    def settle_refund(self) -> SettleRefund:
        return SettleRefund(order_id=self.order_id, refund_id=self.shortage_id)

    def has_picks(self) -> bool:
        return bool(self.facts["picks"])

    def request_fulfillment(self) -> RequestFulfillment:
        picks = tuple(Pick.model_validate(pick) for pick in self.facts["picks"])
        return RequestFulfillment(order_id=self.order_id, ship_to=self.facts["ship_to"], picks=picks)

    # -- what the engine asks of a state -------------------------------------------------------------------------

    def learn(self, message: Message) -> Mapping[str, Any]:
        match message:
            case ShortageSettled():
                picks = [pick.model_dump() for pick in message.picks]
                return {"outcome": message.outcome.value, "picks": picks}
            case LinesSettled():
                return {
                    "refund_minor": message.refund_minor,
                    "currency": message.currency,
                    "ship_to": message.ship_to.model_dump(mode="json"),
                }
        return {}

    def waits_until(self, now: datetime, message: Message | None = None) -> datetime:
        return self.answer_by

    def waiting(self, message: Message | None = None) -> Sequence[Said]:
        return ()

    def reason(self, message: Message) -> str:
        return message.reason if isinstance(message, WithdrawRefused) else message.topic.replace(".", "_")


def _ended(state: Shortage, phase: Phase, reason: str) -> Sequence[Said]:
    """What had left was there after all: inventory asks somebody else."""
    if phase is Phase.COMPLETED:
        return []
    short = state.asked_for
    found = id_from(short["shortage_id"])
    return [UnitsKept(order_id=state.order_id, shortage_id=found, sku=short["sku"], warehouse=short["warehouse"])]


SHORTAGE = Saga(
    "shortage",
    Shortage,
    pivot="withdraw units",
    steps=[
        Step("withdraw units", do=Shortage.withdraw_units, done=UnitsWithdrawn, refused=(WithdrawRefused,)),
        Step("take back stock", do=Shortage.take_back_stock, done=StockTakenBack),
        Step("offer alternatives", do=Shortage.offer_alternatives, done=AlternativesOffered),
        Step("settle shortage", do=Shortage.settle_shortage, ready=Shortage.has_choice, done=ShortageSettled),
        Step("settle lines", do=Shortage.settle_lines, done=LinesSettled),
        Step("refund payment", do=Shortage.refund_payment, applies=Shortage.has_refund, done=PaymentRefunded),
        Step("settle refund", do=Shortage.settle_refund, applies=Shortage.has_refund, done=RefundSettled),
        Step(
            "request fulfillment",
            do=Shortage.request_fulfillment,
            applies=Shortage.has_picks,
            done=FulfillmentRequested,
        ),
    ],
    also=(PaymentRefundRefused,),
    silence={"choice": Choice.REFUND.value},
    ended=_ended,
)

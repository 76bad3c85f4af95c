"""Shortage: the warehouse is told first, then the customer is asked; their answer begins the settlement: units, lines
and money follow. Two sagas, so that an order may change in other ways while somebody thinks about it.

The pivot of each is its first step: what is in a parcel already is sent after all, and then nothing is short for this
order; what was chosen is done. From there on it only goes forward.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from contracts.fulfillment import FulfillmentRequested, RequestFulfillment
from contracts.message import Message
from contracts.order import AbandonRefund, RefundAbandoned, RefundSettled, SettleRefund
from contracts.payment import PaymentRefunded, PaymentRefundRefused, RefundPayment, RefundPending
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
from services.orchestrator.refund import PaysBack
from services.orchestrator.saga import Phase, RunState, Saga, Step, Together
from shared.consumer import Said
from shared.ids import id_from


class Shortage(RunState):
    """What is short: `UnitsShort`, and until when the customer may answer. The run's id is the shortage's public
    one."""

    def withdraw_units(self) -> WithdrawUnits:
        return WithdrawUnits(**_units(self.asked_for), warehouse=self.asked_for["warehouse"])

    def take_back_stock(self) -> TakeBackStock:
        found = id_from(self.asked_for["shortage_id"])
        return TakeBackStock(**_units(self.asked_for), shortage_id=found, warehouse=self.asked_for["warehouse"])

    def offer_alternatives(self) -> OfferAlternatives:
        return OfferAlternatives(
            **_units(self.asked_for),
            shortage_id=id_from(self.asked_for["run_id"]),
            substitutes=tuple(self.asked_for["substitutes"]),
            later=datetime.fromisoformat(self.asked_for["later"]),
            answer_by=datetime.fromisoformat(self.asked_for["answer_by"]),
        )

    def reason(self, message: Message) -> str:
        return message.reason if isinstance(message, WithdrawRefused) else super().reason(message)


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
    ],
    ended=_ended,
)


class Settlement(PaysBack):
    """What was short, what was chosen (or stands for silence), and what was learned on the way."""

    @property
    def shortage_id(self) -> UUID:
        return id_from(self.asked_for["settles"])

    @property
    def later(self) -> datetime:
        return datetime.fromisoformat(self.asked_for["later"])

    def settle_shortage(self) -> SettleShortage:
        return SettleShortage(
            **_units(self.asked_for),
            warehouse=self.asked_for["warehouse"],
            shortage_id=self.shortage_id,
            choice=Choice(self.asked_for["choice"]),
            substitute=self.asked_for["substitute"],
            promised_at=self.later,
        )

    def settle_lines(self) -> SettleLines:
        return SettleLines(
            **_units(self.asked_for),
            shortage_id=self.shortage_id,
            outcome=Choice(self.facts["outcome"]),
            substitute=self.asked_for["substitute"],
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

    def is_refunded(self) -> bool:
        return self.has_refund() and "not_refunded" not in self.facts

    def is_not_refunded(self) -> bool:
        return self.has_refund() and "not_refunded" in self.facts

    def abandon_refund(self) -> AbandonRefund:
        return AbandonRefund(order_id=self.order_id, refund_id=self.shortage_id, reason=self.facts["not_refunded"])

    def settle_refund(self) -> SettleRefund:
        return SettleRefund(order_id=self.order_id, refund_id=self.shortage_id)

    def has_picks(self) -> bool:
        return bool(self.facts["picks"])

    def request_fulfillment(self) -> RequestFulfillment:
        picks = tuple(Pick.model_validate(pick) for pick in self.facts["picks"])
        return RequestFulfillment(order_id=self.order_id, ship_to=self.facts["ship_to"], picks=picks)

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
            case PaymentRefundRefused():
                return {"not_refunded": message.reason}
        return {}


MONEY_IS_GONE: Final = frozenset({"above_captured", "not_captured", "transfer_returned"})


def _nothing_to_refund(message: Message) -> bool:
    """The customer's bank has taken all of it back meanwhile. Any other no is a person's business."""
    return isinstance(message, PaymentRefundRefused) and message.reason in MONEY_IS_GONE


SETTLEMENT = Saga(
    "settlement",
    Settlement,
    pivot="settle shortage",
    steps=[
        Step("settle shortage", do=Settlement.settle_shortage, done=ShortageSettled),
        Step("settle lines", do=Settlement.settle_lines, done=LinesSettled),
        Step(
            "refund payment",
            do=Settlement.refund_payment,
            applies=Settlement.has_refund,
            done=PaymentRefunded,
            waits=RefundPending,
            never=_nothing_to_refund,
        ),
        Together(
            Step("settle refund", do=Settlement.settle_refund, applies=Settlement.is_refunded, done=RefundSettled),
            Step(
                "abandon refund", do=Settlement.abandon_refund, applies=Settlement.is_not_refunded, done=RefundAbandoned
            ),
        ),
        Step(
            "request fulfillment",
            do=Settlement.request_fulfillment,
            applies=Settlement.has_picks,
            done=FulfillmentRequested,
        ),
    ],
    also=(PaymentRefundRefused,),
)


def _units(short: Mapping[str, Any]) -> dict[str, Any]:
    return {"order_id": id_from(short["order_id"]), "sku": short["sku"], "quantity": short["quantity"]}

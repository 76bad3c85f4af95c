"""Refund: money is set aside at the order, given back by the provider (the pivot), and settled at the order."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from contracts.checkout import RefundConcluded
from contracts.message import Message
from contracts.order import (
    AbandonRefund,
    OpenRefund,
    RefundAbandoned,
    RefundOpened,
    RefundRefused,
    RefundSettled,
    SettleRefund,
)
from contracts.payment import PaymentRefunded, PaymentRefundRefused, RefundPayment, RefundPending, ReleasePending
from contracts.values import Money
from services.orchestrator.saga import GRACE_S, Phase, RunState, Saga, Step
from shared.consumer import Publish, Said
from shared.ids import id_from


class PaysBack(RunState):
    """A run that gives money back: by transfer it takes days, and until then it is asked nothing and not stuck."""

    def waits_until(self, now: datetime, message: Message | None = None) -> datetime:
        if isinstance(message, RefundPending | ReleasePending):
            return now + timedelta(seconds=message.wait_s + GRACE_S)
        return super().waits_until(now, message)


class Refund(PaysBack):
    @property
    def refund_id(self) -> UUID:
        return id_from(self.asked_for["run_id"])

    @property
    def amount_minor(self) -> int:
        return int(self.asked_for["refund"]["amount"]["amount_minor"])

    @property
    def currency(self) -> str:
        return str(self.asked_for["refund"]["amount"]["currency"])

    def open_refund(self) -> OpenRefund:
        return OpenRefund(
            order_id=self.order_id,
            refund_id=self.refund_id,
            storefront=self.asked_for["storefront"],
            amount_minor=self.amount_minor,
            currency=self.currency,
            reason=self.asked_for["refund"].get("reason", ""),
        )

    def abandon_refund(self) -> AbandonRefund:
        reason = self.facts.get("reason") or "cancelled"
        return AbandonRefund(order_id=self.order_id, refund_id=self.refund_id, reason=reason)

    def refund_payment(self) -> RefundPayment:
        return RefundPayment(
            order_id=self.order_id,
            refund_id=self.refund_id,
            amount_minor=self.amount_minor,
            currency=self.currency,
            reason=self.asked_for["refund"].get("reason", ""),
        )

    def settle_refund(self) -> SettleRefund:
        return SettleRefund(order_id=self.order_id, refund_id=self.refund_id)

    def reason(self, message: Message) -> str:
        if isinstance(message, RefundRefused | PaymentRefundRefused):
            return message.reason
        return super().reason(message)


def _ended(state: Refund, phase: Phase, reason: str) -> Sequence[Said]:
    return [
        Publish(
            state.asked_for["storefront"],
            RefundConcluded(
                refund_id=state.asked_for["refund"]["refund_id"],
                order_id=state.order_id,
                refunded=phase is Phase.COMPLETED,
                amount=Money(amount_minor=state.amount_minor, currency=state.currency),
                reason=reason,
            ),
        )
    ]


REFUND = Saga(
    "refund",
    Refund,
    pivot="refund payment",
    steps=[
        Step(
            "open refund",
            do=Refund.open_refund,
            done=RefundOpened,
            refused=(RefundRefused,),
            undo=Refund.abandon_refund,
            undone=RefundAbandoned,
        ),
        Step(
            "refund payment",
            do=Refund.refund_payment,
            done=PaymentRefunded,
            refused=(PaymentRefundRefused,),
            waits=RefundPending,
        ),
        Step("settle refund", do=Refund.settle_refund, done=RefundSettled),
    ],
    ended=_ended,
)

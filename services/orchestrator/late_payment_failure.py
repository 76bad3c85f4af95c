"""Late payment failure: an order was confirmed, and then its money is gone. What has not left is stopped, its stock is
free again, and the customer is told.

The pivot is the first step: a shipment that is called off stays so. What is in a parcel leaves all the same, and from
then on every step goes by what that is.
"""

from collections.abc import Mapping
from typing import Any

from contracts.fulfillment import ShipmentsStopped, StopShipments
from contracts.inventory import ReleaseStock, StockReleased
from contracts.message import Message
from contracts.order import CancelUnsent, UnsentCancelled
from contracts.payment import PaymentReleased, ReleasePayment, ReleasePending
from contracts.values import Pick
from services.orchestrator.refund import PaysBack
from services.orchestrator.saga import Saga, Step


class LatePaymentFailure(PaysBack):
    """What failed: `PaymentFailed`; and what leaves all the same."""

    @property
    def kept(self) -> tuple[Pick, ...]:
        return tuple(Pick.model_validate(pick) for pick in self.facts["kept"])

    def stop_shipments(self) -> StopShipments:
        return StopShipments(order_id=self.order_id)

    def release_stock(self) -> ReleaseStock:
        return ReleaseStock(order_id=self.order_id, reason="payment_failed", keep=self.kept)

    def cancel_unsent(self) -> CancelUnsent:
        return CancelUnsent(
            order_id=self.order_id,
            reason=self.asked_for["reason"],
            missing_minor=self.asked_for["missing_minor"],
            currency=self.asked_for["currency"],
            kept=self.kept,
        )

    def keeps_nothing(self) -> bool:
        return not self.kept

    def release_payment(self) -> ReleasePayment:
        return ReleasePayment(order_id=self.order_id, reason="payment_failed")

    def learn(self, message: Message) -> Mapping[str, Any]:
        match message:
            case ShipmentsStopped():
                return {"kept": [pick.model_dump() for pick in message.kept]}
        return {}


LATE_PAYMENT_FAILURE = Saga(
    "late_payment_failure",
    LatePaymentFailure,
    pivot="stop shipments",
    steps=[
        Step("stop shipments", do=LatePaymentFailure.stop_shipments, done=ShipmentsStopped),
        Step("release stock", do=LatePaymentFailure.release_stock, done=StockReleased),
        Step("cancel unsent", do=LatePaymentFailure.cancel_unsent, done=UnsentCancelled),
        Step(
            "release payment",
            do=LatePaymentFailure.release_payment,
            applies=LatePaymentFailure.keeps_nothing,  # what is left of the money pays for what was sent
            done=PaymentReleased,
            waits=ReleasePending,
        ),
    ],
)

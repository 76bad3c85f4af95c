"""Checkout: read the table down for the happy path. The pivot is *commit stock*; the race with expiry ends there."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from contracts.checkout import CheckoutRefused, PaymentToken
from contracts.fulfillment import FulfillmentRequested, RequestFulfillment
from contracts.inventory import (
    CommitStock,
    ExtendHold,
    HoldExtended,
    HoldStock,
    ReleaseStock,
    ReservationExpired,
    StockCommitted,
    StockGone,
    StockHeld,
    StockReleased,
    StockShort,
)
from contracts.message import Message
from contracts.order import (
    CancelOrder,
    CancelRefused,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRefused,
    PaymentAwaited,
    PlaceOrder,
)
from contracts.payment import (
    AuthorizePayment,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentPending,
    PaymentReleased,
    ReleasePayment,
    ReleasePending,
)
from contracts.values import Address, Destination, Pick, SkuQuantity, Wait
from services.orchestrator.saga import GRACE_S, Phase, RunState, Saga, Step, Together
from shared.consumer import Ask, Publish, Said


class Checkout(RunState):
    """What was asked for, and what was learned on the way."""

    @property
    def storefront(self) -> str:
        return str(self.asked_for["storefront"])

    @property
    def hold_for_s(self) -> float:
        return float(self.asked_for["hold_for_s"])

    @property
    def payment(self) -> Mapping[str, str] | None:
        brought: Mapping[str, str] | None = self.facts.get("payment") or self.asked_for["checkout"].get("payment")
        return brought

    # -- commands ------------------------------------------------------------------------------------------------

    def place_order(self) -> PlaceOrder:
        request = self.asked_for["checkout"]
        amounts = {f"{name}_minor": _minor(request[name]) for name in ("discount", "tax", "shipping", "shipping_tax")}
        return PlaceOrder.model_validate(
            {
                "order_id": self.order_id,
                "storefront": self.storefront,
                "checkout_id": request["checkout_id"],
                "customer": request["customer"],
                "shipping_address": self.shipping_address(),
                "billing_address": request["billing_address"],
                "currency": request["total"]["currency"],
                "lines": [
                    {
                        "sku": line["sku"],
                        "quantity": line["quantity"],
                        "unit_price_minor": line["unit_price"]["amount_minor"],
                    }
                    for line in request["lines"]
                ],
                **amounts,
                "total_minor": request["total"]["amount_minor"],
            }
        )

    def cancel_order(self) -> CancelOrder:
        return CancelOrder(order_id=self.order_id, reason=self.facts.get("reason") or "cancelled")

    def hold_stock(self) -> HoldStock:
        lines = self.asked_for["checkout"]["lines"]
        return HoldStock(
            order_id=self.order_id,
            lines=tuple(SkuQuantity(sku=line["sku"], quantity=line["quantity"]) for line in lines),
            hold_for_s=self.hold_for_s,
            customer_class=self.asked_for["checkout"].get("customer_class", ""),
            prices_minor={line["sku"]: line["unit_price"]["amount_minor"] for line in lines},
            ship_to=self.ship_to(),
        )

    def release_stock(self) -> ReleaseStock:
        return ReleaseStock(order_id=self.order_id, reason=self.facts.get("reason") or "cancelled")

    def has_payment(self) -> bool:
        return self.payment is not None

    def authorize(self) -> AuthorizePayment:
        payment = PaymentToken.model_validate(self.payment)
        total = self.asked_for["checkout"]["total"]
        return AuthorizePayment(
            order_id=self.order_id,
            amount_minor=total["amount_minor"],
            currency=total["currency"],
            method=payment.method,
            token=payment.token,
        )

    def release_payment(self) -> ReleasePayment:
        return ReleasePayment(order_id=self.order_id, reason=self.facts.get("reason") or "cancelled")

    def commit_stock(self) -> CommitStock:
        return CommitStock(order_id=self.order_id, ship_to=self.ship_to())

    def ship_to(self) -> Destination:
        address = self.asked_for["checkout"]["shipping_address"]
        return Destination(**{name: address[name] for name in Destination.model_fields if name in address})

    def shipping_address(self) -> Mapping[str, Any]:
        """Without coordinates: what a listener of the released schema does not know is not sent to it."""
        address = self.asked_for["checkout"]["shipping_address"]
        return {name: address[name] for name in Address.model_fields if name in address}

    def confirm_order(self) -> ConfirmOrder:
        return ConfirmOrder(
            order_id=self.order_id,
            picks=tuple(Pick.model_validate(pick) for pick in self.facts["picks"]),
            waits=tuple(Wait.model_validate(wait) for wait in self.facts.get("waits", ())),
            captured=not self.facts.get("held"),
        )

    def request_fulfillment(self) -> RequestFulfillment:
        return RequestFulfillment(
            order_id=self.order_id,
            ship_to=Address.model_validate(self.shipping_address()),
            picks=tuple(Pick.model_validate(pick) for pick in self.facts["picks"]),
            kits=self.facts.get("kits", {}),
        )

    # -- what the engine asks of a state -------------------------------------------------------------------------

    def learn(self, message: Message) -> Mapping[str, Any]:
        """What an answer adds to the facts."""
        match message:
            case OrderPlaced():
                return {"placed": True}
            case StockHeld():
                return {"held_until": message.until.isoformat()}
            case PaymentAuthorized(captured=False):
                return {"held": True}
            case StockCommitted():
                found = message.model_dump(mode="json", include={"picks", "waits", "kits"})
                return {name: value for name, value in found.items() if value or name == "picks"}
        return {}

    def waits_until(self, now: datetime, message: Message | None = None) -> datetime:
        """When to look again while the payment follows or is pending: after the hold, which normally ends it. What goes
        back by transfer says itself how long that takes."""
        wait_s = message.wait_s if isinstance(message, PaymentPending | ReleasePending) else self.hold_for_s
        return now + timedelta(seconds=wait_s + GRACE_S)

    def waiting(self, message: Message | None = None) -> Sequence[Said]:
        """The order shows that the payment is awaited; a pending one keeps the stock as long as its method allows."""
        quote = message.quote if isinstance(message, PaymentPending) else ""
        said: list[Said] = [PaymentAwaited(order_id=self.order_id, quote=quote)]
        if isinstance(message, PaymentPending):
            extend = ExtendHold(order_id=self.order_id, hold_for_s=message.wait_s)
            said.append(Ask(extend, f"orchestrator/{self.asked_for['run_id']}/hold-stock/extend"))
        return said

    def reason(self, message: Message) -> str:
        """Why the order is cancelled, as the storefront hears it."""
        match message:
            case OrderRefused():
                return message.reason
            case StockShort(unknown=unknown) if unknown:
                return "unknown_sku"
            case StockShort():
                return "stock_short"
            case PaymentDeclined():
                return "payment_declined"
            case ReservationExpired():
                return message.reason or "expired"
            case StockGone():
                return "stock_gone"
        return super().reason(message)


def _minor(money: Mapping[str, Any] | None) -> int:
    return 0 if money is None else int(money["amount_minor"])


def _ended(state: Checkout, phase: Phase, reason: str) -> Sequence[Said]:
    """The order service tells how an order ended; only when it refused to place it there is no order to tell of."""
    if phase is Phase.CANCELLED and not state.facts.get("placed"):
        checkout_id = state.asked_for["checkout"]["checkout_id"]
        return [Publish(state.storefront, CheckoutRefused(checkout_id=checkout_id, reason=reason))]
    return []


CHECKOUT = Saga(
    "checkout",
    Checkout,
    pivot="commit stock",
    steps=[
        Step(
            "place order",
            do=Checkout.place_order,
            done=OrderPlaced,
            refused=(OrderRefused,),
            undo=Checkout.cancel_order,
            undone=OrderCancelled,
        ),
        Step(
            "hold stock",
            do=Checkout.hold_stock,
            done=StockHeld,
            refused=(StockShort,),
            undo=Checkout.release_stock,
            undone=StockReleased,
        ),
        Step(
            "authorize payment",
            do=Checkout.authorize,
            ready=Checkout.has_payment,
            done=PaymentAuthorized,
            refused=(PaymentDeclined,),
            waits=PaymentPending,
            undo=Checkout.release_payment,
            undone=PaymentReleased,  # void or refund, whichever the money needs
            undo_waits=ReleasePending,
        ),
        Step("commit stock", do=Checkout.commit_stock, done=StockCommitted, refused=(StockGone,)),
        Together(
            Step("confirm order", do=Checkout.confirm_order, done=OrderConfirmed),
            Step("request fulfillment", do=Checkout.request_fulfillment, done=FulfillmentRequested),
        ),
    ],
    notices=(ReservationExpired,),
    also=(HoldExtended, CancelRefused),
    ended=_ended,
)

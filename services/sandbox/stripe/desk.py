"""What a call does to a payment, without an await: two calls are served one after the other, never in each other.

A refusal is raised and changes nothing, but for a card that declines: that is written down, and raised then.
"""

from datetime import timedelta
from typing import Any, Final

from services.sandbox.stripe.disputes import open_dispute
from services.sandbox.stripe.forms import Form
from services.sandbox.stripe.objects import Charge, Intent, JsonObject, Refund
from services.sandbox.stripe.refusals import Refusal, invalid, malformed, missing, unexpected_state
from services.sandbox.stripe.shelf import Shelf, fee_of
from services.sandbox.stripe.tokens import Behaviour, behaviour_of

LARGEST: Final = 99_999_999
HELD_FOR: Final = timedelta(days=7)
CONFIRMABLE: Final = ("requires_payment_method", "requires_confirmation")
CANCELABLE: Final = (*CONFIRMABLE, "requires_action", "requires_capture", "processing")


def create(shelf: Shelf, form: Form, key: str) -> JsonObject:
    amount, currency = form.amount("amount"), form.needed("currency")
    if amount is None or not 0 < amount <= LARGEST:
        raise malformed("Invalid positive integer", "amount", "parameter_invalid_integer")
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise malformed(f"Invalid currency: {currency}", "currency")
    capture_method = form.text("capture_method") or "automatic"
    if capture_method not in ("automatic", "automatic_async", "manual"):
        raise malformed(f"Invalid capture_method: {capture_method}", "capture_method")
    payment_method = _payment_method(form)
    intent = Intent(
        id=shelf.new_id("pi"),
        amount=amount,
        currency=currency.lower(),
        created=shelf.now(),
        capture_method=capture_method,
        metadata=form.strings("metadata"),
        payment_method=payment_method,
        multicapture=_wants_multicapture(form),
        status="requires_payment_method" if payment_method is None else "requires_confirmation",
    )
    shelf.intents[intent.id] = intent
    shelf.tell("payment_intent.created", intent, intent.shown())
    return _confirmed(shelf, intent, key) if form.flag("confirm", False) else intent.shown()


def confirm(shelf: Shelf, intent: Intent, form: Form, key: str) -> JsonObject:
    payment_method = _payment_method(form)
    if intent.status not in CONFIRMABLE:
        raise unexpected_state("confirmed", intent.shown())
    intent.payment_method = payment_method or intent.payment_method
    intent.multicapture = intent.multicapture or _wants_multicapture(form)
    return _confirmed(shelf, intent, key)


def capture(shelf: Shelf, intent: Intent, form: Form, key: str) -> JsonObject:
    asked, final = form.amount("amount_to_capture"), form.flag("final_capture", True)
    charge = intent.charge
    if intent.status != "requires_capture" or charge is None:
        raise unexpected_state("captured", intent.shown())
    amount = intent.amount_capturable if asked is None else asked
    if amount == 0:
        raise malformed("Invalid positive integer", "amount_to_capture", "parameter_invalid_integer")
    if amount > intent.amount_capturable:
        message = f"The amount to capture ({amount}) is more than the capturable amount ({intent.amount_capturable})."
        raise invalid(message, "amount_too_large", "amount_to_capture", payment_intent=intent.shown())
    if not final and not charge.multicapture:
        message = "final_capture cannot be false: multicapture is not available for this PaymentIntent."
        raise invalid(message, param="final_capture", payment_intent=intent.shown())
    intent.metadata |= form.strings("metadata")
    _take(shelf, intent, charge, amount, key)
    if final and intent.amount_capturable:
        _let_go(shelf, intent, charge, key)
    if intent.amount_capturable == 0:
        intent.status = "succeeded"
        shelf.tell("payment_intent.succeeded", intent, intent.shown())
    else:
        shelf.tell("payment_intent.amount_capturable_updated", intent, intent.shown())
    _disputed_as_scripted(shelf, intent, charge)
    return intent.shown()


def cancel(shelf: Shelf, intent: Intent, form: Form, key: str) -> JsonObject:
    """What is held and not captured is let go. What was captured stays captured, and can be refunded."""
    if intent.status not in CANCELABLE:
        raise unexpected_state("canceled", intent.shown())
    if intent.amount_capturable and intent.charge is not None:
        _let_go(shelf, intent, intent.charge, key)
    elif intent.status == "processing":
        shelf.enter("void", intent, intent.id, key, 0)
    if intent.charge is not None and intent.charge.pending:
        intent.charge.pending = False
    intent.status, intent.canceled_at = "canceled", shelf.now()
    intent.cancellation_reason = form.text("cancellation_reason")
    shelf.tell("payment_intent.canceled", intent, intent.shown())
    return intent.shown()


def refund(shelf: Shelf, form: Form, key: str) -> JsonObject:
    intent = refunded_intent(shelf, form)
    charge, asked = intent.charge, form.amount("amount")
    if charge is None or not charge.amount_captured:
        raise invalid("This PaymentIntent does not have a successful charge to refund.", "charge_not_refundable")
    released = 0 if intent.amount_capturable else charge.amount - charge.amount_captured
    left = charge.amount_captured - (charge.amount_refunded - released)
    if any(dispute.charge == charge.id and dispute.status != "won" for dispute in shelf.disputes.values()):
        raise invalid(f"Charge {charge.id} has been charged back; cannot issue a refund.", "charge_disputed")
    if left == 0:
        raise invalid(f"Charge {charge.id} has already been refunded.", "charge_already_refunded")
    amount = left if asked is None else asked
    if not 0 < amount <= left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise invalid(message, None, "amount")
    id_ = shelf.new_id("re")
    booked = shelf.book("refund", "refund", -amount, 0, intent, id_, key)
    made = Refund(id_, charge.id, intent.id, amount, intent.currency, shelf.now(), form.strings("metadata"), booked.id)
    made.status = shelf.refund_status
    shelf.refunds[id_] = made
    charge.amount_refunded += amount
    shelf.enter("refund", intent, id_, key, amount)
    shelf.tell("refund.created", intent, made.shown())
    shelf.tell("charge.refunded", intent, charge.shown())
    return made.shown()


def refunded_intent(shelf: Shelf, form: Form) -> Intent:
    """A refund names its payment or its charge."""
    if (charge_id := form.text("charge")) is not None:
        shown = shelf.find(charge_id)
        if shown is None or shown["object"] != "charge":
            raise missing("charge", charge_id, param="charge")
        return shelf.intent(shown["payment_intent"])
    return shelf.intent(form.needed("payment_intent"), param="payment_intent")


def settle(shelf: Shelf, intent: Intent, paid: bool) -> None:
    """The outcome of a processing payment; one that was settled or canceled before stays as it is."""
    charge = intent.charge
    if intent.status != "processing" or charge is None:
        return
    charge.pending = False
    if paid:
        charge.paid = True
        _held(shelf, intent, charge, intent.confirm_key)
        return
    charge.failure_code = "payment_failed"
    intent.status = "requires_payment_method"
    intent.error = {
        "type": "invalid_request_error",
        "code": "payment_intent_payment_attempt_failed",
        "message": "The payment failed.",
        "charge": charge.id,
    }
    shelf.enter("fail", intent, charge.id, intent.confirm_key, intent.amount)
    shelf.tell("payment_intent.payment_failed", intent, intent.shown())


def _payment_method(form: Form) -> str | None:
    payment_method = form.text("payment_method")
    if payment_method is not None and behaviour_of(payment_method) is None:
        raise missing("PaymentMethod", payment_method, param="payment_method")
    return payment_method


def _wants_multicapture(form: Form) -> bool:
    return form.inner("payment_method_options", "card").text("request_multicapture") == "if_available"


def _confirmed(shelf: Shelf, intent: Intent, key: str) -> JsonObject:
    if intent.payment_method is None:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise invalid(message, "payment_intent_unexpected_state", payment_intent=intent.shown())
    behaviour = shelf.behaviour(intent)
    intent.confirm_key, intent.error = key, None
    intent.charge = charge = Charge(
        id=shelf.new_id("ch"),
        payment_intent=intent.id,
        amount=intent.amount,
        currency=intent.currency,
        created=shelf.now(),
        metadata=dict(intent.metadata),
        multicapture=behaviour.multicapture and intent.multicapture,
        paid=False,
    )
    shelf.charges[charge.id] = charge
    if behaviour.decline_code is not None:
        raise _declined(shelf, intent, charge, behaviour, key)
    if behaviour.processing:
        charge.pending = True
        intent.status = "processing"
        shelf.unsettled.append(intent)
        shelf.tell("payment_intent.processing", intent, intent.shown())
        return intent.shown()
    charge.paid = True
    _held(shelf, intent, charge, key)
    return intent.shown()


def _declined(shelf: Shelf, intent: Intent, charge: Charge, behaviour: Behaviour, key: str) -> Refusal:
    charge.failure_code = behaviour.decline_error
    error: dict[str, Any] = {
        "type": "card_error",
        "code": behaviour.decline_error,
        "decline_code": behaviour.decline_code,
        "message": "Your card was declined.",
        "charge": charge.id,
    }
    intent.status, intent.error = "requires_payment_method", error
    shelf.enter("decline", intent, charge.id, key, intent.amount)
    shelf.tell("charge.failed", intent, charge.shown())
    shelf.tell("payment_intent.payment_failed", intent, intent.shown())
    named = {name: value for name, value in error.items() if name not in ("type", "message")}
    return Refusal(402, "card_error", error["message"], payment_intent=intent.shown(), **named)


def _held(shelf: Shelf, intent: Intent, charge: Charge, key: str) -> None:
    shelf.enter("authorize", intent, charge.id, key, intent.amount)
    intent.amount_capturable = intent.amount
    if intent.capture_method == "manual":
        charge.capture_before = shelf.now() + int(HELD_FOR.total_seconds())
        intent.status = "requires_capture"
        shelf.tell("charge.succeeded", intent, charge.shown())
        shelf.tell("payment_intent.amount_capturable_updated", intent, intent.shown())
        return
    _take(shelf, intent, charge, intent.amount, key)
    intent.status = "succeeded"
    shelf.tell("charge.succeeded", intent, charge.shown())
    shelf.tell("payment_intent.succeeded", intent, intent.shown())
    _disputed_as_scripted(shelf, intent, charge)


def _take(shelf: Shelf, intent: Intent, charge: Charge, amount: int, key: str) -> None:
    shelf.enter("capture", intent, charge.id, key, amount)
    booked = shelf.book("charge", "charge", amount, fee_of(amount), intent, charge.id, key)
    charge.captured = True
    charge.amount_captured += amount
    charge.balance_transaction = charge.balance_transaction or booked.id
    intent.amount_capturable -= amount
    intent.amount_received += amount
    if intent.capture_method == "manual":
        shelf.tell("charge.captured", intent, charge.shown())


def _disputed_as_scripted(shelf: Shelf, intent: Intent, charge: Charge) -> None:
    outcome = shelf.behaviour(intent).dispute
    if outcome is not None and not charge.disputed:
        open_dispute(shelf, intent, charge.amount_captured, "fraudulent", outcome)


def _let_go(shelf: Shelf, intent: Intent, charge: Charge, key: str) -> None:
    shelf.enter("void", intent, charge.id, key, intent.amount_capturable)
    charge.amount_refunded += intent.amount_capturable
    intent.amount_capturable = 0
    shelf.tell("charge.refunded", intent, charge.shown())

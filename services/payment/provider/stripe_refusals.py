"""What Stripe's errors mean: only a refusal by name is an outcome, everything else is not knowing."""

from typing import Final

import aiohttp
import stripe
from pydantic import BaseModel

from services.payment.provider.port import (
    Authorized,
    Captured,
    Declined,
    Impossible,
    Pending,
    ProviderAnswer,
    Refunded,
    Unknown,
    Voided,
)
from services.payment.provider.stripe_words import STATUS

NOT_PAYABLE: Final = "amount_not_payable"
"""Stripe can't take this amount in this currency."""

ABOVE_CAPTURED: Final = frozenset({"charge_already_refunded", "charge_not_refundable", "amount_too_large"})


NOT_READ: Final = (stripe.StripeError, aiohttp.ClientError, OSError, ValueError, TypeError, AttributeError, LookupError)
"""What a call may raise: the last four when an answer is none of Stripe's, which the SDK does not look at closely."""


class _CardError(BaseModel):
    code: str | None = None
    decline_code: str | None = None
    payment_intent: "_IntentNamed | None" = None


class _IntentNamed(BaseModel):
    id: str


class _Body(BaseModel):
    error: _CardError


def declined_by(error: stripe.CardError, payment_id: str | None) -> Declined:
    said = _Body.model_validate(error.json_body).error
    named = said.payment_intent.id if said.payment_intent is not None else payment_id
    return Declined(said.decline_code or said.code or "card_declined", named)


def unknown_of(error: Exception, payment_id: str | None) -> Unknown:
    match error:
        case stripe.InvalidRequestError(code="resource_missing"):
            return Unknown("http 404", payment_id)  # 400 when the object was named in a parameter
        case stripe.IdempotencyError():
            return Unknown("key_reused", payment_id)
        case stripe.APIConnectionError() if error.__cause__ is not None:
            return unknown_of(error.__cause__, payment_id)  # type: ignore[arg-type]  # raised from an Exception
        case stripe.StripeError() if error.http_status is not None and not 200 <= error.http_status < 300:
            return Unknown(f"http {error.http_status}", payment_id)
        case TimeoutError():
            return Unknown("timeout", payment_id)
        case aiohttp.ClientError() | OSError():
            return Unknown(f"connection: {type(error).__name__}", payment_id)
        case _:
            return Unknown("unreadable answer", payment_id)


def is_outcome(error: stripe.InvalidRequestError) -> bool:
    """Not found is none, for the first call may still arrive; and a proxy's 400 is none."""
    named = error.error is not None and error.error.to_dict().get("type") == "invalid_request_error"
    return named and error.http_status == 400 and not is_missing(error, "intent", "payment_intent")


def is_missing(error: stripe.InvalidRequestError, *params: str) -> bool:
    return error.code == "resource_missing" and error.param in params


def is_kept(error: stripe.StripeError) -> bool:
    """The error itself is what Stripe keeps under this key: asking again will never bring anything else."""
    headers = {name.lower(): value for name, value in dict(error.headers or {}).items()}
    return headers.get("idempotent-replayed") == "true"


def error_of(error: stripe.InvalidRequestError) -> str:
    return error.code or (f"invalid_{error.param}" if error.param else "invalid_request")


def confirm_refused(error: stripe.InvalidRequestError, stands: ProviderAnswer) -> ProviderAnswer:
    """Refused, perhaps because it was done: money that is there must never be told as a refusal."""
    if isinstance(stands, Captured | Authorized | Pending | Refunded):
        return stands
    return _impossible("already_voided" if isinstance(stands, Voided) else error_of(error), stands)


def capture_refused(error: stripe.InvalidRequestError, stands: ProviderAnswer) -> ProviderAnswer:
    if error.param == "final_capture":
        return _impossible("multicapture_unavailable", stands)
    match stands:
        case Voided():
            return _impossible("already_voided", stands)
        case Authorized() | Captured() | Refunded():
            return _impossible("capture_above_authorized", stands)
        case _:
            return _impossible("not_authorized", stands)


def void_refused(error: stripe.InvalidRequestError, stands: ProviderAnswer) -> ProviderAnswer:
    match stands:
        case Voided():
            return _impossible("already_voided", stands)
        case Captured() | Refunded():
            return _impossible("already_captured", stands)
        case _:
            return _impossible("not_authorized", stands)


def refund_refused(error: stripe.InvalidRequestError, stands: ProviderAnswer) -> ProviderAnswer:
    above = error.code in ABOVE_CAPTURED or error.param == "amount" or not isinstance(stands, Captured)
    return _impossible("refund_above_captured" if above else error_of(error), stands)


def _impossible(error: str, stands: ProviderAnswer) -> ProviderAnswer:
    """Without knowing where the payment stands a refusal is no outcome either."""
    if isinstance(stands, Unknown):
        return stands
    return Impossible(error, STATUS.get(type(stands)), stands.provider_payment_id)

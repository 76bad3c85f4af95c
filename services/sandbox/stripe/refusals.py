"""How Stripe says no: an error object with a type, mostly a code, and the payment it is about."""

from typing import Any


class Refusal(Exception):
    """Answered with this status and `{"error": …}`; `kept` says whether the idempotency key remembers it."""

    def __init__(self, status: int, type_: str, message: str, *, kept: bool = True, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.error: dict[str, Any] = {
            "type": type_,
            "message": message,
            **{name: value for name, value in more.items() if value is not None},
        }

    def body(self) -> dict[str, Any]:
        return {"error": self.error}


def invalid(message: str, code: str | None = None, param: str | None = None, **more: Any) -> Refusal:
    return Refusal(400, "invalid_request_error", message, code=code, param=param, **more)


def malformed(message: str, param: str, code: str | None = None) -> Refusal:
    """Parameters that fail validation: nothing was begun, so nothing is kept under the key."""
    return Refusal(400, "invalid_request_error", message, kept=False, code=code, param=param)


def missing(what: str, id_: str, *, param: str | None = None) -> Refusal:
    """404 for an object named in the address, 400 for one named in a parameter."""
    message = f"No such {what}: '{id_}'"
    status = 404 if param is None else 400
    return Refusal(
        status, "invalid_request_error", message, kept=False, code="resource_missing", param=param or "intent"
    )


def unexpected_state(doing: str, intent: dict[str, Any]) -> Refusal:
    message = f"This PaymentIntent could not be {doing} because it has a status of {intent['status']}."
    return invalid(message, "payment_intent_unexpected_state", payment_intent=intent)

"""Payment by bank transfer: nobody is called. The customer is told what to quote, and a statement says what came.

Every answer is what is known without asking anybody, so asking again is always the same answer, and free.

A refund is an outgoing transfer that a person or a payment file makes: it is `Unknown` until a statement shows it, for
"refunded" would be a promise about somebody else's work, and "impossible" would refuse what will be done. The attempt
stays with those that are asked again, which is what it is: `oms statement payouts` lists it, and the entry that carries
its reference is the answer (services/payment/banking/handlers.py).
"""

from typing import ClassVar, Self

from services.payment.creditor_reference import reference_of
from services.payment.provider.port import (
    AuthorizeRequest,
    CaptureRequest,
    Impossible,
    NothingToPrepare,
    Pending,
    ProviderAnswer,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
)

TO_BE_PAID_OUT = "to be paid out"


class BankTransfer:
    """A `PaymentProvider` without a network."""

    prepares: ClassVar[bool] = False

    async def __aenter__(self) -> Self:
        return self

    async def close(self) -> None:
        """There is nothing to close."""

    async def prepare(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        raise NothingToPrepare("a bank")

    async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        """The reference that the customer must quote."""
        return Pending(reference_of(key))

    async def capture(self, key: str, request: CaptureRequest) -> ProviderAnswer:
        return Impossible("a transfer is not taken, it comes", "pending", request.provider_payment_id)

    async def void(self, key: str, request: VoidRequest) -> ProviderAnswer:
        """Nothing was taken. What comes all the same is booked, and given back by the decision that hears of it."""
        return Voided(request.provider_payment_id)

    async def refund(self, key: str, request: RefundRequest) -> ProviderAnswer:
        return Unknown(TO_BE_PAID_OUT, request.provider_payment_id)

    async def withdraw(self, key: str, authorize_key: str) -> ProviderAnswer:
        return Voided(None)

    async def find(self, provider_payment_id: str) -> ProviderAnswer:
        """What came is in our own books, never here."""
        return Pending(provider_payment_id)

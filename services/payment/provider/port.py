"""The port to whoever moves the money: what can be asked of a provider, and everything it may answer.

A call never raises for the network's sake: what is not known is said as `Unknown`, and the caller asks again with
the same key, or reads the payment by its id. "Not found" is `Unknown` too, for the first call may still arrive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, Protocol, runtime_checkable

WEBHOOK_BODY_LIMIT = 64 * 1024  # bytes; a notice is a few kB, and the body is read before it can be trusted


@dataclass(frozen=True)
class AuthorizeRequest:
    amount_minor: int
    currency: str
    token: str
    reference: str
    capture: bool
    webhook_url: str | None = None
    provider_payment_id: str = ""  # prepared before: this payment is confirmed, and no other is made


@dataclass(frozen=True)
class CaptureRequest:
    """What stays of the authorization may be captured later, until it is voided or its time is over."""

    provider_payment_id: str
    amount_minor: int


@dataclass(frozen=True)
class VoidRequest:
    provider_payment_id: str


@dataclass(frozen=True)
class RefundRequest:
    provider_payment_id: str
    amount_minor: int


@dataclass(frozen=True)
class Prepared:
    """It has an id at the provider, and no money was asked of anybody yet."""

    provider_payment_id: str


@dataclass(frozen=True)
class Authorized:
    provider_payment_id: str
    amount_minor: int
    capture_before: datetime | None = field(default=None, compare=False)
    """When it lapses, where the provider says so: no other hold for that."""


@dataclass(frozen=True)
class Captured:
    provider_payment_id: str
    captured_minor: int  # over all captures of this payment
    refunded_minor: int = 0


@dataclass(frozen=True)
class Pending:
    provider_payment_id: str


@dataclass(frozen=True)
class Declined:
    reason: str
    provider_payment_id: str | None = None


@dataclass(frozen=True)
class Failed:
    """It was pending, and then it did not come."""

    reason: str
    provider_payment_id: str | None = None


@dataclass(frozen=True)
class Voided:
    provider_payment_id: str | None  # None: withdrawn before the provider had heard of it
    voided_minor: int = 0


@dataclass(frozen=True)
class Refunded:
    provider_payment_id: str
    refunded_minor: int  # over all refunds of this payment
    provider_refund_id: str | None = None


@dataclass(frozen=True)
class Disputed:
    """The customer's bank takes the money back (open, lost), or has given it back to us (won)."""

    provider_payment_id: str
    dispute_id: str
    amount_minor: int
    outcome: Literal["open", "won", "lost"]
    reason: str = ""


@dataclass(frozen=True)
class Impossible:
    """Refused by name, with the status the payment has: asking again will not help."""

    error: str
    status: str | None = None
    provider_payment_id: str | None = None


@dataclass(frozen=True)
class Unknown:
    why: str
    provider_payment_id: str | None = None


ProviderAnswer = (
    Prepared | Captured | Authorized | Pending | Declined | Failed | Voided | Refunded | Impossible | Unknown
)


class PaymentProvider(Protocol):
    """`key` is the attempt's id: the same key and request bring the same answer, however often they are asked."""

    prepares: ClassVar[bool]
    """True: ask `prepare` first and keep its id, for without it a payment that was not answered can't be found."""

    async def prepare(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        """Make the payment known without asking for money; `key` may be the one `authorize` has later.
        Raises `NothingToPrepare` where `prepares` is False."""

    async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer: ...
    async def capture(self, key: str, request: CaptureRequest) -> ProviderAnswer: ...
    async def void(self, key: str, request: VoidRequest) -> ProviderAnswer: ...
    async def refund(self, key: str, request: RefundRequest) -> ProviderAnswer: ...

    async def withdraw(self, key: str, authorize_key: str) -> ProviderAnswer:
        """Cancel what the authorize call with that key made or will make: void, refund, or a tombstone."""

    async def find(self, provider_payment_id: str) -> ProviderAnswer: ...


class NothingToPrepare(Exception):
    """This provider finds a payment by the key of its attempt: a payment is authorized without being prepared."""


SettledKind = Literal["payment", "refund", "refund_reversal", "dispute", "dispute_reversal"]
"""A refund is reversed when it could not be given back: the money is on our balance again."""


@dataclass(frozen=True)
class Settled:
    """A line of our balance at the provider, as the provider booked it."""

    id: str
    kind: SettledKind
    provider_payment_id: str
    reference: str
    amount_minor: int  # before fees; negative when it leaves our balance
    fee_minor: int
    currency: str
    occurred_at: datetime


@runtime_checkable
class Settlements(Protocol):
    async def list_settlements(self, since: datetime) -> Sequence[Settled]:
        """What was booked since then, oldest first. Raises `SettlementsUnavailable`: part of a list is no list."""


class SettlementsUnavailable(Exception):
    """The provider's books could not be read to their end: read again later."""


class Notices(Protocol):
    """What a provider sends by itself."""

    proof: ClassVar[frozenset[str]]
    """Headers, in small letters, that prove whose it is: only these are kept with it."""

    def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> "WebhookNotice":
        """A webhook, once it is proven to be the provider's. Raises `BadSignature` (answer 401: believe nothing of it)
        or `BadNotice` (answer 400: proven, and not understood) or `Uninteresting` (answer 200 and do nothing)."""


class BadSignature(Exception):
    """The notice is not proven to come from the provider: answer 401 and believe nothing of it."""


class BadNotice(Exception):
    """Rightly signed and not understood: answer 400, so that it is sent again, and look at it."""


class Uninteresting(Exception):
    """Rightly signed, and nothing to do with us: answer 200, so that it is not sent again."""


@dataclass(frozen=True)
class WebhookNotice:
    id: str  # the same for every repetition of this notice
    type: str
    created: datetime
    provider_payment_id: str
    authorize_key: str  # the attempt that made the payment: known to us even before the call was answered
    reference: str  # this and the key are empty where the provider tells neither: a dispute names its payment alone
    amount_minor: int
    currency: str
    answer: ProviderAnswer | Disputed  # where the payment stood when the notice was made

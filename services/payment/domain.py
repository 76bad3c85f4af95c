"""A payment's state says what we wait for. It is a machine, and so are the rows of money it leaves behind:
authorizations, captures, refunds and chargebacks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid5

from services.payment.creditor_reference import is_reference
from shared.machine import Machine


class PaymentState(StrEnum):
    ASKED = "asked"  # the authorization was asked for, its outcome is not known
    PENDING = "pending"  # the provider will say later
    AUTHORIZED = "authorized"  # held for us and not taken yet
    PARTLY_CAPTURED = "partly_captured"  # taken for what has left; the rest is held still
    CAPTURED = "captured"  # nothing of it is held any more
    DECLINED = "declined"
    FAILED = "failed"  # it was pending or held, and then it did not come
    WITHDRAWING = "withdrawing"  # a release waits until the outcome of the authorization is known
    VOIDING = "voiding"  # a release waits for the provider's void
    RETURNING = "returning"  # a release waits until all that was captured is given back
    VOIDED = "voided"  # released, and nothing had been taken
    RETURNED = "returned"  # released, and all that had been taken was given back


PAYMENT: Final = Machine(
    "payment",
    PaymentState,
    # an order of zero is paid at once; one that is released first is never asked for
    start=(PaymentState.ASKED, PaymentState.CAPTURED, PaymentState.VOIDED),
    moves=[
        (PaymentState.ASKED, "wait", PaymentState.PENDING),
        (PaymentState.ASKED, "hold", PaymentState.AUTHORIZED),
        (PaymentState.ASKED, "capture", PaymentState.CAPTURED),
        (PaymentState.ASKED, "decline", PaymentState.DECLINED),
        (PaymentState.ASKED, "withdraw", PaymentState.VOIDED),  # the provider was never called
        (PaymentState.ASKED, "void", PaymentState.VOIDING),  # prepared there, and never confirmed
        (PaymentState.ASKED, "wait to release", PaymentState.WITHDRAWING),
        (PaymentState.ASKED, "hold again", PaymentState.PARTLY_CAPTURED),
        (PaymentState.ASKED, "let go", PaymentState.CAPTURED),  # asked for again, and declined: what was taken stays
        (PaymentState.ASKED, "return", PaymentState.RETURNING),
        (PaymentState.PENDING, "hold", PaymentState.AUTHORIZED),
        (PaymentState.PENDING, "hold again", PaymentState.PARTLY_CAPTURED),
        (PaymentState.PENDING, "let go", PaymentState.CAPTURED),
        (PaymentState.PENDING, "capture", PaymentState.CAPTURED),
        (PaymentState.PENDING, "decline", PaymentState.FAILED),
        (PaymentState.PENDING, "void", PaymentState.VOIDING),
        (PaymentState.AUTHORIZED, "capture", PaymentState.CAPTURED),
        (PaymentState.AUTHORIZED, "decline", PaymentState.FAILED),
        (PaymentState.AUTHORIZED, "void", PaymentState.VOIDING),
        (PaymentState.AUTHORIZED, "capture part", PaymentState.PARTLY_CAPTURED),
        (PaymentState.AUTHORIZED, "ask again", PaymentState.ASKED),  # it lapsed
        (PaymentState.PARTLY_CAPTURED, "ask again", PaymentState.ASKED),
        (PaymentState.PARTLY_CAPTURED, "capture part", PaymentState.PARTLY_CAPTURED),
        (PaymentState.PARTLY_CAPTURED, "capture", PaymentState.CAPTURED),
        (PaymentState.PARTLY_CAPTURED, "let go", PaymentState.CAPTURED),  # of the rest
        (PaymentState.PARTLY_CAPTURED, "void", PaymentState.VOIDING),
        (PaymentState.CAPTURED, "return", PaymentState.RETURNING),
        (PaymentState.WITHDRAWING, "void", PaymentState.VOIDING),
        (PaymentState.WITHDRAWING, "return", PaymentState.RETURNING),
        (PaymentState.WITHDRAWING, "free", PaymentState.VOIDED),
        (PaymentState.VOIDING, "free", PaymentState.VOIDED),
        (PaymentState.VOIDING, "return", PaymentState.RETURNING),  # captured before the void arrived
        (PaymentState.RETURNING, "free", PaymentState.RETURNED),
        # money that comes after the end must not wait on a dead order
        (PaymentState.DECLINED, "void", PaymentState.VOIDING),
        (PaymentState.DECLINED, "return", PaymentState.RETURNING),
        (PaymentState.FAILED, "void", PaymentState.VOIDING),
        (PaymentState.FAILED, "return", PaymentState.RETURNING),
        (PaymentState.VOIDED, "void", PaymentState.VOIDING),
        (PaymentState.VOIDED, "return", PaymentState.RETURNING),
        (PaymentState.RETURNED, "return", PaymentState.RETURNING),  # a chargeback was won back after the end
    ],
)


class AuthorizationState(StrEnum):
    HELD = "held"
    CAPTURED = "captured"
    VOIDED = "voided"


AUTHORIZATION: Final = Machine(
    "authorization",
    AuthorizationState,
    start=(AuthorizationState.CAPTURED, AuthorizationState.HELD),
    moves=[
        (AuthorizationState.HELD, "capture", AuthorizationState.CAPTURED),
        (AuthorizationState.HELD, "void", AuthorizationState.VOIDED),
        (AuthorizationState.VOIDED, "capture", AuthorizationState.CAPTURED),  # taken all the same; it is given back
    ],
)


class CaptureState(StrEnum):
    CAPTURED = "captured"


CAPTURE: Final = Machine("capture", CaptureState, start=CaptureState.CAPTURED, moves=[])


class RefundState(StrEnum):
    ASKED = "asked"
    REFUNDED = "refunded"
    REFUSED = "refused"


REFUND: Final = Machine(
    "refund",
    RefundState,
    start=(RefundState.ASKED, RefundState.REFUNDED),  # of what is held still nothing has to be asked for
    moves=[
        (RefundState.ASKED, "refund", RefundState.REFUNDED),
        (RefundState.ASKED, "refuse", RefundState.REFUSED),
    ],
)


class ChargebackState(StrEnum):
    OPEN = "open"  # the bank has taken the money back, and a decision is awaited
    LOST = "lost"
    WON = "won"


CHARGEBACK: Final = Machine(
    "chargeback",
    ChargebackState,
    # how it ended may be heard before how it began
    start=(ChargebackState.OPEN, ChargebackState.LOST, ChargebackState.WON),
    moves=[
        (ChargebackState.OPEN, "lose", ChargebackState.LOST),
        (ChargebackState.OPEN, "win", ChargebackState.WON),
        (ChargebackState.LOST, "win", ChargebackState.WON),  # on appeal
    ],
)


class ReversalState(StrEnum):
    REVERSED = "reversed"


CHARGEBACK_REVERSAL: Final = Machine("chargeback reversal", ReversalState, start=ReversalState.REVERSED, moves=[])


class WebhookVerdict(StrEnum):
    HEARD = "heard"
    UNINTERESTING = "uninteresting"  # theirs, and about nothing of ours


@dataclass(frozen=True, slots=True)
class Payment:
    """One per order. `attempt_id` is the first attempt, under whose id the provider knows the payment; None when there
    was nothing to ask for."""

    order_id: UUID
    amount_minor: int
    currency: str
    method: str
    state: PaymentState
    authorize_key: str
    attempt_id: UUID | None
    provider: str = ""
    """Who moves the money; chosen by the method once, when it was asked for."""
    provider_payment_id: str = ""
    captured_minor: int = 0
    refunded_minor: int = 0
    refund_reserved_minor: int = 0
    disputed_minor: int = 0
    """Taken back by the customer's bank, and not won back."""
    release_keys: list[str] = field(default_factory=list)
    """Commands that wait for the money to be free."""
    release_reason: str = ""
    per_shipment: bool = False
    """Only held when the order is placed, and captured as its parcels leave."""
    held_minor: int = 0
    """Held for us by the provider, and neither taken nor let go."""
    due_minor: int = 0
    """Worth of what has left in all: to be taken."""
    waived_minor: int = 0
    """Refunded before it was taken: never to be."""
    missing_minor: int = 0
    """What was held and did not come: the order lacks it."""
    capture_before: datetime | None = None
    """When the hold lapses."""
    call_id: UUID | None = None
    """The attempt about the hold that is under way; one at a time."""
    token: str = ""
    """Kept where it may be needed again: a hold that lapsed is authorized anew."""
    asked_again: int = 0
    """How often that was done."""
    earlier: list[dict[str, Any]] = field(default_factory=list)
    """What was captured of holds before this one and is promised to nobody, oldest first: by the provider's id."""
    version: int = 0

    @property
    def owed_minor(self) -> int:
        """What is due and not taken yet."""
        return max(0, min(self.due_minor, self.collectable_minor) - self.captured_minor)

    @property
    def asks_minor(self) -> int:
        """What an authorization is asked for: all that may still be taken."""
        return self.collectable_minor - self.captured_minor

    @property
    def promised(self) -> bool:
        """The order was told that its money is there: what goes wrong now is no answer any more, but news."""
        return self.capture_before is not None

    @property
    def by_transfer(self) -> bool:
        """It came, or is to come, by bank transfer, and what is given back leaves so."""
        return is_reference(self.provider_payment_id)

    @property
    def collectable_minor(self) -> int:
        """What may be taken in all."""
        return self.amount_minor - self.waived_minor - self.missing_minor

    @property
    def refundable_minor(self) -> int:
        """What is ours still and promised to nobody. What was refunded and then disputed all the same is gone twice."""
        gone = self.refunded_minor + self.refund_reserved_minor + self.disputed_minor
        return max(0, self.captured_minor - gone)


@dataclass(frozen=True, slots=True)
class Authorization:
    """Its id is the id of the attempt that made it."""

    id: UUID
    order_id: UUID
    amount_minor: int
    currency: str
    provider_payment_id: str
    state: AuthorizationState
    version: int = 0


@dataclass(frozen=True, slots=True)
class Capture:
    """Its id is the id of the attempt that made it: of a payment captured at once, the authorization's."""

    id: UUID
    order_id: UUID
    amount_minor: int
    currency: str
    state: CaptureState
    part: bool = False
    """Of a payment that is captured per shipment."""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Refund:
    """`command_key` is empty for a refund of our own: a release gives back what was captured."""

    refund_id: UUID
    part_of: UUID
    """What was asked for: a refund over several payments at the provider is a row for each, the first under its id."""
    order_id: UUID
    amount_minor: int
    currency: str
    state: RefundState
    command_key: str
    reason: str = ""
    refusal: str = ""
    waived_minor: int = 0
    """The part that had not been taken yet, and so need not be given back."""
    version: int = 0

    @property
    def returned_minor(self) -> int:
        return self.amount_minor - self.waived_minor


@dataclass(frozen=True, slots=True)
class Chargeback:
    """Its id follows from the provider's name for the dispute: whatever is heard of it first makes the same row."""

    id: UUID
    order_id: UUID
    dispute_id: str
    amount_minor: int
    currency: str
    state: ChargebackState
    reason: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class ChargebackReversal:
    """A dispute that was won: the money came back. Its id is the chargeback's."""

    id: UUID
    order_id: UUID
    amount_minor: int
    currency: str
    state: ReversalState
    version: int = 0


@dataclass(frozen=True, slots=True)
class Webhook:
    """What came, as it came. Its id follows from the body: who repeats himself signs anew and says the same."""

    id: UUID
    provider: str
    notice_id: str
    headers: Mapping[str, str]
    body: str
    verdict: WebhookVerdict
    received_at: datetime
    version: int = 0


def chargeback_id(order_id: UUID, dispute_id: str) -> UUID:
    return uuid5(order_id, f"dispute {dispute_id}")


_NOT_A_NAME: Final = re.compile(r"[^\x21-\x7e]+")


def named(reason: str, otherwise: str) -> str:
    """A provider's words as a name a program can compare."""
    return _NOT_A_NAME.sub("_", reason.strip())[:100] or otherwise


class Word(StrEnum):
    """What is said about a payment: by the provider, answering or notifying, and by our own commands."""

    PREPARED = "prepared"  # made at the provider, and nothing is held yet
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    PENDING = "pending"
    DECLINED = "declined"
    FAILED = "failed"
    VOIDED = "voided"
    REFUNDED = "refunded"
    CAPTURE_REFUSED = "capture_refused"  # what was held could not be taken
    DISPUTE_OPENED = "dispute_opened"  # the customer's bank has taken it back
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    RELEASE = "release"
    REFUND = "refund"
    CAPTURE_DUE = "capture_due"  # parcels have left


IMPOSSIBLE: Final = "impossible"
UNKNOWN: Final = "unknown"
REPLACED: Final = "replaced"
"""The outcome of an impossible attempt after another one took its place."""

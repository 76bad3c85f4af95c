"""Late answers: every odd case has a row, and the tables are total. Read: what arrives, while the run is, does."""

from contracts.frame import CommandWithdrawn, KeyReused
from contracts.fulfillment import FulfillmentRequested, ShipmentsStopped
from contracts.inventory import (
    HoldExtended,
    ReservationExpired,
    StockCommitted,
    StockGone,
    StockHeld,
    StockReleased,
    StockShort,
)
from contracts.message import Message
from contracts.order import (
    CancelRefused,
    LinesReserved,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRefused,
    RefundAbandoned,
    RefundOpened,
    RefundRefused,
    RefundSettled,
    UnsentCancelled,
)
from contracts.payment import (
    PaymentAuthorized,
    PaymentDeclined,
    PaymentPending,
    PaymentRefunded,
    PaymentRefundRefused,
    PaymentReleased,
    RefundPending,
    ReleasePending,
)
from contracts.shortage import (
    AlternativesOffered,
    LinesSettled,
    ShortageSettled,
    StockTakenBack,
    UnitsWithdrawn,
    WithdrawRefused,
)
from services.orchestrator.checkout import CHECKOUT
from services.orchestrator.late_payment_failure import LATE_PAYMENT_FAILURE
from services.orchestrator.refund import REFUND
from services.orchestrator.release import RELEASE
from services.orchestrator.saga import RECORD, UNDO_AGAIN, Answers, Late, Phase
from services.orchestrator.shortage import SETTLEMENT, SHORTAGE

WAITING, UNDOING, COMPLETED, CANCELLED = Phase.WAITING, Phase.UNDOING, Phase.COMPLETED, Phase.CANCELLED


def _always_record(*types: type[Message]) -> list[tuple[type[Message], Phase, Late]]:
    return [(heard, phase, RECORD) for heard in types for phase in Phase]


LATE_CHECKOUT = Answers(
    CHECKOUT,
    [
        # what arrives        while the run is   does
        (OrderPlaced, WAITING, RECORD),  # said twice
        (OrderPlaced, UNDOING, UNDO_AGAIN),  # asked again or late: the order must not stand
        (OrderPlaced, COMPLETED, RECORD),
        (OrderPlaced, CANCELLED, UNDO_AGAIN),
        (StockHeld, WAITING, RECORD),
        (StockHeld, UNDOING, UNDO_AGAIN),  # held stock must not wait on a dead order
        (StockHeld, COMPLETED, RECORD),
        (StockHeld, CANCELLED, UNDO_AGAIN),
        (PaymentAuthorized, WAITING, RECORD),
        (PaymentAuthorized, UNDOING, UNDO_AGAIN),  # money must not wait on a dead order
        (PaymentAuthorized, COMPLETED, RECORD),
        (PaymentAuthorized, CANCELLED, UNDO_AGAIN),
        (PaymentPending, WAITING, RECORD),
        (PaymentPending, UNDOING, RECORD),  # the release was asked and waits for the provider's word
        (PaymentPending, COMPLETED, RECORD),
        (PaymentPending, CANCELLED, UNDO_AGAIN),
        *_always_record(
            OrderRefused,  # a no is nothing to undo: kept in the story
            OrderCancelled,  # an undo that was asked twice
            OrderConfirmed,
            StockShort,
            StockReleased,
            StockCommitted,  # the pivot never goes back
            StockGone,
            PaymentDeclined,
            PaymentReleased,
            ReleasePending,
            FulfillmentRequested,
            ReservationExpired,  # the hold is gone, whatever the run does now; commit stock decides
            HoldExtended,
            CancelRefused,  # asked again until its patience is gone, then the run is stuck and visible
            CommandWithdrawn,  # a do that came after its undo
            KeyReused,
        ),
    ],
)

LATE_REFUND = Answers(
    REFUND,
    [
        (RefundOpened, WAITING, RECORD),
        (RefundOpened, UNDOING, UNDO_AGAIN),  # money set aside must not stay so
        (RefundOpened, COMPLETED, RECORD),
        (RefundOpened, CANCELLED, UNDO_AGAIN),
        *_always_record(
            RefundRefused,
            RefundAbandoned,
            PaymentRefunded,
            PaymentRefundRefused,
            RefundPending,  # heard after what it announced
            RefundSettled,
            CommandWithdrawn,
            KeyReused,
        ),
    ],
)

LATE_RELEASE = Answers(
    RELEASE,
    _always_record(LinesReserved, FulfillmentRequested, CommandWithdrawn, KeyReused),  # said twice: it never goes back
)

LATE_SHORTAGE = Answers(
    SHORTAGE,
    _always_record(UnitsWithdrawn, WithdrawRefused, StockTakenBack, AlternativesOffered, CommandWithdrawn, KeyReused),
)

LATE_SETTLEMENT = Answers(
    SETTLEMENT,
    _always_record(
        ShortageSettled,
        LinesSettled,
        PaymentRefunded,
        RefundAbandoned,
        PaymentRefundRefused,  # asked again until its patience is gone, then the run is stuck and visible
        RefundPending,
        RefundSettled,
        FulfillmentRequested,
        CommandWithdrawn,
        KeyReused,
    ),
)

LATE_IN_PAYMENT_FAILURE = Answers(
    LATE_PAYMENT_FAILURE,
    # said twice: it never goes back
    _always_record(
        ShipmentsStopped,
        StockReleased,
        UnsentCancelled,
        PaymentReleased,
        ReleasePending,
        CommandWithdrawn,
        KeyReused,
    ),
)

LATE = {
    answers.saga.name: answers
    for answers in (
        LATE_CHECKOUT,
        LATE_REFUND,
        LATE_RELEASE,
        LATE_SHORTAGE,
        LATE_SETTLEMENT,
        LATE_IN_PAYMENT_FAILURE,
    )
}
SAGAS = {name: answers.saga for name, answers in LATE.items()}

"""What is said about a payment × where the payment is: every pair has a row, and the table is total (P8).

Import fails and names the pairs that are missing or there twice. Words come from the provider's answers and from its
notices alike, so "the webhook before the reply" and "the webhook twice" are rows like any other.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Final

from services.payment import decisions as do
from services.payment import disputes, holding, refunding
from services.payment.case import Case
from services.payment.domain import PaymentState as State
from services.payment.domain import Word
from shared.total import total as total_over

Act = Callable[[Case], None]
Row = tuple[Word, tuple[State, ...], Act]


def total(rows: Iterable[Row]) -> Mapping[tuple[Word, State], Act]:
    cells = (((word, state), act) for word, states, act in rows for state in states)
    return total_over(cells, product(Word, State), " in ")


ENDED_WITHOUT_MONEY: Final = (State.DECLINED, State.FAILED, State.VOIDED)
HOLDING: Final = holding.HOLDING
RELEASING: Final = (State.WITHDRAWING, State.VOIDING, State.RETURNING)

ROWS: Final[tuple[Row, ...]] = (
    # what is said     while the payment is                              does
    (Word.PREPARED, (State.ASKED,), do.confirm),
    (Word.PREPARED, (State.WITHDRAWING,), do.void),  # made there, and never to be confirmed
    (Word.PREPARED, (State.PENDING, *HOLDING, State.CAPTURED, State.DECLINED, State.FAILED), do.ignore),
    (Word.PREPARED, (State.VOIDING, State.VOIDED, State.RETURNING, State.RETURNED), do.ignore),
    (Word.CAPTURED, (State.ASKED, State.PENDING), do.capture),
    (Word.CAPTURED, HOLDING, holding.heard_captured),
    (Word.CAPTURED, (State.CAPTURED, State.RETURNING, State.RETURNED), do.ignore),  # told twice, or an old notice
    (Word.CAPTURED, (State.WITHDRAWING, *ENDED_WITHOUT_MONEY), do.take_back),  # after release, decline or expiry
    (Word.CAPTURED, (State.VOIDING,), do.book_only),  # the void under way will be impossible, and says so
    (Word.AUTHORIZED, (State.ASKED, State.PENDING), holding.hold),
    (Word.AUTHORIZED, (State.WITHDRAWING, *ENDED_WITHOUT_MONEY), do.hold_and_void),
    (Word.AUTHORIZED, (*HOLDING, State.CAPTURED, State.VOIDING, State.RETURNING, State.RETURNED), do.ignore),
    (Word.PENDING, (State.ASKED,), do.wait),
    (Word.PENDING, (State.WITHDRAWING,), do.void),
    (Word.PENDING, (State.PENDING, *HOLDING, State.CAPTURED), do.ignore),  # older than what is known
    (Word.PENDING, (State.VOIDING, State.RETURNING, State.RETURNED, *ENDED_WITHOUT_MONEY), do.ignore),
    (Word.DECLINED, (State.ASKED, State.PENDING), holding.decline),
    (Word.DECLINED, (State.AUTHORIZED,), holding.lose_hold),
    (Word.DECLINED, (State.WITHDRAWING,), do.free),
    (Word.DECLINED, (State.PARTLY_CAPTURED, State.CAPTURED), do.tell_story),
    (Word.DECLINED, (State.VOIDING, State.RETURNING, State.RETURNED, *ENDED_WITHOUT_MONEY), do.ignore),
    (Word.FAILED, (State.ASKED, State.PENDING), holding.decline),
    (Word.FAILED, (State.AUTHORIZED,), holding.lose_hold),
    (Word.FAILED, (State.WITHDRAWING,), do.free),
    (Word.FAILED, (State.PARTLY_CAPTURED, State.CAPTURED), do.tell_story),
    (Word.FAILED, (State.VOIDING, State.RETURNING, State.RETURNED, *ENDED_WITHOUT_MONEY), do.ignore),
    (Word.VOIDED, (State.ASKED, State.PENDING), holding.decline),  # by the provider, not by us
    (Word.VOIDED, HOLDING, holding.lose_hold),
    (Word.VOIDED, (State.WITHDRAWING,), do.free),
    (Word.VOIDED, (State.CAPTURED,), do.tell_story),
    (Word.VOIDED, (State.VOIDING,), do.ignore),  # our void answers for itself
    (Word.VOIDED, (State.RETURNING, State.RETURNED, *ENDED_WITHOUT_MONEY), do.ignore),
    (Word.REFUNDED, (State.ASKED, State.PENDING), holding.decline),  # taken and given back by another hand
    (Word.REFUNDED, (State.AUTHORIZED,), holding.lose_hold),
    (Word.REFUNDED, (State.WITHDRAWING,), do.free),
    # our refunds answer for themselves
    (Word.REFUNDED, (State.PARTLY_CAPTURED, State.CAPTURED, State.VOIDING, State.RETURNING), do.ignore),
    (Word.REFUNDED, (State.RETURNED, *ENDED_WITHOUT_MONEY), do.ignore),
    (Word.CAPTURE_REFUSED, (State.AUTHORIZED,), do.give_up_hold),
    (Word.CAPTURE_REFUSED, (State.ASKED, State.PENDING, State.PARTLY_CAPTURED, State.CAPTURED), do.ignore),
    (Word.CAPTURE_REFUSED, (*RELEASING, State.RETURNED, *ENDED_WITHOUT_MONEY), do.ignore),
    (Word.RELEASE, (State.ASKED,), do.release_asked),
    (Word.RELEASE, (State.PENDING,), do.release_open),
    (Word.RELEASE, HOLDING, holding.release_held),
    (Word.RELEASE, (State.CAPTURED,), do.release_captured),
    (Word.RELEASE, RELEASING, do.join_release),
    (Word.RELEASE, (State.RETURNED, *ENDED_WITHOUT_MONEY), do.already_free),
    (Word.REFUND, (State.CAPTURED,), refunding.begin),
    (Word.REFUND, (State.ASKED, State.PENDING, *HOLDING), holding.refund_held),  # what is not due yet is never taken
    (Word.REFUND, ENDED_WITHOUT_MONEY, refunding.refuse_not_captured),
    (Word.REFUND, RELEASING, refunding.refuse_under_release),  # one changing decision at a time
    (Word.REFUND, (State.RETURNED,), refunding.refuse_nothing_left),
    (Word.CAPTURE_DUE, (State.ASKED, State.PENDING, *HOLDING), holding.capture_due),
    (Word.CAPTURE_DUE, (State.CAPTURED, *RELEASING, State.RETURNED, *ENDED_WITHOUT_MONEY), do.ignore),
    # of what is captured, whatever becomes of the rest, and after a refund too: then it is gone twice, and fought; one
    # that overtook the capture's notice waits for it
    (Word.DISPUTE_OPENED, tuple(State), disputes.open_chargeback),
    (Word.DISPUTE_WON, tuple(State), disputes.win),
    (Word.DISPUTE_LOST, tuple(State), disputes.lose),
)

LATE: Final = total(ROWS)

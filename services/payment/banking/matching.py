"""What an entry is: its way × what its reference stands for × how that stands. Every combination has a row.

Only an exact amount settles anything. Less, more or another currency is an outcome with a name, for a person: half an
order is not paid, and what is too much is somebody's money.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Final

from services.payment.banking.entries import Entry, EntryState, Flow, Purpose
from services.payment.creditor_reference import is_reference, references_in
from services.payment.domain import Payment, PaymentState, Refund, RefundState
from shared.total import total as total_over


class Outcome(StrEnum):
    PAID = "paid"
    PAID_LATE = "paid_late"  # the order is cancelled: it is captured and given back
    PAID_OUT = "paid_out"  # a refund, or what a person sent back, has left
    TRANSFER_RETURNED = "transfer_returned"  # the customer's bank took it back after it had paid an order
    UNRELATED = "unrelated"
    # a person must look
    NO_REFERENCE = "no_reference"
    UNKNOWN_REFERENCE = "unknown_reference"
    SEVERAL_REFERENCES = "several_references"
    TOO_LITTLE = "too_little"
    TOO_MUCH = "too_much"
    WRONG_CURRENCY = "wrong_currency"
    PAID_TWICE = "paid_twice"
    PAID_OUT_TWICE = "paid_out_twice"
    PAYOUT_RETURNED = "payout_returned"  # it had left, and came back: the account was closed
    UNEXPECTED = "unexpected"  # our reference, on a booking that should not carry it


SETTLES: Final = frozenset({Outcome.PAID, Outcome.PAID_LATE, Outcome.PAID_OUT, Outcome.TRANSFER_RETURNED})
"""These ask for the exact amount."""


class Standing(StrEnum):
    """How the thing a reference stands for stands."""

    WAITS = "waits"  # nothing came, or left, for it yet
    ENDED = "ended"  # nothing is waited for any more, and nothing came
    SETTLED = "settled"
    GIVEN_BACK = "given back"  # it had come, and it is back with the customer


@dataclass(frozen=True, slots=True)
class Expected:
    purpose: Purpose
    standing: Standing
    amount_minor: int
    currency: str


ALL: Final = tuple(Standing)
OUTGOING: Final = (Purpose.REFUND, Purpose.SEND_BACK)
Row = tuple[tuple[Purpose, ...], tuple[Flow, ...], tuple[Standing, ...], Outcome]

ROWS: Final[tuple[Row, ...]] = (
    # the reference is of  the money              while it                          is
    ((Purpose.PAYMENT,), (Flow.CAME_IN,), (Standing.WAITS,), Outcome.PAID),
    ((Purpose.PAYMENT,), (Flow.CAME_IN,), (Standing.ENDED,), Outcome.PAID_LATE),
    ((Purpose.PAYMENT,), (Flow.CAME_IN,), (Standing.SETTLED, Standing.GIVEN_BACK), Outcome.PAID_TWICE),
    ((Purpose.PAYMENT,), (Flow.TAKEN_BACK,), (Standing.SETTLED,), Outcome.TRANSFER_RETURNED),
    # taken back, and it never came or was given back already: the loss is ours until a person has looked
    ((Purpose.PAYMENT,), (Flow.TAKEN_BACK,), (Standing.WAITS, Standing.ENDED, Standing.GIVEN_BACK), Outcome.UNEXPECTED),
    (
        (Purpose.PAYMENT,),
        (Flow.WENT_OUT, Flow.CAME_BACK),
        ALL,
        Outcome.UNEXPECTED,
    ),  # a refund has a reference of its own
    (OUTGOING, (Flow.WENT_OUT,), (Standing.WAITS,), Outcome.PAID_OUT),
    (OUTGOING, (Flow.WENT_OUT,), (Standing.ENDED, Standing.SETTLED, Standing.GIVEN_BACK), Outcome.PAID_OUT_TWICE),
    # many banks book a bounced transfer as money that comes in, and not as a reversal
    (OUTGOING, (Flow.CAME_IN, Flow.CAME_BACK), ALL, Outcome.PAYOUT_RETURNED),
    (OUTGOING, (Flow.TAKEN_BACK,), ALL, Outcome.UNEXPECTED),
)


def total(rows: Iterable[Row]) -> Mapping[tuple[Purpose, Flow, Standing], Outcome]:
    cells = (
        (at, outcome) for purposes, flows, standings, outcome in rows for at in product(purposes, flows, standings)
    )
    return total_over(cells, product(Purpose, Flow, Standing))


TABLE: Final = total(ROWS)


def outcome_of(
    amount_minor: int, currency: str, flow: Flow, named: Sequence[str], expected: Sequence[Expected]
) -> Outcome:
    """What an entry is that names these references, of which those are ours that are `expected`."""
    match expected:
        case []:
            return unknown(flow, named)
        case [one]:
            return judge(amount_minor, currency, flow, one)
        case _:
            return Outcome.SEVERAL_REFERENCES


def judge(amount_minor: int, currency: str, flow: Flow, expected: Expected) -> Outcome:
    """What an entry is to the one thing it names."""
    outcome = TABLE[expected.purpose, flow, expected.standing]
    if outcome not in SETTLES:
        return outcome
    if currency != expected.currency:
        return Outcome.WRONG_CURRENCY
    if abs(amount_minor) < expected.amount_minor:
        return Outcome.TOO_LITTLE
    if abs(amount_minor) > expected.amount_minor:
        return Outcome.TOO_MUCH
    return outcome


def unknown(flow: Flow, named: Sequence[str]) -> Outcome:
    """What an entry is that names nothing we gave out."""
    if flow is Flow.WENT_OUT:
        return Outcome.UNRELATED
    return Outcome.UNKNOWN_REFERENCE if named else Outcome.NO_REFERENCE


def named_in(reference: str, end_to_end_id: str, remittance: str) -> tuple[str, ...]:
    """The references an entry may mean. A right one in the field made for it is the only one."""
    structured = references_in(reference)
    if len(structured) == 1 and is_reference(structured[0]):
        return structured
    return references_in(reference, end_to_end_id, remittance)


# -- how things stand ------------------------------------------------------------------------------------------------

GONE: Final = frozenset({PaymentState.RETURNING, PaymentState.RETURNED})
OVER: Final = frozenset({PaymentState.DECLINED, PaymentState.FAILED, PaymentState.VOIDED})
LEAVING: Final = frozenset({PaymentState.WITHDRAWING, PaymentState.VOIDING})


def of_payment(payment: Payment) -> Expected:
    taken_back = payment.disputed_minor > 0  # by the customer's bank: nothing of it is here any more
    promised = payment.state is PaymentState.RETURNING and payment.refund_reserved_minor > 0  # it has not left yet
    if promised and not taken_back:
        standing = Standing.SETTLED
    elif payment.state in GONE or taken_back or (payment.state in LEAVING and payment.captured_minor):
        standing = Standing.GIVEN_BACK
    elif payment.state is PaymentState.CAPTURED:
        standing = Standing.SETTLED
    elif payment.state in OVER or payment.state in LEAVING:
        standing = Standing.ENDED
    else:
        standing = Standing.WAITS
    return Expected(Purpose.PAYMENT, standing, payment.amount_minor, payment.currency)


_REFUNDS: Final = {
    RefundState.ASKED: Standing.WAITS,
    RefundState.REFUNDED: Standing.SETTLED,
    RefundState.REFUSED: Standing.ENDED,
}


def of_refund(refund: Refund) -> Expected:
    return Expected(Purpose.REFUND, _REFUNDS[refund.state], refund.amount_minor, refund.currency)


def of_entry(entry: Entry) -> Expected:
    """One that a person sends back."""
    standing = Standing.WAITS if entry.state is EntryState.SENDING_BACK else Standing.SETTLED
    return Expected(Purpose.SEND_BACK, standing, entry.amount_minor - entry.kept_minor, entry.currency)

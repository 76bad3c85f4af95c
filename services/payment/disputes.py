"""A dispute: the customer's bank takes back what was captured, and later it is decided who keeps it.

What is disputed cannot be refunded as well. Won back after the order's money had to be free, it is given back at once.
"""

from typing import Final

from contracts.payment import DisputeOutcome, ProviderDisputed
from services.payment.case import Case, Contradiction
from services.payment.decisions import give_back
from services.payment.domain import (
    CHARGEBACK,
    Chargeback,
    ChargebackReversal,
    ChargebackState,
    PaymentState,
    ReversalState,
    Word,
    chargeback_id,
)
from services.payment.ledger import EntryKind
from services.payment.tables import CHARGEBACKS
from shared.consumer import NotYet
from shared.frozen import replace

WORDS: Final = (Word.DISPUTE_OPENED, Word.DISPUTE_WON, Word.DISPUTE_LOST)
WORD_OF: Final = {
    DisputeOutcome.OPEN: Word.DISPUTE_OPENED,
    DisputeOutcome.WON: Word.DISPUTE_WON,
    DisputeOutcome.LOST: Word.DISPUTE_LOST,
}


def open_chargeback(case: Case) -> None:
    """Once; how it ended may be known already."""
    _must_fit(case)
    if _standing(case) is None:
        _take(case, ChargebackState.OPEN)
        _tell(case, "charged_back")


def lose(case: Case) -> None:
    _must_fit(case)
    standing = _standing(case)
    if standing is None:
        _take(case, ChargebackState.LOST)
    elif standing.state is ChargebackState.OPEN:
        case.rows.put(replace(standing, state=CHARGEBACK.to(standing.state, "lose")))
    else:
        return  # told twice, or an appeal was won since
    _tell(case, "chargeback_lost")


def win(case: Case) -> None:
    """The money is ours again: a row of its own, as the taking was."""
    _must_fit(case)
    told, standing = _told(case), _standing(case)
    amount_minor = told.amount_minor if standing is None else standing.amount_minor
    if standing is None:
        won = _row(case, ChargebackState.WON)
        case.rows.put(won)
        case.book(EntryKind.CHARGEBACK, won.amount_minor, won.id)
        case.book(EntryKind.CHARGEBACK_REVERSED, won.amount_minor, won.id)
    elif standing.state is ChargebackState.WON:
        return
    else:
        case.rows.put(replace(standing, state=CHARGEBACK.to(standing.state, "win")))
        case.book(EntryKind.CHARGEBACK_REVERSED, standing.amount_minor, standing.id)
        _win_back(case, standing.amount_minor)
    id_ = chargeback_id(case.payment.order_id, told.dispute_id)
    case.rows.put(ChargebackReversal(id_, case.payment.order_id, amount_minor, told.currency, ReversalState.REVERSED))
    _tell(case, "chargeback_reversed")


def _win_back(case: Case, amount_minor: int) -> None:
    """It is ours again; of a dead order it is the customer's."""
    disputed_minor = case.payment.disputed_minor - amount_minor
    refundable_minor = replace(case.payment, disputed_minor=disputed_minor).refundable_minor
    if case.state is PaymentState.RETURNED and refundable_minor:
        case.move("return", disputed_minor=disputed_minor)
        give_back(case)
    else:
        case.set(disputed_minor=disputed_minor)


def _take(case: Case, state: ChargebackState) -> None:
    payment, told = case.payment, _told(case)
    disputed_minor = payment.disputed_minor + told.amount_minor
    if disputed_minor > payment.captured_minor:  # disputed again, and we have not heard that the first was won
        raise NotYet(f"dispute {told.dispute_id}: {payment.disputed_minor} of {payment.captured_minor} are disputed")
    chargeback = _row(case, state)
    case.rows.put(chargeback)
    case.book(EntryKind.CHARGEBACK, chargeback.amount_minor, chargeback.id)
    case.set(disputed_minor=disputed_minor)


def _must_fit(case: Case) -> None:
    payment, told = case.payment, _told(case)
    if told.currency != payment.currency or told.amount_minor > payment.amount_minor:
        raise Contradiction(
            f"dispute {told.dispute_id}: {told.amount_minor} {told.currency} of a payment of"
            f" {payment.amount_minor} {payment.currency}"
        )
    if told.amount_minor > payment.captured_minor:
        raise NotYet(
            f"dispute {told.dispute_id}: {told.amount_minor} are disputed of {payment.captured_minor} captured"
        )


def _row(case: Case, state: ChargebackState) -> Chargeback:
    told, order_id = _told(case), case.payment.order_id
    id_ = chargeback_id(order_id, told.dispute_id)
    return Chargeback(id_, order_id, told.dispute_id, told.amount_minor, told.currency, state, told.reason)


def _standing(case: Case) -> Chargeback | None:
    return case.rows.get(CHARGEBACKS, chargeback_id(case.payment.order_id, _told(case).dispute_id))


def _tell(case: Case, fact: str) -> None:
    """What was booked; how it ended may have been told with another amount."""
    told, booked = _told(case), _standing(case)
    assert booked is not None  # kept before it is told
    case.tell(fact, reason=told.reason, detail=case.money(booked.amount_minor) | {"dispute_id": told.dispute_id})


def _told(case: Case) -> ProviderDisputed:
    assert case.told.dispute is not None  # only a dispute's notice leads here
    return case.told.dispute

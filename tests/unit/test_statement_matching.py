"""The table of what an entry is: total, checked at import; only the exact amount settles anything."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payment.banking.entries import Entry, EntryState, Flow, Purpose, entry_id, flow_of
from services.payment.banking.matching import (
    ROWS,
    SETTLES,
    TABLE,
    Expected,
    Outcome,
    Row,
    Standing,
    judge,
    named_in,
    of_entry,
    of_payment,
    of_refund,
    total,
    unknown,
)
from services.payment.creditor_reference import printed, reference_of
from services.payment.domain import Payment, PaymentState, Refund, RefundState
from shared.total import NotTotal

ORDER = UUID(int=1)
FIRST, SECOND = reference_of("first"), reference_of("second")


def test_every_combination_has_one_row() -> None:
    assert len(TABLE) == len(Purpose) * len(Flow) * len(Standing)


def without(row: Row) -> Iterable[Row]:
    return (one for one in ROWS if one is not row)


def test_a_missing_row_is_named_and_so_is_a_second() -> None:
    with pytest.raises(NotTotal, match="payment came in waits"):
        total(without(ROWS[0]))
    with pytest.raises(NotTotal, match="payment came in waits is there twice"):
        total((*ROWS, ROWS[0]))


@given(
    amount=st.integers(1, 10**6),
    other=st.integers(1, 10**6),
    flow=st.sampled_from(Flow),
    purpose=st.sampled_from(Purpose),
    standing=st.sampled_from(Standing),
    currency=st.sampled_from(("EUR", "USD")),
)
def test_nothing_is_settled_by_another_amount(
    amount: int, other: int, flow: Flow, purpose: Purpose, standing: Standing, currency: str
) -> None:
    outcome = judge(amount, currency, flow, Expected(purpose, standing, other, "EUR"))
    if outcome in SETTLES:
        assert (amount, currency) == (other, "EUR")
        assert standing is not Standing.GIVEN_BACK
    if outcome in (Outcome.PAID, Outcome.PAID_LATE):
        assert (flow, purpose) == (Flow.CAME_IN, Purpose.PAYMENT)
    if outcome is Outcome.PAID_OUT:
        assert flow is Flow.WENT_OUT and purpose is not Purpose.PAYMENT and standing is Standing.WAITS


@pytest.mark.parametrize("state", PaymentState)
def test_every_state_of_a_payment_stands_somewhere(state: PaymentState) -> None:
    payment = Payment(ORDER, 1000, "EUR", "transfer", state, "", None)
    expected = {
        PaymentState.ASKED: Standing.WAITS,
        PaymentState.PENDING: Standing.WAITS,
        PaymentState.AUTHORIZED: Standing.WAITS,
        PaymentState.PARTLY_CAPTURED: Standing.WAITS,
        PaymentState.CAPTURED: Standing.SETTLED,
        PaymentState.RETURNING: Standing.GIVEN_BACK,
        PaymentState.RETURNED: Standing.GIVEN_BACK,
    }.get(state, Standing.ENDED)
    assert of_payment(payment) == Expected(Purpose.PAYMENT, expected, 1000, "EUR")


def test_money_that_came_during_a_void_is_not_waited_for_again() -> None:
    payment = Payment(ORDER, 1000, "EUR", "transfer", PaymentState.VOIDING, "", None, captured_minor=1000)
    assert of_payment(payment).standing is Standing.GIVEN_BACK


def test_money_of_which_a_bank_took_any_back_is_not_there_to_be_taken_back_again() -> None:
    payment = Payment(ORDER, 1000, "EUR", "transfer", PaymentState.CAPTURED, "", None, captured_minor=1000)
    assert of_payment(replace(payment, disputed_minor=1)).standing is Standing.GIVEN_BACK


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        (RefundState.ASKED, Standing.WAITS),
        (RefundState.REFUNDED, Standing.SETTLED),
        (RefundState.REFUSED, Standing.ENDED),
    ],
)
def test_every_state_of_a_refund_stands_somewhere(state: RefundState, standing: Standing) -> None:
    refund = Refund(UUID(int=2), UUID(int=2), ORDER, 400, "EUR", state, "")
    assert of_refund(refund) == Expected(Purpose.REFUND, standing, 400, "EUR")


@pytest.mark.parametrize("state", EntryState)
def test_only_what_is_being_sent_back_waits_to_leave(state: EntryState) -> None:
    id_ = entry_id("A", "1")
    entry = Entry(
        id_, id_, "A", "1", date(2026, 3, 2), 500, "EUR", False, "", "", "", "", "", Outcome.NO_REFERENCE, state
    )
    assert (of_entry(entry).standing is Standing.WAITS) == (state is EntryState.SENDING_BACK)


def test_which_way_money_went() -> None:
    assert [flow_of(1, False), flow_of(1, True), flow_of(-1, False), flow_of(-1, True)] == [
        Flow.CAME_IN, Flow.CAME_BACK, Flow.WENT_OUT, Flow.TAKEN_BACK,
    ]  # fmt: skip


def test_what_names_nothing_of_ours() -> None:
    assert unknown(Flow.WENT_OUT, (FIRST,)) is Outcome.UNRELATED
    assert unknown(Flow.CAME_IN, (FIRST,)) is Outcome.UNKNOWN_REFERENCE
    assert {unknown(flow, ()) for flow in set(Flow) - {Flow.WENT_OUT}} == {Outcome.NO_REFERENCE}


@pytest.mark.parametrize(
    ("reference", "end_to_end_id", "remittance", "found"),
    [
        (FIRST, "", SECOND, (FIRST,)),
        (printed(FIRST).lower(), "", "", (FIRST,)),
        ("INVOICE 7", SECOND, "", (SECOND,)),
        ("", "", f"for {FIRST[:9]}\n{FIRST[9:]} and {SECOND}", (FIRST, SECOND)),
        (FIRST[:-1] + ("A" if FIRST[-1] != "A" else "B"), "", SECOND, (SECOND,)),
        ("", "", "RF18 5390 0754 7034", ()),
    ],
)
def test_the_references_an_entry_may_mean(
    reference: str, end_to_end_id: str, remittance: str, found: tuple[str, ...]
) -> None:
    assert named_in(reference, end_to_end_id, remittance) == found

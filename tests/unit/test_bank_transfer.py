"""Paid by transfer: pending for days, settled by what a statement says, late and wrong money included."""

from dataclasses import replace
from uuid import UUID

import pytest

from contracts.payment import (
    PaymentFailed,
    PaymentPending,
    PaymentReleased,
    ReleasePayment,
    ReleasePending,
)
from contracts.statement import AssignEntry, BookStatement, DismissEntry, SendBackEntry
from services.payment.banking.entries import EntryState, entry_id
from services.payment.banking.tables import QUOTED
from services.payment.creditor_reference import is_reference, printed, reference_of
from services.payment.domain import PaymentState
from services.payment.provider.bank import BankTransfer
from services.payment.provider.port import (
    AuthorizeRequest,
    CaptureRequest,
    Impossible,
    Pending,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
)
from services.payment.tables import CHARGEBACKS, REFUNDS, TRANSFERS
from tests.support.bank import ACCOUNT, OTHER, BankTill, payout
from tests.support.paying import AUTHORIZE, AUTHORIZED, ORDER, RELEASE, RELEASED


@pytest.fixture
def till() -> BankTill:
    return BankTill()


async def test_the_adapter_says_only_what_is_known() -> None:
    bank, asked = BankTransfer(), AuthorizeRequest(1000, "EUR", "none", str(ORDER), capture=True)
    first, again = await bank.authorize("key", asked), await bank.authorize("key", asked)
    assert first == again and isinstance(first, Pending) and is_reference(first.provider_payment_id)
    assert await bank.authorize("other", asked) != first
    id_ = first.provider_payment_id
    assert await bank.void("v", VoidRequest(id_)) == Voided(id_)
    assert isinstance(await bank.capture("c", CaptureRequest(id_, 1000)), Impossible)
    assert await bank.refund("r", RefundRequest(id_, 400)) == Unknown("to be paid out", id_)
    assert await bank.withdraw("w", "key") == Voided(None)
    assert await bank.find(id_) == first


async def test_a_transfer_is_pending_and_a_statement_captures_it(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    assert till.answers(AUTHORIZE) == [PaymentPending(order_id=ORDER, wait_s=3600.0, quote=reference)]
    assert till.store.due == {}  # nobody is asked again
    (entry,) = await till.states(till.booked(f"thanks! {printed(reference).lower()} ada"))
    assert (entry.state, entry.outcome, entry.order_id) == (EntryState.MATCHED, "paid", ORDER)
    assert till.answer(AUTHORIZE) == AUTHORIZED
    assert till.payment(ORDER).captured_minor == 1000
    assert till.story() == ["payment.pending", "payment.captured"]


async def test_a_statement_imported_twice_counts_once(till: BankTill) -> None:
    entry = till.booked(await till.ordered(ORDER, AUTHORIZE))
    await till.states(entry, till.booked("rent", -500))
    await till.states(entry)
    await till.states(entry, statement="042")
    told = {one.name: (one.entries, one.matched, one.unrelated, one.repeated) for one in till.statements()}
    assert told == {"041": (2, 1, 1, 1), "042": (0, 0, 0, 1)}
    assert till.story().count("payment.captured") == 1


async def test_an_entry_told_otherwise_is_not_booked_again_and_says_so(till: BankTill) -> None:
    entry = till.booked("hello", 700)
    await till.states(entry)
    (again,) = await till.states(entry.model_copy(update={"amount_minor": 900}))
    assert (again.amount_minor, again.problem) == (700, "said again as 900 EUR of 2026-03-02")


@pytest.mark.parametrize(
    ("amount_minor", "currency", "outcome"),
    [(999, "EUR", "too_little"), (1001, "EUR", "too_much"), (1000, "USD", "wrong_currency")],
)
async def test_what_is_not_exact_is_for_a_person(
    till: BankTill, amount_minor: int, currency: str, outcome: str
) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    (entry,) = await till.states(till.booked(reference, amount_minor, currency=currency))
    assert (entry.state, entry.outcome, entry.order_id) == (EntryState.OPEN, outcome, ORDER)
    assert till.payment(ORDER).state is PaymentState.PENDING
    assert till.story() == ["payment.pending", "payment.transfer_unmatched"]


async def test_paid_twice_in_one_statement(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    first, second = await till.states(till.booked(reference), till.booked(reference))
    assert (first.outcome, second.outcome, second.state) == ("paid", "paid_twice", EntryState.OPEN)
    assert till.payment(ORDER).captured_minor == 1000


async def test_unknown_none_and_several_references(till: BankTill) -> None:
    both = [await till.ordered(ORDER, AUTHORIZE), await till.ordered(OTHER, "orchestrator/other/pay/do")]
    entries = await till.states(
        till.booked(reference_of("nobody")), till.booked("thanks"), till.booked(" ".join(both), 2000),
        till.booked("wages", -9000), till.booked(reference_of("supplier"), -100), till.booked("back", 5, reversal=True),
    )  # fmt: skip
    assert [(entry.outcome, entry.state.value) for entry in entries] == [
        ("unknown_reference", "open"), ("no_reference", "open"), ("several_references", "open"),
        ("unrelated", "unrelated"), ("unrelated", "unrelated"), ("no_reference", "open"),
    ]  # fmt: skip


async def test_the_structured_reference_is_the_one_that_counts(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    other = await till.ordered(OTHER, "orchestrator/other/pay/do")
    (entry,) = await till.states(till.booked(other, reference=printed(reference)))
    assert (entry.outcome, entry.order_id) == ("paid", ORDER)


# -- late --------------------------------------------------------------------------------------------------------------


async def test_money_that_comes_after_the_order_ended_is_given_back(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.hears(ReleasePayment(order_id=ORDER, reason="reservation_expired"), keys=[RELEASE])
    await till.works()
    assert till.answer(RELEASE) == RELEASED
    assert till.payment(ORDER).state is PaymentState.VOIDED
    (entry,) = await till.states(till.booked(reference))
    assert (entry.outcome, entry.state) == ("paid_late", EntryState.MATCHED)
    await till.works()
    assert till.payment(ORDER).state is PaymentState.RETURNING
    (gone,) = await till.states(till.booked(payout(till), -1000))
    assert (gone.outcome, gone.state) == ("paid_out", EntryState.MATCHED)
    assert till.payment(ORDER).state is PaymentState.RETURNED
    (again,) = await till.states(till.booked(reference))
    assert (again.outcome, again.state) == ("paid_twice", EntryState.OPEN)


async def test_money_that_comes_while_the_void_is_under_way(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.hears(ReleasePayment(order_id=ORDER, reason="cancelled"), keys=[RELEASE])
    await till.states(till.booked(reference))
    await till.works()
    assert till.answers(RELEASE) == [ReleasePending(order_id=ORDER, wait_s=5 * 86_400.0)]
    await till.states(till.booked(f"refund {payout(till)}", -1000))
    assert till.answer(RELEASE) == RELEASED
    assert till.payment(ORDER).state is PaymentState.RETURNED


async def test_a_transfer_taken_back_is_told_in_the_order_s_story(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.states(till.booked(reference))
    (entry,) = await till.states(till.booked(reference, -1000, reversal=True))
    assert (entry.outcome, entry.state) == ("transfer_returned", EntryState.MATCHED)
    assert till.story()[-2:] == ["payment.failed", "payment.chargeback_lost"]
    [failed] = till.said(PaymentFailed)
    assert failed == PaymentFailed(order_id=ORDER, missing_minor=1000, currency="EUR", reason="transfer_returned"), (
        "and the order is told to stop"
    )


async def test_taken_back_before_it_came_is_for_a_person(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    (entry,) = await till.states(till.booked(reference, -1000, reversal=True))
    assert (entry.outcome, entry.state) == ("unexpected", EntryState.OPEN)
    assert till.payment(ORDER).state is PaymentState.PENDING


async def test_taken_back_in_part_is_for_a_person(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.states(till.booked(reference))
    (entry,) = await till.states(till.booked(reference, -900, reversal=True))
    assert (entry.outcome, entry.state) == ("too_little", EntryState.OPEN)
    assert till.store.rows(CHARGEBACKS) == []


# -- what a person decides ---------------------------------------------------------------------------------------------


async def test_an_open_entry_is_assigned_to_the_order_it_pays_for(till: BankTill) -> None:
    await till.ordered(ORDER, AUTHORIZE)
    (entry,) = await till.states(till.booked("order of monday"))
    assign = AssignEntry(entry_id=entry.id, order_id=ORDER, by="grace")
    await till.hears(assign, assign)
    entry = till.entry(entry.bank_reference)
    assert (entry.state, entry.order_id, entry.decided_by, entry.problem) == (EntryState.ASSIGNED, ORDER, "grace", "")
    assert till.answer(AUTHORIZE) == AUTHORIZED
    await till.hears(SendBackEntry(entry_id=entry.id, by="grace"))
    assert till.entry(entry.bank_reference).problem == "not open: assigned"


@pytest.mark.parametrize(
    ("fields", "order_id", "problem"),
    [
        ({"amount_minor": 900}, ORDER, "too_little"),
        ({"amount_minor": 1100}, ORDER, "too_much"),
        ({"currency": "USD"}, ORDER, "wrong_currency"),
        ({}, OTHER, "no payment of this order waits, or waited, for a transfer"),
        ({"reversal": True}, ORDER, "only money that came in pays for an order"),
    ],
)
async def test_why_it_cannot_be_assigned_is_kept(
    till: BankTill, fields: dict[str, object], order_id: UUID, problem: str
) -> None:
    await till.ordered(ORDER, AUTHORIZE)
    (entry,) = await till.states(till.booked("hm", **fields))  # type: ignore[arg-type]
    await till.hears(AssignEntry(entry_id=entry.id, order_id=order_id, by="grace"))
    entry = till.entry(entry.bank_reference)
    assert (entry.state, entry.problem) == (EntryState.OPEN, problem)
    assert till.payment(ORDER).state is PaymentState.PENDING


async def test_an_entry_assigned_to_an_order_that_ended_is_given_back(till: BankTill) -> None:
    await till.ordered(ORDER, AUTHORIZE)
    await till.hears(ReleasePayment(order_id=ORDER, reason="reservation_expired"), keys=[RELEASE])
    await till.works()
    (entry,) = await till.states(till.booked("order of monday"))
    await till.hears(AssignEntry(entry_id=entry.id, order_id=ORDER, by="grace"))
    assert till.entry(entry.bank_reference).state is EntryState.ASSIGNED
    await till.works()
    await till.states(till.booked(payout(till), -1000))
    assert till.payment(ORDER).state is PaymentState.RETURNED


async def test_what_is_decided_of_an_entry_that_is_not_there_yet_waits_for_it(till: BankTill) -> None:
    told = till.booked("interest", 3)
    id_ = entry_id(ACCOUNT, told.bank_reference)
    await till.hears(DismissEntry(entry_id=id_, by="grace", reason="interest"))
    (waits,) = till.store.due.values()
    assert waits.error.endswith(f"unknown entry {id_}")
    await till.hears(BookStatement(account=ACCOUNT, statement="041", entries=(told,), by="grace"))
    await till.passes(minutes=1)
    assert till.entry(told.bank_reference).state is EntryState.DISMISSED


async def test_money_that_left_is_not_sent_back(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    (entry,) = await till.states(till.booked(reference, -500))
    send_back = SendBackEntry(entry_id=entry.id, by="grace", reason="odd")
    await till.hears(send_back)
    entry = till.entry(entry.bank_reference)
    assert (entry.state, entry.problem) == (EntryState.OPEN, "money that left cannot be sent back")
    await till.hears(DismissEntry(entry_id=entry.id, by="grace", reason="ours"), send_back)
    entry = till.entry(entry.bank_reference)
    assert (entry.state, entry.problem) == (EntryState.DISMISSED, "not open: dismissed")


async def test_of_too_much_the_order_s_part_is_kept_and_the_rest_goes_back(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    (entry,) = await till.states(till.booked(reference, 1250))
    assign = AssignEntry(entry_id=entry.id, order_id=ORDER, by="grace", rest_goes_back=True)
    await till.hears(assign, assign)
    assert till.answer(AUTHORIZE) == AUTHORIZED
    assert till.payment(ORDER).captured_minor == 1000
    kept = till.entry(entry.bank_reference)
    assert (kept.state, kept.kept_minor, kept.order_id) == (EntryState.SENDING_BACK, 1000, ORDER)
    await till.states(till.booked(reference_of(str(entry.id)), -250))
    assert till.entry(entry.bank_reference).state is EntryState.SENT_BACK


async def test_no_rest_goes_back_of_what_cannot_be_kept(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.states(till.booked(reference))
    (entry,) = await till.states(till.booked(reference, 1250))
    await till.hears(AssignEntry(entry_id=entry.id, order_id=ORDER, by="grace", rest_goes_back=True))
    assert till.entry(entry.bank_reference).problem == "paid_twice"
    assert [one.purpose.value for one in till.store.rows(QUOTED)] == ["payment"]


async def test_an_open_entry_is_sent_back_when_it_has_left(till: BankTill) -> None:
    (entry,) = await till.states(till.booked("who is this for?"))
    await till.hears(SendBackEntry(entry_id=entry.id, by="grace", reason="nobody's"))
    assert till.entry(entry.bank_reference).state is EntryState.SENDING_BACK
    reference = reference_of(str(entry.id))
    (less,) = await till.states(till.booked(reference, -900))
    assert (less.outcome, till.entry(entry.bank_reference).state) == ("too_little", EntryState.SENDING_BACK)
    (gone,) = await till.states(till.booked(reference, -1000))
    assert (gone.outcome, till.entry(entry.bank_reference).state) == ("paid_out", EntryState.SENT_BACK)
    (twice,) = await till.states(till.booked(reference, -1000))
    assert twice.outcome == "paid_out_twice"


async def test_what_is_no_business_of_ours_is_dismissed(till: BankTill) -> None:
    (entry,) = await till.states(till.booked("interest", 3))
    dismiss = DismissEntry(entry_id=entry.id, by="grace", reason="interest")
    await till.hears(dismiss)
    assert till.entry(entry.bank_reference).state is EntryState.DISMISSED
    await till.hears(dismiss)
    assert till.entry(entry.bank_reference).problem == "not open: dismissed"
    kept = replace(till.entry(entry.bank_reference), problem="", version=2)
    assert (kept.decided_by, kept.reason) == ("grace", "interest")


async def test_a_transfer_that_was_called_back_is_not_given_back_again(till: BankTill) -> None:
    """The customer has the money: a release owes them nothing, and the ledger says where it went."""
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.states(till.booked(reference))
    (back,) = await till.states(till.booked(reference, -1000, reversal=True))
    assert back.outcome == "transfer_returned"
    await till.hears(ReleasePayment(order_id=ORDER, reason="cancelled"), keys=[RELEASE])
    assert till.store.rows(REFUNDS) == [] and till.answer(RELEASE) == PaymentReleased(order_id=ORDER)
    (taken,) = till.store.rows(CHARGEBACKS)
    assert (taken.amount_minor, taken.state, taken.reason) == (1000, "lost", "transfer_returned")
    assert [row.kind for row in till.store.rows(TRANSFERS)] == ["capture", "chargeback"]
    assert till.story().count("payment.failed") == 1


async def test_called_back_twice_is_for_a_person(till: BankTill) -> None:
    reference = await till.ordered(ORDER, AUTHORIZE)
    await till.states(till.booked(reference))
    await till.states(till.booked(reference, -1000, reversal=True))
    (again,) = await till.states(till.booked(reference, -1000, reversal=True))
    assert (again.outcome, again.state) == ("unexpected", EntryState.OPEN)
    assert till.payment(ORDER).disputed_minor == 1000

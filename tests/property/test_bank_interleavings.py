"""In whatever order money comes, orders end, refunds are asked for and transfers leave: every cent the bank told of is
in the books once, or open for a person."""

import asyncio
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.payment import PaymentRefunded, PaymentRefundRefused, PaymentReleased, RefundPayment, ReleasePayment
from contracts.statement import AssignEntry, BookedEntry, SendBackEntry
from services.payment.attempt import ENDED, Attempt, AttemptKind
from services.payment.banking.entries import EntryState
from services.payment.banking.matching import Outcome
from services.payment.banking.tables import ENTRIES
from services.payment.creditor_reference import reference_of
from services.payment.domain import PaymentState, Refund, RefundState
from services.payment.tables import CAPTURES, REFUNDS
from tests.support.bank import BankTill
from tests.support.books import ledger_is_wrong

ORDER = UUID(int=0xA1)
AUTHORIZE, RELEASE = "orchestrator/run/pay/do", "orchestrator/run/pay/undo"
STEPS = (
    "exact",
    "exact",
    "less",
    "more",
    "nameless",
    "called back",
    "again",
    "release",
    "refund",
    "works",
    "payout",
    "left",
    "assign",
    "back",
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=14), rest_goes_back=st.booleans())
def test_every_cent_is_somewhere(steps: list[str], rest_goes_back: bool) -> None:
    asyncio.run(_played(steps, rest_goes_back))


async def _played(steps: list[str], rest_goes_back: bool) -> None:
    till = BankTill()
    reference = await till.ordered(ORDER, AUTHORIZE)
    told: list[BookedEntry] = []
    amounts = {"exact": (reference, 1000), "less": (reference, 999), "more": (reference, 1500), "nameless": ("", 1000)}
    refunds = 0
    for step in steps:
        match step:
            case "exact" | "less" | "more" | "nameless":
                told.append(till.booked(*amounts[step]))
                await till.states(told[-1])
            case "called back":
                told.append(till.booked(reference, -1000, reversal=True))
                await till.states(told[-1])
            case "again" if told:
                await till.states(*told)
            case "release":
                await till.hears(ReleasePayment(order_id=ORDER, reason="cancelled"), keys=[RELEASE])
            case "refund":
                refunds += 1
                command = RefundPayment(
                    order_id=ORDER, refund_id=UUID(int=refunds), amount_minor=300, currency="EUR", reason=""
                )
                await till.hears(command, keys=[f"r/{refunds}/a/do"])
            case "works":
                await till.works()
            case "payout":
                told += await _paid_out(till)
            case "left":
                left = await _left_all_the_same(till)
                told += left
                assert all(till.entry(one.bank_reference).state is EntryState.OPEN for one in left)
            case "assign" | "back":
                for entry in till.store.rows(ENTRIES):
                    if entry.state is EntryState.OPEN:
                        wish = AssignEntry(entry_id=entry.id, order_id=ORDER, by="g", rest_goes_back=rest_goes_back)
                        await till.hears(wish if step == "assign" else SendBackEntry(entry_id=entry.id, by="g"))
    for _ in range(5):  # void, take back, pay out
        await till.works()
        told += await _paid_out(till)
    await till.passes(minutes=10)
    assert till.store.due == {} and all(one.state in ENDED for one in till.attempts(ORDER))
    _check(till, refunds)


async def _paid_out(till: BankTill) -> list[BookedEntry]:
    """Everything that is to be paid out leaves, and the next statement shows it."""
    entries = [
        till.booked(reference_of(str(one.id)), -one.amount_minor)
        for one in till.attempts(ORDER)
        if one.kind is AttemptKind.REFUND and _refund_of(till, one).state is RefundState.ASKED
    ]
    entries += [
        till.booked(reference_of(str(one.id)), one.kept_minor - one.amount_minor)
        for one in till.store.rows(ENTRIES)
        if one.state is EntryState.SENDING_BACK
    ]
    if entries:
        await till.states(*entries)
    return entries


async def _left_all_the_same(till: BankTill) -> list[BookedEntry]:
    """Payouts that were handed to the bank before the customer's bank took the money back."""
    entries = [
        till.booked(reference_of(str(one.id)), -one.amount_minor)
        for one in till.attempts(ORDER)
        if one.kind is AttemptKind.REFUND and _refund_of(till, one).state is RefundState.REFUSED
    ]
    if entries:
        await till.states(*entries)
    return entries


def _refund_of(till: BankTill, attempt: Attempt) -> Refund:
    refund = till.store.row(REFUNDS, attempt.refund_id)
    assert isinstance(refund, Refund)
    return refund


def _check(till: BankTill, refunds: int) -> None:
    payment, entries = till.payment(ORDER), till.store.rows(ENTRIES)
    assert payment.state in {PaymentState.PENDING, PaymentState.CAPTURED, PaymentState.VOIDED, PaymentState.RETURNED}
    paid = [one for one in entries if one.outcome in (Outcome.PAID, Outcome.PAID_LATE)]
    assigned = [one for one in entries if one.state is EntryState.ASSIGNED or one.kept_minor]
    assert len(paid) + len(assigned) == len(till.store.rows(CAPTURES)) <= 1
    assert payment.captured_minor == sum(one.amount_minor for one in paid) + sum(
        one.kept_minor or one.amount_minor for one in assigned
    )
    done = [one for one in till.store.rows(REFUNDS) if one.state is RefundState.REFUNDED]
    assert payment.refunded_minor == sum(one.amount_minor for one in done)
    assert payment.refund_reserved_minor == 0 and list(ledger_is_wrong(till.store)) == []
    refused = [one for one in till.store.rows(REFUNDS) if one.state is RefundState.REFUSED]
    assert {one.refusal for one in refused} <= {"transfer_returned"}
    left = sum(-one.amount_minor for one in entries if one.outcome == Outcome.PAID_OUT)
    back = sum(one.amount_minor - one.kept_minor for one in entries if one.state is EntryState.SENT_BACK)
    assert left == payment.refunded_minor + back
    taken_back = [one for one in entries if one.outcome == Outcome.TRANSFER_RETURNED]
    assert len(taken_back) <= 1 and payment.disputed_minor == 1000 * len(taken_back)
    came = sum(one.amount_minor for one in entries if one.amount_minor > 0)
    waiting = sum(max(0, one.amount_minor) for one in entries if one.state is EntryState.OPEN)
    assert came == payment.captured_minor + back + waiting
    if till.answers(RELEASE):
        assert till.answer(RELEASE) == PaymentReleased(order_id=ORDER)
        assert payment.refunded_minor + payment.disputed_minor >= payment.captured_minor
        assert taken_back or payment.captured_minor == payment.refunded_minor
    for number in range(1, refunds + 1):
        assert isinstance(till.answer(f"r/{number}/a/do"), PaymentRefunded | PaymentRefundRefused)

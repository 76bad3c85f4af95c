"""What payment hears of a bank's statements: an entry that is matched becomes the same word as any provider's notice.

So money that came late, twice or for a cancelled order is the business of the table in services/payment/late.py, and
nothing here decides what becomes of a payment.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from uuid import UUID

from contracts.payment import (
    DisputeOutcome,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundRefused,
    PaymentReleased,
    ProviderDisputed,
    ReleasePending,
)
from contracts.statement import AssignEntry, BookedEntry, BookStatement, DismissEntry, SendBackEntry
from contracts.story import StoryFact
from services.payment import refunding
from services.payment.attempt import ENDED
from services.payment.banking import payouts
from services.payment.banking.entries import (
    ENTRY,
    Entry,
    EntryState,
    Flow,
    Purpose,
    Quoted,
    Statement,
    entry_id,
    flow_of,
    says_otherwise,
    statement_id,
)
from services.payment.banking.matching import (
    Expected,
    Outcome,
    judge,
    named_in,
    of_entry,
    of_payment,
    of_refund,
    outcome_of,
)
from services.payment.banking.tables import ENTRIES, QUOTED, STATEMENTS
from services.payment.case import Case, Told
from services.payment.creditor_reference import reference_of
from services.payment.domain import Word, chargeback_id
from services.payment.late import LATE
from services.payment.policy import PaymentPolicy
from services.payment.tables import ATTEMPTS, AUTHORIZATIONS, CHARGEBACKS, PAYMENTS, REFUNDS
from shared.consumer import Answer, Consumer, Moment, NotYet
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows

Says = (
    Answer
    | PaymentAuthorized
    | PaymentReleased
    | ReleasePending
    | PaymentRefunded
    | PaymentRefundRefused
    | PaymentFailed
    | StoryFact
)
Act = Callable[[Quoted, Entry, Rows, Moment, PaymentPolicy], list[Says]]


def hear_statements(payment: Consumer, policy: PaymentPolicy) -> None:
    """Register what is heard of statements."""

    @payment.hears(BookStatement, needs=_named, then=_behind)
    def book_statement(command: BookStatement, rows: Rows, moment: Moment) -> list[Says]:
        """Each entry once: matched and booked, or kept for a person."""
        id_ = statement_id(command.account, command.statement)
        stored = rows.get(STATEMENTS, id_)
        statement = stored or Statement(id_, command.account, command.statement, command.by)
        said: list[Says] = []
        for told in command.entries:
            key = entry_id(command.account, told.bank_reference)
            if known := rows.get(ENTRIES, key):
                statement = replace(statement, repeated=statement.repeated + 1)
                if says_otherwise(known, told):
                    now_says = f"said again as {told.amount_minor} {told.currency} of {told.booked_on}"
                    rows.put(replace(known, problem=now_says))
                continue
            entry, quoted = _judged(statement, told, rows)
            rows.put(entry)
            said += _done_about(entry, quoted, rows, moment, policy)
            statement = replace(
                statement,
                entries=statement.entries + 1,
                matched=statement.matched + (entry.state is EntryState.MATCHED),
                unrelated=statement.unrelated + (entry.state is EntryState.UNRELATED),
            )
        rows.put(statement)
        return said

    @payment.hears(
        AssignEntry,
        needs=lambda command: [
            Need.of(ENTRIES, "id", command.entry_id),
            Need.of(PAYMENTS, "order_id", command.order_id),
            Need.of(QUOTED, "order_id", command.order_id),
            Need.of(AUTHORIZATIONS, "order_id", command.order_id),
        ],
    )
    def assign_entry(command: AssignEntry, rows: Rows, moment: Moment) -> list[Says]:
        """As if the payer had quoted the order's reference. Why not is kept with the entry."""
        entry = _known(command, rows)
        if entry.order_id == command.order_id and (entry.state is EntryState.ASSIGNED or entry.kept_minor):
            return []  # asked twice
        quoted = [one for one in rows.where(QUOTED, "order_id", command.order_id) if one.purpose is Purpose.PAYMENT]
        if problem := _why_not(entry, bool(quoted)):
            rows.put(replace(entry, problem=problem))
            return []
        expected, kept_minor = _expected(quoted[0], rows), 0
        outcome = judge(entry.amount_minor, entry.currency, entry.flow, expected)
        if outcome is Outcome.TOO_MUCH and command.rest_goes_back:
            kept_minor = expected.amount_minor
            outcome = judge(kept_minor, entry.currency, entry.flow, expected)
        if outcome not in (Outcome.PAID, Outcome.PAID_LATE):
            rows.put(replace(entry, problem=outcome.value))
            return []
        state = ENTRY.to(entry.state, "send back" if kept_minor else "assign")
        entry = replace(
            entry,
            state=state,
            order_id=command.order_id,
            kept_minor=kept_minor,
            decided_by=command.by,
            problem="",
        )
        rows.put(entry)
        if kept_minor:
            rows.put(Quoted(reference_of(str(entry.id)), Purpose.SEND_BACK, entry_id=entry.id))
        return _captured(quoted[0], entry, rows, moment, policy)

    @payment.hears(SendBackEntry, needs=lambda command: [Need.of(ENTRIES, "id", command.entry_id)])
    def send_back_entry(command: SendBackEntry, rows: Rows, moment: Moment) -> None:
        """It is to be paid out under a reference of its own; a statement shows when it is."""
        entry = _known(command, rows)
        if entry.state is not EntryState.OPEN or entry.amount_minor < 0:
            problem = "money that left cannot be sent back" if entry.state is EntryState.OPEN else _already(entry)
            rows.put(replace(entry, problem=problem))
            return
        state = ENTRY.to(entry.state, "send back")
        rows.put(replace(entry, state=state, decided_by=command.by, reason=command.reason, problem=""))
        rows.put(Quoted(reference_of(str(entry.id)), Purpose.SEND_BACK, entry_id=entry.id))

    @payment.hears(DismissEntry, needs=lambda command: [Need.of(ENTRIES, "id", command.entry_id)])
    def dismiss_entry(command: DismissEntry, rows: Rows, moment: Moment) -> None:
        entry = _known(command, rows)
        if entry.state is not EntryState.OPEN:
            rows.put(replace(entry, problem=_already(entry)))
            return
        state = ENTRY.to(entry.state, "dismiss")
        rows.put(replace(entry, state=state, decided_by=command.by, reason=command.reason, problem=""))


# -- rows --------------------------------------------------------------------------------------------------------------


def _named(command: BookStatement) -> Iterable[Need]:
    references = [name for told in command.entries for name in _names(told)]
    return [
        Need.of(STATEMENTS, "id", statement_id(command.account, command.statement)),
        Need.of(ENTRIES, "id", *(entry_id(command.account, told.bank_reference) for told in command.entries)),
        Need.of(QUOTED, "reference", *references),
    ]


def _behind(command: BookStatement, rows: Rows) -> Iterable[Need]:
    """What the references stand for."""
    names = {name for told in command.entries for name in _names(told)}
    quoted = [found for name in names if (found := rows.get(QUOTED, name))]
    orders = [one.order_id for one in quoted]
    return [
        Need.of(PAYMENTS, "order_id", *orders),
        Need.of(AUTHORIZATIONS, "order_id", *orders),
        Need.of(ATTEMPTS, "id", *(one.attempt_id for one in quoted if one.purpose is Purpose.REFUND)),
        Need.of(REFUNDS, "order_id", *(one.order_id for one in quoted if one.purpose is Purpose.REFUND)),
        Need.of(ENTRIES, "id", *(one.entry_id for one in quoted)),
        Need.of(CHARGEBACKS, "id", *_chargebacks(command, rows)),
        Need.of(REFUNDS, "order_id", *_taken_back(command, rows)),
    ]


def _chargebacks(command: BookStatement, rows: Rows) -> Iterator[UUID]:
    """What each entry would be to the payment it names, were it a bank that takes the money back."""
    for told in command.entries:
        for name in _names(told):
            quoted = rows.get(QUOTED, name)
            if quoted is not None and quoted.order_id is not None:
                yield chargeback_id(quoted.order_id, str(entry_id(command.account, told.bank_reference)))


def _taken_back(command: BookStatement, rows: Rows) -> Iterator[UUID | None]:
    """Orders whose money is said to be taken back: their refunds must not leave."""
    for told in command.entries:
        if flow_of(told.amount_minor, told.reversal) is Flow.TAKEN_BACK:
            yield from (quoted.order_id for name in _names(told) if (quoted := rows.get(QUOTED, name)))


def _names(told: BookedEntry) -> tuple[str, ...]:
    return named_in(told.reference, told.end_to_end_id, told.remittance)


def _known(command: AssignEntry | SendBackEntry | DismissEntry, rows: Rows) -> Entry:
    entry = rows.get(ENTRIES, command.entry_id)
    if entry is None:
        raise NotYet(f"unknown entry {command.entry_id}")
    return entry


def _already(entry: Entry) -> str:
    return f"not open: {entry.state.value}"


def _why_not(entry: Entry, by_transfer: bool) -> str:
    if entry.state is not EntryState.OPEN:
        return _already(entry)
    if entry.flow is not Flow.CAME_IN:
        return "only money that came in pays for an order"
    return "" if by_transfer else "no payment of this order waits, or waited, for a transfer"


# -- judging -----------------------------------------------------------------------------------------------------------


def _judged(statement: Statement, told: BookedEntry, rows: Rows) -> tuple[Entry, Quoted | None]:
    """The new entry, and the one reference of ours that it names."""
    names = _names(told)
    quoted = [found for name in names if (found := rows.get(QUOTED, name))]
    flow = flow_of(told.amount_minor, told.reversal)
    expected = [_expected(one, rows) for one in quoted]
    outcome = outcome_of(told.amount_minor, told.currency, flow, names, expected)
    one = quoted[0] if len(quoted) == 1 else None
    if outcome in ACTS:
        state = EntryState.MATCHED
    else:
        state = EntryState.UNRELATED if outcome is Outcome.UNRELATED else EntryState.OPEN
    entry = Entry(
        id=entry_id(statement.account, told.bank_reference),
        statement_id=statement.id,
        account=statement.account,
        bank_reference=told.bank_reference,
        booked_on=told.booked_on,
        amount_minor=told.amount_minor,
        currency=told.currency,
        reversal=told.reversal,
        reference=told.reference,
        end_to_end_id=told.end_to_end_id,
        remittance=told.remittance,
        counterparty=told.counterparty,
        counterparty_account=told.counterparty_account,
        outcome=outcome.value,
        state=state,
        order_id=one.order_id if one else None,
    )
    return entry, one


def _expected(quoted: Quoted, rows: Rows) -> Expected:
    match quoted.purpose:
        case Purpose.PAYMENT:
            payment = rows.get(PAYMENTS, quoted.order_id)
            assert payment is not None  # a reference is written with the payment it is of
            return of_payment(payment)
        case Purpose.REFUND:
            refund = rows.get(REFUNDS, quoted.refund_id)
            assert refund is not None
            return of_refund(refund)
        case Purpose.SEND_BACK:
            entry = rows.get(ENTRIES, quoted.entry_id)
            assert entry is not None
            return of_entry(entry)


# -- doing -------------------------------------------------------------------------------------------------------------


def _done_about(entry: Entry, quoted: Quoted | None, rows: Rows, moment: Moment, policy: PaymentPolicy) -> list[Says]:
    if quoted is None:
        return []
    if act := ACTS.get(Outcome(entry.outcome)):
        return act(quoted, entry, rows, moment, policy)
    if quoted.order_id is None:
        return []
    case = _case(quoted, entry, rows, moment, policy)
    case.tell("transfer_unmatched", reason=entry.outcome, detail=_about(entry))
    return case.said


def _captured(quoted: Quoted, entry: Entry, rows: Rows, moment: Moment, policy: PaymentPolicy) -> list[Says]:
    case = _case(quoted, entry, rows, moment, policy)
    LATE[Word.CAPTURED, case.state](case)
    return case.said


def _returned(quoted: Quoted, entry: Entry, rows: Rows, moment: Moment, policy: PaymentPolicy) -> list[Says]:
    """A payment that failed after it was taken: the customer's bank has the money, nobody is asked who keeps it, and
    what has not left is stopped."""
    case = _case(quoted, entry, rows, moment, policy)
    LATE[Word.FAILED, case.state](case)
    lost = ProviderDisputed(
        notice_id=str(entry.id),
        provider=case.payment.provider,
        provider_payment_id=case.payment.provider_payment_id,
        dispute_id=str(entry.id),
        amount_minor=case.payment.amount_minor,
        currency=case.payment.currency,
        outcome=DisputeOutcome.LOST,
        reason=case.told.reason,
    )
    case.told = replace(case.told, dispute=lost)
    LATE[Word.DISPUTE_LOST, case.state](case)
    failed = PaymentFailed(
        order_id=case.payment.order_id, missing_minor=lost.amount_minor, currency=lost.currency, reason=lost.reason
    )
    case.said.append(failed)
    payouts.call_off(case)
    return case.said


def _paid_out(quoted: Quoted, entry: Entry, rows: Rows, moment: Moment, policy: PaymentPolicy) -> list[Says]:
    if quoted.purpose is Purpose.SEND_BACK:
        sent = rows.get(ENTRIES, quoted.entry_id)
        assert sent is not None
        rows.put(replace(sent, state=ENTRY.to(sent.state, "pay out")))
        return []
    case = _case(quoted, entry, rows, moment, policy)
    attempt, refund = rows.get(ATTEMPTS, quoted.attempt_id), rows.get(REFUNDS, quoted.refund_id)
    assert attempt is not None and refund is not None
    if attempt.state not in ENDED:
        case.learn(attempt, Word.REFUNDED)
    refunding.done(case, refund)
    return case.said


ACTS: Final[Mapping[Outcome, Act]] = {
    Outcome.PAID: _captured,
    Outcome.PAID_LATE: _captured,
    Outcome.TRANSFER_RETURNED: _returned,
    Outcome.PAID_OUT: _paid_out,
}


def _case(quoted: Quoted, entry: Entry, rows: Rows, moment: Moment, policy: PaymentPolicy) -> Case:
    payment = rows.get(PAYMENTS, quoted.order_id)
    assert payment is not None
    reason = "transfer_returned" if entry.flow is Flow.TAKEN_BACK else ""
    # what settles is the whole amount: the rest of an entry, if there is one, goes back
    return Case(payment, rows, moment, policy, Told(payment.provider_payment_id, reason, payment.amount_minor))


def _about(entry: Entry) -> dict[str, str]:
    return {"amount_minor": str(entry.amount_minor), "currency": entry.currency, "entry": str(entry.id)}

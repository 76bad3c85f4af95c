"""What payment hears of settlements: a page of a report to match, what no report has, and what a person accepts.

Matching books what needs nobody's word: the agreed fee of a payment, and the payout. The rest waits as a difference.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from contracts.settlement import AcceptDifference, MatchSettlement, NoteUnsettled
from contracts.story import StoryFact
from services.payment.case import Contradiction
from services.payment.ledger import EntryKind, Transfer, transfer
from services.payment.policy import PaymentPolicy
from services.payment.settlement.comparing import (
    OPPOSITE,
    all_ended,
    compare,
    compare_unsettled,
    difference,
    difference_key,
    expected_fee,
    pair,
)
from services.payment.settlement.lines import (
    DIFFERENCE,
    LINE,
    SETTLED_KINDS,
    SETTLEMENT,
    Class,
    Difference,
    DifferenceState,
    Line,
    LineKind,
    LineState,
    page_key,
)
from services.payment.settlement.tables import DIFFERENCES, LINES, SETTLEMENTS
from services.payment.tables import PAYMENTS, TRANSFERS
from shared.consumer import Consumer, Moment, NotYet
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows


def hear_settlements(payment: Consumer, policy: PaymentPolicy) -> None:
    """The part of payment's registration table that is about settlements."""

    @payment.hears(
        MatchSettlement,
        needs=lambda step: [
            Need.of(SETTLEMENTS, "id", step.settlement_id),
            Need.of(LINES, "page", page_key(step.settlement_id, step.page)),
        ],
        then=lambda step, rows: _of_orders(rows.where(LINES, "page", page_key(step.settlement_id, step.page))),
    )
    def match_settlement(step: MatchSettlement, rows: Rows, moment: Moment) -> list[StoryFact | MatchSettlement]:
        """Each line of a page finds the movement it settles, or is listed as a difference."""
        settlement = rows.get(SETTLEMENTS, step.settlement_id)
        if settlement is None or settlement.pages_done != step.page or step.page >= settlement.pages:
            return []
        told: list[StoryFact | MatchSettlement] = []
        page = rows.where(LINES, "page", page_key(settlement.id, step.page))
        lines = [line for line in page if line.state is LineState.OPEN]
        orders = {line.order_id for line in lines if line.order_id is not None}
        movements = [one for order in orders for one in rows.where(TRANSFERS, "order_id", order)]
        settled = {one.matches for order in orders for one in rows.where(LINES, "order_id", order)} - {None}
        pairs = pair(lines, movements, (one for one in settled if one is not None))
        for line in lines:
            told += _match(line, pairs.get(line.id), rows, moment, policy)
        done = replace(settlement, pages_done=settlement.pages_done + 1)
        if done.pages_done < done.pages:
            rows.put(done)
            return [*told, MatchSettlement(settlement_id=done.id, page=done.pages_done)]
        rows.put(replace(done, state=SETTLEMENT.to(done.state, "end")))
        return told

    @payment.hears(
        NoteUnsettled,
        needs=lambda noted: [
            Need.of(TRANSFERS, "id", *noted.transfer_ids),
            Need.of(DIFFERENCES, "transfer_id", *noted.transfer_ids),
        ],
        then=lambda noted, rows: _of_orders(one for id_ in noted.transfer_ids if (one := rows.get(TRANSFERS, id_))),
    )
    def note_unsettled(noted: NoteUnsettled, rows: Rows, moment: Moment) -> list[StoryFact]:
        """A line that came before we had booked it is matched now; what no report has in time is missing there."""
        told: list[StoryFact] = []
        movements = [one for id_ in noted.transfer_ids if (one := rows.get(TRANSFERS, id_)) is not None]
        unsettled = [one for one in movements if _is_unsettled(one, noted.provider, rows)]
        for line, ours in _came_before(unsettled, rows):
            told += _match(line, ours, rows, moment, policy)
            told += _came_after_all(line, line.order_id, Class.MISSING_HERE, rows, moment)
        for ours in unsettled:
            if not _is_unsettled(ours, noted.provider, rows) or rows.where(DIFFERENCES, "transfer_id", ours.id):
                continue
            found = compare_unsettled(ours, moment.now, policy.settled_within_days)
            if found.kind is not Class.TIMING:
                told += _list(difference(ours, found, moment.now), rows, moment)
        return told

    @payment.hears(
        AcceptDifference,
        needs=lambda wish: [Need.of(DIFFERENCES, "id", wish.difference_id)],
        then=_what_acceptance_touches,
    )
    def accept_difference(wish: AcceptDifference, rows: Rows, moment: Moment) -> list[StoryFact]:
        """The proposed entry is booked, once."""
        standing = rows.get(DIFFERENCES, wish.difference_id)
        if standing is None:
            raise NotYet(f"unknown difference {wish.difference_id}")
        if standing.state is DifferenceState.ACCEPTED:
            return []
        if standing.state is DifferenceState.CLEARED:
            raise Contradiction(f"difference {standing.id} is cleared: what was missing came after all")
        accepted = replace(standing, state=DIFFERENCE.to(standing.state, "accept"), accepted_by=wish.by)
        rows.put(accepted)
        if accepted.entry is not None:
            _book(accepted, accepted.entry, accepted.entry_minor, str(accepted.id), rows, moment)
        if accepted.line_id is not None and all_ended(rows.where(DIFFERENCES, "line_id", accepted.line_id)):
            line = rows.get(LINES, accepted.line_id)
            assert line is not None  # a foreign key of its table
            rows.put(replace(line, state=LINE.to(line.state, "accept")))
        return _tell(accepted, "difference_accepted", wish.by, rows, moment)


def _of_orders(of: Iterable[Line] | Iterable[Transfer]) -> list[Need]:
    orders = {one.order_id for one in of}
    return [
        Need.of(PAYMENTS, "order_id", *orders),
        Need.of(TRANSFERS, "order_id", *orders),
        Need.of(LINES, "order_id", *orders),
        Need.of(DIFFERENCES, "order_id", *orders),
    ]


def _what_acceptance_touches(wish: AcceptDifference, rows: Rows) -> Sequence[Need]:
    standing = rows.get(DIFFERENCES, wish.difference_id)
    if standing is None:
        return []
    return [
        Need.of(LINES, "id", standing.line_id),
        Need.of(DIFFERENCES, "line_id", standing.line_id),
        Need.of(PAYMENTS, "order_id", standing.order_id),
    ]


def _match(line: Line, ours: Transfer | None, rows: Rows, moment: Moment, policy: PaymentPolicy) -> list[StoryFact]:
    """One line: booked where nobody needs to be asked, listed where it differs."""
    tariff = policy.tariffs.get(line.provider)
    found = compare(line, ours, tariff)
    differs_still = bool(found) and line.state is LineState.DIFFERING
    line = replace(
        line,
        state=line.state if differs_still else LINE.to(line.state, "differ" if found else "match"),
        matches=None if ours is None else ours.id,
    )
    rows.put(line)
    told: list[StoryFact] = []
    if line.kind is LineKind.PAYOUT:
        _book(line, EntryKind.PAYOUT, -line.amount_minor, line.id, rows, moment)
    elif ours is not None:
        if agreed := expected_fee(line, tariff):
            _book(line, EntryKind.FEE if agreed > 0 else EntryKind.FEE_RETURNED, abs(agreed), line.id, rows, moment)
        told += _came_after_all(ours, ours.order_id, Class.MISSING_THERE, rows, moment)
    for one in found:
        told += _list(difference(line, one, moment.now), rows, moment)
    return told


def _is_unsettled(ours: Transfer, provider: str, rows: Rows) -> bool:
    """Asked of the order's lines: what a line settles changes, and rows are found by what does not."""
    if ours.kind not in SETTLED_KINDS or ours.provider != provider or ours.order_id is None:
        return False
    return all(line.matches != ours.id for line in rows.where(LINES, "order_id", ours.order_id))


def _came_before(unsettled: Sequence[Transfer], rows: Rows) -> list[tuple[Line, Transfer]]:
    """Lines that were matched when nothing was known of their movement here. All movements of an order are looked at
    together, so that equal amounts find each other first."""
    waiting = [
        line
        for order in dict.fromkeys(one.order_id for one in unsettled)
        for line in rows.where(LINES, "order_id", order)
        if line.matches is None and line.state is not LineState.OPEN
    ]
    pairs = pair(waiting, unsettled, ())
    return [(line, pairs[line.id]) for line in waiting if line.id in pairs]


def _came_after_all(
    of: Line | Transfer, order_id: UUID | None, missing: Class, rows: Rows, moment: Moment
) -> list[StoryFact]:
    """It is missing no more; what was accepted for that is taken back."""
    if order_id is None:
        return []
    id_ = difference_key(of, missing)
    standing = next((one for one in rows.where(DIFFERENCES, "order_id", order_id) if one.id == id_), None)
    if standing is None or standing.state is DifferenceState.CLEARED:
        return []
    if standing.state is DifferenceState.ACCEPTED and standing.entry is not None:
        _book(standing, OPPOSITE[standing.entry], standing.entry_minor, str(standing.id), rows, moment)
    rows.put(replace(standing, state=DIFFERENCE.to(standing.state, "clear")))
    return _tell(standing, "difference_cleared", "payment", rows, moment)


def _list(found: Difference, rows: Rows, moment: Moment) -> list[StoryFact]:
    rows.put(found)
    return _tell(found, "settlement_differs", found.provider, rows, moment)


def _book(
    of: Line | Difference, kind: EntryKind, amount_minor: int, reference: str, rows: Rows, moment: Moment
) -> None:
    rows.put(
        transfer(
            kind,
            amount_minor,
            of.currency,
            id_=moment.new_id(),
            occurred_at=moment.now,
            reference=reference,
            provider=of.provider,
            order_id=of.order_id,
        )
    )


def _tell(found: Difference, fact: str, actor: str, rows: Rows, moment: Moment) -> list[StoryFact]:
    """Into the story of an order that we know; a provider may name any."""
    order_id: UUID | None = found.order_id
    if order_id is None or rows.get(PAYMENTS, order_id) is None:
        return []
    detail = {
        "difference_id": str(found.id),
        "ours_minor": str(found.ours_minor),
        "theirs_minor": str(found.theirs_minor),
        "currency": found.currency,
    }
    told = StoryFact(
        order_id=order_id,
        name=f"payment.{fact}",
        actor=actor,
        occurred_at=moment.now,
        reason=found.kind.value,
        detail=detail,
    )
    return [told]

"""A report with every kind of difference: each is found once, and nothing else is."""

import dataclasses
from datetime import timedelta
from uuid import UUID

import pytest

from contracts.payment import AuthorizePayment, RefundPayment
from contracts.settlement import AcceptDifference, MatchSettlement, NoteUnsettled
from services.payment.ledger import Account, EntryKind, Transfer
from services.payment.settlement.comparing import (
    compare_unsettled,
    pair,
)
from services.payment.settlement.lines import (
    Class,
    Difference,
    DifferenceState,
    Line,
    LineKind,
    LineState,
    Settlement,
    SettlementState,
    line_key,
    page_key,
)
from services.payment.settlement.tables import DIFFERENCES, LINES, SETTLEMENTS
from services.payment.tables import TRANSFERS
from shared.store import Changes
from tests.support.books import balances
from tests.support.settlements import FEE, REPORT, line
from tests.support.till import START, Till

A, B, C, D, E, NOBODY = (UUID(int=number) for number in (0xA, 0xB, 0xC, 0xD, 0xE, 0xF))


@pytest.fixture
def till() -> Till:
    return Till()


async def paid(till: Till, *orders: UUID) -> None:
    for order in orders:
        asked = AuthorizePayment(order_id=order, amount_minor=1000, currency="EUR", method="card", token="tok_ok")
        await till.hears(asked, keys=[f"orchestrator/{order}/pay/do"])
    await till.works()


async def refunded(till: Till, order: UUID, number: int, amount_minor: int) -> None:
    asked = RefundPayment(order_id=order, refund_id=UUID(int=number), amount_minor=amount_minor, currency="EUR")
    await till.hears(asked, keys=[f"orchestrator/{number}/refund/do"])
    await till.works()


async def staged(till: Till, *lines: Line) -> UUID:
    settlement = lines[0].settlement_id
    whole = Settlement(settlement, "sandbox", str(settlement), "h", len(lines), 1, START, version=1)
    async with till.store.transaction() as tx:
        await tx.write(Changes(inserts={SETTLEMENTS: [whole], LINES: list(lines)}))
        await tx.commit()
    return settlement


async def reported(till: Till, *lines: Line) -> None:
    settlement = await staged(till, *lines)
    await till.hears(MatchSettlement(settlement_id=settlement, page=0))
    assert till.store.row(SETTLEMENTS, settlement).state is SettlementState.MATCHED


def of(till: Till, order: UUID, kind: EntryKind = EntryKind.CAPTURE) -> Transfer:
    (found,) = [row for row in till.store.rows(TRANSFERS) if row.order_id == order and row.kind is kind]
    assert isinstance(found, Transfer)
    return found


def found(till: Till) -> dict[tuple[Class, UUID | None], Difference]:
    return {(row.kind, row.order_id): row for row in till.store.rows(DIFFERENCES)}


def clearing(till: Till) -> int:
    return balances(till.store.rows(TRANSFERS))["EUR", Account.PROVIDER_CLEARING]


async def accept(till: Till, *differences: Difference) -> None:
    for one in differences:
        await till.hears(AcceptDifference(difference_id=one.id, by="grace"))


async def test_what_agrees_is_matched_and_its_fee_is_booked(till: Till) -> None:
    await paid(till, A)
    await refunded(till, A, 1, 300)
    await reported(till, line("1", A, 1000, FEE), line("2", A, -300, kind=LineKind.REFUND))
    assert [row.state for row in till.store.rows(LINES)] == [LineState.MATCHED, LineState.MATCHED]
    assert found(till) == {}
    assert clearing(till) == 1000 - 300 - FEE
    assert balances(till.store.rows(TRANSFERS))["EUR", Account.PROVIDER_FEES] == FEE
    before = till.store.rows(TRANSFERS)
    await till.hears(MatchSettlement(settlement_id=REPORT, page=0))
    assert till.store.rows(TRANSFERS) == before


async def test_all_five_kinds_are_found_and_none_is_invented(till: Till) -> None:
    """Accepted, the clearing account holds what the report says, and what it does not say yet."""
    await paid(till, D)
    till.now += timedelta(days=8)
    await paid(till, A, B, C, E)
    lines = (
        line("1", A, 1000, FEE),
        line("2", B, 990, FEE),
        line("3", C, 1000, FEE + 5),
        line("4", NOBODY, 700, 35),
        line("5", None, -2000, kind=LineKind.PAYOUT),
    )
    await reported(till, *lines)
    await till.hears(
        NoteUnsettled(provider="sandbox", transfer_ids=tuple(of(till, order).id for order in (A, B, C, D, E)))
    )
    differences = found(till)
    assert {key: (one.ours_minor, one.theirs_minor) for key, one in differences.items()} == {
        (Class.AMOUNT, B): (1000, 990),
        (Class.FEE, C): (FEE, FEE + 5),
        (Class.MISSING_HERE, NOBODY): (0, 700),
        (Class.MISSING_THERE, D): (1000, 0),
    }
    assert compare_unsettled(of(till, E), till.now, 7).kind is Class.TIMING
    assert {key: (one.entry, one.entry_minor) for key, one in differences.items()} == {
        (Class.AMOUNT, B): (EntryKind.SHORTFALL, 10),
        (Class.FEE, C): (EntryKind.FEE, 5),
        (Class.MISSING_HERE, NOBODY): (EntryKind.SURPLUS, 665),
        (Class.MISSING_THERE, D): (EntryKind.SHORTFALL, 1000),
    }
    await accept(till, *differences.values())
    await accept(till, *differences.values())  # twice is once
    assert clearing(till) == sum(row.amount_minor - row.fee_minor for row in lines) + 1000
    states = {row.id.removeprefix("sandbox/"): row.state for row in till.store.rows(LINES)}
    assert states == {"1": "matched", "2": "accepted", "3": "accepted", "4": "accepted", "5": "matched"}
    assert {row.accepted_by for row in till.store.rows(DIFFERENCES)} == {"grace"}
    story = till.story()
    assert story.count("payment.settlement_differs") == story.count("payment.difference_accepted") == 3


async def test_a_line_is_accepted_when_its_last_difference_is(till: Till) -> None:
    await paid(till, A)
    await reported(till, line("1", A, 900, FEE + 7))
    first, second = till.store.rows(DIFFERENCES)
    await accept(till, first)
    assert till.store.rows(LINES)[0].state is LineState.DIFFERING
    await accept(till, second)
    assert till.store.rows(LINES)[0].state is LineState.ACCEPTED


async def test_what_comes_after_all_clears_what_was_missing_and_takes_back_what_was_accepted(till: Till) -> None:
    await paid(till, A)
    await paid(till, B)
    till.now += timedelta(days=8)
    await till.hears(NoteUnsettled(provider="sandbox", transfer_ids=(of(till, A).id, of(till, B).id)))
    await accept(till, found(till)[Class.MISSING_THERE, A])
    assert clearing(till) == 1000
    await reported(till, line("1", A, 1000, FEE), line("2", B, 1000, FEE))
    assert {one.state for one in till.store.rows(DIFFERENCES)} == {DifferenceState.CLEARED}
    assert clearing(till) == 2 * (1000 - FEE)
    assert balances(till.store.rows(TRANSFERS))["EUR", Account.SUSPENSE] == 0


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize(("fee", "state"), [(FEE, LineState.MATCHED), (FEE + 9, LineState.DIFFERING)])
async def test_a_line_that_comes_before_we_booked_it_is_matched_later(
    till: Till, accepted: bool, fee: int, state: LineState
) -> None:
    await reported(till, line("1", A, 1000, fee))
    missing = found(till)[Class.MISSING_HERE, A]
    if accepted:
        await accept(till, missing)
        assert clearing(till) == 1000 - fee
    await paid(till, A)
    noted = NoteUnsettled(provider="sandbox", transfer_ids=(of(till, A).id,))
    await till.hears(noted)
    await till.hears(noted)
    (kept,) = till.store.rows(LINES)
    assert (kept.state, kept.matches) == (state, of(till, A).id)
    assert till.store.row(DIFFERENCES, missing.id).state is DifferenceState.CLEARED
    assert clearing(till) == 1000 - FEE
    await accept(till, *(one for one in till.store.rows(DIFFERENCES) if one.state is DifferenceState.FOUND))
    assert clearing(till) == 1000 - fee
    assert balances(till.store.rows(TRANSFERS))["EUR", Account.SUSPENSE] == 0


async def test_a_movement_is_settled_once(till: Till) -> None:
    """Two lines for one capture: the second is of nothing we know."""
    await paid(till, A)
    await reported(till, line("1", A, 1000, FEE), line("2", A, 1000, FEE))
    assert list(found(till)) == [(Class.MISSING_HERE, A)]
    other = UUID(int=0xEE)
    await reported(till, line("3", A, 1000, FEE, settlement=other))
    assert len(till.store.rows(DIFFERENCES)) == 2


async def test_noted_again_or_too_early_is_nothing(till: Till) -> None:
    await paid(till, A)
    noted = NoteUnsettled(provider="sandbox", transfer_ids=(of(till, A).id,))
    await till.hears(noted)
    assert found(till) == {}
    till.now += timedelta(days=8)
    await till.hears(noted)
    await till.hears(noted)
    assert list(found(till)) == [(Class.MISSING_THERE, A)]
    await till.hears(NoteUnsettled(provider="another", transfer_ids=(of(till, A).id,)))
    assert len(till.store.rows(DIFFERENCES)) == 1


async def test_only_what_this_provider_should_have_settled_is_missing_there(till: Till) -> None:
    await paid(till, A)
    await refunded(till, A, 1, 300)
    await reported(till, line("1", A, 1000, FEE))
    till.now += timedelta(days=8)
    every = tuple(row.id for row in till.store.rows(TRANSFERS))
    await till.hears(NoteUnsettled(provider="another", transfer_ids=every))
    assert found(till) == {}
    await till.hears(NoteUnsettled(provider="sandbox", transfer_ids=every))
    (missing,) = till.store.rows(DIFFERENCES)
    assert (missing.kind, missing.transfer_id) == (Class.MISSING_THERE, of(till, A, EntryKind.REFUND).id)


async def test_a_line_keeps_the_movement_it_settles(till: Till) -> None:
    await paid(till, A)
    await refunded(till, A, 1, 300)
    await reported(till, line("1", A, -300, kind=LineKind.REFUND))
    first = of(till, A, EntryKind.REFUND)
    await refunded(till, A, 2, 300)
    (second,) = [row for row in till.store.rows(TRANSFERS) if row.kind is EntryKind.REFUND and row.id != first.id]
    await till.hears(NoteUnsettled(provider="sandbox", transfer_ids=(first.id, second.id)))
    (kept,) = till.store.rows(LINES)
    assert (kept.state, kept.matches) == (LineState.MATCHED, first.id)


async def test_a_line_that_waits_for_its_turn_is_left_to_it(till: Till) -> None:
    await paid(till, A)
    await staged(till, line("1", A, 1000, FEE))
    await till.hears(NoteUnsettled(provider="sandbox", transfer_ids=(of(till, A).id,)))
    (waits,) = till.store.rows(LINES)
    assert (waits.state, waits.matches) == (LineState.OPEN, None)
    await till.hears(MatchSettlement(settlement_id=REPORT, page=0))
    (kept,) = till.store.rows(LINES)
    assert (kept.state, kept.matches) == (LineState.MATCHED, of(till, A).id)


@pytest.mark.parametrize(("fee", "kind"), [(1, EntryKind.FEE), (-1, EntryKind.FEE_RETURNED)])
async def test_a_fee_that_comes_of_rounding_is_booked_as_it_was_charged(till: Till, fee: int, kind: EntryKind) -> None:
    await paid(till, A)
    await refunded(till, A, 1, 300)
    await reported(till, line("1", A, -300, fee, kind=LineKind.REFUND))
    assert [(row.kind, row.amount_minor) for row in till.store.rows(TRANSFERS)][-1] == (kind, 1)
    assert found(till) == {} and balances(till.store.rows(TRANSFERS))["EUR", Account.PROVIDER_FEES] == fee


async def test_an_equal_refund_is_found_before_another(till: Till) -> None:
    await paid(till, A)
    await refunded(till, A, 1, 300)
    await refunded(till, A, 2, 400)
    lines = (line("1", A, -390, kind=LineKind.REFUND), line("2", A, -300, kind=LineKind.REFUND))
    pairs = pair(lines, till.store.rows(TRANSFERS), ())
    assert {id_: one.amount_minor for id_, one in pairs.items()} == {"sandbox/2": 300, "sandbox/1": 400}


async def test_a_report_of_two_pages_is_matched_when_its_last_is(till: Till) -> None:
    await paid(till, A, B)
    second = dataclasses.replace(line("2", B, 1000, FEE), page=page_key(REPORT, 1))
    whole = Settlement(REPORT, "sandbox", "two pages", "h", 2, 2, START, version=1)
    async with till.store.transaction() as tx:
        await tx.write(Changes(inserts={SETTLEMENTS: [whole], LINES: [line("1", A, 1000, FEE), second]}))
        await tx.commit()
    for page, state in ((0, SettlementState.STAGED), (0, SettlementState.STAGED), (1, SettlementState.MATCHED)):
        await till.hears(MatchSettlement(settlement_id=REPORT, page=page))
        stands = till.store.row(SETTLEMENTS, REPORT)
        assert (stands.pages_done, stands.state) == (page + 1, state)
    assert {row.state for row in till.store.rows(LINES)} == {LineState.MATCHED}


async def test_of_two_that_are_booked_after_all_the_equal_one_is_settled(till: Till) -> None:
    await paid(till, A)
    await reported(till, line("1", A, -300, kind=LineKind.REFUND))
    await refunded(till, A, 1, 500)
    await refunded(till, A, 2, 300)
    refunds = [row for row in till.store.rows(TRANSFERS) if row.kind is EntryKind.REFUND]
    await till.hears(NoteUnsettled(provider="sandbox", transfer_ids=tuple(row.id for row in refunds)))
    (kept,) = till.store.rows(LINES)
    assert kept.state is LineState.MATCHED
    assert kept.matches == next(row.id for row in refunds if row.amount_minor == 300)


async def test_noted_twice_in_a_batch_is_looked_at_twice_and_settled_once(till: Till) -> None:
    await reported(till, line("1", A, 1000, FEE))
    await paid(till, A)
    till.now += timedelta(days=8)
    noted = NoteUnsettled(provider="sandbox", transfer_ids=(of(till, A).id,))
    await till.hears(noted, noted)
    assert [row.kind for row in till.store.rows(DIFFERENCES)] == [Class.MISSING_HERE]
    (kept,) = till.store.rows(LINES)
    assert kept.state is LineState.MATCHED


async def test_a_refund_that_came_back_is_for_a_person(till: Till) -> None:
    """The provider could not give it back: the money is on our balance again, and our ledger says it left."""
    await paid(till, A)
    await refunded(till, A, 1, 400)
    lines = [
        line("l1", A, 1000, FEE),
        line("l2", A, -400, kind=LineKind.REFUND),
        line("l3", A, 400, kind=LineKind.REFUND_REVERSAL),
    ]
    await reported(till, *lines)
    (found,) = till.store.rows(DIFFERENCES)
    assert (found.kind, found.theirs_minor, found.entry, found.entry_minor) == (
        Class.MISSING_HERE, 400, EntryKind.SURPLUS, 400,
    )  # fmt: skip
    assert found.line_id == line_key("sandbox", "l3")


@pytest.mark.parametrize(
    ("kind", "amount_minor", "fee_minor", "entry", "entry_minor"),
    [
        (LineKind.PAYOUT, -2000, 10, EntryKind.FEE, 10),
        (LineKind.PAYOUT, -2000, -10, EntryKind.FEE_RETURNED, 10),
        (LineKind.FEE, -500, 0, EntryKind.FEE, 500),
        (LineKind.FEE, -500, 5, EntryKind.FEE, 505),
        (LineKind.FEE, 500, 0, EntryKind.FEE_RETURNED, 500),
    ],
)
async def test_the_fee_of_what_is_no_payment_is_booked_to_the_cent(
    till: Till, kind: LineKind, amount_minor: int, fee_minor: int, entry: EntryKind, entry_minor: int
) -> None:
    await reported(till, line("1", None, amount_minor, fee_minor, kind))
    (difference,) = till.store.rows(DIFFERENCES)
    assert (difference.kind, difference.entry, difference.entry_minor) == (Class.FEE, entry, entry_minor)
    await till.hears(AcceptDifference(difference_id=difference.id, by="grace"))
    assert clearing(till) == amount_minor - fee_minor

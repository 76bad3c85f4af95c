"""Whatever is wrong in a report is found, in its class and amount, and nothing else is. When all of it is accepted the
clearing account holds what the report says, and what it does not say yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.payment import AuthorizePayment
from contracts.settlement import MAX_UNSETTLED, AcceptDifference, MatchSettlement, NoteUnsettled
from services.payment.ledger import Account, EntryKind
from services.payment.settlement.comparing import Tariff
from services.payment.settlement.lines import PAGE_LINES, Class, Line, LineKind, Settlement, line_key, page_key
from services.payment.settlement.tables import DIFFERENCES, LINES, SETTLEMENTS
from services.payment.tables import TRANSFERS
from shared.store import Changes
from tests.support.books import balances, ledger_is_wrong
from tests.support.till import START, Till
from tests.support.world import finish

REPORT: Final = UUID(int=0xE)
TARIFF: Final = Tariff(140, 25)
ALL_DUE: Final = 9
WRONGS: Final = ("right", "amount", "fee", "both", "omitted", "omitted lately", "twice", "stranger")


@dataclass(frozen=True)
class Told:
    """One order, and how its line is wrong."""

    amount_minor: int
    wrong: str
    by: int


@given(
    told=st.lists(
        st.builds(
            Told,
            st.integers(100, 100_000),
            st.sampled_from(WRONGS),
            st.integers(-90, 90).filter(lambda by: abs(by) > 1),
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_difference_is_found_and_accepting_all_makes_the_books_agree(told: list[Told]) -> None:
    till = Till()
    orders = {UUID(int=number + 1): one for number, one in enumerate(told)}
    finish(_pay(till, {order: one for order, one in orders.items() if one.wrong not in ("omitted lately", "stranger")}))
    till.now += timedelta(days=ALL_DUE)
    finish(_pay(till, {order: one for order, one in orders.items() if one.wrong == "omitted lately"}))
    lines: list[Line] = []
    expected: set[tuple[Class, UUID, int]] = set()
    for order, one in orders.items():
        fee, amount_minor = TARIFF.fee(one.amount_minor), one.amount_minor
        match one.wrong:
            case "omitted":
                expected.add((Class.MISSING_THERE, order, -amount_minor))
                continue
            case "omitted lately":
                continue
            case "stranger":
                expected.add((Class.MISSING_HERE, order, amount_minor))
            case "twice":
                lines.append(_line(len(lines), order, amount_minor, fee))
                expected.add((Class.MISSING_HERE, order, amount_minor))
            case "amount" | "both":
                amount_minor += one.by
                expected.add((Class.AMOUNT, order, one.by))
        agreed = TARIFF.fee(amount_minor)
        fee = agreed
        if one.wrong in ("fee", "both"):
            fee = agreed + one.by
            expected.add((Class.FEE, order, one.by))
        lines.append(_line(len(lines), order, amount_minor, fee))
    finish(_report(till, lines))
    found = {(row.kind, row.order_id, row.theirs_minor - row.ours_minor) for row in till.store.rows(DIFFERENCES)}
    assert found == expected
    assert len(till.store.rows(DIFFERENCES)) == len(expected)
    finish(_accept_all(till))
    says = sum(line.amount_minor - line.fee_minor for line in lines)
    to_come = sum(one.amount_minor for one in told if one.wrong == "omitted lately")
    assert balances(till.store.rows(TRANSFERS))["EUR", Account.PROVIDER_CLEARING] == says + to_come
    assert list(ledger_is_wrong(till.store)) == []
    assert not [row for row in till.store.rows(LINES) if row.state not in ("matched", "accepted")]


def _line(number: int, order: UUID, amount_minor: int, fee_minor: int) -> Line:
    return Line(
        line_key("sandbox", f"{number:04}"), REPORT, page_key(REPORT, number // PAGE_LINES), number, "sandbox",
        LineKind.PAYMENT, "", str(order), order, amount_minor, fee_minor, "EUR", START, version=1,
    )  # fmt: skip


async def _pay(till: Till, orders: Mapping[UUID, Told]) -> None:
    for order, one in orders.items():
        asked = AuthorizePayment(
            order_id=order, amount_minor=one.amount_minor, currency="EUR", method="card", token="tok_ok"
        )
        await till.hears(asked, keys=[f"orchestrator/{order}/pay/do"])
    await till.works()


async def _report(till: Till, lines: list[Line]) -> None:
    if lines:
        whole = Settlement(REPORT, "sandbox", "r", "h", len(lines), 1, START, version=1)
        async with till.store.transaction() as tx:
            await tx.write(Changes(inserts={SETTLEMENTS: [whole], LINES: lines}))
            await tx.commit()
        await till.hears(MatchSettlement(settlement_id=REPORT, page=0))
    captures = tuple(row.id for row in till.store.rows(TRANSFERS) if row.kind is EntryKind.CAPTURE)
    if captures:
        await till.hears(NoteUnsettled(provider="sandbox", transfer_ids=captures[:MAX_UNSETTLED]))


async def _accept_all(till: Till) -> None:
    wishes = [AcceptDifference(difference_id=row.id, by="grace") for row in till.store.rows(DIFFERENCES)]
    await till.hears(*wishes)
    await till.hears(*wishes)

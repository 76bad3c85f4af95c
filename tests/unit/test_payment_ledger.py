"""Every movement of an order's money is in the ledger once, on the accounts of its kind."""

import dataclasses
from uuid import UUID

import pytest

from contracts.payment import AuthorizePayment, RefundPayment, ReleasePayment
from services.payment.ledger import SIDES, Account, EntryKind, Transfer, transfer
from services.payment.tables import TRANSFERS
from shared.store import Changes, ConstraintFired
from tests.support.books import balances, ledger_is_wrong
from tests.support.till import START, Till

ORDER = UUID(int=0xA1)
FUNDS, CLEARING, PAYABLE = Account.ORDER_FUNDS, Account.PROVIDER_CLEARING, Account.REFUNDS_PAYABLE
FEES = Account.PROVIDER_FEES


@pytest.fixture
def till() -> Till:
    return Till()


async def paid(till: Till, token: str = "tok_ok", amount_minor: int = 1000) -> None:
    asked = AuthorizePayment(order_id=ORDER, amount_minor=amount_minor, currency="EUR", method="card", token=token)
    await till.hears(asked, keys=["orchestrator/run/pay/do"])
    await till.works()


def refund(number: int, amount_minor: int) -> RefundPayment:
    return RefundPayment(order_id=ORDER, refund_id=UUID(int=number), amount_minor=amount_minor, currency="EUR")


def booked(till: Till) -> list[tuple[EntryKind, int]]:
    return [(row.kind, row.amount_minor) for row in till.store.rows(TRANSFERS)]


def stands(till: Till) -> dict[Account, int]:
    return {account: left for (_, account), left in balances(till.store.rows(TRANSFERS)).items() if left}


async def test_a_capture_is_owed_to_the_order_and_held_by_the_provider(till: Till) -> None:
    await paid(till)
    (row,) = till.store.rows(TRANSFERS)
    assert (row.debit, row.credit, row.amount_minor, row.currency) == (CLEARING, FUNDS, 1000, "EUR")
    assert (row.order_id, row.provider, row.occurred_at) == (ORDER, "sandbox", till.now)


async def test_a_refund_is_promised_first_and_then_paid(till: Till) -> None:
    await paid(till)
    await till.hears(refund(1, 400), keys=["orchestrator/refund/pay/do"])
    assert stands(till) == {CLEARING: 1000, FUNDS: -600, PAYABLE: -400}
    await till.works()
    assert stands(till) == {CLEARING: 600, FUNDS: -600}
    assert booked(till) == [(EntryKind.CAPTURE, 1000), (EntryKind.REFUND_RESERVED, 400), (EntryKind.REFUND, 400)]


async def test_a_refused_refund_goes_back_to_the_order(till: Till) -> None:
    await paid(till)
    await till.hears(refund(1, 400), keys=["orchestrator/refund/pay/do"])
    (attempt,) = await till.takes()
    told = await till.calls_out(dataclasses.replace(attempt, amount_minor=1001))
    await till.hears(told)
    assert booked(till)[1:] == [(EntryKind.REFUND_RESERVED, 400), (EntryKind.REFUND_REFUSED, 400)]
    assert stands(till) == {CLEARING: 1000, FUNDS: -1000}
    assert list(ledger_is_wrong(till.store)) == []


async def test_a_release_leaves_nothing_anywhere(till: Till) -> None:
    await paid(till)
    await till.hears(ReleasePayment(order_id=ORDER, reason="cancelled"), keys=["orchestrator/cancel/release/do"])
    await till.works()
    assert stands(till) == {}
    assert len(booked(till)) == 3


@pytest.mark.parametrize("token", ["tok_declined", "tok_pending"])
async def test_no_money_is_no_entry(till: Till, token: str) -> None:
    await paid(till, token)
    assert booked(till) == []


async def test_an_order_of_zero_moves_nothing(till: Till) -> None:
    await paid(till, amount_minor=0)
    assert booked(till) == []


async def test_the_same_movement_cannot_be_booked_again(till: Till) -> None:
    await paid(till)
    (row,) = till.store.rows(TRANSFERS)
    again = dataclasses.replace(row, id=till.new_id(), amount_minor=1)
    with pytest.raises(ConstraintFired, match="nothing_is_booked_twice"):
        await insert(till, again)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"amount_minor": 0}, "a_transfer_moves_something"), ({"credit": FEES}, "a_transfer_has_two_sides")],
)
async def test_a_transfer_takes_something_from_one_account_to_another(
    till: Till, wrong: dict[str, object], named: str
) -> None:
    row = transfer(
        EntryKind.FEE, 3, "EUR", id_=till.new_id(), occurred_at=START, reference="sandbox/line", provider="sandbox"
    )
    with pytest.raises(ConstraintFired, match=named):
        await insert(till, dataclasses.replace(row, **wrong))  # type: ignore[arg-type]


async def insert(till: Till, row: Transfer) -> None:
    async with till.store.transaction() as tx:
        await tx.write(Changes(inserts={TRANSFERS: [row]}))
        await tx.commit()


def test_every_kind_has_its_two_accounts_and_every_account_a_sentence() -> None:
    assert set(SIDES) == set(EntryKind)
    assert all(debit is not credit for debit, credit in SIDES.values())
    assert {account for sides in SIDES.values() for account in sides} == set(Account)

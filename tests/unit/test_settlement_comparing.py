"""One line against one movement: what differs, of which class, and which entry it comes with."""

import dataclasses
from datetime import timedelta
from uuid import UUID

import pytest

from services.payment.ledger import Account, EntryKind, Transfer
from services.payment.settlement.comparing import (
    Found,
    Tariff,
    adjusting,
    compare,
    compare_unsettled,
    signed,
    tariffs_of,
)
from services.payment.settlement.lines import OURS, Class, LineKind
from tests.support.settlements import FEE, line
from tests.support.till import START

ORDER = UUID(int=0xA)


def captured() -> Transfer:
    sides = (Account.PROVIDER_CLEARING, Account.ORDER_FUNDS)
    return Transfer(UUID(int=1), ORDER, START, "EUR", *sides, 1000, EntryKind.CAPTURE, "c", "sandbox")


def test_a_fee_is_what_the_tariff_says_but_for_rounding() -> None:
    tariff = Tariff(140, 25)
    assert tariff.fee(1000) == FEE
    ours = captured()
    assert compare(line("1", ORDER, 1000, FEE + 1), ours, tariff) == ()
    (more,) = compare(line("1", ORDER, 1000, FEE + 2), ours, tariff)
    assert (more.kind, more.entry, more.entry_minor) == (Class.FEE, EntryKind.FEE, 2)
    (less,) = compare(line("1", ORDER, 1000, 0), ours, tariff)
    assert (less.entry, less.entry_minor) == (EntryKind.FEE_RETURNED, FEE)
    given_back = dataclasses.replace(ours, kind=EntryKind.REFUND, amount_minor=300)
    (kept,) = compare(line("2", ORDER, -300, 2, LineKind.REFUND), given_back, tariff)
    assert (kept.kind, kept.ours_minor, kept.entry, kept.entry_minor) == (Class.FEE, 0, EntryKind.FEE, 2)
    assert compare(line("1", ORDER, 1000, 777), ours, None) == ()
    (own,) = compare(line("1", None, -500, kind=LineKind.FEE), None, tariff)
    assert (own.kind, own.entry, own.entry_minor) == (Class.FEE, EntryKind.FEE, 500)
    assert (own.ours_minor, own.theirs_minor) == (0, 500)


@pytest.mark.parametrize(("amount_minor", "entry"), [(999, (EntryKind.SHORTFALL, 1)), (1001, (EntryKind.SURPLUS, 1))])
def test_a_single_minor_unit_is_a_difference(amount_minor: int, entry: tuple[EntryKind, int]) -> None:
    (differs,) = compare(line("1", ORDER, amount_minor), captured(), None)
    assert (differs.kind, differs.entry, differs.entry_minor) == (Class.AMOUNT, *entry)


def test_the_grace_has_passed_when_its_last_day_has() -> None:
    ours = captured()
    last = ours.occurred_at + timedelta(days=7)
    assert compare_unsettled(ours, last, 7) == Found(Class.TIMING, 1000, 0, None, 0)
    assert compare_unsettled(ours, last + timedelta(microseconds=1), 7).kind is Class.MISSING_THERE


def test_signs_and_tariffs() -> None:
    assert {kind: signed(dataclasses.replace(captured(), kind=kind)) for kind in OURS.values()} == {
        EntryKind.CAPTURE: 1000,
        EntryKind.REFUND: -1000,
        EntryKind.CHARGEBACK: -1000,
        EntryKind.CHARGEBACK_REVERSED: 1000,
    }
    assert [adjusting(0), Tariff(4_999).fee(1), Tariff(5_000).fee(1)] == [(None, 0), 0, 1]
    assert tariffs_of("sandbox=140+25, other=290") == {"sandbox": Tariff(140, 25), "other": Tariff(290)}
    for wrong in ("sandbox", "=140", "sandbox=x"):
        with pytest.raises(ValueError):
            tariffs_of(wrong)


@pytest.mark.parametrize("kind", [LineKind.PAYOUT, LineKind.FEE])
def test_no_fee_is_no_difference(kind: LineKind) -> None:
    amount_minor = -2000 if kind is LineKind.PAYOUT else 5
    assert compare(line("1", None, amount_minor, 0 if kind is LineKind.PAYOUT else 5, kind), None, None) == ()

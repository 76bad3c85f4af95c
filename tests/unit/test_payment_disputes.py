"""Disputes, in any order and any of them twice: what a bank has taken back is not given back as well."""

from typing import Any
from uuid import UUID

import pytest

from contracts.payment import DisputeOutcome, PaymentRefunded, PaymentRefundRefused, PaymentReleased, ProviderDisputed
from contracts.story import StoryFact
from services.payment.domain import PaymentState
from services.payment.ledger import Account, EntryKind
from services.payment.tables import CHARGEBACK_REVERSALS, CHARGEBACKS, TRANSFERS
from tests.support.books import balances
from tests.support.paying import AUTHORIZE, ORDER, REFUND, RELEASE, authorize, authorized, refund, release
from tests.support.preparing_provider import PreparingProvider
from tests.support.scripted_provider import ScriptedProvider
from tests.support.till import Till

OPEN, WON, LOST = DisputeOutcome.OPEN, DisputeOutcome.WON, DisputeOutcome.LOST


@pytest.fixture(params=[ScriptedProvider, PreparingProvider])
async def till(request: pytest.FixtureRequest) -> Till:
    till = Till(request.param)
    await authorized(till)
    return till


def dispute(till: Till, outcome: DisputeOutcome, amount_minor: int = 1000, **more: Any) -> ProviderDisputed:
    said = {
        "notice_id": "n-1",
        "provider": "sandbox",
        "provider_payment_id": till.payment(ORDER).provider_payment_id,
        "dispute_id": "d-1",
        "amount_minor": amount_minor,
        "currency": "EUR",
        "outcome": outcome,
        "reason": "fraudulent",
        **more,
    }
    return ProviderDisputed.model_validate(said)


def stands(till: Till) -> tuple[list[str], int, int]:
    """States of the chargebacks, reversals, and what is disputed."""
    states = [str(row.state) for row in till.store.rows(CHARGEBACKS)]
    return states, len(till.store.rows(CHARGEBACK_REVERSALS)), till.payment(ORDER).disputed_minor


async def test_opened_and_lost(till: Till) -> None:
    await till.hears(dispute(till, OPEN))
    assert stands(till) == (["open"], 0, 1000)
    await till.hears(dispute(till, LOST), dispute(till, LOST), dispute(till, OPEN))
    assert stands(till) == (["lost"], 0, 1000)
    assert till.story()[-2:] == ["payment.charged_back", "payment.chargeback_lost"]


async def test_won_back_after_an_appeal_has_a_row_of_its_own(till: Till) -> None:
    await till.hears(dispute(till, OPEN), dispute(till, LOST), dispute(till, WON), dispute(till, WON))
    assert stands(till) == (["won"], 1, 0)
    assert till.story()[-1] == "payment.chargeback_reversed"


@pytest.mark.parametrize("outcome", [WON, LOST])
async def test_how_it_ended_is_heard_before_how_it_began(till: Till, outcome: DisputeOutcome) -> None:
    await till.hears(dispute(till, outcome), dispute(till, OPEN))
    assert stands(till) == ([str(outcome)], int(outcome is WON), 0 if outcome is WON else 1000)


async def test_what_is_disputed_is_not_refunded_as_well(till: Till) -> None:
    await till.hears(dispute(till, OPEN, 700), refund(1, 400), keys=["", REFUND])
    assert till.answer(REFUND) == PaymentRefundRefused(order_id=ORDER, refund_id=UUID(int=1), reason="above_captured")
    await till.hears(refund(2, 300), keys=["orchestrator/second/refund/do"])
    await till.works()
    assert isinstance(till.answer("orchestrator/second/refund/do"), PaymentRefunded)


async def test_disputed_after_it_was_refunded_is_gone_twice_and_fought(till: Till) -> None:
    await till.hears(refund(1, 1000), keys=[REFUND])
    await till.works()
    await till.hears(dispute(till, OPEN))
    payment = till.payment(ORDER)
    assert (payment.refunded_minor, payment.disputed_minor, payment.refundable_minor) == (1000, 1000, 0)


async def test_a_release_gives_back_what_the_bank_did_not_take(till: Till) -> None:
    await till.hears(dispute(till, OPEN, 700), release(), keys=["", RELEASE])
    await till.works()
    assert till.answer(RELEASE) == PaymentReleased(order_id=ORDER)
    assert till.books(ORDER)["refunded_minor"] == 300


async def test_all_of_it_disputed_is_free_at_once(till: Till) -> None:
    await till.hears(dispute(till, OPEN), release(), keys=["", RELEASE])
    assert till.answer(RELEASE) == PaymentReleased(order_id=ORDER)
    assert till.payment(ORDER).state is PaymentState.RETURNED


async def test_won_back_after_the_order_is_dead_is_given_to_the_customer(till: Till) -> None:
    await till.hears(dispute(till, OPEN), release(), keys=["", RELEASE])
    await till.hears(dispute(till, WON))
    await till.works()
    payment = till.payment(ORDER)
    assert (payment.state, payment.refunded_minor, payment.disputed_minor) == (PaymentState.RETURNED, 1000, 0)
    assert till.books(ORDER)["refunded_minor"] == 1000


async def test_before_the_capture_is_known_it_waits() -> None:
    till = Till()
    await till.hears(authorize(), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    told = await till.calls_out(till.calls.pop())
    early = ProviderDisputed(
        notice_id="n", provider="sandbox", provider_payment_id=told.provider_payment_id, dispute_id="d-1",
        amount_minor=1000, currency="EUR", outcome=OPEN,
    )  # fmt: skip
    await till.hears(early)
    assert len(till.store.due) == 2 and attempt.order_id == ORDER  # its retry, and the attempt's timer
    await till.hears(told)
    await till.passes(minutes=1)
    assert stands(till) == (["open"], 0, 1000)


async def test_another_provider_is_not_believed_about_this_payment(till: Till) -> None:
    await till.hears(dispute(till, OPEN, provider="stripe"))
    (due,) = [due for due in till.store.due.values() if due.error]
    assert "is about no payment of ours" in due.error and stands(till) == ([], 0, 0)


@pytest.mark.parametrize("outcome", DisputeOutcome)
@pytest.mark.parametrize("wrong", [{"amount_minor": 1001}, {"currency": "USD"}])
async def test_a_dispute_that_cannot_be_is_parked_for_a_person(
    till: Till, wrong: dict[str, Any], outcome: DisputeOutcome
) -> None:
    with pytest.raises(AssertionError):  # the till takes nothing parked
        await till.hears(dispute(till, outcome, **wrong))
        await till.passes(hours=2)
        assert till.store.parked == {}
    assert stands(till) == ([], 0, 0)


async def test_a_dispute_of_more_than_was_captured_cannot_be_won_either(till: Till) -> None:
    with pytest.raises(AssertionError):
        await till.hears(dispute(till, WON, 500_000, currency="JPY"))
        await till.passes(hours=2)
        assert till.store.parked == {}
    assert stands(till) == ([], 0, 0)


async def test_what_is_won_back_is_what_was_taken(till: Till) -> None:
    await till.hears(dispute(till, OPEN, 700), dispute(till, WON, 900))
    (row,) = till.store.rows(CHARGEBACK_REVERSALS)
    assert (row.amount_minor, till.payment(ORDER).disputed_minor) == (700, 0)


async def test_won_before_it_was_opened_the_money_went_and_came_in_the_ledger_too(till: Till) -> None:
    await till.hears(dispute(till, WON, 700))
    (chargeback,) = till.store.rows(CHARGEBACKS)
    moved = [(row.kind, row.amount_minor, row.reference) for row in till.store.rows(TRANSFERS)[1:]]
    assert moved == [
        (EntryKind.CHARGEBACK, 700, str(chargeback.id)),
        (EntryKind.CHARGEBACK_REVERSED, 700, str(chargeback.id)),
    ]


async def test_what_a_bank_took_stands_as_taken_until_it_is_given_again(till: Till) -> None:
    def left() -> tuple[int, int]:
        stand = balances(till.store.rows(TRANSFERS))
        return stand["EUR", Account.CHARGEBACKS], stand["EUR", Account.PROVIDER_CLEARING]

    await till.hears(dispute(till, OPEN, 700))
    assert left() == (700, 300)
    await till.hears(dispute(till, LOST, 700))
    assert left() == (700, 300)
    await till.hears(dispute(till, WON, 700))
    assert left() == (0, 1000)


async def test_the_same_money_disputed_again_waits_until_the_first_is_won(till: Till) -> None:
    second = dispute(till, OPEN, 400, dispute_id="d-2", notice_id="n-2")
    await till.hears(dispute(till, OPEN, 700))
    await till.hears(second)
    (waits,) = [due for due in till.store.due.values() if due.error]
    assert waits.error.endswith("dispute d-2: 700 of 1000 are disputed") and stands(till) == (["open"], 0, 700)
    await till.hears(dispute(till, WON, 700))
    await till.passes(minutes=9)  # no failure lets a message wait so long
    assert stands(till) == (["won", "open"], 1, 400)


async def test_the_story_tells_what_was_booked(till: Till) -> None:
    """It ends with another amount than it began with: only what was taken can come back."""
    await till.hears(dispute(till, OPEN, 700), dispute(till, WON, 900))
    told = {fact.name: fact.detail["amount_minor"] for fact in till.said(StoryFact) if "charge" in fact.name}
    assert told == {"payment.charged_back": "700", "payment.chargeback_reversed": "700"}

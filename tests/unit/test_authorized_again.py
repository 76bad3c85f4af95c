"""A hold that lapses may be asked for anew: then an order has several payments at the provider, and refunds are spread
over them, the oldest first."""

from dataclasses import replace
from uuid import UUID

import pytest

from contracts.payment import (
    CaptureDue,
    PaymentFailed,
    PaymentRefunded,
    PaymentReleased,
    ProviderAnswered,
    ProviderNotified,
)
from services.payment.attempt import AttemptKind, AttemptState
from services.payment.domain import AuthorizationState, PaymentState
from services.payment.provider.port import AuthorizeRequest, ProviderAnswer
from services.payment.tables import AUTHORIZATIONS, REFUNDS
from tests.support.books import ledger_is_wrong
from tests.support.held import HELD, LATER, held, refund, released, sent
from tests.support.paying import AUTHORIZE, ORDER, REFUND, RELEASE
from tests.support.payment_play import open_minor
from tests.support.preparing_provider import PreparingProvider
from tests.support.scripted_provider import ScriptedProvider
from tests.support.till import Till


@pytest.fixture(params=[ScriptedProvider, PreparingProvider])
def till(request: pytest.FixtureRequest) -> Till:
    return Till(request.param, per_shipment=LATER, authorize_again=True)


async def lapsed(till: Till, *, told: bool = True) -> None:
    """The provider lets go of what it holds, and says so, or not."""
    for row in till.all_books(ORDER):
        till.lapses(row["id"])
    notices, till.notices = till.notices, []
    if told:
        await till.hears(*notices)
    await till.works()


async def twice_held(till: Till) -> None:
    """300 were taken of the first hold, and 400 of the second."""
    await held(till)
    await sent(till, 300)
    await lapsed(till)
    await sent(till, 700)


async def asked_again(till: Till) -> None:
    """300 were taken, the rest has lapsed and is to be asked for, and nobody has called yet."""
    await held(till)
    await sent(till, 300)
    await lapsed(till, told=False)
    await till.hears(CaptureDue(order_id=ORDER, due_minor=650, currency="EUR"))
    while till.payment(ORDER).state is not PaymentState.ASKED:
        (call,) = await till.takes()
        till.calls.clear()
        await till.hears(await till.calls_out(call))


def taken(till: Till) -> list[tuple[int, int, int]]:
    """Of each payment at the provider: captured, refunded, held."""
    assert list(ledger_is_wrong(till.store)) == []
    rows = till.all_books(ORDER)
    return [(row["captured_minor"], row["refunded_minor"], open_minor(row)) for row in rows]


async def test_what_was_let_go_is_asked_for_anew_under_an_id_of_its_own(till: Till) -> None:
    await held(till)
    await lapsed(till)
    assert taken(till) == [(0, 0, 0), (0, 0, 1000)]
    assert till.payment(ORDER).state is PaymentState.AUTHORIZED
    assert [row.state for row in till.store.rows(AUTHORIZATIONS)] == [
        AuthorizationState.VOIDED,
        AuthorizationState.HELD,
    ]
    assert till.said(PaymentFailed) == []
    assert till.answers(AUTHORIZE) == [HELD]  # and nothing more


async def test_only_what_is_left_is_asked_for(till: Till) -> None:
    await twice_held(till)
    assert taken(till) == [(300, 0, 0), (400, 0, 300)]
    assert till.payment(ORDER).state is PaymentState.PARTLY_CAPTURED
    await sent(till, 1000)
    assert taken(till) == [(300, 0, 0), (700, 0, 0)]
    assert till.payment(ORDER).state is PaymentState.CAPTURED


async def test_a_capture_finds_out_that_it_lapsed(till: Till) -> None:
    await held(till)
    await sent(till, 300)
    await lapsed(till, told=False)
    await sent(till, 650)
    assert taken(till) == [(300, 0, 0), (350, 0, 350)]


async def test_before_it_lapses_it_is_let_go_and_only_then_asked_for_anew(till: Till) -> None:
    await held(till)
    await sent(till, 300)
    await till.passes(days=6, hours=13)
    kinds = [attempt.kind for attempt in till.attempts(ORDER)]
    anew = AttemptKind.PREPARE if till.provider.prepares else AttemptKind.AUTHORIZE
    assert kinds.index(AttemptKind.VOID) < len(kinds) - 1 - kinds[::-1].index(anew)
    assert taken(till) == [(300, 0, 0), (0, 0, 700)]


async def test_that_is_not_done_for_ever(till: Till) -> None:
    await held(till)
    await till.passes(days=100)
    assert len(taken(till)) == 9
    assert taken(till)[-1] == (1000, 0, 0)


async def test_declined_the_second_time_the_order_lacks_the_rest() -> None:
    class Once(ScriptedProvider):
        """Of one payment its customer had the money."""

        async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
            token = "tok_declined" if self.books()["payments"] else request.token
            return await super().authorize(key, replace(request, token=token))

    till = Till(Once, per_shipment=LATER, authorize_again=True)
    await held(till)
    await sent(till, 300)
    await lapsed(till)
    await sent(till, 650)
    payment = till.payment(ORDER)
    assert (payment.state, payment.captured_minor, payment.missing_minor) == (PaymentState.CAPTURED, 300, 700)
    failed = PaymentFailed(order_id=ORDER, missing_minor=700, currency="EUR", reason="card_declined")
    assert till.said(PaymentFailed) == [failed]
    await sent(till, 1000)
    assert till.said(PaymentFailed) == [failed]


async def test_a_late_notice_of_the_first_hold_changes_nothing(till: Till) -> None:
    await held(till)
    first = till.payment(ORDER)
    assert first.attempt_id is not None
    await lapsed(till)
    before = till.payment(ORDER)
    late = ProviderNotified(
        order_id=ORDER,
        attempt_id=first.attempt_id,
        notice_id="n-1",
        status="voided",
        provider_payment_id=first.provider_payment_id,
    )
    await till.hears(late)
    assert till.payment(ORDER) == before


# -- refunds -------------------------------------------------------------------------------------------------------


async def refunded(till: Till, amount_minor: int, number: int = 1) -> None:
    await till.hears(refund(amount_minor, number), keys=[f"{REFUND}{number}"])
    await till.works()


def refunded_as(till: Till, number: int = 1) -> object:
    return till.answer(f"{REFUND}{number}")


async def test_a_refund_takes_from_the_oldest_payment_first(till: Till) -> None:
    await twice_held(till)
    await sent(till, 1000)
    await refunded(till, 200)
    assert taken(till) == [(300, 200, 0), (700, 0, 0)]
    await refunded(till, 450, number=2)
    assert taken(till) == [(300, 300, 0), (700, 350, 0)]
    assert refunded_as(till, 2) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=2))
    assert sorted(row.amount_minor for row in till.store.rows(REFUNDS)) == [100, 200, 350]


async def test_a_refund_is_done_when_all_its_parts_are(till: Till) -> None:
    await twice_held(till)
    await sent(till, 1000)
    await till.hears(refund(500), keys=[f"{REFUND}1"])
    one, other = await till.takes()
    await till.hears(await till.calls_out(one))
    assert refunded_as(till) is None
    till.calls.clear()
    await till.hears(await till.calls_out(other))
    assert refunded_as(till) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))


async def test_the_same_refund_under_another_key_is_told_of_all_its_parts(till: Till) -> None:
    await twice_held(till)
    await sent(till, 1000)
    await refunded(till, 500)
    await till.hears(refund(500), keys=[f"{REFUND}2"])
    assert refunded_as(till, 2) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    assert taken(till) == [(300, 300, 0), (700, 200, 0)]


async def test_a_part_the_provider_refuses_is_tried_anew(till: Till) -> None:
    await twice_held(till)
    await sent(till, 1000)
    await till.hears(refund(500), keys=[f"{REFUND}1"])
    one, other = await till.takes()
    till.calls.clear()
    refused = ProviderAnswered(order_id=ORDER, attempt_id=one.id, outcome="impossible", reason="no_balance")
    await till.hears(refused)
    await till.hears(await till.calls_out(other))
    assert refunded_as(till) is None
    assert "payment.refund_refused" in till.story()
    await till.passes(minutes=6)
    assert refunded_as(till) == PaymentRefunded(order_id=ORDER, refund_id=UUID(int=1))
    known = [row for row in till.attempts(ORDER) if row.kind is AttemptKind.REFUND]
    assert [row.state for row in known] == [AttemptState.KNOWN] * 3


# -- released ------------------------------------------------------------------------------------------------------


async def test_a_release_gives_back_all_that_was_taken_of_any(till: Till) -> None:
    await twice_held(till)
    await released(till)
    await till.works()
    assert till.answer(RELEASE) == PaymentReleased(order_id=ORDER)
    assert taken(till) == [(300, 300, 0), (400, 400, 0)]
    assert till.payment(ORDER).state is PaymentState.RETURNED


async def test_a_release_before_the_second_call_went_out(till: Till) -> None:
    await asked_again(till)
    await released(till)
    await till.works()
    assert till.answer(RELEASE) == PaymentReleased(order_id=ORDER)
    assert taken(till) == [(300, 300, 0)]


async def test_a_release_while_the_second_call_is_out_waits_for_it(till: Till) -> None:
    await asked_again(till)
    (call,) = await till.takes()
    await released(till)
    assert till.answer(RELEASE) is None
    till.calls.clear()
    await till.hears(await till.calls_out(call))
    await till.works()
    assert till.answer(RELEASE) == PaymentReleased(order_id=ORDER)
    assert all(captured == refunded and not open_ for captured, refunded, open_ in taken(till))

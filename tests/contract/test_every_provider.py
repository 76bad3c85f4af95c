"""What every provider keeps, a bank too, of which nobody can ask anything: payment relies on no more than this of one
whose money comes later."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.payment.provider.port import (
    Captured,
    CaptureRequest,
    Impossible,
    Pending,
    Refunded,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
)
from tests.support.provider_asks import asked, authorize, done_once, pending
from tests.support.provider_rigs import Rig
from tests.support.rigs import BankRig, rig_of

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture(params=["http", "scripted", "stripe", "bank"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig_of(request.param) as started:
        yield started


async def test_the_same_key_and_request_are_the_same_payment(rig: Rig) -> None:
    request = asked(rig, "tok_pending")
    first, again = [await authorize(rig, "authorize", request) for _ in range(2)]
    assert isinstance(first, Pending) and again == first


async def test_another_key_is_another_payment(rig: Rig) -> None:
    one, other = [await authorize(rig, key, asked(rig, "tok_pending")) for key in ("one", "other")]
    assert one.provider_payment_id and one.provider_payment_id != other.provider_payment_id


async def test_a_key_asked_at_the_same_time_is_one_payment(rig: Rig) -> None:
    request = asked(rig, "tok_pending")
    answers = await asyncio.gather(*(authorize(rig, "authorize", request) for _ in range(10)))
    assert isinstance(done_once(rig, list(answers)), Pending)


async def test_what_is_pending_is_found_pending(rig: Rig) -> None:
    payment_id = await pending(rig)
    assert await rig.provider.find(payment_id) == Pending(payment_id)


async def test_of_what_is_pending_nothing_is_taken(rig: Rig) -> None:
    payment_id = await pending(rig)
    answer = await rig.provider.capture("capture", CaptureRequest(payment_id, 1000))
    assert isinstance(answer, Impossible) and answer.status == "pending"


async def test_of_what_is_pending_nothing_is_given_back(rig: Rig) -> None:
    payment_id = await pending(rig)
    answer = await rig.provider.refund("refund", RefundRequest(payment_id, 1000))
    assert not isinstance(answer, Refunded) and isinstance(answer, Impossible | Unknown)


async def test_what_is_pending_can_be_voided_and_once_more(rig: Rig) -> None:
    payment_id = await pending(rig)
    for _ in range(2):
        assert await rig.provider.void("void", VoidRequest(payment_id)) == Voided(payment_id)


async def test_what_nobody_knows_is_no_outcome(rig: Rig) -> None:
    """It may come still."""
    unknown = "RF18539007547034" if isinstance(rig, BankRig) else "pi_nobody"
    assert isinstance(await rig.provider.find(unknown), Unknown | Pending)
    assert not isinstance(await rig.provider.refund("refund", RefundRequest(unknown, 1)), Refunded)
    assert not isinstance(await rig.provider.capture("capture", CaptureRequest(unknown, 1)), Captured)


async def test_a_pending_payment_is_withdrawn_by_the_key_that_made_it(rig: Rig) -> None:
    await pending(rig)
    assert isinstance(await rig.provider.withdraw("withdraw", "authorize"), Voided)

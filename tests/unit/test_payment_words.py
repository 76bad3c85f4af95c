"""What a provider answers or tells becomes one word of ours; what is no word about a payment is refused by name."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from contracts.payment import DisputeOutcome, ProviderAnswered, ProviderDisputed, ProviderNotified
from services.payment.effects import payment_effect
from services.payment.provider.port import (
    Authorized,
    AuthorizeRequest,
    BadNotice,
    Captured,
    Declined,
    Disputed,
    Failed,
    Impossible,
    Pending,
    Prepared,
    ProviderAnswer,
    Refunded,
    Uninteresting,
    Unknown,
    Voided,
    WebhookNotice,
)
from services.payment.webhook import told_by
from services.payment.words import Spoken, spoken
from tests.support.paying import AUTHORIZE, authorize
from tests.support.scripted_provider import ScriptedProvider
from tests.support.till import Till

ORDER, ATTEMPT = UUID(int=0xA1), UUID(int=0xB1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Prepared("p"), Spoken("prepared", "p")),
        (Authorized("p", 1000), Spoken("authorized", "p")),
        (Captured("p", 1000, 300), Spoken("captured", "p", captured_minor=1000, refunded_minor=300)),
        (Pending("p"), Spoken("pending", "p")),
        (Declined("no_funds", "p"), Spoken("declined", "p", "no_funds")),
        (Declined("no_funds"), Spoken("declined", reason="no_funds")),
        (Failed("expired", "p"), Spoken("failed", "p", "expired")),
        (Voided("p", 1000), Spoken("voided", "p")),
        (Voided(None), Spoken("voided")),
        (Refunded("p", 1000), Spoken("refunded", "p", captured_minor=1000, refunded_minor=1000)),
        (Impossible("already_voided", "voided", "p"), Spoken("impossible", "p", "already_voided", status="voided")),
        (Impossible("bad_request"), Spoken("impossible", reason="bad_request")),
        (Unknown("timeout", "p"), Spoken("unknown", "p", "timeout")),
    ],
)
def test_every_answer_has_a_word(answer: ProviderAnswer, said: Spoken) -> None:
    assert spoken(answer) == said


def notice(answer: ProviderAnswer | Disputed, reference: str = str(ORDER), key: str = str(ATTEMPT)) -> WebhookNotice:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return WebhookNotice("n-1", "t", at, "p", key, reference, 1000, "EUR", answer)


def test_a_notice_says_of_which_order_and_attempt_it_is() -> None:
    said = {"order_id": ORDER, "attempt_id": ATTEMPT, "notice_id": "n-1", "provider": "sandbox"}
    assert told_by(notice(Captured("p", 1000, 300)), "sandbox") == ProviderNotified.model_validate(
        {**said, "status": "captured", "provider_payment_id": "p", "captured_minor": 1000, "refunded_minor": 300}
    )
    assert told_by(notice(Failed("expired", "p")), "sandbox") == ProviderNotified.model_validate(
        {**said, "status": "failed", "provider_payment_id": "p", "reason": "expired"}
    )


@pytest.mark.parametrize("outcome", DisputeOutcome)
def test_a_dispute_names_its_payment_alone(outcome: DisputeOutcome) -> None:
    told = told_by(notice(Disputed("p", "d-1", 700, outcome.value, "fraudulent"), "", ""), "sandbox")
    assert told == ProviderDisputed(
        notice_id="n-1", provider="sandbox", provider_payment_id="p", dispute_id="d-1", amount_minor=700,
        currency="EUR", outcome=outcome, reason="fraudulent",
    )  # fmt: skip


def test_what_was_only_made_at_the_provider_is_nothing_new() -> None:
    with pytest.raises(Uninteresting, match="n-1"):
        told_by(notice(Prepared("p")), "sandbox")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (notice(Unknown("status 'odd'", "p")), "status 'odd'"),
        (notice(Captured("p", 1000), reference="order 7"), "n-1 is about no payment of ours: 'order 7'"),
        (notice(Captured("p", 1000), key="attempt 7"), "n-1 is about no payment of ours"),
        (notice(Disputed("p", "", 700, "open")), "n-1"),
    ],
)
def test_what_says_nothing_about_a_payment_is_refused(wrong: WebhookNotice, why: str) -> None:
    with pytest.raises(BadNotice, match=why):
        told_by(wrong, "sandbox")


async def test_an_adapter_that_breaks_with_many_words_is_not_known_and_heard() -> None:
    class Breaks(ScriptedProvider):
        async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
            raise RuntimeError("x" * 10_000)

    till = Till()
    await till.hears(authorize(), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    told = await payment_effect({"sandbox": Breaks(till.clock)}).perform(attempt)
    assert isinstance(told, ProviderAnswered)
    assert told.outcome == "unknown" and told.reason == "RuntimeError: " + "x" * 486


async def test_a_provider_that_is_not_set_up_is_named() -> None:
    till = Till()
    await till.hears(authorize(), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    told = await payment_effect({}).perform(attempt)
    assert isinstance(told, ProviderAnswered)
    assert (told.outcome, told.reason) == ("unknown", "no provider is set up as 'sandbox'")


@pytest.mark.parametrize("kind", [Declined, Failed])
async def test_a_long_reason_is_cut_and_the_answer_is_learned(kind: type[Declined] | type[Failed]) -> None:
    class Talkative(ScriptedProvider):
        async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
            return kind("x" * 501, "p")

    till = Till(Talkative)
    await till.hears(authorize(), keys=[AUTHORIZE])
    await till.works()
    (attempt,) = till.attempts(authorize().order_id)
    assert attempt.state == "known"
    told = told_by(notice(kind("x" * 501, "p")), "sandbox")
    assert isinstance(told, ProviderNotified) and told.reason == "x" * 500


def test_an_id_is_never_cut() -> None:
    """What is left of it could name another payment."""
    assert spoken(Captured("p" * 201, 1000)) == Spoken("unknown", reason="an id of 201 characters")
    assert spoken(Captured("p" * 200, 1000)).provider_payment_id == "p" * 200
    assert spoken(Captured("p\0", 1000)) == Spoken("unknown", reason="an id that cannot be kept")
    with pytest.raises(BadNotice, match="201"):
        told_by(notice(Captured("p" * 201, 1000)), "sandbox")


def test_a_status_too_is_cut() -> None:
    assert spoken(Impossible("no", "s" * 101, "p")).status == "s" * 100


def test_a_notice_that_does_not_fit_is_a_bad_one() -> None:
    with pytest.raises(BadNotice, match="notice_id"):
        told_by(replace(notice(Captured("p", 1000)), id="n" * 201), "sandbox")


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (Authorized("p", 1000, datetime(2026, 3, 2)), "unknown", "ValidationError: .*timezone"),  # noqa: DTZ001 - the fault
        (Declined("a\ud800b\0c"), "declined", "^a\ufffdb\ufffdc$"),
        (RuntimeError("a\ud800b\0c"), "unknown", "^RuntimeError: a\ufffdb\ufffdc$"),
    ],
)
async def test_whatever_an_answer_holds_it_is_learned(
    answer: ProviderAnswer | RuntimeError, outcome: str, reason: str
) -> None:
    class Odd(ScriptedProvider):
        async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
            if isinstance(answer, RuntimeError):
                raise answer
            return answer

    till = Till()
    await till.hears(authorize(), keys=[AUTHORIZE])
    (attempt,) = await till.takes()
    told = await payment_effect({"sandbox": Odd(till.clock)}).perform(attempt)
    assert isinstance(told, ProviderAnswered)
    assert told.outcome == outcome and re.search(reason, told.reason, re.DOTALL)


def test_what_a_notice_says_in_words_is_kept_as_far_as_it_can_be() -> None:
    for answer in (Failed("a\ud800b\0c", "p"), Disputed("p", "d-1", 700, "open", "a\ud800b\0c")):
        assert told_by(notice(answer), "sandbox").reason == "a\ufffdb\ufffdc"


def test_a_dispute_that_ended_as_nobody_knows_is_a_bad_notice() -> None:
    with pytest.raises(BadNotice, match="n-1: 'split' is not a valid DisputeOutcome"):
        told_by(notice(Disputed("p", "d-1", 700, "split")), "sandbox")  # type: ignore[arg-type]

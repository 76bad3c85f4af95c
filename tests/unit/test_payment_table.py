"""The table of what is said × where the payment is: total, checked at import, and its machines agree with it."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from contracts.payment import ProviderNotified
from services.payment.attempt import AttemptState
from services.payment.domain import PAYMENT, PaymentState, Word, named
from services.payment.late import LATE, ROWS, Row, total
from services.payment.policy import PaymentPolicy
from services.payment.provider.port import BadNotice, BadSignature
from services.payment.provider.sandbox import verify_webhook
from services.payment.webhook import Notice, told_by
from shared.total import NotTotal

ORDER, ATTEMPT = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def without(word: Word, state: PaymentState) -> Iterable[Row]:
    for said, states, act in ROWS:
        yield said, tuple(at for at in states if (said, at) != (word, state)), act


def test_every_word_in_every_state_has_one_row() -> None:
    assert len(LATE) == len(Word) * len(PaymentState)


def test_a_missing_row_is_named() -> None:
    with pytest.raises(NotTotal, match="captured in voided"):
        total(without(Word.CAPTURED, PaymentState.VOIDED))


def test_a_second_row_is_named() -> None:
    with pytest.raises(NotTotal, match="release in asked is there twice"):
        total((*ROWS, (Word.RELEASE, (PaymentState.ASKED,), LATE[Word.RELEASE, PaymentState.CAPTURED])))


def test_no_word_is_ignored_while_the_outcome_is_unknown() -> None:
    """The attempt is learned by any word heard then; a word that changed nothing would leave the payment waiting."""
    for word in set(Word) - {Word.CAPTURE_REFUSED, Word.REFUND, Word.CAPTURE_DUE}:
        for state in (PaymentState.ASKED, PaymentState.WITHDRAWING):
            assert LATE[word, state].__name__ != "ignore", (word, state)


def test_a_free_payment_stays_free_or_becomes_free_again() -> None:
    leaves = {to for origin, to in PAYMENT.pairs if origin in (PaymentState.DECLINED, PaymentState.VOIDED)}
    assert leaves == {PaymentState.VOIDING, PaymentState.RETURNING}
    assert {to for origin, to in PAYMENT.pairs if origin is PaymentState.RETURNED} == {PaymentState.RETURNING}


def test_attempts_end_known_or_withdrawn() -> None:
    from services.payment.attempt import ATTEMPT as MACHINE

    assert MACHINE.final == {AttemptState.KNOWN, AttemptState.WITHDRAWN}


def test_the_schedule_ends_in_a_steady_pace() -> None:
    policy = PaymentPolicy(schedule_s=(1.0, 2.0, 300.0))
    assert [policy.delay_s(tries) for tries in (1, 2, 3, 4, 1000)] == [1.0, 2.0, 300.0, 300.0, 300.0]


@pytest.mark.parametrize(
    ("said", "name"), [("card_declined", "card_declined"), ("do not honor", "do_not_honor"), (" é ", "_"), ("", "x")]
)
def test_a_providers_words_become_a_name(said: str, name: str) -> None:
    assert named(said, "x") == name


# -- the door ----------------------------------------------------------------------------------------------------


def to_message(secret: str, headers: dict[str, str], body: bytes, now: datetime) -> Notice:
    return told_by(verify_webhook(secret, headers, body, now), "sandbox")


def notice(reference: str = str(ORDER), status: str = "captured") -> bytes:
    return orjson.dumps(
        {
            "id": "evt_1",
            "type": "payment.captured",
            "created": NOW.isoformat(),
            "payment": {
                "id": "pay_1",
                "key": str(ATTEMPT),
                "status": status,
                "amount_minor": 1000,
                "captured_minor": 1000,
                "refunded_minor": 0,
                "voided_minor": 0,
                "currency": "EUR",
                "reference": reference,
                "decline_reason": None,
            },
        }
    )


def signed(body: bytes, secret: str = "s3cret") -> dict[str, str]:
    stamp = str(int(NOW.timestamp()))
    mac = hmac.digest(secret.encode(), f"evt_1.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{b64encode(mac).decode()}",
    }


def test_a_signed_notice_names_its_order_and_attempt() -> None:
    body = notice()
    told = to_message("s3cret", signed(body), body, NOW)
    assert isinstance(told, ProviderNotified)
    assert (told.order_id, told.attempt_id, told.status, told.captured_minor) == (ORDER, ATTEMPT, "captured", 1000)


def test_an_unsigned_notice_is_not_believed() -> None:
    body = notice()
    with pytest.raises(BadSignature):
        to_message("other", signed(body), body, NOW)


@pytest.mark.parametrize("body", [notice(reference="invoice 7"), notice(status="frozen")])
def test_a_notice_we_cannot_place_is_refused(body: bytes) -> None:
    with pytest.raises(BadNotice):
        to_message("s3cret", signed(body), body, NOW)

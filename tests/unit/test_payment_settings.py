"""Who moves the money of which method, and how long it may take: by setting, and refused by name when it cannot be."""

import pytest
from pydantic import ValidationError

from services.payment.effects import make_effects
from services.payment.settings import PaymentSettings, clients

BASE = {
    "PAYMENT_DATABASE_URL": "postgresql://payment@localhost/waybill",
    "PAYMENT_AMQP_URL": "amqp://payment@localhost/waybill",
}
SANDBOX = {"PROVIDER_URL": "http://provider.invalid", "WEBHOOK_SECRET": "s3cret"}
STRIPE = {"STRIPE_API_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_1"}


def load(monkeypatch: pytest.MonkeyPatch, **env: str) -> PaymentSettings:
    for name, value in {**BASE, **env}.items():
        monkeypatch.setenv(name, value)
    return PaymentSettings.load("payment")


def test_one_provider_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load(monkeypatch, **SANDBOX).policy()
    assert {policy.provider_of(method) for method in ("card", "transfer", "bnpl")} == {"sandbox"}


def test_each_method_goes_where_it_is_sent_and_the_rest_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **SANDBOX, **STRIPE, PAYMENT_METHODS="card=stripe, transfer = bank")
    policy = settings.policy()
    assert [policy.provider_of(method) for method in ("card", "transfer", "bnpl")] == ["stripe", "bank", "sandbox"]
    assert clients(settings).preparing == {"stripe"}


def test_a_method_may_take_days(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load(monkeypatch, **SANDBOX, PENDING_WAIT_S_BY_METHOD="bnpl=60").policy()
    waits = [policy.pending_wait(method) for method in ("card", "bnpl", "transfer")]
    assert waits == [900.0, 60.0, 432_000.0]
    assert policy.refund_pending_wait_s == 432_000.0
    assert policy.refund_tries == 3 and load(monkeypatch, **SANDBOX, REFUND_TRIES="5").policy().refund_tries == 5
    assert load(monkeypatch, **SANDBOX, REFUND_PENDING_WAIT_S="60").policy().refund_pending_wait_s == 60.0


def test_a_method_may_be_paid_per_shipment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, **SANDBOX).policy().per_shipment == frozenset()
    policy = load(
        monkeypatch, **SANDBOX, CAPTURE_PER_SHIPMENT="bnpl, invoice", AUTHORIZED_FOR_S="60", LAPSE_MARGIN_S="6"
    ).policy()
    assert (policy.per_shipment, policy.authorize_again) == (frozenset({"bnpl", "invoice"}), False)
    assert (policy.authorized_for_s, policy.lapse_margin_s) == (60.0, 6.0)
    assert load(monkeypatch, **SANDBOX, LAPSING_HOLD="authorize_again").policy().authorize_again


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({}, "PROVIDER_URL or STRIPE_API_KEY"),
        ({"PROVIDER_URL": "http://provider.invalid"}, "WEBHOOK_SECRET is needed"),
        ({"STRIPE_API_KEY": "sk_test_1"}, "STRIPE_WEBHOOK_SECRET is needed"),
        ({**SANDBOX, "PAYMENT_METHODS": "card=stripe"}, "PAYMENT_METHODS names"),
        ({**SANDBOX, "PENDING_WAIT_S_BY_METHOD": "bnpl=soon"}, "soon"),
        ({**SANDBOX, "PENDING_WAIT_S_BY_METHOD": "bnpl=0"}, "above zero"),
        ({**SANDBOX, "REFUND_TRIES": "0"}, "greater than or equal to 1"),
        ({**SANDBOX, "REFUND_PENDING_WAIT_S": "0"}, "greater than 0"),
        ({**SANDBOX, "REFUND_PENDING_WAIT_S": "inf"}, "finite"),
        ({**SANDBOX, "ASK_AGAIN_AFTER_S": "1,soon"}, "soon"),
        ({**SANDBOX, "ASK_AGAIN_AFTER_S": "1,0"}, "above zero"),
        ({**SANDBOX, "ASK_AGAIN_AFTER_S": "nan"}, "above zero"),
        ({**SANDBOX, "AUTHORIZED_FOR_S": "60", "LAPSE_MARGIN_S": "60"}, "LAPSE_MARGIN_S"),
        ({**SANDBOX, "LAPSING_HOLD": "hope"}, "authorize_again"),
        ({**SANDBOX, "ASK_AGAIN_AFTER_S": ","}, "could not convert"),
    ],
)
def test_what_cannot_be_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        load(monkeypatch, **env)


def test_a_shop_may_be_paid_by_transfer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, PAYMENT_METHODS="transfer=bank")
    assert settings.names == ("bank",) and list(clients(settings).found) == ["bank"]


def test_each_provider_has_a_bound_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **SANDBOX, **STRIPE, PROVIDER_CALLS_AT_ONCE="30", STRIPE_CALLS_AT_ONCE="5")
    effects = make_effects(clients(settings).found, 1.0, settings.calls_at_once)
    assert {effect.only: effect.at_once for effect in effects} == {
        ("provider", "sandbox"): 30, ("provider", "stripe"): 5, ("provider", "bank"): 30,
    }  # fmt: skip


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = repr(load(monkeypatch, **SANDBOX, **STRIPE))
    assert not any(secret in shown for secret in ("s3cret", "sk_test_1", "whsec_1"))

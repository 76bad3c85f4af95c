"""Who moves the money of which method, by setting: the payment service's settings, and the clients they ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Protocol, Self

from pydantic import Field, model_validator

from services.payment.effects import AT_ONCE
from services.payment.policy import AUTHORIZED_FOR_S, LAPSE_MARGIN_S, PaymentPolicy
from services.payment.provider.bank import BankTransfer
from services.payment.provider.port import Notices, PaymentProvider
from services.payment.provider.sandbox import SandboxProvider, SandboxProviderSettings
from services.payment.retrying import MOST_TRIES
from services.payment.settlement.comparing import GRACE_DAYS, tariffs_of
from shared.settings import ServiceSettings, Settings

SANDBOX, STRIPE, BANK = "sandbox", "stripe", "bank"
DAYS_TO_PAY = {"transfer": 5 * 86_400.0, "bnpl": 3 * 86_400.0}
"""A bank transfer takes days, and who lets buy now and pay later takes days to decide."""
DOORS = {SANDBOX: "/webhooks/provider", STRIPE: "/webhooks/stripe"}


class Client(PaymentProvider, Protocol):
    """Of a running service: opened once."""

    async def __aenter__(self) -> Self: ...
    async def close(self) -> None: ...


@dataclass
class Clients:
    """By name, as a payment has it."""

    found: dict[str, Client] = field(default_factory=dict)
    readers: dict[str, Notices] = field(default_factory=dict)
    """Of those that send something by themselves."""

    @property
    def preparing(self) -> frozenset[str]:
        return frozenset(name for name, client in self.found.items() if client.prepares)


class ProviderSettings(Settings):
    """Which providers there are and how they are asked: for the service, and for commands that ask one themselves."""

    provider_url: str = ""
    """The sandbox provider's; empty: there is none."""
    webhook_secret: Annotated[str, Field(repr=False)] = ""
    stripe_api_key: Annotated[str, Field(repr=False)] = ""
    """Empty: no Stripe."""
    stripe_webhook_secret: Annotated[str, Field(repr=False)] = ""
    stripe_url: str = "https://api.stripe.com"
    provider_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    provider_calls_at_once: Annotated[int, Field(ge=1, le=500)] = AT_ONCE
    stripe_calls_at_once: Annotated[int, Field(ge=1, le=500)] = 16
    """At 160 ms a call that is the hundred writes a second Stripe takes: https://docs.stripe.com/rate-limits."""
    settled_within_days: Annotated[int, Field(ge=0)] = GRACE_DAYS
    """How long a provider may take to settle what it did; later, it is listed as missing."""

    @property
    def names(self) -> tuple[str, ...]:
        """Providers that are set up; the first is everybody's who is not named."""
        found = {SANDBOX: self.provider_url, STRIPE: self.stripe_api_key, BANK: BANK}  # a bank asks for nothing
        return tuple(name for name, is_there in found.items() if is_there)

    @property
    def calls_at_once(self) -> dict[str, int]:
        """By provider."""
        return {**dict.fromkeys((SANDBOX, BANK), self.provider_calls_at_once), STRIPE: self.stripe_calls_at_once}


class PaymentSettings(ServiceSettings, ProviderSettings):
    webhook_url: str = ""
    """Where the sandbox provider reaches our webhook door; empty when it can't, then only asking again tells."""
    payment_methods: str = ""
    """Who moves the money of which method, as ``card=stripe,transfer=bank``; of every other, the first provider."""
    capture_per_shipment: str = ""
    """Payment methods, as ``card,bnpl``, whose money is held when the order is placed and captured as its parcels
    leave; of every other it is taken at once."""
    lapsing_hold: Literal["capture", "authorize_again"] = "capture"
    """What is done about a hold before it lapses: captured, sent or not; or let go and asked for anew with the same
    token, which the provider must allow to be used again."""
    authorized_for_s: Annotated[float, Field(gt=0)] = AUTHORIZED_FOR_S
    """How long a provider holds money for us, where it does not say itself."""
    lapse_margin_s: Annotated[float, Field(ge=0)] = LAPSE_MARGIN_S
    """So long before it lapses that is done."""
    attempt_overdue_s: Annotated[float, Field(gt=0)] = 30.0
    ask_again_after_s: str = ""
    """Delays before an unknown outcome is asked for again, as ``1,2,5,15``; the last repeats."""
    look_after_s: str = ""
    """Delays before a pending payment is looked at, for its notice may be lost, as ``30,60,300``; the last repeats."""
    pending_wait_s: Annotated[float, Field(gt=0)] = 900.0
    pending_wait_s_by_method: str = ""
    """Exceptions, as ``transfer=432000,bnpl=259200``; these two have those days unless it says otherwise."""
    refund_pending_wait_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5 * 86_400.0
    """How long a refund by transfer may take until a statement shows it."""
    refund_tries: Annotated[int, Field(ge=1, le=MOST_TRIES)] = 3
    """How often a refund is asked of a provider that refuses it for a reason that may pass."""
    tariffs: str = ""
    """What providers take for a payment, in hundredths of a percent and minor units: ``sandbox=140+25,other=290``."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.names == (BANK,) and BANK not in self.methods.values():
            raise ValueError("a payment provider is needed: set PROVIDER_URL or STRIPE_API_KEY")
        if self.provider_url and not self.webhook_secret:
            raise ValueError("WEBHOOK_SECRET is needed with PROVIDER_URL: it proves the provider's notices")
        if self.stripe_api_key and not self.stripe_webhook_secret:
            raise ValueError("STRIPE_WEBHOOK_SECRET is needed with STRIPE_API_KEY: it proves Stripe's events")
        _ = self.waits, self.schedule, self.looks
        if self.lapse_margin_s >= self.authorized_for_s:
            raise ValueError("LAPSE_MARGIN_S is below AUTHORIZED_FOR_S: else every hold lapses at once")
        if strange := set(self.methods.values()) - set(self.names):
            raise ValueError(f"PAYMENT_METHODS names {sorted(strange)}, and there are {list(self.names)}")
        if self.tariffs:
            tariffs_of(self.tariffs)
        return self

    @property
    def methods(self) -> Mapping[str, str]:
        return _pairs(self.payment_methods)

    @property
    def waits(self) -> Mapping[str, float]:
        """Raises ValueError for what is no number of seconds above zero."""
        waits = {method: float(wait) for method, wait in _pairs(self.pending_wait_s_by_method).items()}
        if strange := [method for method, wait in waits.items() if not 0 < wait < float("inf")]:
            raise ValueError(f"PENDING_WAIT_S_BY_METHOD: a wait is above zero, and not so for {strange}")
        return waits

    @property
    def schedule(self) -> tuple[float, ...]:
        """Raises ValueError for what is no number of seconds above zero: a pause of none would ask without end."""
        return _pauses("ASK_AGAIN_AFTER_S", self.ask_again_after_s)

    @property
    def looks(self) -> tuple[float, ...]:
        """Raises ValueError as `schedule` does."""
        return _pauses("LOOK_AFTER_S", self.look_after_s)

    def policy(self, preparing: frozenset[str] = frozenset()) -> PaymentPolicy:
        policy = PaymentPolicy(
            pending_wait_s={**DAYS_TO_PAY, **self.waits},
            pending_wait_else_s=self.pending_wait_s,
            refund_pending_wait_s=self.refund_pending_wait_s,
            refund_tries=self.refund_tries,
            attempt_overdue_s=self.attempt_overdue_s,
            webhook_url=self.webhook_url,
            provider=self.names[0],
            providers=self.methods,
            preparing=preparing,
            per_shipment=frozenset(method.strip() for method in self.capture_per_shipment.split(",") if method.strip()),
            authorize_again=self.lapsing_hold == "authorize_again",
            authorized_for_s=self.authorized_for_s,
            lapse_margin_s=self.lapse_margin_s,
            settled_within_days=self.settled_within_days,
        )
        if self.tariffs:
            policy = replace(policy, tariffs=tariffs_of(self.tariffs))
        if self.looks:
            policy = replace(policy, look_after_s=self.looks)
        return replace(policy, schedule_s=self.schedule) if self.schedule else policy


def _pauses(name: str, said: str) -> tuple[float, ...]:
    pauses = tuple(float(part) for part in said.split(",")) if said else ()
    if not all(0 < pause < float("inf") for pause in pauses):
        raise ValueError(f"{name}: a pause is above zero, and not so in {said}")
    return pauses


def _pairs(said: str) -> dict[str, str]:
    """``a=1,b=2``"""
    parts = (pair.partition("=") for pair in said.split(",") if pair.strip())
    return {name.strip(): value.strip() for name, _, value in parts}


def clients(settings: ProviderSettings) -> Clients:
    made = Clients()
    if SANDBOX in settings.names:
        sandbox = SandboxProvider(
            SandboxProviderSettings(
                url=settings.provider_url,
                timeout_s=settings.provider_timeout_s,
                connections=settings.calls_at_once[SANDBOX],
                webhook_secret=settings.webhook_secret,
            )
        )
        made.found[SANDBOX], made.readers[SANDBOX] = sandbox, sandbox
    if STRIPE in settings.names:
        # importing it takes as long as everything else together: only for who uses it
        from services.payment.provider.stripe import StripeProvider, StripeProviderSettings

        stripe = StripeProvider(
            StripeProviderSettings(
                api_key=settings.stripe_api_key,
                webhook_secret=settings.stripe_webhook_secret,
                url=settings.stripe_url,
                timeout_s=settings.provider_timeout_s,
                connections=settings.calls_at_once[STRIPE],
            )
        )
        made.found[STRIPE], made.readers[STRIPE] = stripe, stripe
    made.found[BANK] = BankTransfer()
    return made

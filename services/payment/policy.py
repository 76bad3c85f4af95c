"""What the owner of a deployment may set about payments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.payment.settlement.comparing import GRACE_DAYS, Tariff

AUTHORIZED_FOR_S: Final = 7 * 86_400.0
LAPSE_MARGIN_S: Final = 12 * 3600.0


@dataclass(frozen=True)
class PaymentPolicy:
    """As the service runs with it: what the settings say, in the words of the decisions."""

    pending_wait_s: Mapping[str, float] = field(default_factory=lambda: {"transfer": 5 * 86_400.0})
    """How long to wait for a provider that says later, by payment method."""
    pending_wait_else_s: float = 900.0
    refund_pending_wait_s: float = 5 * 86_400.0
    """How long a refund by transfer may take until a statement shows it; longer is for a person."""
    attempt_overdue_s: float = 30.0
    """A call this old is taken for dead; longer than the effect's own timeout, so that a live one is rarely doubled."""
    schedule_s: tuple[float, ...] = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 300.0)
    """Delays before an unknown outcome is asked for again; the last one repeats for ever, for money is at stake."""
    look_after_s: tuple[float, ...] = (30.0, 60.0, 300.0, 900.0, 3_600.0)
    """Delays before a pending payment is looked at, for its notice may be lost; the last one repeats."""
    refund_tries: int = 3  # of a refusal that may pass; retrying.py
    webhook_url: str = ""
    provider: str = "sandbox"
    """Who moves the money of every method that `providers` does not name."""
    providers: Mapping[str, str] = field(default_factory=dict)
    """By payment method."""
    tariffs: Mapping[str, Tariff] = field(default_factory=lambda: {"sandbox": Tariff(140, 25)})
    """What providers take for a payment, where it is agreed; a fee of any other provider is booked as it is charged."""
    settled_within_days: int = GRACE_DAYS
    per_shipment: frozenset[str] = frozenset()
    """Payment methods whose money is held when the order is placed and captured as its parcels leave."""
    authorized_for_s: float = AUTHORIZED_FOR_S
    """How long a provider holds money for us, where it does not say."""
    lapse_margin_s: float = LAPSE_MARGIN_S
    """So long before a hold lapses, what is held is captured: sent or not, for there may be no second chance."""
    authorize_again: bool = False
    """A hold that lapses is let go and asked for anew, instead of being captured before."""
    preparing: frozenset[str] = frozenset()
    """Providers that make a payment first and confirm it by a second call."""

    def provider_of(self, method: str) -> str:
        return self.providers.get(method, self.provider)

    def pending_wait(self, method: str) -> float:
        return self.pending_wait_s.get(method, self.pending_wait_else_s)

    def delay_s(self, tries: int) -> float:
        """Before try number `tries` + 1; `tries` counts from 1."""
        return self.schedule_s[min(tries, len(self.schedule_s)) - 1]

"""One payment under decision: its rows, and what is said on the way. Nothing is called and nothing is awaited."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.message import Reply
from contracts.payment import AttemptOverdue, CaptureDue, ProviderDisputed, RefundPayment, StillPending
from contracts.story import StoryFact
from services.payment.attempt import ATTEMPT, FIRST, Attempt, AttemptKind, AttemptState
from services.payment.banking.entries import Purpose, Quoted
from services.payment.creditor_reference import is_reference, reference_of
from services.payment.domain import PAYMENT, Payment, PaymentState
from services.payment.ledger import EntryKind, transfer
from services.payment.policy import PaymentPolicy
from shared.consumer import Answer, Moment
from shared.frozen import replace
from shared.working_set import Rows


class Contradiction(Exception):
    """The provider said what cannot be: nothing is guessed where money is, so the message is parked for a person."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came with a word."""

    provider_payment_id: str = ""
    reason: str = ""
    captured_minor: int = 0
    capture_before: datetime | None = None
    command_key: str = ""
    attempt: Attempt | None = None
    confirming: Attempt | None = None
    """Where the provider prepares first: the attempt that confirms."""
    refund: RefundPayment | None = None
    dispute: ProviderDisputed | None = None
    due: CaptureDue | None = None


@dataclass
class Case:
    payment: Payment
    rows: Rows
    moment: Moment
    policy: PaymentPolicy
    told: Told = field(default_factory=Told)
    said: list[Any] = field(default_factory=list)
    """What each handler's return type names."""

    @property
    def state(self) -> PaymentState:
        return self.payment.state

    def move(self, on: str, **changes: Any) -> None:
        """The next state by the table; every move is one version, so that the database sees each of them."""
        self.set(state=PAYMENT.to(self.payment.state, on), **changes)

    def set(self, **changes: Any) -> None:
        self.payment = replace(self.payment, **changes)
        self.rows.put(self.payment)

    def answer(self, key: str, reply: Reply) -> None:
        self.said.append(Answer(key, reply))

    def answer_authorize(self, reply: Reply) -> None:
        """To whoever asked for the authorization; once it was told that the money is there, nothing more is."""
        if not self.payment.promised:
            self.answer(self.payment.authorize_key, reply)

    def tell(self, fact: str, *, reason: str = "", actor: str = "", detail: Mapping[str, str] | None = None) -> None:
        """One more line in the order's story."""
        self.said.append(
            StoryFact(
                order_id=self.payment.order_id,
                name=f"payment.{fact}",
                actor=actor or self.payment.provider or self.policy.provider,
                occurred_at=self.moment.now,
                reason=reason,
                detail=dict(detail or {}),
            )
        )

    def money(self, amount_minor: int) -> dict[str, str]:
        return {"amount_minor": str(amount_minor), "currency": self.payment.currency}

    def book(self, kind: EntryKind, amount_minor: int, reference: UUID) -> None:
        """One row of the ledger, beside the row of what it books."""
        payment = self.payment
        self.rows.put(
            transfer(
                kind,
                amount_minor,
                payment.currency,
                id_=self.moment.new_id(),
                occurred_at=self.moment.now,
                reference=str(reference),
                provider=payment.provider,
                order_id=payment.order_id,
            )
        )

    # -- attempts ------------------------------------------------------------------------------------------------

    def open_attempt(
        self,
        kind: AttemptKind,
        amount_minor: int,
        *,
        refund_id: UUID | None = None,
        token: str = "",
        id_: UUID | None = None,
        provider_payment_id: str | None = None,
    ) -> Attempt:
        """The provider will be called for this; the timer brings it back should the caller die."""
        attempt = Attempt(
            id=id_ or self.moment.new_id(),
            order_id=self.payment.order_id,
            kind=kind,
            refund_id=refund_id,
            amount_minor=amount_minor,
            currency=self.payment.currency,
            token=token,
            # part of the request, so it is kept: asked again after a change of settings it must be the same request
            webhook_url=self.policy.webhook_url if kind in FIRST else "",
            provider=self.payment.provider,
            capture=not self.payment.per_shipment,
            provider_payment_id=self.payment.provider_payment_id
            if provider_payment_id is None
            else provider_payment_id,
            state=AttemptState.OPEN,
            outcome="",
            tries=0,
            next_at=self.moment.now + timedelta(seconds=self.policy.attempt_overdue_s),
        )
        self.rows.put(attempt)
        self.ring(attempt)
        if refund_id is not None and is_reference(self.payment.provider_payment_id):
            # paid by transfer, so paid out by transfer: a statement's entry that carries this is the answer
            order_id, quoted = attempt.order_id, reference_of(str(attempt.id))
            self.rows.put(Quoted(quoted, Purpose.REFUND, order_id, attempt_id=attempt.id, refund_id=refund_id))
        return attempt

    def look_later(self, looks: int) -> None:
        """How a pending payment stands, should nobody tell; of a transfer our own books know."""
        if is_reference(self.payment.provider_payment_id):
            return
        schedule, order_id = self.policy.look_after_s, self.payment.order_id
        at = self.moment.now + timedelta(seconds=schedule[min(looks, len(schedule) - 1)])
        self.rows.set_timer("look", order_id, at, StillPending(order_id=order_id, looks=looks))

    def quote(self) -> str:
        """What the customer of a transfer must quote, else nothing: from now on an entry that carries it is theirs."""
        reference = self.payment.provider_payment_id
        if not is_reference(reference):
            return ""
        self.rows.put(Quoted(reference, Purpose.PAYMENT, self.payment.order_id, attempt_id=self.payment.attempt_id))
        return reference

    def learn(self, attempt: Attempt, outcome: str) -> None:
        self.rows.put(replace(attempt, state=ATTEMPT.to(attempt.state, "learn"), outcome=outcome))
        self.rows.clear_timer("attempt", attempt.id)

    def lose(self, attempt: Attempt) -> None:
        """Not known what came of it: the same request goes out again under the same id, later and later."""
        tries = attempt.tries + 1
        next_at = self.moment.now + timedelta(seconds=self.policy.delay_s(tries))
        attempt = replace(attempt, state=ATTEMPT.to(attempt.state, "lose"), tries=tries, next_at=next_at)
        self.rows.put(attempt)
        self.ring(attempt)

    def ask_again(self, attempt: Attempt) -> None:
        tries = attempt.tries + (attempt.state is AttemptState.CALLING)  # an unknown one was counted when it was lost
        next_at = self.moment.now + timedelta(seconds=self.policy.attempt_overdue_s)
        attempt = replace(attempt, state=ATTEMPT.to(attempt.state, "ask again"), tries=tries, next_at=next_at)
        self.rows.put(attempt)
        self.ring(attempt)

    def wait_for_worker(self, attempt: Attempt) -> None:
        """Still waiting for a free worker: only the guard is set again."""
        next_at = self.moment.now + timedelta(seconds=self.policy.attempt_overdue_s)
        self.ring(replace(attempt, next_at=next_at))

    def withdraw(self, attempt: Attempt) -> None:
        self.rows.put(replace(attempt, state=ATTEMPT.to(attempt.state, "withdraw")))
        self.rows.clear_timer("attempt", attempt.id)

    def ring(self, attempt: Attempt) -> None:
        self.rows.set_timer(
            "attempt", attempt.id, attempt.next_at, AttemptOverdue(order_id=attempt.order_id, attempt_id=attempt.id)
        )

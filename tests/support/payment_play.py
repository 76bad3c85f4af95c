"""One order's money, played: commands, calls, answers, notices, disputes, crashes and time, one step after the other.

The provider's own books are the judge. In the end everything under way is let happen, and then every command has its
answer, and our rows agree with the books.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final
from uuid import UUID

from contracts.message import Message
from contracts.payment import (
    AuthorizePayment,
    CaptureDue,
    DisputeOutcome,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundRefused,
    PaymentReleased,
    ProviderAnswered,
    ProviderDisputed,
    RefundPayment,
    ReleasePayment,
)
from services.payment.attempt import ENDED, FIRST, AttemptKind, AttemptState
from services.payment.domain import PaymentState
from services.payment.tables import ATTEMPTS, CAPTURES, CHARGEBACK_REVERSALS, CHARGEBACKS, PAYMENTS, REFUNDS
from services.payment.webhook import Notice
from tests.support.books import ledger_is_wrong
from tests.support.scripted_provider import ScriptedProvider
from tests.support.till import Till
from tests.support.world import finish

TOKENS: Final = (
    "tok_ok",
    "tok_declined",
    "tok_error",
    "tok_timeout",
    "tok_do_then_timeout",
    "tok_pending",
    "tok_pending_then_paid",
    "tok_pending_then_failed",
    "tok_duplicate_webhook",
    "tok_webhook_first",
    "tok_ok_refund_error",
    "tok_do_then_timeout_refund_timeout",
    "tok_pending_void_timeout",
    "tok_ok_capture_error_void_timeout",
)
ORDER: Final = UUID(int=0xA)
AMOUNT: Final = 1000
ROUNDS: Final = 60
WAITS: Final = ("are disputed", "capture_under_way")
"""Disputed again before it was heard that the first was won, given back before it was taken: comes back by itself."""
PAY, UNDO, CANCEL = "orchestrator/run/pay/do", "orchestrator/run/pay/undo", "orchestrator/cancel/release/do"


class Captures(Enum):
    AT_ONCE = "at once"
    PER_SHIPMENT = "per shipment"
    AGAIN = "per shipment, and authorized again when it lapses"


class Play:
    """One order; each step is one thing that may happen. `pick` says to which of several it happens."""

    def __init__(self, provider: type[ScriptedProvider], token: str, captures: Captures = Captures.AT_ONCE) -> None:
        self.per_shipment = captures is not Captures.AT_ONCE
        methods = frozenset({"card"} if self.per_shipment else ())
        self.again = captures is Captures.AGAIN
        self.till = Till(provider, per_shipment=methods, authorize_again=self.again)
        self.token = token
        self.asked: dict[str, Message] = {}
        self.answers: list[ProviderAnswered] = []
        self.heard: list[ProviderAnswered | Notice] = []
        self.lost = 0
        self.disputes: dict[str, ProviderDisputed] = {}
        """As each stands at the customer's bank."""

    def hear(self, *messages: Message, keys: Sequence[str] = ()) -> None:
        finish(self.till.hears(*messages, keys=keys))

    def ask(self, key: str, command: Message) -> None:
        self.asked.setdefault(key, command)
        self.hear(self.asked[key], keys=[key])

    # -- commands ------------------------------------------------------------------------------------------------

    def authorize(self, _: int) -> None:
        self.ask(
            PAY,
            AuthorizePayment(order_id=ORDER, amount_minor=AMOUNT, currency="EUR", method="card", token=self.token),
        )

    def undo(self, _: int) -> None:
        self.ask(UNDO, ReleasePayment(order_id=ORDER, reason="undone"))

    def cancel(self, _: int) -> None:
        self.ask(CANCEL, ReleasePayment(order_id=ORDER, reason="cancelled"))

    def refund(self, pick: int) -> None:
        number = len(self.asked) + 1
        amount = (1, 400, AMOUNT)[pick % 3]
        command = RefundPayment(order_id=ORDER, refund_id=UUID(int=number), amount_minor=amount, currency="EUR")
        key, ours = f"orchestrator/refund {number}/refund/do", self.ours()
        self.ask(key, command)
        assert amount <= ours or isinstance(self.till.answer(key), PaymentRefundRefused), f"{amount} of {ours}"

    def ours(self) -> int:
        """What could be given back: taken, neither given back nor about to be, nor taken back by a bank."""
        rows = self.till.store.rows
        taken: int = sum(row.amount_minor for row in rows(CAPTURES))
        given: int = sum(row.returned_minor for row in rows(REFUNDS) if row.state != "refused")
        disputed: int = sum(row.amount_minor for row in rows(CHARGEBACKS) if row.state != "won")
        kept = max(0, taken - given - disputed)  # refunded and then disputed all the same, it is gone twice
        if not self.per_shipment:
            return kept
        never: int = sum(row.missing_minor + row.waived_minor for row in rows(PAYMENTS))
        return kept + AMOUNT - never - taken  # what is not taken yet can be waived

    def due(self, pick: int) -> None:
        """Parcels leave, the second heard of before the first perhaps."""
        if self.till.answer(PAY) == PaymentAuthorized(order_id=ORDER, captured=False):
            self.hear(CaptureDue(order_id=ORDER, due_minor=(300, 650, AMOUNT)[pick % 3], currency="EUR"))

    def lapse(self, _: int) -> None:
        """The provider lets go of what it holds."""
        for row in self.till.provider.books()["payments"]:
            self.till.lapses(row["id"])

    def ask_again(self, pick: int) -> None:
        if self.asked:
            key = sorted(self.asked)[pick % len(self.asked)]
            self.hear(self.asked[key], keys=[key])

    # -- the provider --------------------------------------------------------------------------------------------

    def take(self, _: int) -> None:
        finish(self.till.takes(3))

    def call(self, pick: int) -> None:
        if self.till.calls:
            attempt = self.till.calls.pop(pick % len(self.till.calls))
            self.answers.append(finish(self.till.calls_out(attempt)))

    def call_and_die(self, pick: int) -> None:
        """The provider heard it; nobody heard the provider."""
        if self.till.calls:
            finish(self.till.calls_out(self.till.calls.pop(pick % len(self.till.calls))))
            self.lost += 1

    def call_twice(self, pick: int) -> None:
        """Another worker, taken for dead, makes the same call later."""
        if self.till.calls:
            self.answers.append(finish(self.till.calls_out(self.till.calls[pick % len(self.till.calls)])))

    def die(self, pick: int) -> None:
        if self.till.calls:
            self.till.calls.pop(pick % len(self.till.calls))
            self.lost += 1

    def answer(self, pick: int) -> None:
        self._tell(self.answers, pick)

    def notice(self, pick: int) -> None:
        self._tell(self.till.notices, pick)

    def dispute(self, pick: int) -> None:
        """The customer's bank takes back all of what was captured, or a part."""
        for row in self.till.provider.books()["payments"]:
            rest = row["captured_minor"] - self.disputed_minor(DisputeOutcome.WON)
            if rest > 0:
                told = ProviderDisputed(
                    provider="sandbox",
                    notice_id=f"n-{len(self.disputes)}",
                    provider_payment_id=self.till.provider.known_as(row["id"]),
                    dispute_id=f"d-{len(self.disputes)}",
                    amount_minor=rest if pick % 2 else min(rest, 300),
                    currency="EUR",
                    outcome=DisputeOutcome.OPEN,
                )
                self._stands(told)

    def decide(self, pick: int) -> None:
        """Who keeps the money; what was lost may be won on appeal."""
        for told in self.disputes.values():
            if told.outcome is DisputeOutcome.OPEN:
                won = pick % 2
                self._stands(told.model_copy(update={"outcome": DisputeOutcome.WON if won else DisputeOutcome.LOST}))
                return

    def _stands(self, told: ProviderDisputed) -> None:
        self.disputes[told.dispute_id] = told
        self.till.notices.append(told)

    def disputed_minor(self, *but: DisputeOutcome) -> int:
        return sum(told.amount_minor for told in self.disputes.values() if told.outcome not in but)

    def knows_capture(self) -> bool:
        return any(payment.captured_minor for payment in self.till.store.rows(PAYMENTS))

    def _tell(self, waiting: list[ProviderAnswered] | list[Notice], pick: int) -> None:
        if waiting:
            told = waiting[pick % len(waiting)]
            if isinstance(told, ProviderDisputed) and not self.knows_capture():
                return  # it would be set aside, and come back
            waiting.remove(told)  # type: ignore[arg-type]
            self.heard.append(told)
            self.hear(told)

    def say_again(self, pick: int) -> None:
        if self.heard:
            told = self.heard[pick % len(self.heard)]
            if not isinstance(told, ProviderDisputed) or self.knows_capture():
                self.hear(told)

    def settle(self, pick: int) -> None:
        for pending in self.pending():
            self.till.settles(pending, paid=pick % 3 > 0)

    def time(self, _: int) -> None:
        soonest = self.till.store.next_due()
        if soonest is not None:
            self.till.now = max(self.till.now, soonest)
            finish(self.till.rings())

    # -- what holds at every instant -----------------------------------------------------------------------------

    def holds(self) -> None:
        books = self.till.provider.books()["payments"]
        assert self.again or len(books) <= 1, "one payment per order, ever"
        live = [row for row in books if open_minor(row) or row["status"] == "pending"]
        assert len(live) <= 1, "at most one live authorization per order"
        assert sum(row["captured_minor"] + open_minor(row) for row in books) <= AMOUNT, "never more than authorized"
        assert all(row["refunded_minor"] <= row["captured_minor"] for row in books)
        captures = self.till.store.rows(CAPTURES)
        assert self.per_shipment or len(captures) <= 1
        assert sum(row.amount_minor for row in captures) <= sum(row["captured_minor"] for row in books)
        assert self.till.store.parked == {}
        assert list(ledger_is_wrong(self.till.store)) == []
        failing = [due.error for due in self.till.store.due.values() if due.error and not said_to_wait(due.error)]
        assert failing == []
        called = {row["key"] for row in books}
        for payment in self.till.store.rows(PAYMENTS):
            if payment.attempt_id is None:
                continue
            first = [attempt for attempt in self.till.store.rows(ATTEMPTS) if attempt.kind in FIRST]
            for attempt in first:
                assert attempt.state is not AttemptState.WITHDRAWN or str(attempt.id) not in called
            waits = payment.state in (PaymentState.ASKED, PaymentState.WITHDRAWING)
            unknown = [attempt for attempt in first if attempt.state not in ENDED]
            if waits or any(attempt.kind is not AttemptKind.CONFIRM for attempt in unknown):
                assert waits and unknown, "a payment waits exactly as long as its attempt is not known"
        for key, command in self.asked.items():
            released = isinstance(command, ReleasePayment) and isinstance(self.till.answer(key), PaymentReleased)
            late = self.till.notices or self.disputed_minor(DisputeOutcome.OPEN, DisputeOutcome.LOST)
            if released and not late:  # what comes after the end is given back when its notice is heard
                assert self.free(), f"{key} was answered, and the provider holds money"

    def pending(self) -> list[str]:
        return [row["id"] for row in self.till.provider.books()["payments"] if row["status"] == "pending"]

    def free(self) -> bool:
        return all(
            row["status"] in ("voided", "declined", "failed")
            or row["refunded_minor"] + self.disputed_minor(DisputeOutcome.WON)
            >= row["captured_minor"]
            > 0
            == open_minor(row)
            for row in self.till.provider.books()["payments"]
        ) and not (self.till.calls and self.till.attempts(ORDER)[0].state is AttemptState.WITHDRAWN)

    # -- and in the end ------------------------------------------------------------------------------------------

    async def let_everything_happen(self) -> None:
        till = self.till
        for _ in range(ROUNDS):
            for pending in self.pending():
                till.settles(pending, paid=True)
            told, self.answers, till.notices = [*self.answers, *till.notices], [], []
            for message in told:
                if isinstance(message, ProviderDisputed) and not self.knows_capture():
                    till.notices.append(message)
                else:
                    await till.hears(message)
            await till.works()
            soonest = till.store.next_due()
            if soonest is None and not till.notices and not self.pending():
                return
            till.now = max(till.now, soonest or till.now)
            await till.rings()
        raise AssertionError(f"not quiet: {till.store.due}")

    def ends_well(self) -> None:
        for key, command in self.asked.items():
            answer = self.till.answer(key)
            assert answer is not None, f"{key} was never answered: {command}"
            assert not isinstance(answer, PaymentReleased) or self.free(), key
        for payment in self.till.store.rows(PAYMENTS):
            books = self.till.provider.books()["payments"]
            assert payment.captured_minor == sum(row["captured_minor"] for row in books)
            assert payment.refunded_minor == sum(row["refunded_minor"] for row in books)
            assert all(left["left_minor"] >= 0 for left in payment.earlier)
            assert (payment.refund_reserved_minor, payment.release_keys) == (0, [])
            assert (payment.held_minor, payment.call_id) == (0, None)
            assert not any(open_minor(row) for row in books)
            failed = self.till.said(PaymentFailed)
            assert sum(fact.missing_minor for fact in failed) == payment.missing_minor
            if self.per_shipment and payment.state is PaymentState.CAPTURED:
                assert payment.captured_minor == payment.collectable_minor
            assert payment.disputed_minor == self.disputed_minor(DisputeOutcome.WON)
            reversals = self.till.store.rows(CHARGEBACK_REVERSALS)
            won = self.disputed_minor(DisputeOutcome.OPEN, DisputeOutcome.LOST)
            assert sum(row.amount_minor for row in reversals) == won
            assert isinstance(self.till.answer(PAY), PaymentAuthorized) or self.free()
        for key, command in self.asked.items():
            if isinstance(command, RefundPayment) and isinstance(self.till.answer(key), PaymentRefunded):
                assert self.till.store.row(REFUNDS, command.refund_id).state == "refunded"


def open_minor(row: dict[str, Any]) -> int:
    """Of a payment in the provider's books: held, and neither taken nor let go."""
    held: int = row["amount_minor"] - row["captured_minor"] - row["voided_minor"]
    return held if row["status"] in ("authorized", "captured") else 0


def said_to_wait(error: str) -> bool:
    return any(words in error for words in WAITS)


Step = Callable[[Play, int], None]
STEPS: Final[tuple[Step, ...]] = (
    # what happens often stands more than once
    *(Play.take, Play.take, Play.take, Play.call, Play.call, Play.call, Play.answer, Play.answer, Play.answer),
    *(Play.time, Play.time, Play.notice, Play.notice, Play.settle, Play.undo, Play.cancel, Play.refund, Play.refund),
    *(Play.call_and_die, Play.call_twice, Play.die, Play.say_again, Play.ask_again, Play.authorize),
    *(Play.dispute, Play.decide, Play.decide),
    *(Play.due, Play.due, Play.due, Play.lapse),
)

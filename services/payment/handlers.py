"""What payment hears. Each handler finds its payment, turns the message into a word, and lets the table decide."""

from collections.abc import Mapping
from uuid import UUID

from contracts.payment import (
    AttemptOverdue,
    AuthorizePayment,
    CaptureDue,
    HoldLapsing,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentFailed,
    PaymentPending,
    PaymentRefunded,
    PaymentRefundRefused,
    PaymentReleased,
    ProviderAnswered,
    ProviderDisputed,
    ProviderNotified,
    ReceiveWebhook,
    RefundPayment,
    RefundPending,
    ReleasePayment,
    ReleasePending,
    StillPending,
)
from contracts.story import StoryFact
from services.payment import disputes, holding, refunding, webhook
from services.payment.answers import ANSWERED, try_anew
from services.payment.attempt import ENDED, MADE_BY, Attempt, AttemptKind, AttemptState, confirm_id
from services.payment.banking import payouts
from services.payment.banking.handlers import hear_statements
from services.payment.case import Case, Contradiction, Told
from services.payment.domain import IMPOSSIBLE, REPLACED, UNKNOWN, Payment, PaymentState, Word, chargeback_id
from services.payment.late import LATE
from services.payment.policy import PaymentPolicy
from services.payment.provider.port import Notices
from services.payment.settlement.handlers import hear_settlements
from services.payment.tables import ATTEMPTS, AUTHORIZATIONS, CHARGEBACKS, PAYMENTS, REFUNDS, WEBHOOKS
from shared.consumer import Answer, Consumer, Moment, NotYet, do_key_of
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows

Outcome = PaymentAuthorized | PaymentDeclined | PaymentFailed | PaymentPending | PaymentReleased | ReleasePending
Refunding = PaymentRefunded | PaymentRefundRefused | RefundPending


def make_consumer(policy: PaymentPolicy, notices: Mapping[str, Notices] | None = None) -> Consumer:
    """The registration table under a policy; `notices` proves and reads what each provider sends."""
    payment = Consumer("payment")

    @payment.hears(ReceiveWebhook, needs=lambda came: [Need.of(WEBHOOKS, "id", webhook.id_of(came))])
    def receive_webhook(came: ReceiveWebhook, rows: Rows, moment: Moment) -> list[ProviderNotified | ProviderDisputed]:
        """Kept as it came, proven, and then said on; the same body again changes nothing."""
        if rows.get(WEBHOOKS, webhook.id_of(came)) is not None:
            return []
        reader = (notices or {}).get(came.provider)
        if reader is None:
            raise NotYet(f"nobody reads what {came.provider!r} sends")
        kept, said = webhook.received(came, reader)
        rows.put(kept)
        return said

    @payment.hears(AuthorizePayment, needs=lambda command: [Need.of(PAYMENTS, "order_id", command.order_id)])
    def authorize_payment(
        command: AuthorizePayment, rows: Rows, moment: Moment
    ) -> PaymentAuthorized | PaymentDeclined | list[StoryFact | PaymentAuthorized] | None:
        """Write down what the provider will be asked; a worker asks."""
        if stored := rows.get(PAYMENTS, command.order_id):
            reason = "payment_exists" if stored.authorize_key else "released"
            return PaymentDeclined(order_id=command.order_id, reason=reason)
        case = Case(_asked(command, moment, policy), rows, moment, policy)
        rows.put(case.payment)
        if command.amount_minor == 0:
            case.tell("captured", actor="payment", detail=case.money(0))
            return [PaymentAuthorized(order_id=command.order_id, captured=True), *_story(case)]
        kind = AttemptKind.PREPARE if case.payment.provider in policy.preparing else AttemptKind.AUTHORIZE
        case.open_attempt(kind, command.amount_minor, token=command.token, id_=case.payment.attempt_id)
        return None

    @payment.hears(
        ProviderAnswered,
        needs=lambda told: [Need.of(PAYMENTS, "order_id", told.order_id), Need.of(ATTEMPTS, "id", told.attempt_id)],
        then=_what_an_answer_touches,
    )
    def provider_answered(
        told: ProviderAnswered, rows: Rows, moment: Moment
    ) -> list[Answer | Outcome | Refunding | StoryFact]:
        """What an effect learned. An attempt is learned once; what comes after is harmless."""
        stored, attempt = rows.get(PAYMENTS, told.order_id), rows.get(ATTEMPTS, told.attempt_id)
        if stored is None or attempt is None:
            raise NotYet(f"unknown attempt {told.attempt_id}")
        if attempt.state in ENDED:
            return []
        case = Case(stored, rows, moment, policy, _told(told, attempt))
        if told.outcome == UNKNOWN and attempt.kind is not AttemptKind.FIND:  # a look is not owed: the next one comes
            if attempt.state is AttemptState.CALLING:
                case.lose(attempt)
            return case.said
        case.learn(attempt, told.outcome)
        ANSWERED[attempt.kind](case, told, attempt)
        return case.said

    @payment.hears(
        ProviderNotified,
        needs=lambda told: [
            Need.of(PAYMENTS, "order_id", told.order_id),
            Need.of(ATTEMPTS, "id", told.attempt_id, confirm_id(told.attempt_id)),
            Need.of(AUTHORIZATIONS, "order_id", told.order_id),
        ],
    )
    def provider_notified(told: ProviderNotified, rows: Rows, moment: Moment) -> list[Answer | Outcome | StoryFact]:
        """A verified webhook; it may overtake the reply, and then it is the answer to the attempt."""
        stored, attempt = rows.get(PAYMENTS, told.order_id), rows.get(ATTEMPTS, told.attempt_id)
        if stored is None:
            raise NotYet(f"unknown payment {told.order_id}")
        if attempt is None or attempt.order_id != stored.order_id or attempt.kind not in MADE_BY:
            raise Contradiction(f"notice {told.notice_id}: attempt {told.attempt_id} did not make this payment")
        if stored.provider != told.provider:
            raise Contradiction(f"notice {told.notice_id} of {told.provider} is about a payment of {stored.provider}")
        if attempt.id != stored.attempt_id:
            return []  # about a hold that lapsed, and was asked for anew since
        case = Case(stored, rows, moment, policy, Told(told.provider_payment_id, told.reason, told.captured_minor))
        for asked in _first_attempts(attempt.id, rows).values():
            if asked is not None and asked.state not in ENDED:
                case.learn(asked, told.status)
        LATE[Word(told.status), case.state](case)
        return case.said

    @payment.hears(
        ProviderDisputed,
        needs=lambda told: [Need.of(AUTHORIZATIONS, "provider_payment_id", told.provider_payment_id)],
        then=_what_a_dispute_touches,
    )
    def provider_disputed(told: ProviderDisputed, rows: Rows, moment: Moment) -> list[StoryFact]:
        """The customer's bank takes money back, or gives it to us again; in any order, and any of it twice."""
        made = rows.where(AUTHORIZATIONS, "provider_payment_id", told.provider_payment_id)
        payments = [rows.get(PAYMENTS, one.order_id) for one in made]
        stored = next((one for one in payments if one is not None and one.provider == told.provider), None)
        if stored is None:
            raise NotYet(f"dispute {told.dispute_id} is about no payment of ours: {told.provider_payment_id}")
        case = Case(stored, rows, moment, policy, Told(reason=told.reason, dispute=told))
        LATE[disputes.WORD_OF[told.outcome], case.state](case)
        return _story(case)

    @payment.hears(
        ReleasePayment,
        needs=lambda command: [Need.of(PAYMENTS, "order_id", command.order_id)],
        then=lambda command, rows: [_first_attempts_of(command.order_id, rows)],
    )
    def release_payment(
        command: ReleasePayment, rows: Rows, moment: Moment
    ) -> PaymentReleased | list[Answer | PaymentReleased | ReleasePending | PaymentDeclined | StoryFact]:
        """Void or refund, whichever the money needs; answered when it is free."""
        stored, key = rows.get(PAYMENTS, command.order_id), _key(moment)
        undoes = do_key_of(key)
        if undoes is not None and (stored is None or undoes != stored.authorize_key):
            return PaymentReleased(order_id=command.order_id)  # what it takes back never happened, or is another's
        if stored is None:
            rows.put(_never_to_be_asked(command.order_id))
            return PaymentReleased(order_id=command.order_id)
        told = Told(reason=command.reason, command_key=key)
        if stored.attempt_id is not None:
            told = replace(told, **_first_attempts(stored.attempt_id, rows))
        case = Case(stored, rows, moment, policy, told)
        LATE[Word.RELEASE, case.state](case)
        return case.said

    @payment.hears(
        RefundPayment,
        needs=lambda command: [
            Need.of(PAYMENTS, "order_id", command.order_id),
            Need.of(REFUNDS, "refund_id", command.refund_id),
            Need.of(REFUNDS, "order_id", command.order_id),
        ],
    )
    def refund_payment(
        command: RefundPayment, rows: Rows, moment: Moment
    ) -> PaymentRefundRefused | list[Answer | Refunding | StoryFact]:
        """Part or all of what was captured, once per refund id."""
        stored, refund = rows.get(PAYMENTS, command.order_id), rows.get(REFUNDS, command.refund_id)
        if stored is None:
            return PaymentRefundRefused(
                order_id=command.order_id, refund_id=command.refund_id, reason="unknown_payment"
            )
        case = Case(stored, rows, moment, policy, Told(command_key=_key(moment), refund=command))
        if refund is not None:
            refunding.again(case, refund)
        else:
            LATE[Word.REFUND, case.state](case)
            payouts.tell_it_takes_days(case)
        return case.said

    @payment.hears(CaptureDue, needs=lambda due: [Need.of(PAYMENTS, "order_id", due.order_id)])
    def capture_due(due: CaptureDue, rows: Rows, moment: Moment) -> list[StoryFact]:
        """Parcels of an order that is paid per shipment have left."""
        stored = rows.get(PAYMENTS, due.order_id)
        if stored is None:
            raise NotYet(f"unknown payment {due.order_id}")
        case = Case(stored, rows, moment, policy, Told(due=due))
        LATE[Word.CAPTURE_DUE, case.state](case)
        return _story(case)

    @payment.hears(HoldLapsing, needs=lambda rang: [Need.of(PAYMENTS, "order_id", rang.order_id)])
    def hold_lapsing(rang: HoldLapsing, rows: Rows, moment: Moment) -> list[StoryFact]:
        """Soon the provider lets go of what it holds for us."""
        stored = rows.get(PAYMENTS, rang.order_id)
        if stored is None:
            return []
        case = Case(stored, rows, moment, policy)
        holding.lapsing(case)
        return _story(case)

    @payment.hears(StillPending, needs=lambda rang: [Need.of(PAYMENTS, "order_id", rang.order_id)])
    def still_pending(rang: StillPending, rows: Rows, moment: Moment) -> None:
        """No notice has come, and it may be lost: look how the payment stands, and again later."""
        stored = rows.get(PAYMENTS, rang.order_id)
        if stored is not None and stored.state is PaymentState.PENDING:
            case = Case(stored, rows, moment, policy)
            case.open_attempt(AttemptKind.FIND, stored.amount_minor)
            case.look_later(rang.looks + 1)

    @payment.hears(
        AttemptOverdue,
        needs=lambda rang: [Need.of(PAYMENTS, "order_id", rang.order_id), Need.of(ATTEMPTS, "id", rang.attempt_id)],
        then=_what_an_answer_touches,
    )
    def attempt_overdue(rang: AttemptOverdue, rows: Rows, moment: Moment) -> list[Answer | PaymentReleased | StoryFact]:
        """The janitor: what is not known is asked for again under the same id. A stale ring does nothing."""
        stored, attempt = rows.get(PAYMENTS, rang.order_id), rows.get(ATTEMPTS, rang.attempt_id)
        if stored is None or attempt is None:
            return []
        case = Case(stored, rows, moment, policy, Told(attempt=attempt))
        if payouts.is_called_off(attempt, rows):
            case.learn(attempt, payouts.CALLED_OFF)
            return case.said
        match attempt.state:
            case AttemptState.CALLING | AttemptState.UNKNOWN if moment.now >= attempt.next_at:
                case.ask_again(attempt)
            case AttemptState.CALLING | AttemptState.UNKNOWN:
                case.ring(attempt)  # rang before its time: the timer was spent, so it is set again
            case AttemptState.OPEN:
                case.wait_for_worker(attempt)
            case AttemptState.KNOWN if attempt.outcome == IMPOSSIBLE:
                rows.put(replace(attempt, outcome=REPLACED))
                try_anew(case, attempt)
        return case.said

    hear_settlements(payment, policy)
    hear_statements(payment, policy)
    return payment


def _asked(command: AuthorizePayment, moment: Moment, policy: PaymentPolicy) -> Payment:
    free, per_shipment = command.amount_minor == 0, command.method in policy.per_shipment
    return Payment(
        order_id=command.order_id,
        amount_minor=command.amount_minor,
        currency=command.currency,
        method=command.method,
        state=PaymentState.CAPTURED if free else PaymentState.ASKED,
        authorize_key=_key(moment),
        attempt_id=None if free else moment.new_id(),
        provider=policy.provider_of(command.method),
        per_shipment=per_shipment,
        token=command.token if per_shipment and policy.authorize_again else "",
    )


def _never_to_be_asked(order_id: UUID) -> Payment:
    """Released by a saga that undoes no step of its own: the frame keeps no tombstone for that, so we do."""
    return Payment(order_id, 0, "", "", PaymentState.VOIDED, authorize_key="", attempt_id=None)


def _key(moment: Moment) -> str:
    assert moment.command_key is not None  # the frame gives every command its key
    return moment.command_key


def _story(case: Case) -> list[StoryFact]:
    return [said for said in case.said if isinstance(said, StoryFact)]


def _told(told: ProviderAnswered, attempt: Attempt) -> Told:
    return Told(
        told.provider_payment_id, told.reason, told.captured_minor, capture_before=told.capture_before, attempt=attempt
    )


def _first_attempts(attempt_id: UUID, rows: Rows) -> dict[str, Attempt | None]:
    """What was prepared is confirmed by an attempt that exists from the same decision on."""
    attempt = rows.get(ATTEMPTS, attempt_id)
    prepared = attempt is not None and attempt.kind is AttemptKind.PREPARE and attempt.state is AttemptState.KNOWN
    return {"attempt": attempt, "confirming": rows.get(ATTEMPTS, confirm_id(attempt_id)) if prepared else None}


def _first_attempts_of(order_id: UUID, rows: Rows) -> Need:
    """The attempt that made the payment, and the one that confirms it, should there be one."""
    stored = rows.get(PAYMENTS, order_id)
    if stored is None or stored.attempt_id is None:
        return Need.of(ATTEMPTS, "id")
    return Need.of(ATTEMPTS, "id", stored.attempt_id, confirm_id(stored.attempt_id))


def _what_a_dispute_touches(told: ProviderDisputed, rows: Rows) -> list[Need]:
    orders = [made.order_id for made in rows.where(AUTHORIZATIONS, "provider_payment_id", told.provider_payment_id)]
    return [
        Need.of(PAYMENTS, "order_id", *orders),
        Need.of(CHARGEBACKS, "id", *(chargeback_id(order_id, told.dispute_id) for order_id in orders)),
    ]


def _what_an_answer_touches(message: ProviderAnswered | AttemptOverdue, rows: Rows) -> list[Need]:
    """Nothing more for an authorization: the usual way loads two rows."""
    attempt, payment = rows.get(ATTEMPTS, message.attempt_id), rows.get(PAYMENTS, message.order_id)
    if attempt is None or (attempt.kind in MADE_BY and (payment is None or not payment.promised)):
        return []
    needs = [Need.of(AUTHORIZATIONS, "order_id", attempt.order_id)]
    if attempt.kind is AttemptKind.REFUND:  # with the other parts of its refund
        needs.append(Need.of(REFUNDS, "order_id", attempt.order_id))
    if attempt.kind is AttemptKind.VOID and payment is not None and payment.attempt_id is not None:
        needs.append(Need.of(ATTEMPTS, "id", confirm_id(payment.attempt_id)))
    return needs


consumer = make_consumer(PaymentPolicy())
"""Under the usual policy: for the catalogue and for tests; a running service makes its own."""

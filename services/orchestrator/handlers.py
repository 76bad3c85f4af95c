"""What the orchestrator hears: storefronts' requests begin runs, answers advance them, timers ask again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from contracts.checkout import (
    STOREFRONT_REQUESTS,
    CheckoutAccepted,
    CheckoutRefused,
    PlaceCheckout,
    ProvidePayment,
    RefundConcluded,
    RequestRefund,
)
from contracts.inventory import WaitingServed
from contracts.message import MESSAGES, Message
from contracts.payment import PaymentFailed
from contracts.saga import OperateRun, RunOverdue
from contracts.shortage import AnswerShortage, Choice, OfferLapsed, ShortageAnswerRefused, UnitsKept, UnitsShort
from services.orchestrator import engine
from services.orchestrator.domain import Accepted, Run
from services.orchestrator.late import LATE, SAGAS
from services.orchestrator.late_payment_failure import LATE_PAYMENT_FAILURE
from services.orchestrator.refusals import checkout_problem
from services.orchestrator.saga import Phase
from services.orchestrator.tables import ACCEPTED, RUNS
from shared.consumer import Consumer, Moment, NotYet, Publish, Said, Sender
from shared.envelope import content_hash
from shared.frozen import replace
from shared.ids import id_from
from shared.table import Need
from shared.working_set import Rows

OFFER_TIMER: Final = "offer"
LOOK_AGAIN_S: Final = 60.0
BUSY: Final = "order_busy: another change of this order is under way"


@dataclass(frozen=True, slots=True)
class CheckoutPolicy:
    """`hold_for_s`: how long a checkout keeps its stock unless the payment method allows more (10 to 15
    minutes is usual); by storefront where one differs."""

    hold_for_s: float = 900.0
    hold_for_s_by_storefront: tuple[tuple[str, float], ...] = ()
    answer_within_s: float = 48 * 3600.0
    """How long a customer may think about what to do about a shortage."""

    def hold_for(self, storefront: str) -> float:
        return dict(self.hold_for_s_by_storefront).get(storefront, self.hold_for_s)


def make_consumer(policy: CheckoutPolicy) -> Consumer:
    """The registration table of the orchestrator."""
    orchestrator = Consumer(
        "orchestrator", queues=("orchestrator", STOREFRONT_REQUESTS), outside=frozenset({STOREFRONT_REQUESTS})
    )

    @orchestrator.hears(
        PlaceCheckout,
        needs_sender=lambda request, sender: [
            Need.of(ACCEPTED, "key", _key(sender.source, "checkout", request.checkout_id))
        ],
    )
    def place_checkout(
        request: PlaceCheckout, rows: Rows, moment: Moment
    ) -> list[Said | CheckoutAccepted | CheckoutRefused]:
        """Begin a checkout, or say again what this id was told."""
        key = _key(moment.source, "checkout", request.checkout_id)
        hash_ = content_hash(request)
        if (earlier := rows.get(ACCEPTED, key)) is not None:
            if earlier.content_hash != hash_:
                detail = "this checkout_id was used before with other content; nothing was done"
                return [_refused(moment, request.checkout_id, "key_reused", detail)]
            return [_said_again(moment, earlier)]
        if (problem := checkout_problem(request)) is not None:
            refusal = CheckoutRefused(checkout_id=request.checkout_id, reason=problem.reason, detail=problem.detail)
            rows.put(Accepted(key, hash_, None, None, refusal.full_type, refusal.model_dump_json()))
            return [Publish(moment.source, refusal)]
        order_id, run_id = moment.new_id(), moment.new_id()
        answer = CheckoutAccepted(checkout_id=request.checkout_id, order_id=order_id)
        rows.put(Accepted(key, hash_, order_id, run_id, answer.full_type, answer.model_dump_json()))
        asked_for = {
            "order_id": str(order_id),
            "run_id": str(run_id),
            "storefront": moment.source,
            "hold_for_s": policy.hold_for(moment.source),
            "checkout": request.model_dump(mode="json"),
        }
        run = _new_run("checkout", run_id, order_id, moment, asked_for)
        return [Publish(moment.source, answer), *_keep(rows, None, engine.begin(SAGAS["checkout"], run, moment.now))]

    @orchestrator.hears(
        ProvidePayment,
        needs_sender=lambda request, sender: [
            Need.of(ACCEPTED, "key", _key(sender.source, "checkout", request.checkout_id))
        ],
        then=lambda request, rows: [Need.of(RUNS, "id", *(row.run_id for row in rows.loaded_rows(ACCEPTED)))],
    )
    def provide_payment(request: ProvidePayment, rows: Rows, moment: Moment) -> list[Said | CheckoutRefused]:
        """The payment that follows a checkout; the same one twice does nothing, another one is refused by name."""
        accepted = rows.get(ACCEPTED, _key(moment.source, "checkout", request.checkout_id))
        if accepted is None:
            refusal = _refused(moment, request.checkout_id, "unknown_checkout", "no checkout has this id")
            raise NotYet("unknown_checkout: the payment came before its checkout", [refusal])
        run = None if accepted.run_id is None else rows.get(RUNS, accepted.run_id)
        if run is None:
            return [_refused(moment, request.checkout_id, "payment_not_expected", "this checkout was refused")]
        brought = request.payment.model_dump(mode="json")
        known = run.facts.get("payment") or run.request["checkout"].get("payment")
        if known == brought:
            return []
        if known is not None or run.phase is not Phase.WAITING:
            detail = "another payment is under way" if known else f"the checkout is {run.phase}"
            return [_refused(moment, request.checkout_id, "payment_not_expected", detail)]
        return _keep(rows, run, engine.ready_now(SAGAS[run.saga], run, {"payment": brought}, moment.now))

    @orchestrator.hears(
        RequestRefund,
        needs_sender=lambda request, sender: [
            Need.of(ACCEPTED, "key", _key(sender.source, "refund", request.refund_id)),
            Need.of(RUNS, "order_id", request.order_id),
        ],
        then=lambda request, rows: [Need.of(RUNS, "id", *(row.run_id for row in rows.loaded_rows(ACCEPTED)))],
    )
    def request_refund(request: RequestRefund, rows: Rows, moment: Moment) -> list[Said | RefundConcluded]:
        """Begin a refund; one changing run per order, others wait their turn."""
        key = _key(moment.source, "refund", request.refund_id)
        hash_ = content_hash(request)
        if (earlier := rows.get(ACCEPTED, key)) is not None:
            if earlier.content_hash != hash_:
                return [_not_refunded(moment, request, "key_reused")]
            if earlier.answer_type:
                return [_said_again(moment, earlier)]
            run = None if earlier.run_id is None else rows.get(RUNS, earlier.run_id)
            if run is None or run.changing is not None:
                return []  # under way: its conclusion will answer both
            saga = SAGAS[run.saga]
            return list(saga.ended(saga.state(run.request, run.facts), run.phase, run.reason))
        if request.amount.amount_minor == 0:
            return [_not_refunded(moment, request, "amount_is_zero")]
        if _is_busy(rows, request.order_id):
            busy = _not_refunded(moment, request, "order_busy")
            answered = Accepted(key, hash_, request.order_id, None, busy.event.full_type, busy.event.model_dump_json())
            raise NotYet(BUSY, [busy], [answered])
        run_id = moment.new_id()
        rows.put(Accepted(key, hash_, request.order_id, run_id, "", ""))
        asked_for = {
            "order_id": str(request.order_id),
            "run_id": str(run_id),
            "storefront": moment.source,
            "refund": request.model_dump(mode="json"),
        }
        run = _new_run("refund", run_id, request.order_id, moment, asked_for)
        return _keep(rows, None, engine.begin(SAGAS["refund"], run, moment.now))

    @orchestrator.hears(WaitingServed, needs=lambda fact: [Need.of(RUNS, "order_id", fact.order_id)])
    def waiting_served(fact: WaitingServed, rows: Rows, moment: Moment) -> list[Said | WaitingServed]:
        """Send what an order waited for. While the order is being changed it waits, however long that takes; when its
        payment failed meanwhile, its stock was let go of."""
        if _is_busy(rows, fact.order_id):
            raise NotYet(BUSY, [fact])
        if _is_unpaid(rows, fact.order_id):
            return []
        run_id = moment.new_id()
        asked_for = {
            "order_id": str(fact.order_id),
            "run_id": str(run_id),
            "picks": [pick.model_dump() for pick in fact.picks],
        }
        run = _new_run("release", run_id, fact.order_id, moment, asked_for)
        return _keep(rows, None, engine.begin(SAGAS["release"], run, moment.now))

    @orchestrator.hears(UnitsShort, needs=lambda fact: [Need.of(RUNS, "order_id", fact.order_id)])
    def units_short(fact: UnitsShort, rows: Rows, moment: Moment) -> list[Said | UnitsShort | UnitsKept]:
        """Ask the customer what to do. While the order is being changed this waits, however long that takes; after a
        failed payment nothing is promised but what is in parcels, and that is kept."""
        runs = rows.where(RUNS, "order_id", fact.order_id)
        if _is_busy(rows, fact.order_id):
            raise NotYet(BUSY, [fact])
        if _is_unpaid(rows, fact.order_id):
            kept = fact.model_dump(include=set(UnitsKept.model_fields))
            return [UnitsKept.model_validate(kept)]
        run_id = moment.new_id()
        answer_by = moment.now + timedelta(seconds=policy.answer_within_s)
        asked_for = {**fact.model_dump(mode="json"), "run_id": str(run_id), "answer_by": answer_by.isoformat()}
        shop = next((run.storefront for run in runs if run.saga == "checkout"), "")
        run = replace(_new_run("shortage", run_id, fact.order_id, moment, asked_for), storefront=shop)
        rows.set_timer(OFFER_TIMER, run_id, answer_by, OfferLapsed(shortage_id=run_id))
        return _keep(rows, None, engine.begin(SAGAS["shortage"], run, moment.now))

    @orchestrator.hears(PaymentFailed, needs=lambda fact: [Need.of(RUNS, "order_id", fact.order_id)])
    def payment_failed(fact: PaymentFailed, rows: Rows, moment: Moment) -> list[Said | PaymentFailed]:
        """Stop what has not left. While the order is being changed this waits, however long that takes; a checkout that
        did not complete has nothing to stop."""
        runs = rows.where(RUNS, "order_id", fact.order_id)
        if _is_busy(rows, fact.order_id):
            raise NotYet(BUSY, [fact])
        if not any(run.saga == "checkout" and run.phase is Phase.COMPLETED for run in runs):
            return []
        run_id = moment.new_id()
        asked_for = {**fact.model_dump(mode="json"), "run_id": str(run_id)}
        run = _new_run(LATE_PAYMENT_FAILURE.name, run_id, fact.order_id, moment, asked_for)
        return _keep(rows, None, engine.begin(LATE_PAYMENT_FAILURE, run, moment.now))

    @orchestrator.hears(
        AnswerShortage,
        needs=lambda answer: [Need.of(RUNS, "id", answer.shortage_id), Need.of(RUNS, "order_id", answer.order_id)],
    )
    def answer_shortage(answer: AnswerShortage, rows: Rows, moment: Moment) -> list[Said | ShortageAnswerRefused]:
        """The customer chose; the first answer counts, and the same one again changes nothing."""
        run = rows.get(RUNS, answer.shortage_id)
        known = run is not None and run.saga == "shortage" and run.storefront == moment.source
        if run is None or not known or run.order_id != answer.order_id or run.phase is Phase.CANCELLED:
            return [_answer_refused(moment, answer, "unknown_shortage")]
        settled = _settlement_of(rows, run)
        chosen = {"choice": answer.choice.value, "substitute": answer.substitute}
        if settled is not None:
            same = {name: settled.request[name] for name in chosen} == chosen
            return [] if same else [_answer_refused(moment, answer, "already_answered")]
        if answer.choice is Choice.SUBSTITUTE and answer.substitute not in run.request["substitutes"]:
            return [_answer_refused(moment, answer, "substitute_not_offered")]
        if _is_busy(rows, run.order_id):  # by the offer itself, where the customer was quicker than our own reply
            raise NotYet(BUSY, [_answer_refused(moment, answer, "order_busy")])
        if _is_unpaid(rows, run.order_id):
            return [_answer_refused(moment, answer, "payment_failed")]
        return _settle(rows, moment, run, chosen)

    @orchestrator.hears(
        OfferLapsed,
        needs=lambda lapsed: [Need.of(RUNS, "id", lapsed.shortage_id)],
        then=lambda lapsed, rows: [
            Need.of(RUNS, "order_id", run.order_id) for run in [rows.get(RUNS, lapsed.shortage_id)] if run is not None
        ],
    )
    def offer_lapsed(lapsed: OfferLapsed, rows: Rows, moment: Moment) -> list[Said]:
        """Silence means the money back; an offer that is not made yet, or a busy order, is looked at again."""
        run = rows.get(RUNS, lapsed.shortage_id)
        if run is None or run.phase is Phase.CANCELLED or _settlement_of(rows, run) is not None:
            return []
        if run.changing is not None or _is_busy(rows, run.order_id):
            rows.set_timer(OFFER_TIMER, run.id, moment.now + timedelta(seconds=LOOK_AGAIN_S), lapsed)
            return []
        if _is_unpaid(rows, run.order_id):
            return []  # it lapsed with the order's money
        return _settle(rows, moment, run, {"choice": Choice.REFUND.value, "substitute": None})

    def hear_answer(message: Message, rows: Rows, moment: Moment) -> list[Said]:
        """An answer advances the run its command key names, and no other."""
        run_id, slug, direction = engine.parse_key(moment.command_key or "")
        run = rows.get(RUNS, id_from(run_id))
        if run is None:
            raise NotYet(f"unknown_run: {run_id}")
        advanced = engine.hear(SAGAS[run.saga], LATE[run.saga], run, slug, direction, message, moment.now)
        return _keep(rows, run, advanced)

    for answer_type in dict.fromkeys(heard for saga in SAGAS.values() for heard in saga.hears):
        orchestrator.hears(answer_type, needs_sender=_run_of_key)(hear_answer)

    @orchestrator.hears(RunOverdue, needs=lambda ring: [Need.of(RUNS, "id", ring.run_id)])
    def run_overdue(ring: RunOverdue, rows: Rows, moment: Moment) -> list[Said]:
        """Ask again, give up, or call it stuck; a ring that came too early is set anew."""
        run = rows.get(RUNS, ring.run_id)
        if run is None or run.changing is None:
            return []
        if run.next_ask_at > moment.now:
            rows.put(replace(run))  # compare-and-set: a stale view of the run must not replace a newer timer
            _set_timer(rows, run)
            return []
        return _keep(rows, run, engine.overdue(SAGAS[run.saga], run, moment.now), ring=True)

    @orchestrator.hears(OperateRun, needs=lambda wish: [Need.of(RUNS, "id", wish.run_id)])
    def operate_run(wish: OperateRun, rows: Rows, moment: Moment) -> list[Said]:
        """An operator's decision; what no longer applies does nothing."""
        run = rows.get(RUNS, wish.run_id)
        if run is None or run.changing is None:
            return []
        saga = SAGAS[run.saga]
        if wish.action == "retry":
            return _keep(rows, run, engine.ask_now(saga, run, moment.now))
        if wish.action == "skip":
            return _keep(rows, run, engine.skip(saga, run, moment.now))
        if run.phase is Phase.WAITING and run.position < saga.pivot_stage:
            return _keep(rows, run, engine.give_up(saga, run, f"operator_{wish.operator}", moment.now))
        return []

    return orchestrator


def _run_of_key(_: Any, sender: Sender) -> Iterable[Need]:
    run_id, _, _ = engine.parse_key(sender.command_key or "")
    return [Need.of(RUNS, "id", id_from(run_id))]


def _key(source: str, kind: str, id_: str) -> str:
    return f"{kind}/{source}/{id_}"


def _new_run(saga: str, run_id: UUID, order_id: UUID, moment: Moment, asked_for: dict[str, Any]) -> Run:
    return Run(
        id=run_id,
        saga=saga,
        order_id=order_id,
        changing=order_id,
        storefront=moment.source,
        request=asked_for,
        facts={},
        phase=Phase.WAITING,
        position=0,
        pending=[],
        asked=[],
        asks=0,
        next_ask_at=moment.now,
        reason="",
        stuck_since=None,
    )


def _keep(rows: Rows, before: Run | None, advanced: engine.Advanced, *, ring: bool = False) -> list[Said]:
    """Write the run where it moved; its timer is set once, and set anew when it rings (one due row per run,
    not per step)."""
    run = advanced.run
    if run != before:
        rows.put(run)
    if run.changing is None:
        rows.clear_timer("ask", run.id)
    elif before is None or ring or run.next_ask_at < before.next_ask_at:
        _set_timer(rows, run)
    return advanced.said


def _set_timer(rows: Rows, run: Run) -> None:
    rows.set_timer("ask", run.id, run.next_ask_at, RunOverdue(run_id=run.id))


def _said_again(moment: Moment, accepted: Accepted) -> Publish:
    return Publish(moment.source, MESSAGES[accepted.answer_type].model_validate_json(accepted.answer))


def _refused(moment: Moment, checkout_id: str, reason: str, detail: str) -> Publish:
    return Publish(moment.source, CheckoutRefused(checkout_id=checkout_id, reason=reason, detail=detail))


def _is_busy(rows: Rows, order_id: UUID) -> bool:
    return any(run.changing is not None for run in rows.where(RUNS, "order_id", order_id))


def _is_unpaid(rows: Rows, order_id: UUID) -> bool:
    """Its payment failed after it was confirmed: nothing more is sent."""
    return any(run.saga == LATE_PAYMENT_FAILURE.name for run in rows.where(RUNS, "order_id", order_id))


def _settlement_of(rows: Rows, shortage: Run) -> Run | None:
    runs = rows.where(RUNS, "order_id", shortage.order_id)
    return next((run for run in runs if run.request.get("settles") == str(shortage.id)), None)


def _settle(rows: Rows, moment: Moment, shortage: Run, chosen: dict[str, Any]) -> list[Said]:
    run_id = moment.new_id()
    short = {name: shortage.request[name] for name in ("order_id", "sku", "warehouse", "quantity", "later")}
    asked_for = {**short, **chosen, "settles": str(shortage.id), "run_id": str(run_id)}
    run = replace(_new_run("settlement", run_id, shortage.order_id, moment, asked_for), storefront=shortage.storefront)
    rows.clear_timer(OFFER_TIMER, shortage.id)
    return _keep(rows, None, engine.begin(SAGAS["settlement"], run, moment.now))


def _answer_refused(moment: Moment, answer: AnswerShortage, reason: str) -> Publish:
    refused = ShortageAnswerRefused(order_id=answer.order_id, shortage_id=answer.shortage_id, reason=reason)
    return Publish(moment.source, refused)


def _not_refunded(moment: Moment, request: RequestRefund, reason: str) -> Publish:
    concluded = RefundConcluded(
        refund_id=request.refund_id, order_id=request.order_id, refunded=False, amount=request.amount, reason=reason
    )
    return Publish(moment.source, concluded)

"""What the solver said, and what became of whoever computed it. A proposal is applied like a hold that just came: the
stock is looked at again, under its locks, and what does not fit any more is asked anew.
"""

from dataclasses import replace as with_
from datetime import timedelta
from typing import Annotated, Final

from contracts.inventory import QuestionOverdue, RouteProposed, StockHeld, StockShort
from contracts.message import Kind
from services.inventory.handlers.consumer import consumer
from services.inventory.handlers.planning import shelves_of
from services.inventory.handlers.promises import hold_routed
from services.inventory.handlers.routing import BY_PRIORITY, Routing, end, needed_by_hold, ring
from services.inventory.routing.rows import QUESTION, QuestionState
from services.inventory.routing.strategy import RoutingPolicy, StrategyName
from services.inventory.tables import QUESTIONS, RESERVATIONS
from shared.consumer import Answer, Moment, Said, bare
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows

MOST_TRIES: Final = 3
"""Workers that may die with one question; then the order is routed without the solver."""
NOTHING_KNOWN: Final = "unknown"


@consumer.hears(
    RouteProposed,
    needs=lambda told: [
        Need.of(QUESTIONS, "id", told.question_id),
        Need.of(RESERVATIONS, "order_id", told.order_id),
        *needed_by_hold(told.hold),
    ],
    then=lambda told, rows: shelves_of(rows, (line.sku for line in told.hold.lines)),
)
def route_proposed(
    told: RouteProposed, rows: Rows, moment: Moment, policy: RoutingPolicy = BY_PRIORITY
) -> Annotated[list[Said], Answer, StockHeld, StockShort]:
    """Hold what was proposed, if it still fits, and answer the command that waits. A question is answered once."""
    question = rows.get(QUESTIONS, told.question_id)
    if question is None or not question.waits:
        return []
    end(rows, question, "learn")
    asked = with_(moment, command_key=question.command_key)
    routing = Routing(rows, asked, policy, told.hold.ship_to, proposed=told, number=question.number)
    said = hold_routed(told.hold, routing)
    replies = ((item, bare(item)) for item in said)
    return [
        Answer(question.command_key, reply) if reply is not None and reply.kind is Kind.REPLY else item
        for item, reply in replies
    ]


@consumer.hears(QuestionOverdue, needs=lambda rang: [Need.of(QUESTIONS, "id", rang.question_id)])
def question_overdue(
    rang: QuestionOverdue, rows: Rows, moment: Moment, policy: RoutingPolicy = BY_PRIORITY
) -> Annotated[list[Said], RouteProposed]:
    """Whoever had it may have died: the same question is asked again. A stale ring does nothing."""
    question = rows.get(QUESTIONS, rang.question_id)
    if question is None or not question.waits:
        return []
    asked_again = replace(question, next_at=moment.now + timedelta(seconds=policy.question_overdue_s))
    if policy.strategy is not StrategyName.CHEAPEST or question.tries + 1 >= MOST_TRIES:
        return [  # nobody asks the solver any more, or it takes its workers with it
            RouteProposed(order_id=rang.order_id, question_id=rang.question_id, hold=rang.hold, outcome=NOTHING_KNOWN)
        ]
    if question.state is QuestionState.CALLING and moment.now >= question.next_at:
        state = QUESTION.to(question.state, "ask again")
        asked_again = replace(asked_again, state=state, tries=question.tries + 1)
        rows.put(asked_again)
    ring(rows, asked_again)
    return []

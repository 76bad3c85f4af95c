"""One question, one answer: the solver computes in a thread, one question at a time, within its bound of work.

It touches nothing outside, so asking twice is only work done twice; what it says is a message decided like any other.
"""

import asyncio

import structlog

from contracts.inventory import HoldStock, ProposedPick, RouteProposed
from contracts.message import Message
from services.inventory.routing.rows import Question
from services.inventory.routing.solver import UNKNOWN, solve
from services.inventory.tables import QUESTIONS
from shared.effects import Effect

SOLVER_S = 2.0
"""Of work, as the solver counts it."""


def make_effect(seconds: float = SOLVER_S) -> Effect[Question]:
    async def perform(question: Question) -> Message:
        return await asyncio.to_thread(answer, question, seconds)

    return Effect(QUESTIONS, perform, at_once=1)


def answer(question: Question, seconds: float) -> RouteProposed:
    """Never raises: an order must not wait for a solver that is broken."""
    problem = question.asked
    try:
        found = solve(problem, seconds)
    except Exception:  # noqa: BLE001 - whatever the library raises, the order is routed without it, and its route says so
        structlog.get_logger("inventory").exception("solver_failed", order_id=str(question.order_id))
        found = UNKNOWN
    return RouteProposed(
        order_id=question.order_id,
        question_id=question.id,
        hold=HoldStock.model_validate(question.hold),
        outcome=found.outcome,
        picks=tuple(
            ProposedPick(warehouse=problem.warehouses[j], sku=problem.skus[i], quantity=units)
            for i, j, units in found.picks
        ),
        gap_permille=found.gap_permille,
    )

"""A command is answered once under its key, whatever comes in between, and told the same when it is asked again."""

from typing import Final
from uuid import UUID

from contracts.frame import CommandWithdrawn, KeyReused
from contracts.payment import PaymentAuthorized, PaymentPending, PaymentReleased
from shared.answers import Answers
from shared.consumer import Answer
from shared.store import AnswerRow

ORDER: Final = UUID(int=1)
DO, UNDO = "orchestrator/run/pay/do", "orchestrator/run/pay/undo"
PAID, FREE = PaymentAuthorized(order_id=ORDER, captured=True), PaymentReleased(order_id=ORDER)
LATER = PaymentPending(order_id=ORDER, wait_s=60.0)


def asked(*keys: str, stored: tuple[AnswerRow, ...] = ()) -> Answers:
    answers = Answers()
    for key in keys:
        answers.ask(key)
    answers.loaded(stored)
    return answers


def test_a_command_is_decided_once_and_told_the_same_by_the_next_message_of_its_batch() -> None:
    answers = asked(DO)
    assert answers.again(DO, "h") is None
    answers.give(DO, "h", [PAID])
    assert answers.again(DO, "h") == [PAID]
    assert answers.again(DO, "other") == [KeyReused()]
    assert answers.first == {DO}


def test_an_interim_reply_says_that_the_answer_will_come() -> None:
    answers = asked(DO)
    answers.give(DO, "h", [LATER])
    assert answers.changed[DO] == AnswerRow(DO, "h", "pending")
    answers.give(None, "", [Answer(DO, LATER)])
    assert answers.changed[DO].state == "pending" and answers.again(DO, "h") == []


def test_an_answer_that_comes_later_is_to_the_command_as_it_was_asked() -> None:
    answers = asked(DO, stored=(AnswerRow(DO, "h", "pending"),))
    answers.give(None, "", [Answer(DO, PAID)])
    assert answers.again(DO, "h") == [PAID] and answers.again(DO, "other") == [KeyReused()]
    assert answers.first == set(), "there is a row already"


def test_an_answer_to_a_key_that_was_not_looked_up_takes_the_row_as_it_finds_it() -> None:
    answers = asked()
    answers.give(None, "", [Answer(DO, PAID)])
    assert answers.changed[DO].state == "answered" and answers.first == set()


def test_an_undo_that_overtook_its_do_withdraws_it() -> None:
    answers = asked(UNDO)
    assert answers.asked == {DO, UNDO}
    assert answers.again(UNDO, "u") is None
    answers.give(UNDO, "u", [FREE])
    assert answers.again(DO, "h") == [CommandWithdrawn()]
    assert answers.first == {DO, UNDO}


def test_an_undo_leaves_a_do_that_was_heard_as_it_is() -> None:
    answers = asked(UNDO, stored=(AnswerRow(DO, "h", "pending"),))
    assert answers.again(UNDO, "u") is None
    assert answers.changed == {}

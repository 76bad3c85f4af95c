"""The committed schemas are what the messages say, and every example is what its schema says."""

import importlib
import pkgutil
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft202012Validator

import contracts
from contracts.asyncapi import document
from contracts.catalogue import ANSWERS, FRAME_REPLIES, MODULES, messages
from contracts.examples import EXAMPLES
from contracts.generate import broken_promises, files, generate
from contracts.message import MESSAGES, Kind, Message
from contracts.schemas import example_of, schema_of
from services.fulfillment import handlers as fulfillment
from services.inventory import handlers as inventory
from services.order import handlers as order
from services.payment.handlers import make_consumer as make_payment
from services.payment.policy import PaymentPolicy
from shared.consumer import Consumer

CONSUMERS = (order.consumer, inventory.consumer, make_payment(PaymentPolicy()), fulfillment.consumer)
EVERY = pytest.mark.parametrize("message", messages(), ids=lambda message: message.topic)


def test_no_drift_and_no_broken_promise() -> None:
    assert generate(check=True) == [], "run: python -m contracts.generate"


def test_drift_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    path, text = next(iter(files().items()))
    changed = {**files(), path: text.replace("string", "strings", 1)}
    monkeypatch.setattr("contracts.generate.files", lambda: changed)
    assert len(generate(check=True)) == 1


def test_every_module_of_the_language_is_in_the_catalogue() -> None:
    for module in pkgutil.iter_modules(contracts.__path__):
        importlib.import_module(f"contracts.{module.name}")
    declared = {message.__module__ for message in MESSAGES.values() if message.__module__.startswith("contracts.")}
    assert declared == {module.__name__ for module in MODULES}


def test_every_message_has_an_example_and_every_question_its_answers() -> None:
    assert set(EXAMPLES) == set(messages())
    assert set(ANSWERS) == {message for message in messages() if message.kind in (Kind.REQUEST, Kind.COMMAND)}
    replies = {message for message in messages() if message.kind is Kind.REPLY}
    assert replies == {answer for found in ANSWERS.values() for answer in found if answer.kind is Kind.REPLY} | set(
        FRAME_REPLIES
    )


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.name)
def test_services_answer_what_the_catalogue_says(consumer: Consumer) -> None:
    heard = [hearing.message_type for hearing in consumer.hearings.values()]
    may_answer = {answer for message in heard for answer in ANSWERS.get(message, ())} | set(FRAME_REPLIES)
    said = {message for hearing in consumer.hearings.values() for message in hearing.says}
    assert {message for message in said if message.kind is Kind.REPLY} <= may_answer


@EVERY
def test_the_example_follows_its_schema_and_is_read_back(message: type[Message]) -> None:
    schema = schema_of(message)
    Draft202012Validator.check_schema(schema)
    validate(schema, example_of(message))
    assert message.model_validate(example_of(message)) == EXAMPLES[message]


@EVERY
def test_what_we_say_always_follows_the_schema_others_read(message: type[Message]) -> None:
    """Nothing is left out and nothing is null that the schema does not allow."""
    if message.kind is not Kind.REQUEST:
        validate(schema_of(message), EXAMPLES[message].model_dump(mode="json"))


@pytest.mark.parametrize(
    ("field", "value"),
    [("lines", []), ("checkout_id", ""), ("total", {"amount_minor": -1, "currency": "EUR"}), ("surprise", 1)],
)
def test_the_schema_refuses_what_the_message_refuses(field: str, value: Any) -> None:
    place = next(message for message in messages() if message.topic == "checkout.place")
    wrong = {**example_of(place), field: value}
    with pytest.raises(ValueError, match=field):
        place.model_validate(wrong)
    with pytest.raises(jsonschema.ValidationError):
        validate(schema_of(place), wrong)


def test_examples_in_the_document_follow_their_headers() -> None:
    whole = document()
    for message in whole["components"]["messages"].values():
        for example in message["examples"]:
            schema = {**message["headers"], "components": whole["components"]}
            validate(schema, example["headers"])


def test_nothing_released_is_broken() -> None:
    assert broken_promises() == {}


def validate(schema: dict[str, Any], instance: Any) -> None:
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(instance)

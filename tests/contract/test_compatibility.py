"""Every kind of broken promise is found, and nothing harmless is taken for one."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from contracts.catalogue import Border, border_of, messages
from contracts.compatibility import breaks
from contracts.schemas import schema_of

RELEASED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sku": {"type": "string", "maxLength": 64, "pattern": "^[A-Z]+$"},
        "quantity": {"type": "integer", "minimum": 1, "maximum": 100},
        "weight": {"type": "number"},
        "status": {"enum": ["open", "closed"], "type": "string"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "price": {"$ref": "#/$defs/Money"},
        "lines": {"type": "array", "minItems": 1, "maxItems": 10, "items": {"$ref": "#/$defs/Money"}},
        "detail": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["sku", "quantity", "status", "price", "lines"],
    "additionalProperties": False,
    "$defs": {
        "Money": {
            "type": "object",
            "properties": {"minor": {"type": "integer"}, "currency": {"type": "string", "format": "iso"}},
            "required": ["minor", "currency"],
            "additionalProperties": False,
        }
    },
}
Change = Callable[[dict[str, Any]], Any]


def of(schema: dict[str, Any], name: str) -> Any:
    return schema["properties"][name]


def money(schema: dict[str, Any]) -> Any:
    return schema["$defs"]["Money"]


def new_field(where: Callable[[dict[str, Any]], Any], required: bool) -> Change:
    def change(schema: dict[str, Any]) -> None:
        where(schema)["properties"]["gift"] = {"type": "boolean"}
        if required:
            where(schema)["required"].append("gift")

    return change


def whole(schema: dict[str, Any]) -> Any:
    return schema


def without(name: str) -> Change:
    def change(schema: dict[str, Any]) -> None:
        del schema["properties"][name]
        schema["required"] = [other for other in schema["required"] if other != name]

    return change


HEARD, SENT, INTERNAL = Border.HEARD, Border.SENT, Border.INTERNAL
EVERYWHERE = {HEARD, SENT, INTERNAL}
OPEN: Change = lambda schema: (schema.pop("additionalProperties"), money(schema).pop("additionalProperties"))  # noqa: E731

CHANGES: list[tuple[str, Change, set[Border]]] = [
    # the change, and for which borders it breaks a promise
    ("a field removed", without("sku"), EVERYWHERE),
    ("an optional field removed", without("note"), EVERYWHERE),
    (
        "a nested field removed",
        lambda s: (money(s)["properties"].pop("minor"), money(s)["required"].pop(0)),
        EVERYWHERE,
    ),
    ("a new required field", new_field(whole, True), {HEARD, INTERNAL}),
    ("a nested new required field", new_field(money, True), {HEARD, INTERNAL}),
    ("an optional field became required", lambda s: s["required"].append("note"), {HEARD, INTERNAL}),
    ("a required field became optional", lambda s: s["required"].remove("sku"), {SENT, INTERNAL}),
    ("another type", lambda s: of(s, "sku").update(type="integer"), EVERYWHERE),
    ("a narrower type", lambda s: of(s, "weight").update(type="integer"), {HEARD, INTERNAL}),
    ("a wider type", lambda s: of(s, "quantity").update(type="number"), {SENT, INTERNAL}),
    ("null no longer", lambda s: s["properties"].update(note={"type": "string"}), {HEARD, INTERNAL}),
    ("null as well", lambda s: of(s, "weight").update(type=["number", "null"]), {SENT, INTERNAL}),
    ("a value removed", lambda s: of(s, "status").update(enum=["open"]), EVERYWHERE),
    ("a value added", lambda s: of(s, "status").update(enum=["open", "closed", "lost"]), {SENT, INTERNAL}),
    ("any value", lambda s: of(s, "status").pop("enum"), {SENT, INTERNAL}),
    ("values listed", lambda s: of(s, "sku").update(enum=["A"]), {HEARD, INTERNAL}),
    ("a lower maximum", lambda s: of(s, "quantity").update(maximum=10), {HEARD, INTERNAL}),
    ("a higher maximum", lambda s: of(s, "quantity").update(maximum=1000), {SENT, INTERNAL}),
    ("a higher minimum", lambda s: of(s, "quantity").update(minimum=2), {HEARD, INTERNAL}),
    ("no minimum", lambda s: of(s, "quantity").pop("minimum"), {SENT, INTERNAL}),
    ("shorter text", lambda s: of(s, "sku").update(maxLength=32), {HEARD, INTERNAL}),
    ("longer text", lambda s: of(s, "sku").update(maxLength=128), {SENT, INTERNAL}),
    ("another pattern", lambda s: of(s, "sku").update(pattern="^[a-z]+$"), EVERYWHERE),
    (
        "a pattern where there was none",
        lambda s: money(s)["properties"]["currency"].update(pattern="E"),
        {HEARD, INTERNAL},
    ),
    ("another format", lambda s: money(s)["properties"]["currency"].update(format="date"), EVERYWHERE),
    ("fewer lines", lambda s: of(s, "lines").update(maxItems=5), {HEARD, INTERNAL}),
    ("more lines", lambda s: of(s, "lines").update(maxItems=50), {SENT, INTERNAL}),
    ("lines of something else", lambda s: of(s, "lines").update(items={"type": "string"}), EVERYWHERE),
    ("details of another type", lambda s: of(s, "detail").update(additionalProperties={"type": "integer"}), EVERYWHERE),
]
HARMLESS: list[tuple[str, Change]] = [
    ("nothing", lambda s: None),
    ("a description", lambda s: of(s, "sku").update(description="what is sold")),
    ("another example", lambda s: s.update(examples=[{}])),
    ("a new optional field", new_field(whole, False)),
    ("a new optional nested field", new_field(money, False)),
]


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize(("name", "change", "broken_for"), CHANGES, ids=[name for name, _, _ in CHANGES])
def test_each_kind_of_break_is_caught(name: str, change: Change, broken_for: set[Border], border: Border) -> None:
    released, today = opened(border), opened(border)
    change(today)
    assert bool(breaks(released, today, border)) == (border in broken_for), breaks(released, today, border)


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize(("name", "change"), HARMLESS, ids=[name for name, _ in HARMLESS])
def test_nothing_harmless_is_a_break(name: str, change: Change, border: Border) -> None:
    released, today = opened(border), opened(border)
    change(today)
    assert breaks(released, today, border) == []


def test_a_listener_that_knows_every_field_is_not_surprised_by_a_new_one() -> None:
    """Sent values that were released closed stay closed: a new field in them is a break."""
    today = copy.deepcopy(RELEASED)
    new_field(money, False)(today)
    assert breaks(RELEASED, today, Border.SENT)
    assert breaks(RELEASED, today, Border.HEARD) == []


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.topic)
def test_every_field_of_every_message_is_guarded(message: Any) -> None:
    """Taking any field away from any real message is found."""
    released = schema_of(message)
    for name in released["properties"]:
        today = copy.deepcopy(released)
        without(name)(today)
        assert breaks(released, today, border_of(message)), name


def opened(border: Border) -> dict[str, Any]:
    """Requests are closed to unknown fields; what we say is open to new ones."""
    schema = copy.deepcopy(RELEASED)
    if border is not Border.HEARD:
        OPEN(schema)
    return schema

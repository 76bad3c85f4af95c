"""The JSON Schema of a message, with its example: what another language generates its types from."""

import inspect
from collections.abc import Mapping
from typing import Any

from contracts.catalogue import Border, border_of
from contracts.examples import EXAMPLES
from contracts.message import Kind, Message

Schema = dict[str, Any]


def example_of(message: type[Message]) -> Any:
    """The example as it travels. Requests leave out what is not given; we always say everything."""
    return EXAMPLES[message].model_dump(mode="json", exclude_none=message.kind is Kind.REQUEST)


def description_of(message: type[Message]) -> str:
    """The docstring, its lines joined; empty for a message whose name says it all."""
    return " ".join((inspect.getdoc(message) or "").split()) if message.__doc__ else ""


def schema_of(message: type[Message]) -> Schema:
    """Draft 2020-12, self-contained."""
    schema = message.model_json_schema()
    properties: Mapping[str, Any] = schema.get("properties", {})
    for part in (schema, *schema.get("$defs", {}).values()):
        for property_ in part.get("properties", {}).values():
            property_.pop("title", None)  # pydantic repeats the name
    found: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{message.full_type}",
        "title": message.__name__,
        "description": description_of(message),
        "type": "object",
        "properties": properties,
        "required": schema.get("required", []),
    }
    if border_of(message) is Border.SENT:
        found["required"] = list(properties)  # what we send is always whole
    if schema.get("additionalProperties") is False:
        found["additionalProperties"] = False
    if "$defs" in schema:
        found["$defs"] = schema["$defs"]
    found["examples"] = [example_of(message)]
    found["x-kind"] = message.kind.value
    found["x-border"] = border_of(message).value
    return found

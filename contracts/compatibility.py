"""Within a version a message may only change so that nobody who learned it has to learn it again.

The rules, by the border a message crosses:

- *heard* (storefronts and warehouses say it): whatever was accepted stays accepted. A new field is optional; no limit,
  type or list of values becomes narrower.
- *sent* (they hear it): whatever was promised stays promised. Every field stays and stays required; no limit, type or
  list of values becomes wider, and no value disappears, for somebody may wait for it. Listeners ignore new fields.
- *internal* (two of our releases at once, and what lies in queues): both.
- No field is removed and no released message disappears, whoever says it. Anything else is a new version.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from contracts.catalogue import Border

Schema = Mapping[str, Any]

LOWER_LIMITS: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
UPPER_LIMITS: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
SHAPES: Final = ("pattern", "format")
DEPTH: Final = 20
"""Deeper than any message nests; a schema that refers to itself ends here."""


def breaks(released: Schema, today: Schema, border: Border) -> list[str]:
    """What of `today` breaks a promise of `released`; empty when nothing does."""
    old, new = _resolved(released), _resolved(today)
    found = [f"{path} was removed" for path in _paths(old) if path not in set(_paths(new))]
    if border in (Border.HEARD, Border.INTERNAL):
        found += [f"{gap}: what was accepted is refused now" for gap in gaps(old, new)]
    if border in (Border.SENT, Border.INTERNAL):
        found += [f"{gap}: a listener of the released schema does not expect it" for gap in gaps(new, old)]
    if border is Border.SENT:
        found += [f"{path} no longer says {value!r}" for path, value in _values_lost(old, new)]
    return list(dict.fromkeys(found))


def gaps(said: Schema, heard: Schema, path: str = "(message)", depth: int = DEPTH) -> Iterator[str]:
    """Where `heard` refuses something that follows `said`."""
    if depth == 0:
        return
    alternatives, accepted = _alternatives(said), _alternatives(heard)
    if len(alternatives) > 1 or len(accepted) > 1:
        for one in alternatives:
            if not any(next(gaps(one, other, path, depth - 1), None) is None for other in accepted):
                yield f"{path} may be {one.get('type', one.get('enum', 'anything'))}"
        return
    types, known = _types(said), _types(heard)
    if known and not types:
        yield f"{path} may be anything"
    elif known and not all(type_ in known or (type_ == "integer" and "number" in known) for type_ in types):
        yield f"{path} is {'/'.join(sorted(types))}, was to be {'/'.join(sorted(known))}"
        return
    yield from _value_gaps(said, heard, path)
    yield from _limit_gaps(said, heard, path)
    yield from _field_gaps(said, heard, path, depth)
    if "items" in heard:
        yield from gaps(said.get("items", {}), heard["items"], f"{path}[]", depth - 1)


def _value_gaps(said: Schema, heard: Schema, path: str) -> Iterator[str]:
    if (allowed := _enum(heard)) is None:
        return
    values = _enum(said)
    if values is None:
        yield f"{path} may be any value"
    else:
        yield from (f"{path} may be {value!r}" for value in values if value not in allowed)


def _limit_gaps(said: Schema, heard: Schema, path: str) -> Iterator[str]:
    for limit in LOWER_LIMITS:
        if limit in heard and said.get(limit, float("-inf")) < heard[limit]:
            yield f"{path} has {limit} {said.get(limit, 'none')} against {heard[limit]}"
    for limit in UPPER_LIMITS:
        if limit in heard and said.get(limit, float("inf")) > heard[limit]:
            yield f"{path} has {limit} {said.get(limit, 'none')} against {heard[limit]}"
    for shape in SHAPES:
        if shape in heard and said.get(shape) != heard[shape]:
            yield f"{path} has {shape} {said.get(shape, 'none')} against {heard[shape]}"


def _field_gaps(said: Schema, heard: Schema, path: str, depth: int) -> Iterator[str]:
    fields, known = said.get("properties", {}), heard.get("properties", {})
    for name in heard.get("required", ()):
        if name not in said.get("required", ()):
            yield f"{path}.{name} is required on one side only"
    others = heard.get("additionalProperties", True)
    for name, field in fields.items():
        if name in known:
            yield from gaps(field, known[name], f"{path}.{name}", depth - 1)
        elif others is False:
            yield f"{path}.{name} is unknown"
    extra = said.get("additionalProperties")
    if isinstance(extra, Mapping) and isinstance(others, Mapping):
        yield from gaps(extra, others, f"{path}.*", depth - 1)


def _alternatives(schema: Schema) -> list[Schema]:
    return list(schema.get("anyOf") or schema.get("oneOf") or [schema])


def _types(schema: Schema) -> set[str]:
    type_ = schema.get("type", [])
    return {type_} if isinstance(type_, str) else set(type_)


def _enum(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _walk(schema: Schema, path: str = "(message)", depth: int = DEPTH) -> Iterator[tuple[str, Schema]]:
    if depth == 0:
        return
    yield path, schema
    for one in _alternatives(schema):
        for name, field in one.get("properties", {}).items():
            yield from _walk(field, f"{path}.{name}", depth - 1)
        if "items" in one:
            yield from _walk(one["items"], f"{path}[]", depth - 1)


def _paths(schema: Schema) -> Iterator[str]:
    return (path for path, _ in _walk(schema))


def _values_lost(old: Schema, new: Schema) -> Iterable[tuple[str, Any]]:
    now = dict(_walk(new))
    for path, schema in _walk(old):
        for value in _enum(schema) or ():
            kept = _enum(now.get(path, {}))
            if kept is not None and value not in kept:
                yield path, value


def _resolved(schema: Schema) -> Schema:
    """Every ``$ref`` into ``$defs`` replaced by what it names."""
    definitions = schema.get("$defs", {})

    def inside(part: Any, depth: int) -> Any:
        if depth == 0:
            return {}
        if isinstance(part, Mapping):
            if reference := part.get("$ref"):
                named = definitions[str(reference).rpartition("/")[2]]
                return inside({**named, **{key: value for key, value in part.items() if key != "$ref"}}, depth - 1)
            return {key: inside(value, depth - 1) for key, value in part.items() if key != "$defs"}
        if isinstance(part, list):
            return [inside(item, depth - 1) for item in part]
        return part

    resolved: Schema = inside(schema, 4 * DEPTH)
    return resolved

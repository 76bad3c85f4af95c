"""Stripe's request form: `metadata[order]=7&expand[]=charge` becomes a tree, and every value in it is still text."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from services.sandbox.stripe.refusals import malformed

FIELDS_LIMIT = 200  # far more than a call of ours has; a body made of brackets must not cost a minute
_PART = re.compile(r"\[([^\[\]]*)\]")


def tree_of(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head, _, _ = name.partition("[")
        path = [head, *_PART.findall(name)]
        # expand[] or expand[0]: the SDK numbers the items of a list.
        if len(path) > 1 and (path[-1] == "" or path[-1].isdecimal()):
            into = _inner(tree, path[:-2]).setdefault(path[-2], [])
            if isinstance(into, list):
                into.append(value)
        else:
            _inner(tree, path[:-1])[path[-1]] = value
    return tree


def _inner(tree: dict[str, Any], path: list[str]) -> dict[str, Any]:
    for part in path:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            raise malformed(f"Invalid object: {part}", part)
        tree = inner
    return tree


@dataclass(frozen=True)
class Form:
    tree: Mapping[str, Any]

    @staticmethod
    def of(body: str) -> "Form":
        try:
            return Form(tree_of(parse_qsl(body, keep_blank_values=True, max_num_fields=FIELDS_LIMIT)))
        except ValueError:
            raise malformed("Invalid request body", "body") from None

    def text(self, name: str) -> str | None:
        value = self.tree.get(name)
        if value is None or isinstance(value, str):
            return value or None
        raise malformed(f"Invalid string: {name}", name)

    def needed(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise malformed(f"Missing required param: {name}.", name, "parameter_missing")
        return value

    def amount(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdecimal() and len(value) <= 12):
            raise malformed(f"Invalid integer: {value}", name, "parameter_invalid_integer")
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        match self.text(name):
            case None:
                return default
            case "true":
                return True
            case "false":
                return False
            case other:
                raise malformed(f"Invalid boolean: {other}", name)

    def texts(self, name: str) -> list[str]:
        value = self.tree.get(name, [])
        if not isinstance(value, list):
            raise malformed(f"Invalid array: {name}", name)
        return [str(item) for item in value]

    def inner(self, *path: str) -> "Form":
        tree = self.tree
        for part in path:
            tree = tree.get(part, {})
            if not isinstance(tree, Mapping):
                raise malformed(f"Invalid object: {part}", part)
        return Form(tree)

    def strings(self, name: str) -> dict[str, str]:
        return {key: str(value) for key, value in self.inner(name).tree.items()}

"""List pages as Stripe gives them: newest first, cut at `limit`, continued after the last id one has seen."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from services.sandbox.stripe.forms import Form
from services.sandbox.stripe.objects import JsonObject
from services.sandbox.stripe.refusals import malformed

FILTERS = ("payment_intent", "charge", "type", "source", "currency")


class Shown(Protocol):
    def shown(self) -> JsonObject: ...


BOUNDS = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}


def page(url: str, newest_last: Iterable[JsonObject], form: Form) -> JsonObject:
    limit = form.amount("limit")
    limit = 10 if limit is None else limit
    if not 1 <= limit <= 100:
        raise malformed("This value must be between 1 and 100.", "limit")
    found = [shown for shown in reversed(list(newest_last)) if _wanted(shown, form)]
    after, before = form.text("starting_after"), form.text("ending_before")
    if after is not None:
        found = found[_place(found, after, "starting_after") + 1 :]
    if before is not None:
        until = _place(found, before, "ending_before")
        return _list(url, found[max(0, until - limit) : until], more=until > limit)
    return _list(url, found[:limit], more=len(found) > limit)


def search(url: str, newest_last: Iterable[JsonObject], form: Form) -> JsonObject:
    """Of Stripe's query language, `metadata["name"]:"value"` alone."""
    query = form.needed("query")
    name, colon, value = query.removeprefix("metadata[").partition("]:")
    if not (query.startswith("metadata[") and colon):
        raise malformed(f"Invalid query: {query}", "query")
    wanted = name.strip("\"'"), value.strip("\"'")
    found = [shown for shown in reversed(list(newest_last)) if shown["metadata"].get(wanted[0]) == wanted[1]]
    return {"object": "search_result", "url": url, "data": found[:10], "has_more": len(found) > 10, "next_page": None}


def _list(url: str, data: list[JsonObject], more: bool) -> JsonObject:
    return {"object": "list", "url": url, "data": data, "has_more": more}


def _place(found: list[JsonObject], id_: str, param: str) -> int:
    for place, shown in enumerate(found):
        if shown["id"] == id_:
            return place
    raise malformed(f"No such object: '{id_}'", param, "resource_missing")


def _wanted(shown: JsonObject, form: Form) -> bool:
    for name in FILTERS:
        wanted = form.text(name)
        if wanted is not None and shown.get(name) != wanted:
            return False
    created: Any = form.tree.get("created")
    if isinstance(created, Mapping):
        return all(
            BOUNDS[bound](shown["created"], _seconds(value)) for bound, value in created.items() if bound in BOUNDS
        )
    return created is None or shown["created"] == _seconds(created)


def _seconds(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 12:
        return int(value)
    raise malformed("Invalid timestamp", "created", "parameter_invalid_integer")

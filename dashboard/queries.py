"""Query parameters of lists: checked by hand, so that what is wrong is said in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from dashboard.problems import Problem, refuse_unknown
from dashboard.times import instant_of
from routing.where import Where, compile_where
from storage.spans import CallQuery

DEFAULT_LIMIT, LARGEST_LIMIT = 50, 500
_FILTERS = ("project", "key", "model", "upstream", "outcome", "operation", "session", "customer", "section", "user")
_OUTCOMES = ("ok", "error", "cancelled", "interrupted", "denied")
_KNOWN = (*_FILTERS, "status", "limit", "cursor", "where", "from", "to")


@dataclass(frozen=True, slots=True)
class CallSearch:
    """What calls are asked for: what the store looks up, and what each of those must meet."""

    query: CallQuery
    where: Where | None


def call_search(params: QueryParams, now: float) -> CallSearch:
    """Return the search that query parameters ask for.

    Raises:
        Problem: a parameter is unknown, there twice, or not what it must be.

    """
    given = once_each(params)
    tags = {name.removeprefix("tag."): value for name, value in given.items() if name.startswith("tag.")}
    refuse_unknown((name for name in given if not name.startswith("tag.")), (*_KNOWN, "tag.NAME"), "parameter")
    if given.get("outcome", "ok") not in _OUTCOMES:
        raise Problem(400, f"`outcome` is one of {', '.join(_OUTCOMES)}.", parameter="outcome")
    filters: dict[str, Any] = {name: given[name] for name in _FILTERS if name in given}
    query = CallQuery(
        **filters,
        limit=number(given, "limit", DEFAULT_LIMIT, 1, LARGEST_LIMIT),
        cursor=given.get("cursor"),
        since=instant(given, "from", now),
        until=instant(given, "to", now),
        status=number(given, "status", None, 100, 999),
        tags=tags,
    )
    return CallSearch(query, where_of(given))


def once_each(params: QueryParams) -> Mapping[str, str]:
    """Return the parameters by name.

    Raises:
        Problem: one is there twice.

    """
    given: dict[str, str] = {}
    for name, value in params.multi_items():
        if name in given:
            raise Problem(400, f"`{name[:80]}` is there twice.", parameter=name[:80])
        given[name] = value
    return given


def flag(body: Mapping[str, Any], name: str) -> bool:
    """Return what a body says of `name`, false where it says nothing.

    Raises:
        Problem: it says something else than true or false.

    """
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise Problem(400, f"`{name}` is true or false.", parameter=name)
    return value


def where_of(given: Mapping[str, Any]) -> Where | None:
    """Return the condition in `where`, among parameters or the fields of a body; None if there is none.

    Raises:
        Problem: it is not a condition.

    """
    if "where" not in given:
        return None
    text = given["where"]
    if not isinstance(text, str):
        raise Problem(400, "`where` is a text.", parameter="where")
    try:
        return compile_where(text)
    except ValueError as error:
        raise Problem(400, str(error), parameter="where") from None


def instant(given: Mapping[str, Any], name: str, now: float) -> int | None:
    """Return a time among parameters, or the fields of a body, as Unix nanoseconds (see `times.instant_of`); None where it is not there.

    Raises:
        Problem: it is no time.

    """
    text = given.get(name)
    if text is None:
        return None
    try:
        return instant_of(text if isinstance(text, str) else "", now)
    except ValueError as error:
        raise Problem(400, str(error), parameter=name) from None


def number(given: Mapping[str, str], name: str, default: int | None, least: int, most: int) -> int:
    """Return a whole number between `least` and `most`.

    Raises:
        Problem: it is something else.

    """
    if name not in given:
        return default  # type: ignore[return-value]
    text = given[name]
    if not (text.isascii() and text.isdigit() and len(text) < len(str(most)) + 1 and least <= int(text) <= most):
        raise Problem(400, f"`{name}` is a number from {least} to {most}.", parameter=name)
    return int(text)

"""Prices of the operator's own: which of them counts for a call. The most specific one, and only that.

A key's goes before a project's, that before one for all; then a model that is named before a pattern with `*`, that before a regular
expression, that before any model; then an upstream that is named before one that is not; then the one that began later.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

from domain.prices import Override

_EXACT, _GLOB, _REGEX, _ANY = 3, 2, 1, 0
_GLOB_SIGNS = frozenset("*?[")
_REGEX_SIGN = "re:"


class Caller(NamedTuple):
    """For whom a call was made. `keys` are the id and the name of the key."""

    keys: tuple[str, ...] = ()
    project: str | None = None


def the_one_for(overrides: Iterable[Override], upstream: str, models: Sequence[str], caller: Caller, at: int) -> Override | None:
    """Return the override that counts for a call to one of these names of a model at `at` (Unix nanoseconds), None if none does."""
    fitting = [(rank, one) for one in overrides if (rank := _rank(one, upstream, models, caller, at)) is not None]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def edges_of(overrides: Iterable[Override]) -> tuple[int, ...]:
    """Return the times at which some override begins or ends, rising."""
    return tuple(sorted({edge for one in overrides for edge in (one.since, one.until) if edge is not None}))


_Rank = tuple[int, int, int, int]


def _rank(one: Override, upstream: str, models: Sequence[str], caller: Caller, at: int) -> _Rank | None:
    if (one.since is not None and at < one.since) or (one.until is not None and at >= one.until):
        return None
    if (one.key is not None and one.key not in caller.keys) or (one.project is not None and one.project != caller.project):
        return None
    here = _fit(one.upstream, (upstream,))
    model = _fit(one.model, models)
    if here is None or model is None:
        return None
    scope = 2 if one.key is not None else 1 if one.project is not None else 0
    return scope, model, here, one.since if one.since is not None else -1


def _fit(pattern: str | None, names: Sequence[str]) -> int | None:
    """Return how exactly a pattern fits one of these names, None if it does not. Case does not matter."""
    if pattern is None:
        return _ANY
    kind, compiled = _pattern(pattern)
    return kind if any(compiled.search(name) for name in names) else None


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> tuple[int, re.Pattern[str]]:
    if pattern.startswith(_REGEX_SIGN):
        return _REGEX, re.compile(pattern.removeprefix(_REGEX_SIGN), re.IGNORECASE)
    if _GLOB_SIGNS.isdisjoint(pattern):
        return _EXACT, re.compile(rf"\A{re.escape(pattern)}\Z", re.IGNORECASE)
    return _GLOB, re.compile(rf"\A{translate(pattern)}", re.IGNORECASE)

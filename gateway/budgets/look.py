"""A look at a request's body: the members of it that decide how dear the request can be, read once, whatever upstream it goes to.

A body in which one of them stands twice is refused: parsers disagree which one counts.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any

import msgspec

from domain.errors import InvalidRequest
from gateway.budgets.media_look import SIGNS, Media, has_escapes, may_have_media, media_in
from gateway.wire.peek import DECIDING as PEEKED
from gateway.wire.peek import members

_SHORT = 8_192

SEARCHING = frozenset({"web_search_options", "plugins", "search_parameters", "enable_search", "web_search", "mcp_servers"})
STORED = frozenset({"previous_response_id", "conversation", "cachedContent", "cached_content", "container"})
# The members of a body that decide. What is long and says nothing by itself is not read.
DECIDING = frozenset(
    {
        "model",
        "models",
        "stream",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens_to_sample",
        "generationConfig",
        "generation_config",
        "n",
        "best_of",
        "size",
        "service_tier",
        "serviceTier",
        "speed",
        "inference_geo",
        "tools",
        "functions",
        "max_tool_calls",
        "prompt",
        "modalities",
        "parameters",
        "instances",
        "context_management",
        "background",
        *SEARCHING,
        *STORED,
    }
)
_QUOTED = {name: b'"%b"' % name.encode() for name in DECIDING}


def _alternatives(words: Iterable[bytes]) -> bytes:
    """Return a pattern for any of `words`, sorted by first letter: trying one after the other costs three times as much."""
    groups = groupby(sorted(words), key=lambda word: word[:1])
    return b"|".join(b"%b(?:%b)" % (first, b"|".join(word[1:] for word in group)) for first, group in groups)


# Where a body has none of these, all that decides is what the peek has read already: a plain chat needs no second reading.
_MORE = re.compile(b'"(?:%b)' % _alternatives([*SIGNS, *(b'%b"' % name.encode() for name in DECIDING - PEEKED)]))
Fields = Mapping[str, Any]
_split = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode


class Look:
    """A look at a body, as far as it is the same for every upstream that it may go to: each thing is looked for when it is first asked for."""

    def __init__(self, body: bytes) -> None:
        """Look at `body`; nothing is read yet."""
        self._body = body

    def fields(self) -> Fields | None:
        """Return the members that decide; None where it cannot be read.

        Raises:
            InvalidRequest: one of them is there twice.

        """
        if isinstance(self._found, InvalidRequest):
            raise self._found
        return self._found

    @cached_property
    def _found(self) -> Fields | InvalidRequest | None:
        try:
            return read(self._body)
        except InvalidRequest as refusal:
            return refusal

    @cached_property
    def says_no_more(self) -> bool:
        """Whether nothing in it decides but what the peek has read."""
        return says_no_more(self._body)

    @cached_property
    def may_cache(self) -> bool:
        """Whether it may ask Anthropic to keep a part of it."""
        return may_cache(self._body)

    @cached_property
    def media(self) -> Media | None:
        """What of it is not text; None where there is nothing but text."""
        return media_of(self._body)


def says_no_more(body: bytes) -> bool:
    """Return whether nothing in a body decides but what the peek has read."""
    return _MORE.search(body) is None and not has_escapes(body)


def may_cache(body: bytes) -> bool:
    """Return whether a body may ask Anthropic to keep a part of it."""
    return b"cache_control" in body or has_escapes(body)


def media_of(body: bytes) -> Media | None:
    """Return what of a body is not text; None where there is nothing but text."""
    return media_in(body) if may_have_media(body) else None


def read(body: bytes) -> Fields | None:
    """Return the deciding members of a body; those that are null are as good as not there. None where it cannot be read.

    Raises:
        InvalidRequest: one of them is there twice.

    """
    try:
        parts = _split(body)
        fields = {name: _value(raw) for name, raw in parts.items() if name in DECIDING}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    _refuse_doubles(body, fields)
    return {name: value for name, value in fields.items() if value is not None}


def _refuse_doubles(body: bytes, fields: Fields) -> None:
    """Refuse a body in which a deciding member stands twice, at the top or in Gemini's settings: parsers disagree which one counts.

    Raises:
        InvalidRequest: it does.

    """
    config = fields.get("generationConfig") or fields.get("generation_config")
    if config is None and _once(body, fields) and not has_escapes(body):
        return
    _refuse_double_members(body, DECIDING)
    if isinstance(config, dict):
        for member in members(body):
            if member.name in {"generationConfig", "generation_config"}:
                _refuse_double_members(body[member.value : member.end], None)


def _once(body: bytes, fields: Fields) -> bool:
    """Return whether none of these names is in the body twice, wherever. Looking for each by itself is faster in a short body only."""
    if len(body) <= _SHORT:
        return all(body.count(_QUOTED[name]) == 1 for name in fields)
    return len(_any_of(tuple(fields)).findall(body)) == len(fields)


@lru_cache(maxsize=1024)
def _any_of(names: tuple[str, ...]) -> re.Pattern[bytes]:
    return re.compile(b'"(?:%b)"' % b"|".join(name.encode() for name in names))


def _refuse_double_members(body: bytes, deciding: frozenset[str] | None) -> None:
    seen: set[str] = set()
    for member in members(body):
        if member.name in seen and (deciding is None or member.name in deciding):
            raise InvalidRequest(f"The field `{member.name}` is in the body twice. Send it once.", param=member.name)
        seen.add(member.name)

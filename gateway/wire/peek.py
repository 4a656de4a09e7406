"""One bounded look at a JSON body: the few fields that routing needs, and how to change them without touching anything else.

The body is never rebuilt. An edit replaces a range of bytes; everything around it stays as the app wrote it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from domain.errors import InvalidRequest
from gateway.wire.fields import Fields

Edit = tuple[int, int, bytes]
MOST_COUNTED = 2**63

DECIDING = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        "faregate",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "n",
        "best_of",
        "service_tier",
    }
)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)
_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")', re.DOTALL)
ASK_USAGE = b'"stream_options":{"include_usage":true},'


_RARE = (
    b'"stream_options"',
    b'"faregate"',
    b'"max_tokens"',
    b'"max_completion_tokens"',
    b'"max_output_tokens"',
    b'"n"',
    b'"best_of"',
    b'"service_tier"',
)
_NONE = (UNSET,) * len(_RARE)
_decode = msgspec.json.Decoder(Fields).decode


@dataclass(slots=True)
class Asked:
    """What a body asks for; everything is unknown where the body is not a JSON object, or only its beginning was seen.

    `stream_options` and `labels` (our own field, `faregate`) are `UNSET` where the body does not have them.
    """

    model: str | None = None
    stream: bool | None = None
    usage_asked: bool = False
    stream_options: Any = UNSET
    labels: Any = UNSET
    fields: "Fields | None" = None

    @property
    def max_tokens(self) -> int | None:
        """The most tokens of output that it allows, by whichever of the usual fields it has."""
        fields = self.fields
        if fields is None:
            return None
        limits = (fields.max_completion_tokens, fields.max_output_tokens, fields.max_tokens)
        return next((one for one in map(_whole, limits) if one is not None), None)

    @property
    def plain(self) -> bool:
        """Whether it says nothing of how much it may be answered, nor of how it is to be served."""
        fields = self.fields
        return fields is not None and (
            fields.max_tokens is UNSET
            and fields.max_completion_tokens is UNSET
            and fields.max_output_tokens is UNSET
            and fields.n is UNSET
            and fields.best_of is UNSET
            and fields.service_tier is UNSET
        )

    def given(self) -> dict[str, Any]:
        """Return the members that were looked for and are there, as they are; those that are null are as good as not there."""
        found = {} if self.fields is None else msgspec.structs.asdict(self.fields)
        return {name: value for name, value in found.items() if value is not UNSET and value is not None}

    @property
    def choices(self) -> int | None:
        """How many answers it asks for."""
        return None if self.fields is None else _whole(self.fields.n)

    @property
    def service_tier(self) -> str | None:
        """The tier that it asks for."""
        tier = None if self.fields is None else self.fields.service_tier
        return tier if isinstance(tier, str) else None


def _whole(value: Any) -> int | None:
    """Return a number that a rule can count with: JSON has larger ones."""
    return value if type(value) is int and abs(value) < MOST_COUNTED else None


UNKNOWN = Asked()


def asked_in(body: bytes) -> Asked:
    """Return what a JSON body asks for.

    Raises:
        InvalidRequest: a field that decides is there twice (parsers disagree which one counts), or the body is nested too deep.
    """
    try:
        fields = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return UNKNOWN
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deep to be read.") from error
    _refuse_doubles(body, fields)
    options = fields.stream_options
    return Asked(
        model=fields.model if isinstance(fields.model, str) else None,
        stream=fields.stream if isinstance(fields.stream, bool) else None,
        usage_asked=isinstance(options, dict) and options.get("include_usage") is True,
        stream_options=options,
        labels=fields.faregate,
        fields=fields,
    )


def _refuse_doubles(body: bytes, fields: Fields) -> None:
    """Refuse a body in which a deciding field stands twice at the top.

    Raises:
        InvalidRequest: it does.
    """
    once = body.count(b'"model"') < 2 and body.count(b'"stream"') < 2  # noqa: PLR2004
    rare = (
        fields.stream_options,
        fields.faregate,
        fields.max_tokens,
        fields.max_completion_tokens,
        fields.max_output_tokens,
        fields.n,
        fields.best_of,
        fields.service_tier,
    )
    if once and b"\\u00" not in body and (rare == _NONE or _once(body, rare)):
        return
    seen: set[str] = set()
    for member in members(body):
        if member.name in seen and member.name in DECIDING:
            raise InvalidRequest(f"The field `{member.name}` is in the body twice. Send it once.", param=member.name)
        seen.add(member.name)


def _once(body: bytes, values: Sequence[Any]) -> bool:
    """Return whether none of the rarer fields that are there can stand twice."""
    return all(value is UNSET or body.count(name) == 1 for value, name in zip(values, _RARE, strict=True))


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the top-level object: its name, and where name and value stand."""

    name: str
    start: int
    value: int
    end: int


def members(body: bytes) -> list[Member]:
    """Return the members of the top-level object of a valid JSON body, in order."""
    found: list[Member] = []
    depth = 0
    name: str | None = None
    start = value = 0
    for match in _TOKEN.finditer(body):
        token = match[0]
        first = token[:1]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
        if name is None:
            if depth == 1 and first == b'"':
                name, start = _text(token), match.start()
        elif not value:
            value = match.end()
        if name is not None and value and ((depth == 1 and first == b",") or depth == 0):
            found.append(_member(body, name, start, value, match.start()))
            name, value = None, 0
    return found


def _member(body: bytes, name: str, start: int, value: int, end: int) -> Member:
    while value < end and body[value : value + 1].isspace():
        value += 1
    while end > value and body[end - 1 : end].isspace():
        end -= 1
    return Member(name, start, value, end)


def _text(token: bytes) -> str:
    try:
        return str(msgspec.json.decode(token))
    except msgspec.MsgspecError:
        return token.decode("latin-1")


def model_edit(body: bytes, asked: str, model: str) -> Edit | None:
    """Return the edit that puts `model` in the place of the top-level model `asked`."""
    wanted = msgspec.json.encode(model)
    if b"\\u00" not in body and body.count(b'"model"') == 1 and (match := _MODEL.search(body)) and _text(match[1]) == asked:
        return match.start(1), match.end(1), wanted
    for member in members(body):
        if member.name == "model":
            return member.value, member.end, wanted
    return None


def usage_edit(body: bytes, asked: Asked) -> Edit | None:
    """Return the edit that asks for usage in a stream that does not; None where the options are not ones that a provider takes."""
    if asked.stream_options is UNSET:
        at = body.index(b"{") + 1
        return at, at, ASK_USAGE
    options = {} if asked.stream_options is None else asked.stream_options
    if not isinstance(options, dict):
        return None
    for member in members(body):
        if member.name == "stream_options":
            return member.value, member.end, msgspec.json.encode({**options, "include_usage": True})
    return None


def removal_edit(body: bytes, name: str) -> Edit | None:
    """Return the edit that takes the member `name` out, with the comma that goes with it."""
    all_members = members(body)
    for place, member in enumerate(all_members):
        if member.name != name:
            continue
        if place + 1 < len(all_members):
            return member.start, all_members[place + 1].start, b""
        if place:
            return all_members[place - 1].end, member.end, b""
        return member.start, member.end, b""
    return None


def edited(body: bytes, edits: Sequence[Edit]) -> bytes:
    """Return `body` with `edits` made; they do not overlap."""
    if not edits:
        return body
    parts: list[bytes] = []
    at = 0
    for start, end, replacement in sorted(edits):
        parts += (body[at:start], replacement)
        at = end
    parts.append(body[at:])
    return b"".join(parts)

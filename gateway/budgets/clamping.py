"""Lower a request's maximum of output to what a budget has left, by an edit in its bytes: only where a budget says `clamp = true`."""

import json
from dataclasses import dataclass

from domain.budgets import Unit
from gateway.budgets.second_look import cap_field
from gateway.wire.peek import Edit, Member, members
from pricing.bounds import ATTO_PER_NANO, Bound, Requested

LEAST_OUTPUT = 16
_OTHERS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


@dataclass(frozen=True, slots=True)
class Clamp:
    """What was lowered: the name of the field as a header and the record show it, and to how many tokens."""

    shown: str
    most: int


def least_output(bound: Bound, requested: Requested, left: int, unit: Unit) -> int | None:
    """Return how many tokens of output `left` pays for, for each answer; None where that is too few for an answer, or nothing can be lowered."""
    if requested.kind != "generate" or bound.unpriced or requested.open_cost is not None:
        return None
    if unit == "tokens":
        most = (left - bound.input_tokens * requested.passes) // max(requested.choices, 1)
    elif unit == "usd" and bound.output_atto:
        most = (left - bound.input_nano) * ATTO_PER_NANO // bound.output_atto
    else:
        return None
    known = bound.output_tokens
    return most if most >= LEAST_OUTPUT and (known is None or most < known) else None


def clamp_edit(body: bytes, path: bytes, upstream: str, most: int, *, whole: bool) -> tuple[Clamp, tuple[Edit, ...]] | None:
    """Return the edits that make `most` the maximum of output, or None where the request has no place for one."""
    names = cap_field(path.partition(b"?")[0], upstream)
    if not names or not whole or not body.lstrip().startswith(b"{"):
        return None
    if len(names) == 1:
        return _top_edit(body, names[0], most)
    return _nested_edit(body, names[0], names[1], most)


def _top_edit(body: bytes, name: str, most: int) -> tuple[Clamp, tuple[Edit, ...]]:
    """Return the edits of a member at the top: of the one that is there, or of both, or of a new one."""
    wanted = {name, _OTHERS.get(name, name)}
    there = [member for member in members(body) if member.name in wanted]
    if not there:
        return Clamp(name, most), (_new_member(body, 0, name, b"%d" % most),)
    return Clamp(there[0].name, most), tuple((one.value, one.end, b"%d" % most) for one in there if _is_more(body, one, most))


def _nested_edit(body: bytes, outer: str, inner: str, most: int) -> tuple[Clamp, tuple[Edit, ...]]:
    """Return the edits of a member of a member, as in Gemini's settings of the answer; either may be new."""
    shown = Clamp(f"{outer}.{inner}", most)
    snake = {outer, "generation_config"}, {inner, "max_output_tokens"}
    holder = next((member for member in members(body) if member.name in snake[0]), None)
    if holder is None:
        return shown, (_new_member(body, 0, outer, json.dumps({inner: most}).encode()),)
    settings = body[holder.value : holder.end]
    if not settings.startswith(b"{"):
        return shown, ((holder.value, holder.end, json.dumps({inner: most}).encode()),)
    there = [member for member in members(settings) if member.name in snake[1]]
    if not there:
        return shown, (_new_member(settings, holder.value, inner, b"%d" % most),)
    at = holder.value
    return shown, tuple((at + one.value, at + one.end, b"%d" % most) for one in there)


def _new_member(body: bytes, offset: int, name: str, value: bytes) -> Edit:
    """Return the edit that puts a member first into an object that begins in `body`, which stands at `offset`."""
    at = body.index(b"{") + 1
    comma = b"" if body[at:].lstrip().startswith(b"}") else b","
    return offset + at, offset + at, b'"%b":%b%b' % (name.encode(), value, comma)


def _is_more(body: bytes, member: Member, most: int) -> bool:
    value = body[member.value : member.end]
    return not value.isdigit() or int(value) > most

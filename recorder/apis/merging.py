"""Put the deltas of a chat or completions stream together to the answer that it was.

Deltas are merged by what they are, not by a schema: text is joined, lists of numbered items are merged by their number, objects
field by field, everything else is replaced by what came last. So a field that nobody knew of survives as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any

# Texts that are never continued: of these what was said first counts, however often it is repeated, …
_FIRST = frozenset({"role", "id", "type", "name", "format", "call_id"})
# … and of these what was said last.
_LAST = frozenset({"status", "signature", "finish_reason"})
# Either may be said again without a change.
REPEATED = _FIRST | _LAST
# Types of parts that are continued by the next part of the same type.
_CONTINUED = ("text", "thinking")
_NO_PART_OF_THE_ANSWER = frozenset({"choices", "usage", "x_groq", "obfuscation"})


_NOTHING: Mapping[str, Any] = {}


class _Text(list[str]):
    """A text in pieces, joined at the end, so that a long stream costs no more than its length."""


class Merger:
    """Takes the chunks of one stream in order; `answer` gives the whole."""

    def __init__(self, kind: str) -> None:
        self.usage: dict[str, Any] | None = None
        self._kind = kind
        self._top: dict[str, Any] = {}
        self._choices: dict[Any, dict[str, Any]] = {}

    def add(self, chunk: Mapping[str, Any]) -> bool:
        """Merge one chunk; return whether it brought a usage object."""
        choices = chunk.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._add_choice(choice)
        top = self._top
        for name, value in chunk.items():
            if value and name not in _NO_PART_OF_THE_ANSWER:  # Azure's first chunk has an empty model and id
                top[name] = value
        usage = usage_in(chunk)
        if usage is None:
            return False
        self.usage = usage  # the latest counts: usage is cumulative wherever it is repeated
        return True

    def answer(self) -> dict[str, Any]:
        """Return the answer as it would have been without streaming."""
        choices = sorted(self._choices.values(), key=_index)
        whole = {**self._top, "object": self._kind, "choices": [_finished(choice) for choice in choices]}
        if self.usage is not None:
            whole["usage"] = self.usage
        return whole

    def text_at(self, choice: Mapping[str, Any], path: Sequence[str]) -> list[str] | None:
        """Return the pieces of the text that the delta of a merged choice has at `path`, to be added to; None where there is no such text."""
        whole: Any = self._choices.get(_index(choice), _NOTHING).get("message")
        delta: Any = choice["delta"]
        for name in path:
            whole, delta = whole.get(name) if isinstance(whole, dict) else None, delta[name]
            if isinstance(delta, list):
                delta = delta[0]
                whole = _same_item(whole, delta) if isinstance(whole, list) else None
        return whole if isinstance(whole, _Text) else None

    def _add_choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index", 0)
        number = index if isinstance(index, int) else 0
        kept = self._choices.get(number)
        if kept is None:
            kept = self._choices[number] = {"index": index}
        for name, value in choice.items():
            if name == "delta":
                if isinstance(value, dict):
                    _merge(kept.setdefault("message", {}), value)
            elif name == "text":
                _join(kept, name, value)
            elif name == "logprobs" and isinstance(value, dict):
                _merge(kept, {name: value})
            elif name == "message":
                if "delta" not in choice and value:  # a whole answer inside a stream
                    kept[name] = value
            elif name not in kept or (value is not None and value != {}):
                kept[name] = value


def usage_in(chunk: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the usage that a chunk brings: at the top, Groq's own, or Moonshot's inside the choice."""
    usage = chunk.get("usage")
    if isinstance(usage, dict) and usage:
        return usage
    inner = chunk.get("x_groq")
    if inner is None:
        choices = chunk.get("choices")
        inner = choices[0] if isinstance(choices, list) and choices else None
    usage = inner.get("usage") if isinstance(inner, dict) else None
    return usage if isinstance(usage, dict) and usage else None


def _merge(whole: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Merge the fields of a delta into what there is."""
    for name, value in delta.items():
        if isinstance(value, str):
            known = whole.get(name)
            if isinstance(known, _Text):  # nearly always
                known.append(value)
            else:
                _join(whole, name, value)
        elif value is None:
            whole.setdefault(name, None)
        elif isinstance(value, list):
            _merge_list(whole, name, value)
        elif isinstance(value, dict):
            _merge(_object(whole, name), value)
        else:
            whole[name] = value


def _join(whole: dict[str, Any], name: str, value: Any) -> None:
    """Add a piece of text, or replace a text that is said whole."""
    known = whole.get(name)
    if not isinstance(value, str):
        whole.setdefault(name, value)
    elif name in _FIRST:
        whole[name] = known or value
    elif name in _LAST:
        whole[name] = value or known
    elif isinstance(known, _Text):
        known.append(value)
    elif isinstance(known, list):  # content in parts, continued by plain text
        _merge_list(whole, name, [{"type": "text", "text": value}] if value else [])
    else:
        whole[name] = _Text((value,))


def _object(whole: dict[str, Any], name: str) -> dict[str, Any]:
    known = whole.get(name)
    if not isinstance(known, dict):
        known = whole[name] = {}
    return known


def _merge_list(whole: dict[str, Any], name: str, items: list[Any]) -> None:
    """Merge numbered items by their number, and append the others."""
    known = whole.get(name)
    if isinstance(known, _Text):
        text = "".join(known)
        known = whole[name] = [{"type": "text", "text": text}] if text else []
    elif not isinstance(known, list):
        known = whole[name] = []
    for item in items:
        if not isinstance(item, dict):
            known.append(item)
            continue
        same = _same_item(known, item) if "index" in item or name == "tool_calls" else _same_part(known, item)
        if same is None:
            known.append(same := {})
        _merge(same, item)


def _same_item(known: list[Any], item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the item that `item` continues, the latest first.

    Some providers number all parallel tool calls 0 (Gemini's OpenAI API) and some number none: then an id of its own together
    with a name begins a new call. Others give each piece of one call an id of its own, without a name.
    """
    index = item.get("index")
    for other in reversed(known):
        if not isinstance(other, dict) or (index is not None and other.get("index") != index):
            continue
        begins = item.get("id") and _name_of(item) and other.get("id") and other["id"] != item["id"]
        return None if begins else other
    return None


def _same_part(known: list[Any], item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the last part, if `item` is more of its text: Mistral streams content in parts without numbers."""
    last = known[-1] if known else None
    continued = isinstance(last, dict) and item.get("type") in _CONTINUED and last.get("type") == item["type"]
    return last if continued else None


def _name_of(item: Mapping[str, Any]) -> Any:
    inner = item.get("function") or item.get("custom")
    return inner.get("name") if isinstance(inner, dict) else None


def _finished(value: Any) -> Any:
    """Return a merged value with its texts joined, and without the numbers of tool calls, which only deltas have."""
    if isinstance(value, _Text):
        return "".join(value)
    if isinstance(value, dict):
        done = {name: _finished(item) for name, item in value.items()}
        if isinstance(done.get("tool_calls"), list):
            done["tool_calls"] = [_unnumbered(call) for call in done["tool_calls"]]
        return done
    return [_finished(item) for item in value] if isinstance(value, list) else value


def _unnumbered(call: Any) -> Any:
    return {name: value for name, value in call.items() if name != "index"} if isinstance(call, dict) else call


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0

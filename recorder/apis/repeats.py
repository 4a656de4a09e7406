"""Chunks of a stream that say what the one before said, but for a piece of text: taken without being parsed.

Nearly all chunks of a chat are such. What stands around the text is learned from a chunk that was parsed, and put to the proof: with other
text between them, the same bytes must parse to the same chunk with that text. Then whatever begins and ends alike, with a whole JSON string
between, can only mean the same too. OpenAI's random padding, which is no part of the answer, may differ as well.

Chunks that repeat usually come in long runs, so a whole run is taken at once.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from recorder.apis.merging import REPEATED, Merger

_PADDING = "obfuscation"
_PROOF = "other text"
_MOST_FAILURES = 8
# How many chunks are looked at together. Short at first, so that a stream that changes with every chunk is not looked at again and again.
_FIRST_RUN, _LONGEST_RUN = 16, 512
_MEMBER = re.compile(rb'"[^"]*"\s*:\s*"((?:[^"\\]|\\.)*+)"')
_text_of = msgspec.json.Decoder(str).decode
_texts_of = msgspec.json.Decoder(list[str]).decode
_value_of = msgspec.json.Decoder().decode


class Repeats:
    """Watches one stream beside its merger."""

    __slots__ = ("_after", "_before", "_between", "_failures", "_pieces", "_rest", "_run", "_start", "_used")

    def __init__(self) -> None:
        """Know nothing yet."""
        self._pieces: list[str] | None = None
        self._before = self._between = self._after = b""
        self._start = self._rest = self._failures = 0
        self._run = _FIRST_RUN
        self._used = False

    def took(self, datas: Sequence[bytes], place: int = 0) -> int:
        """Add the texts of the chunks from `place` on that repeat the last one that was learned, and return how many those are."""
        pieces = self._pieces
        if pieces is None or not datas[place].startswith(self._before):
            return 0
        run = datas[place : place + self._run]
        insides = self._padded_insides(run) if self._after else self._insides(run)
        texts = _said(insides)
        pieces += texts
        self._used = self._used or bool(texts)
        self._run = min(2 * self._run, _LONGEST_RUN)
        if len(texts) < len(insides):
            self._pieces = None
        return len(texts)

    def _insides(self, run: Sequence[bytes]) -> list[bytes]:
        """Return what stands where the text is, of each chunk until one begins or ends otherwise."""
        before, between, start, rest = self._before, self._between, self._start, self._rest
        shortest = start + rest
        alike = [data.startswith(before) and data.endswith(between) and len(data) >= shortest for data in run]
        return [data[start:-rest] for data in (run if all(alike) else run[: alike.index(False)])]

    def _padded_insides(self, run: Sequence[bytes]) -> list[bytes]:
        """Return the same of chunks with padding: what comes until it, which may be anything that is plain text in JSON."""
        before, between, after, start = self._before, self._between, self._after, self._start
        shortest = start + len(after)
        found: list[bytes] = []
        for data in run:
            if not (data.startswith(before) and data.endswith(after) and len(data) >= shortest):
                break
            text, alike, padding = data[start : -len(after)].partition(between)
            if not alike or b'"' in padding or b"\\" in padding:
                break
            found.append(text)
        return found

    def learn(self, data: bytes, chunk: Mapping[str, Any], merger: Merger) -> None:
        """Learn from a chunk that was parsed and merged. Where that was in vain several times in a row, do it no more."""
        if self._used:
            self._failures = 0
        self._used = False
        self._run = _FIRST_RUN
        self._pieces = None
        path = _path_to_text(chunk)
        if path is None or self._failures == _MOST_FAILURES:
            return
        self._failures += 1
        if self._cut(data, chunk, path):
            self._pieces = merger.text_at(chunk["choices"][0], path[2:])

    def _cut(self, data: bytes, chunk: Mapping[str, Any], path: Sequence[str]) -> bool:
        """Find what is around the text, and around the padding if there is any; tell whether that holds."""
        found = _string_after(data, path[-1])
        if found is None:
            return False
        start, end = found
        self._before, self._between, self._after = data[:start], data[end:], b""
        self._start, self._rest = start, len(data) - end
        expected = _replaced(chunk, path, _PROOF)
        proof = self._before + _PROOF.encode() + self._between
        padding = _string_after(data, _PADDING) if isinstance(chunk.get(_PADDING), str) else None
        if padding is not None and padding[0] > end:
            self._between, self._after = data[end : padding[0]], data[padding[1] :]
            expected[_PADDING] = _PROOF
            proof = _PROOF.encode().join((self._before, self._between, self._after))
        try:
            return bool(_value_of(proof) == expected)
        except (msgspec.MsgspecError, ValueError):
            return False


def _said(insides: Sequence[bytes]) -> list[str]:
    """Return what the insides of JSON strings say, up to the first that is none."""
    joined = b"".join(insides)
    if b'"' not in joined and b"\\" not in joined:
        try:
            return _texts_of(b'["' + b'","'.join(insides) + b'"]') if insides else []
        except (msgspec.MsgspecError, ValueError):
            pass
    texts: list[str] = []
    for inside in insides:
        try:
            texts.append(_text_of(b'"%b"' % inside))
        except (msgspec.MsgspecError, ValueError):
            break
    return texts


def _path_to_text(chunk: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return where the one text is that a chunk adds to, or None if merging it again would change anything else."""
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    if not isinstance(choice, dict) or "text" in choice:
        return None
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return None
    if any(value and not isinstance(value, str | int) for name, value in choice.items() if name != "delta"):
        return None
    path = _path_in(delta)
    return None if path is None else ("choices", "delta", *path)


def _path_in(delta: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the path to the one text in a delta that would go on growing. A list on it has one item."""
    found: tuple[str, ...] | None = None
    for name, value in delta.items():
        if value is None or isinstance(value, int) or (isinstance(value, str) and name in REPEATED):
            continue
        if found is not None:
            return None
        inner = value[0] if isinstance(value, list) and len(value) == 1 and name == "tool_calls" else value
        rest = _path_in(inner) if isinstance(inner, dict) else () if isinstance(value, str) else None
        if rest is None:
            return None
        found = (name, *rest)
    return found


def _string_after(data: bytes, name: str) -> tuple[int, int] | None:
    """Return where the string behind the last `name` in `data` begins and ends, both inside its quotes."""
    place = data.rfind(b'"%b"' % name.encode("utf-8", "replace"))
    found = _MEMBER.match(data, place) if place >= 0 else None
    return None if found is None else found.span(1)


def _replaced(value: Mapping[str, Any], path: Sequence[str], text: str) -> dict[str, Any]:
    """Return `value` with another text at `path`."""
    name, rest = path[0], path[1:]
    inner = value[name]
    if not rest:
        return {**value, name: text}
    if isinstance(inner, list):
        return {**value, name: [_replaced(inner[0], rest, text)]}
    return {**value, name: _replaced(inner, rest, text)}

"""A streamed Gemini answer put together to the answer that `generateContent` would have given.

Each chunk is a whole answer of its own with the parts that are new. It comes as server-sent events (`alt=sse`), or as the elements
of one JSON array that is written bit by bit.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from recorder.apis.reading import Reading
from recorder.bodies import json_of

_BETWEEN = " \t\r\n,["


def chunks_of(reading: Reading) -> list[Any]:
    """Return the chunks of a streamed answer, in whichever of the two forms it came; the last one is left out if it was cut."""
    if reading.streamed:
        return [json_of(event.data) for event in reading.events]
    if isinstance(reading.response, list):
        return reading.response
    if reading.response is not None:
        return [reading.response]
    return list(_elements(reading.text.decode("utf-8", "replace")))


def _elements(text: str) -> Iterator[Any]:
    """Yield the elements of a JSON array that may end anywhere."""
    decoder = json.JSONDecoder()
    at = 0
    while True:
        while at < len(text) and text[at] in _BETWEEN:
            at += 1
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield json_of(text[at:end].encode("utf-8", "replace"))
        at = end


def merged(chunks: Iterable[Any]) -> dict[str, Any]:
    """Return the answer that the chunks make: parts in order, texts joined, and of everything else what was said last.

    Usage is never summed or mixed: each chunk's counts are those so far, and the last ones can be smaller.
    """
    answer: dict[str, Any] = {}
    candidates: dict[int, _Candidate] = {}
    for chunk in chunks:
        for name, value in chunk.items() if isinstance(chunk, dict) else ():
            if name == "candidates":
                _add_candidates(candidates, value)
            elif value is not None:
                answer[name] = value
    if candidates:
        answer["candidates"] = [candidates[index].finished() for index in sorted(candidates)]
    return answer


def _add_candidates(candidates: dict[int, "_Candidate"], new: Any) -> None:
    for place, candidate in enumerate(new if isinstance(new, list) else ()):
        if isinstance(candidate, dict):
            index = candidate.get("index")
            candidates.setdefault(index if isinstance(index, int) else place, _Candidate()).add(candidate)


class _Candidate:
    """One candidate in the making. Texts are joined at the end, since joining them chunk by chunk would copy them each time."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._content: dict[str, Any] | None = None
        self._parts: list[Any] = []
        self._texts: dict[int, list[str]] = {}

    def add(self, candidate: dict[str, Any]) -> None:
        """Take what one chunk says of the candidate."""
        self._fields.update({name: value for name, value in candidate.items() if value is not None and name != "content"})
        content = candidate.get("content")
        if isinstance(content, dict):
            self._content = {**(self._content or {}), **content}
            for part in content["parts"] if isinstance(content.get("parts"), list) else ():
                self._add_part(part)

    def _add_part(self, part: Any) -> None:
        last = len(self._parts) - 1
        if last in self._texts and _continues(self._parts[last], part):
            self._parts[last] = {**self._parts[last], **part}
        else:
            self._parts.append(part)
            last += 1
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            self._texts.setdefault(last, []).append(part["text"])

    def finished(self) -> dict[str, Any]:
        """Return the candidate."""
        if self._content is None:
            return self._fields
        for place, texts in self._texts.items():
            self._parts[place] = {**self._parts[place], "text": "".join(texts)}
        parts = {"parts": self._parts} if self._parts else {}
        return {**self._fields, "content": {**self._content, **parts}}


def _continues(last: dict[str, Any], part: Any) -> bool:
    """Tell whether `part` is more of the text in `last`: of the same kind, and not behind a signature, which closes a part."""
    return (
        isinstance(part, dict)
        and isinstance(part.get("text"), str)
        and bool(last.get("thought")) == bool(part.get("thought"))
        and "thoughtSignature" not in last
    )

"""A streamed Anthropic message put together to the message that it would have been without streaming."""

from collections.abc import Iterable
from typing import Any

from domain.calls import CallError
from pricing.usage.anthropic import merged
from recorder.bodies import json_of
from recorder.streams import Event

# what a delta adds to a block: the delta's type, the field it brings, the block's field
_APPENDED = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "partial_json"),
}
_REPLACED = {
    "signature_delta": ("signature",),
    "compaction_delta": ("content", "encrypted_content"),
}


class StreamedMessage:
    """A message in the making: feed it the events in order, then ask for the message."""

    def __init__(self) -> None:
        self.error: CallError | None = None
        self.unknown: set[str] = set()
        self.counted = False
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _Block] = {}

    def feed(self, event: Any) -> None:
        """Take the JSON value of one event; what is not understood is remembered in `unknown`."""
        if not isinstance(event, dict):
            return
        kind = str(event.get("type"))
        if kind == "message_start":
            self._start(event.get("message"))
        elif kind == "content_block_start":
            self._blocks[_index(event)] = _Block(event.get("content_block"))
        elif kind == "content_block_delta":
            self._delta(event)
        elif kind == "message_delta":
            self._message_delta(event)
        elif kind == "error":
            self.error = _error(event.get("error"))
        elif kind not in {"content_block_stop", "message_stop", "ping"}:
            self.unknown.add(kind)

    def message(self) -> dict[str, Any] | None:
        """Return the message as far as it came, None if it never began."""
        if not self._message and not self._blocks:
            return None
        content = [self._blocks[index].finished() for index in sorted(self._blocks)]
        usage = {"usage": self._usage} if self._usage else {}
        return {**self._message, "content": content, **usage}

    def arguments(self) -> dict[int, str]:
        """Return the arguments of tools as the model wrote them, by the place of their block in the content."""
        return {
            place: text for place, index in enumerate(sorted(self._blocks)) if (text := self._blocks[index].text("partial_json"))
        }

    def _start(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        self._message = {name: value for name, value in message.items() if name not in {"usage", "content"}}
        self._usage = merged({}, message.get("usage"))

    def _delta(self, event: dict[str, Any]) -> None:
        delta = event.get("delta")
        if not isinstance(delta, dict):
            return
        block = self._blocks.setdefault(_index(event), _Block(None))
        if not block.add(delta):
            self.unknown.add(str(delta.get("type")))

    def _message_delta(self, event: dict[str, Any]) -> None:
        """Take the end of the message: its stop reason, its final usage, and whatever else stands beside them."""
        delta = event.get("delta")
        if isinstance(delta, dict):
            self._message.update(delta)
        beside = {name: value for name, value in event.items() if name not in {"type", "delta", "usage"}}
        self._message.update(beside)
        if isinstance(event.get("usage"), dict):
            self._usage = merged(self._usage, event["usage"])
            self.counted = True


class _Block:
    """One block of content in the making."""

    def __init__(self, start: Any) -> None:
        self._fields: dict[str, Any] = dict(start) if isinstance(start, dict) else {}
        self._pieces: dict[str, list[str]] = {}

    def add(self, delta: dict[str, Any]) -> bool:
        """Take one delta; return False if its type is not known."""
        kind = str(delta.get("type"))
        if kind in _APPENDED:
            source, target = _APPENDED[kind]
            if isinstance(delta.get(source), str):
                self._pieces.setdefault(target, []).append(delta[source])
        elif kind in _REPLACED:
            self._fields.update({name: delta[name] for name in _REPLACED[kind] if name in delta})
        elif kind == "citations_delta":
            earlier = self._fields.get("citations")
            self._fields["citations"] = [*(earlier if isinstance(earlier, list) else ()), delta.get("citation")]
        else:
            return False
        return True

    def text(self, name: str) -> str:
        """Return the pieces that came for the field `name`, joined."""
        return "".join(self._pieces.get(name, ()))

    def finished(self) -> dict[str, Any]:
        """Return the block; a tool's input is parsed, or kept as the text it is if it was cut off."""
        block = dict(self._fields)
        for name in self._pieces:
            if name != "partial_json":
                start = block.get(name)
                block[name] = (start if isinstance(start, str) else "") + self.text(name)
        written = self.text("partial_json")
        if written:
            value = json_of(written.encode("utf-8", "replace"))
            block |= {"partial_json": written} if value is None else {"input": value}
        return block


def streamed_message(events: Iterable[Event]) -> StreamedMessage:
    """Return the message of a stream's events."""
    found = StreamedMessage()
    for event in events:
        found.feed(json_of(event.data))
    return found


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else 0


def _error(raw: Any) -> CallError:
    fields = raw if isinstance(raw, dict) else {}
    kind, message = fields.get("type"), fields.get("message")
    return CallError(kind if isinstance(kind, str) else None, None, message if isinstance(message, str) else "")

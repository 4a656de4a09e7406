"""What a realtime session's server said, gathered from its events."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from domain.calls import CallError
from recorder.apis.binary import base64_size
from recorder.apis.reading import described, text_of

_MOST_ERRORS = 100
# events with a piece of what a response says, by the name it is gathered under
_PIECES = {
    "response.text.delta": "text",
    "response.output_text.delta": "text",
    "response.audio_transcript.delta": "transcript",
    "response.output_audio_transcript.delta": "transcript",
    "response.function_call_arguments.delta": "arguments",
}
_AUDIO = ("response.audio.delta", "response.output_audio.delta", "session.output_audio.delta")
_SPOKEN = {"session.input_transcript.delta": "input", "session.output_transcript.delta": "output"}
_DELEGATED = ("response.completed", "response.incomplete", "response.failed")
_TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


class Session:
    """A session in the making: feed it the server's events in order.

    `settings` is the session as the server last described it, `responses` are those that are done. `transcriptions` are the models and
    usage objects of transcribed input, `delegated` those of responses that a live session had made by another model. `live_usage` is
    a live session's own: seconds so far, so that the last one counts.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.responses: list[dict[str, Any]] = []
        self.transcriptions: list[tuple[str | None, Any]] = []
        self.delegated: list[tuple[str | None, Any]] = []
        self.live_usage: Any = None
        self._spoken: dict[str, list[str]] = {}
        self._heard: list[dict[str, Any]] = []
        self._errors: list[dict[str, Any]] = []
        self._error_is_last = False
        self._running: dict[str, dict[str, list[str]]] = {}
        self._audio_bytes = 0
        self._counts: Counter[str] = Counter()

    def feed(self, event: Any) -> None:
        """Take the JSON value of one message."""
        if not isinstance(event, dict):
            return
        kind = str(event.get("type"))
        self._counts[kind] += 1
        delta = event.get("delta")
        if kind in _AUDIO:
            self._audio_bytes += base64_size(delta)
        elif kind in _PIECES:
            self._piece(str(event.get("response_id")), _PIECES[kind], delta)
        elif kind in _SPOKEN and isinstance(delta, str):
            self._spoken.setdefault(_SPOKEN[kind], []).append(delta)
        elif kind == "response.event":
            self._delegation(event.get("event"))
        elif kind.startswith("response."):
            self._response(kind, event.get("response"))
        elif kind.startswith("session."):
            self._session(event)
        elif kind == _TRANSCRIBED:
            self._transcribed(event)
        elif kind == "error":
            self._failed(event.get("error"))

    def output(self) -> Any:
        """Return the session as a JSON value, None if the server never said anything."""
        if not self._counts:
            return None
        audio = {"audio": described(b"", self._audio_format(), size=self._audio_bytes)} if self._audio_bytes else {}
        spoken = [{"side": side, "transcript": "".join(pieces)} for side, pieces in self._spoken.items()]
        unfinished = [
            {"id": name, "status": "in_progress", **{kind: "".join(parts) for kind, parts in pieces.items()}}
            for name, pieces in self._running.items()
        ]
        return {
            "type": "realtime_session",
            "session": self.settings or None,
            "responses": [*self.responses, *unfinished],
            "transcripts": [*self._heard, *spoken],
            "errors": self._errors,
            "counts": dict(self._counts),
            **audio,
        }

    def usages(self) -> list[Any]:
        """Return the usage object of every response that is done."""
        return [response.get("usage") for response in self.responses]

    def unfinished(self) -> bool:
        """Tell whether a response was still running at the end, or a live session did not close: then not all usage is known."""
        return bool(self._running) or (self.live_usage is not None and not self._counts["session.closed"])

    def statuses(self) -> Iterator[str]:
        """Yield how each response ended: its status, or the reason where it did not complete."""
        for response in self.responses:
            details = response.get("status_details")
            reason = text_of(details.get("reason")) if isinstance(details, dict) else None
            status = reason or text_of(response.get("status"))
            if status:
                yield status

    def error(self) -> CallError | None:
        """Return the error that the session ended with. One that it went on from is in the output only."""
        if self._errors and self._error_is_last:
            return _error_of(self._errors[-1])
        details = self.responses[-1].get("status_details") if self.responses else None
        failed = details.get("error") if isinstance(details, dict) else None
        return _error_of(failed) if isinstance(failed, dict) else None

    def _piece(self, response: str, name: str, delta: Any) -> None:
        if isinstance(delta, str):
            self._running.setdefault(response, {}).setdefault(name, []).append(delta)

    def _response(self, kind: str, response: Any) -> None:
        if not isinstance(response, dict):
            return
        name = str(response.get("id"))
        if kind == "response.created":
            self._running.setdefault(name, {})
        elif kind == "response.done":
            self._running.pop(name, None)
            self.responses.append(response)
            self._error_is_last = False

    def _session(self, event: dict[str, Any]) -> None:
        """Take what the server says of the session as a whole."""
        if isinstance(event.get("session"), dict):
            self.settings = {**self.settings, **event["session"]}
        if isinstance(event.get("usage"), dict):
            self.live_usage = event["usage"]

    def _delegation(self, event: Any) -> None:
        """Take an event of a response that another model makes for a live session."""
        response = event.get("response") if isinstance(event, dict) and event.get("type") in _DELEGATED else None
        if isinstance(response, dict):
            self.delegated.append((text_of(response.get("model")), response.get("usage")))

    def _transcribed(self, event: dict[str, Any]) -> None:
        self._heard.append({"item_id": event.get("item_id"), "transcript": event.get("transcript")})
        self.transcriptions.append((self._transcription_model(), event.get("usage")))

    def _transcription_model(self) -> str | None:
        """Return the model that transcribes input: its place in the session moved with the general release."""
        old = self.settings.get("input_audio_transcription")
        audio = self.settings.get("audio")
        side = audio.get("input") if isinstance(audio, dict) else None
        new = side.get("transcription") if isinstance(side, dict) else None
        for place in (new, old):
            if isinstance(place, dict) and text_of(place.get("model")):
                return text_of(place["model"])
        return None

    def _failed(self, error: Any) -> None:
        if len(self._errors) < _MOST_ERRORS:
            self._errors.append(error if isinstance(error, dict) else {"message": str(error)})
        self._error_is_last = True

    def _audio_format(self) -> str:
        """Return the media type of what the model says, empty if it is not known."""
        audio = self.settings.get("audio")
        side = audio.get("output") if isinstance(audio, dict) else None
        form = side.get("format") if isinstance(side, dict) else self.settings.get("output_audio_format")
        kind = form.get("type") if isinstance(form, dict) else form
        return kind if isinstance(kind, str) and "/" in kind else f"audio/{kind}" if isinstance(kind, str) else ""


def _error_of(raw: dict[str, Any]) -> CallError:
    return CallError(text_of(raw.get("type")), text_of(raw.get("code")), text_of(raw.get("message")) or "")

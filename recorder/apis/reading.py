"""What a module for one API gets, and what it registers."""

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.calls import Call
from domain.exchange import Dialect, Exchange
from recorder.bodies import content_type
from recorder.streams import Events


@dataclass(slots=True)
class Reading:
    """An exchange with everything unpacked that APIs have in common. It is not frozen for the reason that `domain.calls` gives.

    `operation` is the name in the table's row. `path` is without its query and without a slash at the end. `request` and `response` are JSON values, None where the body is
    something else. `request_fields` are those of a multipart form. `text` is the answer without its content codings, `events` are
    the server-sent events in it, `streamed` says that the answer is such a stream. `media_type` is the answer's, in lower case.
    `request_is_body` and `response_is_body` say that the JSON value is what a strict parser reads in the body as it passed.
    """

    exchange: Exchange
    operation: str
    path: str
    query: str
    status: int | None
    media_type: str
    request: Any = None
    request_fields: Mapping[str, str] = field(default_factory=dict)
    response: Any = None
    text: bytes = b""
    events: Events = field(default_factory=Events)
    streamed: bool = False
    notes: tuple[str, ...] = ()
    request_is_body: bool = False
    response_is_body: bool = False

    @property
    def asked(self) -> dict[str, Any]:
        """The request's JSON object, empty if it is none."""
        return self.request if isinstance(self.request, dict) else {}

    @property
    def answered(self) -> dict[str, Any]:
        """The answer's JSON object, empty if it is none."""
        return self.response if isinstance(self.response, dict) else {}

    @property
    def model(self) -> str | None:
        """The model asked for: in the body, in the form, or where the gate saw it."""
        named = self.asked.get("model") or self.request_fields.get("model")
        return named if isinstance(named, str) else self.exchange.opening.model

    @property
    def input(self) -> Any:
        """What to record as the call's input: the JSON body, the form's fields, its text (if it was cut), or a description."""
        if self.request is not None:
            return self.request
        if self.request_fields:
            return dict(self.request_fields)
        closing = self.exchange.closing
        if not self.exchange.request:
            return None
        return text_or_description(self.exchange.request, "" if closing is None else content_type(closing.request_headers))


_LONGEST_TEXT = 2**16

Reader = Callable[[Reading], Call]


@dataclass(frozen=True, slots=True)
class Api:
    """One row of the table of APIs: which paths it is for, what a call is named, and who reads its answers.

    `pattern` is matched against the end of the path (`chat/completions`, `responses/[^/]+/cancel`), behind a slash. `read` is called for
    answers that are no errors; it may return any outcome, and `interpret` sets the final one, times, errors and labels.
    """

    operation: str
    pattern: str
    read: Reader
    methods: tuple[str, ...] = ("POST",)
    dialects: tuple[Dialect, ...] = ("openai",)


def text_of(value: Any) -> str | None:
    """Return `value` if it is a string with something in it."""
    return value if isinstance(value, str) and value else None


def described(body: bytes, media_type: str, *, size: int | None = None) -> dict[str, Any]:
    """Return what is recorded of binary content in its place."""
    return {"type": "binary", "bytes": len(body) if size is None else size, "content_type": media_type or None}


def text_or_description(body: bytes, media_type: str) -> Any:
    """Return a body as text, the beginning of a long one, or a description of what is no text."""
    head = body[:_LONGEST_TEXT]
    try:
        # the last character may be cut in two
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return described(body, media_type)
    if len(body) <= _LONGEST_TEXT:
        return text
    return described(body, media_type) | {"type": "text", "text": text, "cut": True}

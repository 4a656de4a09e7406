"""The texts of a call that are looked through by somebody else: all that people and models wrote, and labels."""

from collections.abc import Iterator
from typing import Any

from domain.spans import Content, Span
from recorder.redaction import DEEPEST

# A body that could not be read and is longer is not kept where anything is redacted.
LONGEST_RAW = 1 << 20


def texts_of(span: Span, content: Content | None, *, labels: bool) -> Iterator[str]:
    """Yield the texts of a call, each as it is when it is redacted. Labels are among them where they are redacted too."""
    if span.error is not None:
        yield span.error.message
    yield from (tool.arguments for tool in span.tool_calls)
    yield from (one.error for one in span.attempts if one.error)
    yield from texts_in(dict(span.params))
    if labels:
        said = span.labels
        yield from (text for text in (said.session, said.run, said.section, said.prompt, said.user, said.customer) if text)
        yield from texts_in(dict(said.tags))
        yield from (one.why for one in span.decisions)
    if content is None:
        return
    yield from (value for _, value in (*content.request_headers, *content.response_headers))
    for body, value in ((content.request, content.input), (content.response, content.output)):
        yield from texts_in(value) if value is not None else _unread(body)


def texts_in(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts of a JSON value, and the names in it. What is too deep is not kept in any case."""
    if isinstance(value, str):
        yield value
    elif depth <= DEEPEST and isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from texts_in(member, depth + 1)
    elif depth <= DEEPEST and isinstance(value, list | tuple):
        for member in value:
            yield from texts_in(member, depth + 1)


def _unread(body: bytes) -> Iterator[str]:
    """Yield a body that could not be read as the text that it is redacted as."""
    if len(body) > LONGEST_RAW:
        return
    try:
        yield body.decode()
    except UnicodeDecodeError:
        yield body.decode("latin-1")

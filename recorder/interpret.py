"""Work out what an exchange meant. One entry, `call_of`, which never raises: what cannot be read is recorded as far as it can."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.calls import Call, CallError, Outcome
from domain.exchange import Closing, Exchange, Headers
from recorder.apis import Api, Reading, api_for
from recorder.apis.errors import error_of, error_of_stream
from recorder.apis.generic import output_of
from recorder.bodies import content_type, decoded, header, multipart_fields, read_json
from recorder.body_labels import labels_of
from recorder.streams import DONE, NO_EVENTS, Events, Timing, chunk_times, events, read_times

_EVENT_STREAM = "text/event-stream"
_STREAM_STARTS = (b"data:", b"event:", b":", b"id:", b"retry:", b"\xef\xbb\xbfdata:")
_FIRST_ERROR = 400


def call_of(exchange: Exchange) -> Call:
    """Return what `exchange` meant.

    A reader that fails on bytes it did not expect costs the call its meaning, never the call: it is then recorded with its
    bodies, its outcome and a note.
    """
    opening = exchange.opening
    path, _, query = opening.path.partition("?")
    path = path.rstrip("/")
    api = api_for(opening.dialect, opening.method, path)
    try:
        reading = _reading(exchange, api, path, query)
        return _finished(_read(reading, api), reading)
    except Exception as error:  # noqa: BLE001  # hostile bytes must not stop the recorder
        return _bare(exchange, api, f"could not be read: {type(error).__name__}")


def _reading(exchange: Exchange, api: Api, path: str, query: str) -> Reading:
    """Unpack what all APIs have in common."""
    closing = exchange.closing
    asked: Headers = () if closing is None else closing.request_headers
    answered: Headers = () if closing is None else closing.response_headers
    media_type = content_type(answered)
    notes: list[str] = []
    if exchange.opening.websocket:
        return Reading(exchange, api.operation, path, query, _status(closing), media_type)
    request, fields, request_is_body = _request(exchange.request, asked, notes)
    text, cut = decoded(exchange.response, header(answered, "content-encoding"))
    response, strict = None, False
    streamed = media_type == _EVENT_STREAM or (not media_type and text.startswith(_STREAM_STARTS))
    if not streamed and _may_be_json(text):
        response, strict = read_json(text)
    if cut:
        notes.append("the answer could be unpacked in part only")
    if closing is not None and closing.request_cut:
        notes.append("the copy of the request was cut")
    if closing is not None and closing.response_cut:
        notes.append("the copy of the answer was cut")
    return Reading(
        exchange,
        api.operation,
        path,
        query,
        _status(closing),
        media_type,
        request,
        fields,
        response,
        text,
        events(text) if streamed else NO_EVENTS,
        streamed,
        tuple(notes),
        request_is_body,
        strict and text is exchange.response,
    )


def _request(body: bytes, headers: Headers, notes: list[str]) -> tuple[Any, Mapping[str, str], bool]:
    """Return the request's JSON value and the fields of its form; either is empty; and whether the value is that of the body as it passed."""
    if not body:
        return None, {}, False
    plain, cut = decoded(body, header(headers, "content-encoding"))
    if cut:
        notes.append("the request could be unpacked in part only")
    if _may_be_json(plain):
        value, strict = read_json(plain)
        return value, {}, strict and plain is body
    form = header(headers, "content-type") or ""
    if form[:10].lower() == "multipart/":
        return None, multipart_fields(plain, form), False
    return None, {}, False


def _may_be_json(body: bytes) -> bool:
    """Tell by its beginning whether a body can be JSON, so that audio is not searched for it."""
    start = body[:64].lstrip()
    return start.startswith((b"{", b"[", b"\xef\xbb\xbf", b'"')) or (not start and bool(body.strip()))


def _status(closing: Closing | None) -> int | None:
    return None if closing is None else closing.status


def _read(reading: Reading, api: Api) -> Call:
    """Let the API's module read an answer that is no error."""
    closing = reading.exchange.closing
    nothing = not reading.text and (closing is None or closing.ending != "complete")
    if (reading.status or 0) >= _FIRST_ERROR or (nothing and not reading.exchange.opening.websocket):
        return _unread(reading)
    try:
        return api.read(reading)
    except Exception as error:  # noqa: BLE001  # what is common to all calls can still be recorded
        return replace(_unread(reading), notes=(f"could not be read as {api.operation}: {type(error).__name__}",))


def _unread(reading: Reading) -> Call:
    """Return the call as far as it is known without its API's module."""
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        input=reading.input,
        output=output_of(reading),
        stream=reading.streamed or reading.asked.get("stream") is True,
    )


def _bare(exchange: Exchange, api: Api, note: str) -> Call:
    """Return the call of an exchange whose bodies cannot even be unpacked."""
    outcome = _outcome(exchange.closing, ended=False)
    return Call(operation=api.operation, outcome=outcome, model=exchange.opening.model, notes=(note,))


def _finished(call: Call, reading: Reading) -> Call:
    """Add outcome, error, times, labels and notes to a call that was just made: nobody else has it yet."""
    closing = reading.exchange.closing
    ended = reading.streamed and _ended(reading.events)
    outcome = _outcome(closing, ended=ended)
    error = _own_error(closing)
    if error is None and outcome != "denied":
        error = call.error or _error(reading)
    if outcome == "ok" and (error is not None or call.outcome != "ok"):
        outcome = "error" if call.outcome == "ok" else call.outcome
    elif outcome == "error" and error is None:
        error = _ENDINGS.get("" if closing is None else closing.ending)
    times = _times(call, reading)
    notes = call.notes + reading.notes
    if ended and closing is not None and closing.ending != "complete":
        notes += (f"the stream had ended before the connection did ({closing.ending})",)
    call.outcome = outcome
    call.error = error
    call.model = call.model or reading.model
    call.output = output_of(reading) if call.output is None else call.output
    call.first_chunk_us = times.first_us
    call.chunks = times.chunks
    call.chunk_gap_mean_us = times.gap_mean_us
    call.chunk_gap_max_us = times.gap_max_us
    call.body_labels = {**labels_of(reading.asked), **call.body_labels}
    call.notes = notes
    return call


_ENDINGS = {
    "upstream_cut": CallError("upstream_error", "upstream_cut", "The upstream broke off its answer."),
    "failed": CallError("upstream_error", "upstream_unavailable", "No upstream answered."),
}
_LAST_EVENTS = frozenset({"message_stop", "response.completed", "response.incomplete", "response.failed"})


def _outcome(closing: Closing | None, *, ended: bool) -> Outcome:
    """Return the outcome by how the connection ended; `ended` says that a stream had come to its own end before."""
    if closing is None:
        return "interrupted"
    if closing.ending == "refused":
        return "denied"
    if (closing.status or 0) >= _FIRST_ERROR:
        return "error"
    if closing.ending == "complete" or ended:
        return "ok"
    return "cancelled" if closing.ending == "client_gone" else "error"


def _ended(stream: Events) -> bool:
    """Tell whether a stream came to the end that its API gives it."""
    return bool(stream) and (stream.datas[-1] == DONE or stream[-1].name in _LAST_EVENTS)


def _own_error(closing: Closing | None) -> CallError | None:
    own = None if closing is None else closing.error
    return None if own is None else CallError(own.type, own.code, own.message)


def _error(reading: Reading) -> CallError | None:
    """Return the error that the answer tells of."""
    if (reading.status or 0) >= _FIRST_ERROR:
        return error_of(reading.response, reading.text, reading.status)
    return error_of_stream(reading.events) if b"error" in reading.text else None


_NO_CHUNKS = Timing()


def _times(call: Call, reading: Reading) -> Timing:
    """Return when the chunks of a streamed answer came."""
    closing = reading.exchange.closing
    if closing is None or not (reading.streamed or call.stream):
        return Timing(chunks=len(reading.events.chunk_ends())) if reading.events else _NO_CHUNKS
    if not reading.streamed or header(closing.response_headers, "content-encoding") is not None:
        return read_times(closing.marks)
    return chunk_times(reading.events.chunk_ends(), closing.marks)

"""The Responses API over a WebSocket: one connection, one response after another. The session is one call.

Each response is priced by itself, so where there are several, each one's usage is a call inside the session's.

Source: the event types of the openai package 3.52 (`responses.connect`).
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from domain.calls import Call, SubCall, Usage
from recorder.apis import generic
from recorder.apis.binary import without_binary
from recorder.apis.errors import error_of_stream
from recorder.apis.reading import Api, Reading, text_of
from recorder.apis.responses import (
    describe_pictures,
    error_of_response,
    finish_reasons_of,
    items_of,
    tool_calls_of,
    usage_of_response,
)
from recorder.apis.responses_stream import LAST_EVENTS, streamed_response
from recorder.bodies import header, json_of
from recorder.frames import TEXT, deflate_of, messages
from recorder.streams import Event


def read(reading: Reading) -> Call:
    """Read a session from the frames of both directions."""
    if not reading.exchange.opening.websocket:
        return generic.read(reading)
    asked = [value for event in _events(reading, server=False) if (value := json_of(event.data)) is not None]
    events = list(_events(reading, server=True))
    answers = [answer for turn in _turns(events) if (answer := streamed_response(turn)[0])]
    for answer in answers:
        describe_pictures(answer)
    failed = next((error for answer in answers if (error := error_of_response(answer)) is not None), None)
    served = next((name for answer in answers if (name := text_of(answer.get("model")))), None)
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=next((name for value in asked if isinstance(value, dict) and (name := text_of(value.get("model")))), reading.model),
        served_model=served,
        stream=True,
        usage=_usage(answers),
        input=without_binary(asked) or None,
        output=without_binary(answers) or None,
        tool_calls=tuple(chain.from_iterable(tool_calls_of(items_of(answer)) for answer in answers)),
        finish_reasons=tuple(chain.from_iterable(finish_reasons_of(answer) for answer in answers)),
        error=failed or error_of_stream(events),
        response_id=text_of(answers[-1].get("id")) if answers else None,
    )


def _events(reading: Reading, *, server: bool) -> Iterator[Event]:
    """Yield the text messages of one direction as the events that they are."""
    closing = reading.exchange.closing
    extensions = None if closing is None else header(closing.response_headers, "sec-websocket-extensions")
    raw = reading.exchange.response if server else reading.exchange.request
    for message in messages(raw, deflate_of(extensions, server=server)):
        if message.opcode == TEXT:
            value = json_of(message.payload)
            yield Event(text_of(value.get("type")) if isinstance(value, dict) else None, message.payload, 0)


def _turns(events: list[Event]) -> Iterator[list[Event]]:
    """Yield the events of each response, the last one finished or not."""
    turn: list[Event] = []
    for event in events:
        turn.append(event)
        if event.name in LAST_EVENTS:
            yield turn
            turn = []
    yield turn


def _usage(answers: list[dict[str, Any]]) -> Usage | None:
    """Return the usage of the only response, or of all as calls inside this one."""
    used = [(answer, usage) for answer in answers if (usage := usage_of_response(answer)) is not None]
    if len(used) <= 1:
        return used[0][1] if used else None
    return Usage(sub_calls=tuple(SubCall(text_of(answer.get("model")), "response", usage) for answer, usage in used))


APIS: tuple[Api, ...] = (Api("responses.session", r"responses", read, methods=("GET",)),)

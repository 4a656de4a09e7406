"""Realtime, live and translation sessions: one WebSocket, many responses. The session is one call; its responses' usage is summed.

Source: https://platform.openai.com/docs/api-reference/realtime-server-events.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from domain.calls import Call, ToolCall, Usage
from domain.exchange import Closing
from pricing.usage.media import realtime_usage_of
from recorder.apis import generic
from recorder.apis.binary import base64_size, without_binary
from recorder.apis.reading import Api, Reading, described, text_of
from recorder.apis.realtime_session import Session
from recorder.bodies import header, json_of
from recorder.frames import CLOSE, TEXT, Deflate, Message, deflate_of, messages

_GOOD_CLOSES = (1000, 1001, 1005)


def read(reading: Reading) -> Call:
    """Read a session from the frames of both directions."""
    if not reading.exchange.opening.websocket:
        return generic.read(reading)
    closing = reading.exchange.closing
    session = Session()
    asked = list(_messages(reading.exchange.request, closing, server=False))
    answered = list(_messages(reading.exchange.response, closing, server=True))
    for message in answered:
        session.feed(_event(message))
    wanted = parse_qs(reading.query).get("model")
    model = wanted[0] if wanted else reading.model or _model_of(asked)
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=model or text_of(session.settings.get("model")),
        served_model=text_of(session.settings.get("model")),
        usage=_usage(session),
        input=_input(asked),
        output=without_binary(session.output()),
        stream=True,
        tool_calls=tuple(_tool_calls(session)),
        finish_reasons=tuple(dict.fromkeys(session.statuses())),
        error=session.error(),
        response_id=text_of(session.settings.get("id")),
        notes=tuple(_notes((*asked, *answered))),
    )


def _messages(raw: bytes, closing: Closing | None, *, server: bool) -> Iterator[Message]:
    """Yield one side's messages. Where the answer's headers are not known, what says that it is compressed is believed."""
    if closing is None:
        return messages(raw, Deflate())
    return messages(raw, deflate_of(header(closing.response_headers, "sec-websocket-extensions"), server=server))


def _event(message: Message) -> Any:
    return json_of(message.payload) if message.opcode == TEXT else None


def _model_of(asked: list[Message]) -> str | None:
    """Return the model that the app's last session update names."""
    for message in reversed(asked):
        event = _event(message)
        session = event.get("session") if isinstance(event, dict) else None
        if isinstance(session, dict) and text_of(session.get("model")):
            return text_of(session["model"])
    return None


def _usage(session: Session) -> Usage | None:
    usage = realtime_usage_of(session.usages(), session.transcriptions, session.delegated, live=session.live_usage)
    if usage is not None and session.unfinished():
        return replace(usage, flags=(*usage.flags, "incomplete"))
    return usage


def _input(asked: list[Message]) -> Any:
    """Return what the app said: its events, with the audio that it appended counted instead."""
    events: list[Any] = []
    spoken, kinds = 0, Counter[str]()
    for message in asked:
        event = _event(message)
        if message.opcode != TEXT:
            spoken += len(message.payload) if message.opcode != CLOSE else 0
        elif isinstance(event, dict):
            kinds[str(event.get("type"))] += 1
            audio = event.get("audio")
            if isinstance(audio, str):
                spoken += base64_size(audio)
            else:
                events.append(without_binary(event))
    heard = {"audio": described(b"", "", size=spoken)} if spoken else {}
    return {"events": events, "counts": dict(kinds), **heard} if kinds or spoken else None


def _tool_calls(session: Session) -> Iterator[ToolCall]:
    for response in session.responses:
        output = response.get("output")
        for item in output if isinstance(output, list) else ():
            if isinstance(item, dict) and item.get("type") in ("function_call", "mcp_call"):
                yield ToolCall(
                    text_of(item.get("call_id")) or text_of(item.get("id")),
                    text_of(item.get("name")),
                    text_of(item.get("arguments")) or "",
                )


def _notes(both: tuple[Message, ...]) -> Iterator[str]:
    """Yield what is worth knowing about the connection's end."""
    if any(not message.whole for message in both):
        yield "a message was cut off, or could not be unpacked"
    for message in both:
        code = int.from_bytes(message.payload[:2], "big") if message.opcode == CLOSE and message.payload else None
        if code is not None and code not in _GOOD_CLOSES:
            yield f"closed with code {code}"


APIS: tuple[Api, ...] = (Api("realtime", "(?:realtime(?:/translations)?|live/sessions)", read, methods=("GET",)),)

"""What chat and legacy completions have in common: answers with `choices`, whole or streamed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from domain.calls import Call, CallError, ToolCall
from pricing.usage.openai import usage_of
from recorder.apis.binary import base64_description, without_binary
from recorder.apis.errors import error_in
from recorder.apis.generic import output_of
from recorder.apis.merging import Merger, usage_in
from recorder.apis.reading import Reading, text_of
from recorder.apis.repeats import Repeats
from recorder.bodies import exact_json_of, json_of
from recorder.streams import DONE

_MOST_LOGPROBS = 512
_SMALL_BODY = 2_048  # shorter bodies hold no pictures


def choices_call(reading: Reading, kind: str) -> Call:
    """Return the call of an answer with choices; `kind` is the `object` that a merged stream gets."""
    answer, exact, notes = _merged(reading.events.datas, kind) if reading.streamed else _whole(reading)
    usage = usage_of(usage_in(answer), exact=exact, tier=answer.get("service_tier"))
    choices = [choice for choice in answer.get("choices") or () if isinstance(choice, dict)] if _has_choices(answer) else []
    asked = input_of(reading)
    output = _output(reading, answer, choices)
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        served_model=text_of(answer.get("model")),
        stream=reading.streamed,
        usage=usage,
        input=asked,
        output=output,
        tool_calls=tuple(_tool_calls(choices)),
        finish_reasons=tuple(reason for choice in choices if (reason := text_of(choice.get("finish_reason")))),
        error=_error(answer, choices),
        response_id=text_of(answer.get("id")),
        notes=notes,
        input_is_body=reading.request_is_body and asked is reading.request,
        output_is_body=reading.response_is_body and output is reading.response,
    )


def _error(answer: dict[str, Any], choices: list[dict[str, Any]]) -> CallError | None:
    """Return the error in an answer of status 200: OpenRouter tells of one so when its upstream failed after the start."""
    for part in (answer, *choices):
        if "error" in part and (found := error_in(part)) is not None:
            return found
    return None


def input_of(reading: Reading) -> Any:
    """Return what was asked, pictures and audio described."""
    asked = reading.input
    return asked if len(reading.exchange.request) < _SMALL_BODY else without_binary(asked)


def _has_choices(answer: Mapping[str, Any]) -> bool:
    return isinstance(answer.get("choices"), list)


def _whole(reading: Reading) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    """Return an answer that was not streamed, and its usage with exact fractions where a cost is in it."""
    answer = reading.answered
    return answer, exact_usage(reading.text) if b'"cost"' in reading.text else None, ()


def _merged(datas: Sequence[bytes], kind: str) -> tuple[dict[str, Any], Any, tuple[str, ...]]:
    """Return the answer that a stream was, from the data of its events."""
    merger = Merger(kind)
    repeats = Repeats()
    exact = None
    unread = 0
    place, end = 0, len(datas)
    while place < end:
        if taken := repeats.took(datas, place):
            place += taken
            continue
        data = datas[place]
        place += 1
        chunk = None if data == DONE else json_of(data)
        if not isinstance(chunk, dict):
            unread += data != DONE
            continue
        if merger.add(chunk):
            exact = exact_usage(data) if b'"cost"' in data else None
        repeats.learn(data, chunk, merger)
    return merger.answer(), exact, (f"{unread} events could not be read",) if unread else ()


def exact_usage(body: bytes) -> Any:
    """Return the usage object in `body` with its fractions as text."""
    value = exact_json_of(body)
    return usage_in(value) if isinstance(value, dict) else None


def _output(reading: Reading, answer: dict[str, Any], choices: list[dict[str, Any]]) -> Any:
    """Return the answer to keep: long lists of probabilities left out, binary content described."""
    if not answer:
        return None if reading.streamed else output_of(reading)
    shortened = [_shortened(choice) for choice in choices]
    if any(shortened):
        answer = {**answer}
    return answer if len(reading.text) < _SMALL_BODY else without_binary(answer)


def _shortened(choice: dict[str, Any]) -> bool:
    """Describe the audio of a choice, and drop probabilities beyond `_MOST_LOGPROBS`; return whether there were any."""
    shortened = False
    message = choice.get("message")
    audio = message.get("audio") if isinstance(message, dict) else None
    if isinstance(audio, dict) and isinstance(audio.get("data"), str):
        audio["data"] = base64_description(audio["data"], "audio")
        shortened = True
    logprobs = choice.get("logprobs")
    if isinstance(logprobs, dict):
        for name, tokens in logprobs.items():
            if isinstance(tokens, list) and len(tokens) > _MOST_LOGPROBS:
                logprobs[name] = {"type": "left out", "tokens": len(tokens)}
                shortened = True
    return shortened


def _tool_calls(choices: Iterable[Mapping[str, Any]]) -> Iterable[ToolCall]:
    """Yield the tools asked for in any choice: functions, custom tools, and the function of the first API."""
    for choice in choices:
        message = choice.get("message")
        if not isinstance(message, dict):
            continue
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                yield _tool_call(call)
        legacy = message.get("function_call")
        if isinstance(legacy, dict):
            yield ToolCall(None, text_of(legacy.get("name")), text_or_json(legacy.get("arguments")))


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    for kind, written in (("function", "arguments"), ("custom", "input")):
        inner = call.get(kind)
        if isinstance(inner, dict):
            return ToolCall(text_of(call.get("id")), text_of(inner.get("name")), text_or_json(inner.get(written)))
    return ToolCall(text_of(call.get("id")), text_of(call.get("name")), text_or_json(call.get("arguments")))


def text_or_json(value: Any) -> str:
    """Return arguments as text; some servers give an object instead."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()

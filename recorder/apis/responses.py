"""The Responses API: whole, streamed, in the background, and looked at again later.

A response looked at again has the usage of the call that made it: its operation is another, and the usage is flagged
`retrieved`, so that it is charged once, by its `response_id`. A response in the background has no usage until then.

Source: https://platform.openai.com/docs/api-reference/responses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from domain.calls import Call, CallError, SubCall, ToolCall, Usage
from pricing.usage.openai import usage_of
from recorder.apis import generic
from recorder.apis.binary import base64_description, without_binary
from recorder.apis.choices import exact_usage, input_of, text_or_json
from recorder.apis.generic import output_of
from recorder.apis.reading import Api, Reading, text_of
from recorder.apis.responses_stream import streamed_response

_SMALL_BODY = 2_048
_MADE_HERE = "responses"
_RUNNING = frozenset({"queued", "in_progress"})


def read(reading: Reading) -> Call:
    """Read a response that was made by this call, or is looked at by it."""
    answer, ended = streamed_response(reading.events) if reading.streamed else (reading.answered, True)
    items = items_of(answer)
    made_here = reading.operation == _MADE_HERE
    usage = usage_of_response(answer, _exact(reading, answer))
    if usage is not None and not (made_here or reading.operation == "responses.compact"):
        usage = replace(usage, flags=(*usage.flags, "retrieved"))
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        served_model=text_of(answer.get("model")),
        stream=reading.streamed,
        usage=usage,
        input=input_of(reading),
        output=_output(reading, answer),
        tool_calls=tuple(tool_calls_of(items)) if made_here else (),
        finish_reasons=finish_reasons_of(answer) if made_here else (),
        error=error_of_response(answer) if made_here else None,
        response_id=text_of(answer.get("id")),
        notes=tuple(_notes(answer, ended=ended, made_here=made_here)),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def items_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the output items of a response."""
    return [item for item in _list(answer.get("output")) if isinstance(item, dict)]


def usage_of_response(answer: Mapping[str, Any], exact: Any = None) -> Usage | None:
    """Return the usage of a response, with the tool uses that are charged apart; `exact` is its usage with fractions as text."""
    usage = usage_of(
        answer.get("usage"),
        exact=exact,
        tier=answer.get("service_tier"),
        searches=_searches(answer, items_of(answer)),
    )
    pictures = _pictures(answer)
    return usage if usage is None or pictures is None else replace(usage, sub_calls=(pictures,))


def _exact(reading: Reading, answer: Mapping[str, Any]) -> Any:
    """Return the usage object with its fractions as text, if a cost is reported in it."""
    if not isinstance(answer.get("usage"), dict) or "cost" not in answer["usage"]:
        return None
    if not reading.streamed:
        return exact_usage(reading.text)
    return next((found for event in reversed(reading.events) if (found := exact_usage(event.data)) is not None), None)


_CHARGED_ITEMS = {"web_search_call": "web", "file_search_call": "file"}


def _searches(answer: Mapping[str, Any], items: list[dict[str, Any]]) -> dict[str, int]:
    """Return how often each tool with a fee was used: searches (not pages opened), and containers that ran code."""
    found: dict[str, int] = {}
    containers = set()
    for item in items:
        kind = item.get("type")
        name = _CHARGED_ITEMS.get(kind) if isinstance(kind, str) else None
        if name is not None and _action(item) in {None, "search"}:
            found[name] = found.get(name, 0) + 1
        elif kind == "code_interpreter_call":
            containers.add(str(item.get("container_id")))
    if containers:
        found["code_container"] = len(containers)
    counted = _at(answer, "tool_usage", "web_search", "num_requests")
    if type(counted) is int and counted > 0:
        found["web"] = counted
    return found


def _action(item: Mapping[str, Any]) -> Any:
    kind = _at(item, "action", "type")
    return kind if isinstance(kind, str) else None


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _pictures(answer: Mapping[str, Any]) -> SubCall | None:
    """Return the usage of the tool that makes pictures: another model's, and not in the counts at the top."""
    usage = usage_of(_at(answer, "tool_usage", "image_gen"))
    if usage is None or not (usage.input_tokens or usage.output_tokens):
        return None
    tools = (tool for tool in _list(answer.get("tools")) if isinstance(tool, dict) and tool.get("type") == "image_generation")
    return SubCall(next((text_of(tool.get("model")) for tool in tools), None), "image_generation", usage)


def _output(reading: Reading, answer: dict[str, Any]) -> Any:
    """Return the response to keep, pictures described."""
    if not answer:
        return None if reading.streamed else output_of(reading)
    describe_pictures(answer)
    return answer if len(reading.text) < _SMALL_BODY else without_binary(answer)


def describe_pictures(answer: Mapping[str, Any]) -> None:
    """Put descriptions in the place of the pictures in a response."""
    for item in items_of(answer):
        if item.get("type") == "image_generation_call" and isinstance(item.get("result"), str):
            item["result"] = base64_description(item["result"], f"image/{item.get('output_format') or 'png'}")


def tool_calls_of(items: list[dict[str, Any]]) -> Iterator[ToolCall]:
    """Yield the tools asked for: the app's own, and those that run at the provider."""
    for item in items:
        kind = item.get("type")
        if isinstance(kind, str) and kind.endswith("_call"):
            name = text_of(item.get("name")) or kind.removesuffix("_call")
            yield ToolCall(text_of(item.get("call_id")) or text_of(item.get("id")), name, text_or_json(_arguments(item)))


def _arguments(item: Mapping[str, Any]) -> Any:
    fields = ("arguments", "input", "action", "code", "queries", "operation")
    return next((item[field] for field in fields if item.get(field) is not None), None)


def finish_reasons_of(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why the response is incomplete, or its status."""
    reason = text_of(_at(answer, "incomplete_details", "reason")) or text_of(answer.get("status"))
    return (reason,) if reason and reason not in _RUNNING else ()


def error_of_response(answer: Mapping[str, Any]) -> CallError | None:
    """Return why a response failed, which is told with status 200."""
    if answer.get("status") != "failed":
        return None
    code = text_of(_at(answer, "error", "code"))
    return CallError("response_failed", code, text_of(_at(answer, "error", "message")) or "The response failed.")


def _notes(answer: Mapping[str, Any], *, ended: bool, made_here: bool) -> Iterator[str]:
    if made_here and answer.get("background") is True and answer.get("status") in _RUNNING:
        yield "background"
    if not made_here:
        yield "retrieved"
    if not ended:
        yield "the stream had no last event"


APIS: tuple[Api, ...] = (
    Api("responses", r"responses", read),
    Api("responses.compact", r"responses/compact", read),
    Api("responses.input_tokens", r"responses/input_tokens", generic.read),
    Api("responses.cancel", r"responses/[^/]+/cancel", read),
    Api("responses.retrieve", r"responses/[^/]+", read, methods=("GET",)),
    Api("responses.delete", r"responses/[^/]+", generic.read, methods=("DELETE",)),
    Api("responses.input_items", r"responses/[^/]+/input_items", generic.read, methods=("GET",)),
)

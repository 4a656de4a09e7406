"""Gemini's native API: content (plain and streamed), embeddings, token counts, images of `:predict`.

The model stands in the path (`models/gemini-2.5-pro:generateContent`).

Source: https://ai.google.dev/api/generate-content.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from domain.calls import Call, CallError, ToolCall, Usage
from pricing.usage.gemini import usage_of
from recorder.apis.binary import without_binary
from recorder.apis.gemini_stream import chunks_of, merged
from recorder.apis.reading import Api, Reading, text_of
from recorder.bodies import header

_MODEL = re.compile(r"([^/]+):\w+$")


def read_content(reading: Reading) -> Call:
    """Read an answer of `:generateContent`."""
    return _call(reading, reading.answered)


def read_stream(reading: Reading) -> Call:
    """Read an answer of `:streamGenerateContent`, in either of its forms."""
    chunks = chunks_of(reading)
    call = _call(reading, merged(chunks))
    errors = [chunk["error"] for chunk in chunks if isinstance(chunk, dict) and isinstance(chunk.get("error"), dict)]
    usage = call.usage
    if usage is not None and not call.finish_reasons:
        usage = replace(usage, flags=(*usage.flags, "incomplete"))
    return replace(call, stream=True, usage=usage, error=_error(errors[-1]) if errors else None)


def _error(raw: dict[str, Any]) -> CallError:
    code = raw.get("code")
    return CallError(text_of(raw.get("status")), None if code is None else str(code), text_of(raw.get("message")) or "")


def _call(reading: Reading, answer: dict[str, Any]) -> Call:
    feedback = answer.get("promptFeedback")
    blocked = text_of(feedback.get("blockReason")) if isinstance(feedback, dict) else None
    reasons = [reason for candidate in _candidates(answer) if (reason := text_of(candidate.get("finishReason")))]
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=_model(reading),
        served_model=text_of(answer.get("modelVersion")),
        usage=_usage(reading, answer),
        input=without_binary(reading.input),
        output=without_binary(answer) or None,
        tool_calls=tuple(_tool_calls(answer)),
        finish_reasons=(blocked, *reasons) if blocked else tuple(reasons),
        response_id=text_of(answer.get("responseId")),
        notes=(f"the prompt was blocked: {blocked}",) if blocked else (),
    )


def _model(reading: Reading) -> str | None:
    found = _MODEL.search(reading.path)
    return unquote(found[1]) if found else reading.model


def _candidates(answer: dict[str, Any]) -> list[dict[str, Any]]:
    candidates = answer.get("candidates")
    return [item for item in candidates if isinstance(item, dict)] if isinstance(candidates, list) else []


def _usage(reading: Reading, answer: dict[str, Any]) -> Usage | None:
    closing = reading.exchange.closing
    tier = None if closing is None else header(closing.response_headers, "x-gemini-service-tier")
    searches = sum(len(_queries(candidate)) for candidate in _candidates(answer))
    return usage_of(answer.get("usageMetadata"), header_tier=tier, searches={"web": searches})


def _queries(candidate: dict[str, Any]) -> list[Any]:
    grounding = candidate.get("groundingMetadata")
    queries = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
    return queries if isinstance(queries, list) else []


def _tool_calls(answer: dict[str, Any]) -> Iterator[ToolCall]:
    for candidate in _candidates(answer):
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            wanted = part.get("functionCall") if isinstance(part, dict) else None
            if isinstance(wanted, dict):
                given = wanted.get("args", wanted.get("partialArgs", {}))
                written = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
                yield ToolCall(text_of(wanted.get("id")), text_of(wanted.get("name")), written)


def read_embeddings(reading: Reading) -> Call:
    """Read an answer of `:embedContent` or `:batchEmbedContents`; the vectors are counted, not kept."""
    answer = reading.answered
    output = dict(answer)
    if "embedding" in answer:
        output["embedding"] = _vector(answer["embedding"])
    if isinstance(answer.get("embeddings"), list):
        output["embeddings"] = [_vector(item) for item in answer["embeddings"]]
    return _plain(reading, output, _usage(reading, answer))


def _vector(raw: Any) -> Any:
    values = raw.get("values") if isinstance(raw, dict) else None
    return {**raw, "values": {"type": "vector", "dimensions": len(values)}} if isinstance(values, list) else raw


def read_token_count(reading: Reading) -> Call:
    """Read an answer of `:countTokens`, which costs nothing."""
    return _plain(reading, reading.response, None)


def read_images(reading: Reading) -> Call:
    """Read an answer of an image model's `:predict`, which is billed by the image."""
    pictures = reading.answered.get("predictions")
    made = (
        [item for item in pictures if isinstance(item, dict) and "raiFilteredReason" not in item]
        if isinstance(pictures, list)
        else []
    )
    usage = Usage(images=len(made), flags=("images_of_answer",)) if made and "imagen" in (_model(reading) or "") else None
    return _plain(reading, without_binary(reading.response), usage)


def _plain(reading: Reading, output: Any, usage: Usage | None) -> Call:
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=_model(reading),
        usage=usage,
        input=without_binary(reading.input),
        output=output,
    )


APIS: tuple[Api, ...] = (
    Api("generate_content", r"[^/]+:generateContent", read_content, dialects=("gemini",)),
    Api("generate_content", r"[^/]+:streamGenerateContent", read_stream, dialects=("gemini",)),
    Api("embeddings", r"[^/]+:(?:embedContent|batchEmbedContents)", read_embeddings, dialects=("gemini",)),
    Api("count_tokens", r"[^/]+:countTokens", read_token_count, dialects=("gemini",)),
    Api("image_generation", r"[^/]+:predict", read_images, dialects=("gemini",)),
)

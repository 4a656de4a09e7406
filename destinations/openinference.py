"""A call in the terms of OpenInference, which Phoenix, Arize, Weave and others read.

Messages are flat, one attribute for each member of each part: `llm.input_messages.0.message.contents.1.message_content.text`.
Source: the names of openinference-semantic-conventions 0.1.42; ../shared/reference/destinations.md section 3.8.
"""

from collections.abc import Mapping
from typing import Any

from destinations.attributes import Attributes, flags_of
from destinations.costs import Costs, costs_of
from destinations.counts import total_tokens
from destinations.jsontext import json_text
from destinations.media import Part
from destinations.messages import Message
from destinations.providers import is_generation, operation_of, provider_of
from domain.calls import Usage
from domain.destinations import Parcel
from domain.spans import Span

_JSON = "application/json"
_KINDS = {"embeddings": "EMBEDDING", "rerank": "RERANKER"}


def openinference(parcel: Parcel, to: Attributes) -> None:
    """Write a parcel in the terms of OpenInference, with its messages."""
    openinference_without_messages(parcel, to)
    if operation_of(parcel.span) == "embeddings":
        _write_embedded(to)
    else:
        _write_messages("llm.input_messages", _with_instructions(to), to)
        _write_messages("llm.output_messages", to.messages.output, to)
    for number, tool in enumerate(to.messages.tools):
        to.json(f"llm.tools.{number}.tool.json_schema", tool)
    if parcel.content is not None:
        _write_value("input", parcel.content.input, to)
        _write_value("output", parcel.content.output, to)


def openinference_without_messages(parcel: Parcel, to: Attributes) -> None:
    """Write a parcel in the terms of OpenInference but for its messages, where another dialect has them."""
    span = parcel.span
    operation = operation_of(span)
    to.text("openinference.span.kind", _KINDS.get(operation, "LLM" if is_generation(span) else "CHAIN"))
    model = span.served_model or span.model
    to.text("embedding.model_name" if operation == "embeddings" else "llm.model_name", model)
    to.text("llm.provider", provider_of(span, parcel.server))
    to.json("llm.invocation_parameters", dict(span.params))
    if span.usage is not None:
        _write_usage(span.usage, to)
    _write_costs(costs_of(span), to)
    to.text("session.id", span.labels.session)
    to.text("user.id", span.labels.user)
    to.texts("tag.tags", flags_of(span.labels.tags))
    to.json("metadata", metadata_of(span))


def metadata_of(span: Span) -> dict[str, str]:
    """Return what is known of a call besides what platforms have a place for: its tags with values, and our own names for it."""
    labels = span.labels
    told = {
        "gateway.call_id": span.id,
        "gateway.project": span.project,
        "gateway.key": span.key_name,
        "gateway.upstream": span.upstream,
        "customer": labels.customer,
        "run": labels.run,
        "section": labels.section,
        "env": labels.env,
        "release": labels.release,
        "prompt": labels.prompt,
    }
    tags = {name: value for name, value in labels.tags.items() if value != "true"}
    return {**tags, **{name: value for name, value in told.items() if value}}


def metadata_with_cost_of(span: Span) -> dict[str, str | float]:
    """Return the same, and what the call cost in US dollars, for platforms that have no place for that."""
    cost = costs_of(span).total
    return dict(metadata_of(span)) if cost is None else {**metadata_of(span), "gateway.cost_usd": cost}


def _write_usage(usage: Usage, to: Attributes) -> None:
    to.whole("llm.token_count.prompt", usage.input_tokens)
    to.whole("llm.token_count.completion", usage.output_tokens)
    to.whole("llm.token_count.total", total_tokens(usage))
    to.whole("llm.token_count.prompt_details.cache_read", usage.cache_read_tokens or None)
    to.whole("llm.token_count.prompt_details.cache_write", usage.cache_write_tokens or None)
    to.whole("llm.token_count.prompt_details.audio", usage.input_audio_tokens or None)
    to.whole("llm.token_count.completion_details.reasoning", usage.reasoning_tokens or None)
    to.whole("llm.token_count.completion_details.audio", usage.output_audio_tokens or None)


def _write_costs(costs: Costs, to: Attributes) -> None:
    to.real("llm.cost.total", costs.total)
    to.real("llm.cost.prompt", costs.input)
    to.real("llm.cost.completion", costs.output)
    for unit, (side, name) in _COSTS.items():
        to.real(f"llm.cost.{side}_details.{name}", costs.details.get(unit))


_COSTS: Mapping[str, tuple[str, str]] = {
    "input": ("prompt", "input"),
    "cache_read": ("prompt", "cache_read"),
    "cache_write": ("prompt", "cache_write"),
    "input_audio": ("prompt", "audio"),
    "output": ("completion", "output"),
    "reasoning": ("completion", "reasoning"),
    "output_audio": ("completion", "audio"),
}


def _with_instructions(to: Attributes) -> list[Message]:
    messages = to.messages
    return [{"role": "system", "parts": messages.system}, *messages.input] if messages.system else messages.input


def _write_embedded(to: Attributes) -> None:
    texts = [part for message in to.messages.input for part in message["parts"] if part.get("type") == "text"]
    for number, part in enumerate(texts):
        to.any(f"embedding.embeddings.{number}.embedding.text", part["content"])


def _write_messages(name: str, messages: list[Message], to: Attributes) -> None:
    for number, message in enumerate(messages):
        start = f"{name}.{number}.message"
        to.any(f"{start}.role", message["role"])
        to.any(f"{start}.name", message.get("name"))
        _write_parts(start, message["parts"], to)


def _write_parts(start: str, parts: list[Part], to: Attributes) -> None:
    contents = calls = 0
    for part in parts:
        kind = part.get("type")
        if kind == "tool_call":
            _write_call(f"{start}.tool_calls.{calls}.tool_call", part, to)
            calls += 1
        elif kind == "tool_call_response":
            to.any(f"{start}.tool_call_id", part.get("id"))
            to.any(f"{start}.content", _as_text(part.get("response")))
        else:
            _write_content(f"{start}.contents.{contents}.message_content", part, to)
            contents += 1


def _write_call(start: str, part: Part, to: Attributes) -> None:
    to.any(f"{start}.id", part.get("id"))
    to.any(f"{start}.function.name", part.get("name"))
    to.text(f"{start}.function.arguments", _as_text(part.get("arguments", "")))


def _write_content(start: str, part: Part, to: Attributes) -> None:
    kind, content = part.get("type"), part.get("content")
    if kind in {"text", "reasoning"} and isinstance(content, str):
        to.text(f"{start}.type", str(kind))
        to.text(f"{start}.text", content)
    elif part.get("modality") == "image" and kind in {"uri", "blob"}:
        to.text(f"{start}.type", "image")
        to.text(f"{start}.image.image.url", _image_url(part))
    else:
        to.text(f"{start}.type", "text")
        to.text(f"{start}.text", json_text(part))


def _image_url(part: Part) -> str:
    if part.get("type") == "uri":
        return str(part["uri"])
    return f"data:{part.get('mime_type') or 'image/png'};base64,{part['content']}"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _write_value(name: str, value: Any, to: Attributes) -> None:
    if value is not None:
        to.text(f"{name}.mime_type", "text/plain" if isinstance(value, str) else _JSON)
        to.any(f"{name}.value", _as_text(value))

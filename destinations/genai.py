"""A call in the terms of the OpenTelemetry GenAI conventions, and in attributes of our own (`faregate.…`) where they have none.

Source: ../shared/reference/destinations.md section 3.4. No zero counts; a renamed attribute goes by both of its names, since receivers lag behind.
"""

from typing import Any

from destinations.attributes import Attributes, flags_of
from destinations.providers import is_generation, operation_of, provider_of
from domain.calls import Usage
from domain.destinations import Parcel
from domain.spans import PICO_PER_USD, Span

SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
LONGEST_ERROR_TYPE = 100
_OUTPUT_TYPES = {"image_generation": "image", "image_edit": "image", "image_variation": "image", "speech": "speech"}
_FAILED = frozenset({"error", "interrupted", "denied"})


def genai(parcel: Parcel, to: Attributes) -> None:
    """Write a parcel in the terms of the conventions, with its messages."""
    _write(parcel, to)
    _write_messages(to)


def genai_without_messages(parcel: Parcel, to: Attributes) -> None:
    """Write a parcel in the terms of the conventions but for its messages, where another dialect has them."""
    _write(parcel, to)


def error_type_of(span: Span) -> str | None:
    """Return what kind of error a call ended with, in a word that does not vary with the request; None if it did not fail."""
    if span.outcome not in _FAILED:
        return None
    error = span.error
    told = (error.code or error.type) if error is not None else None
    status = str(span.status) if span.status is not None and span.status >= 400 else None  # noqa: PLR2004 - the first error
    word = told or status or (span.outcome if span.outcome != "error" else "_OTHER")
    return word[:LONGEST_ERROR_TYPE]


def error_message_of(span: Span) -> str:
    """Return what somebody is told of a call that failed."""
    return span.error.message if span.error is not None else f"the call was {span.outcome}"


def finish_reasons_of(span: Span) -> tuple[str, ...]:
    """Return why each choice ended, `error` where none did."""
    return span.finish_reasons or (("error",) if span.outcome != "ok" and is_generation(span) else ())


def prompt_of(span: Span) -> tuple[str | None, str | None]:
    """Return the name and the version of a call's prompt, which apps label as `name` or `name@version`."""
    name, _, version = (span.labels.prompt or "").partition("@")
    return name or None, version or None


def _write(parcel: Parcel, to: Attributes) -> None:
    span = parcel.span
    to.text("gen_ai.operation.name", operation_of(span))
    to.text("gen_ai.provider.name", provider_of(span, parcel.server))
    to.text("gen_ai.request.model", span.model)
    to.text("gen_ai.response.model", span.served_model)
    to.text("gen_ai.response.id", span.response_id)
    if span.stream:
        to.flag("gen_ai.request.stream", True)
        if span.time_to_first_chunk_ms is not None:
            to.real("gen_ai.response.time_to_first_chunk", span.time_to_first_chunk_ms / 1000)
    to.texts("gen_ai.response.finish_reasons", finish_reasons_of(span))
    to.text("error.type", error_type_of(span))
    if parcel.server is not None:
        to.text("server.address", parcel.server[0])
        to.whole("server.port", parcel.server[1] or None)
    for name, value in span.params.items():
        _write_parameter(f"gen_ai.request.{name}", value, to)
    to.text("gen_ai.output.type", _output_type(parcel))
    if span.usage is not None:
        _write_usage(span.usage, to)
    if span.cost is not None:
        to.real("gen_ai.usage.cost", span.cost / PICO_PER_USD)
    _write_labels(span, to)
    _write_own(parcel, to)


def _write_parameter(name: str, value: Any, to: Attributes) -> None:
    if name.endswith("choice.count") and value == 1:
        return
    # A temperature of 1 is a number as 0.7 is: an attribute has one type.
    if isinstance(value, int) and not isinstance(value, bool) and name.endswith(_REAL):
        value = float(value) if abs(value) < 2**53 else None
    if value is not None:
        to.any(name, value)


_REAL = ("temperature", "top_p", "penalty")


def _write_usage(usage: Usage, to: Attributes) -> None:
    to.whole("gen_ai.usage.input_tokens", usage.input_tokens)
    to.whole("gen_ai.usage.output_tokens", usage.output_tokens)
    to.whole("gen_ai.usage.cache_read.input_tokens", usage.cache_read_tokens or None)
    # the new name and the old one
    to.whole("gen_ai.usage.cache_write.input_tokens", usage.cache_write_tokens or None)
    to.whole("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens or None)
    to.whole("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens or None)
    to.whole("gen_ai.usage.audio.input_tokens", usage.input_audio_tokens or None)
    to.whole("gen_ai.usage.image.input_tokens", usage.input_image_tokens or None)
    to.whole("gen_ai.usage.audio.output_tokens", usage.output_audio_tokens or None)
    to.whole("gen_ai.usage.image.output_tokens", usage.output_image_tokens or None)
    to.whole("gen_ai.usage.audio.cache_read.input_tokens", usage.cache_read_audio_tokens or None)
    to.whole("gen_ai.usage.image.cache_read.input_tokens", usage.cache_read_image_tokens or None)


def _write_labels(span: Span, to: Attributes) -> None:
    labels = span.labels
    to.text("gen_ai.conversation.id", labels.session)
    to.text("session.id", labels.session)
    to.text("user.id", labels.user)
    prompt, version = prompt_of(span)
    to.text("gen_ai.prompt.name", prompt)
    to.text("gen_ai.prompt.version", version)
    to.text("faregate.customer", labels.customer)
    to.text("faregate.run", labels.run)
    to.text("faregate.section", labels.section)
    to.text("faregate.release", labels.release)
    to.texts("faregate.tags", flags_of(labels.tags))
    for name, value in labels.tags.items():
        if value != "true":
            to.text(f"faregate.tag.{name}", value)


def _write_own(parcel: Parcel, to: Attributes) -> None:
    span = parcel.span
    to.text("faregate.call_id", span.id)
    to.text("faregate.project", span.project)
    to.text("faregate.key", span.key_name)
    to.text("faregate.upstream", span.upstream)
    to.text("faregate.outcome", span.outcome)
    to.whole("http.response.status_code", span.status)
    to.text("faregate.cost_status", span.cost_status)
    if len(span.attempts) > 1:
        to.whole("faregate.attempts", len(span.attempts))
    to.text("faregate.mirror_of", span.mirror_of)
    to.text("faregate.shortened", parcel.shortened)


def _output_type(parcel: Parcel) -> str | None:
    known = _OUTPUT_TYPES.get(parcel.span.operation)
    asked = parcel.content.input if known is None and parcel.content is not None else None
    form = asked.get("response_format") if isinstance(asked, dict) else None
    kind = form.get("type") if isinstance(form, dict) else None
    return "json" if isinstance(kind, str) and kind.startswith("json") else known


def _write_messages(to: Attributes) -> None:
    messages = to.messages
    to.json("gen_ai.system_instructions", messages.system)
    to.json("gen_ai.input.messages", messages.input)
    to.json("gen_ai.output.messages", messages.output)
    to.json("gen_ai.tool.definitions", messages.tools)

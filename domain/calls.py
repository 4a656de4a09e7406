"""What an exchange meant: operation, models, usage, outcome.

`Call` and `Usage` are values, but not frozen: setting thirty fields of a frozen dataclass was an eighth of the office's CPU for a call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["ok", "error", "cancelled", "interrupted", "denied"]
UsageSource = Literal["provider", "estimated"]


@dataclass(slots=True)
class Usage:
    """Tokens and other units of one call, in one meaning for every provider.

    `input_tokens` is all input, cached and written to the cache included; `output_tokens` is all output, reasoning included.
    None means that the provider did not say. `raw` is the provider's own usage object, untouched, so that a call can be priced
    again. `flags` names what was odd (`total_mismatch`, `anomalous`, …). Times are seconds. `sub_calls` are usages of other models
    inside the call (Anthropic's iterations, compound systems). `reported_cost` is the provider's own figure in pico-USD.

    Source: ../shared/reference/pricing.md section 2.1.
    """

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_read_audio_tokens: int | None = None
    cache_read_image_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_30m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    cache_write_12h_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    input_video_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None
    audio_seconds: float | None = None
    characters: int | None = None
    images: int | None = None
    pages: int | None = None
    searches: Mapping[str, int] = field(default_factory=dict)
    sub_calls: tuple["SubCall", ...] = ()
    reported_cost: int | None = None
    tier: str | None = None
    geo: str | None = None
    speed: str | None = None
    batch: bool = False
    source: UsageSource = "provider"
    flags: tuple[str, ...] = ()
    raw: Any = None


@dataclass(frozen=True, slots=True)
class SubCall:
    """Usage inside a call that is not in its top-level counts, perhaps of another model (None: the call's own)."""

    model: str | None
    kind: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model asked for. `arguments` is the text as the model wrote it, JSON or not."""

    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class CallError:
    """Why a call failed, in the provider's words (or ours, where the answer was ours)."""

    type: str | None
    code: str | None
    message: str


@dataclass(slots=True)
class Call:
    """What an exchange meant.

    `operation` follows the OpenTelemetry GenAI conventions where they have a name (`chat`, `text_completion`, `embeddings`,
    `generate_content`), and else is the API's own (`responses`, `image_generation`, `speech`, `transcription`, `translation`,
    `moderation`, `files`, `batches`, `models`, `realtime`, `unknown`). `input` and `output` are JSON values: the request's body, and
    the answer put together from its stream, as the same API would have answered without streaming. Binary content is
    described (`{"type": "binary", "bytes": 123, "content_type": "audio/mpeg"}`), not held.
    `notes` says what could not be understood. Times are microseconds since the opening. `input_is_body` and `output_is_body` say that the
    value is, member for member, what a strict parser reads in the body as it passed: then it need not be stored beside the body.
    """

    operation: str
    outcome: Outcome
    model: str | None = None
    served_model: str | None = None
    stream: bool = False
    usage: Usage | None = None
    input: Any = None
    output: Any = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reasons: tuple[str, ...] = ()
    error: CallError | None = None
    response_id: str | None = None
    first_chunk_us: int | None = None
    chunks: int = 0
    chunk_gap_mean_us: float | None = None
    chunk_gap_max_us: int | None = None
    body_labels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    input_is_body: bool = False
    output_is_body: bool = False

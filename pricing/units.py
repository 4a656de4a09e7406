"""The units that prices are for, and which of them are parts of which.

A unit is a set of properties: `cache_read_audio` is input, from the cache, and audio. A unit with more of them is a part of each unit with
fewer, and is priced by itself where it has a rate of its own, else with the nearest unit above it that has one.

Source: the registry of units of genai-prices 0.2.3 (MIT), in shorter names, and what it has no name for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Unit:
    """What one rate is for. `parts` are its properties; `per_million` says that people write its price for a million."""

    name: str
    parts: frozenset[str]
    per_million: bool


def _unit(name: str, parts: str, *, per_million: bool = True) -> Unit:
    return Unit(name, frozenset(parts.split()), per_million)


_TOKENS = (
    _unit("input", "in"),
    _unit("output", "out"),
    _unit("cache_read", "in read"),
    _unit("cache_write", "in write"),
    _unit("cache_write_5m", "in write 5m"),
    _unit("cache_write_30m", "in write 30m"),
    _unit("cache_write_1h", "in write 1h"),
    _unit("cache_write_12h", "in write 12h"),
    _unit("input_text", "in text"),
    _unit("input_audio", "in audio"),
    _unit("input_image", "in image"),
    _unit("input_video", "in video"),
    _unit("cache_read_text", "in read text"),
    _unit("cache_read_audio", "in read audio"),
    _unit("cache_read_image", "in read image"),
    _unit("cache_read_video", "in read video"),
    _unit("output_text", "out text"),
    _unit("output_audio", "out audio"),
    _unit("output_image", "out image"),
    _unit("output_video", "out video"),
    _unit("reasoning", "out reasoning"),
    _unit("citation", "out citation"),
)
_OTHERS = (
    _unit("characters", "characters"),
    _unit("audio_seconds", "seconds", per_million=False),
    _unit("images", "images", per_million=False),
    _unit("pages", "pages", per_million=False),
    _unit("annotated_pages", "pages annotated", per_million=False),
    _unit("messages", "messages", per_million=False),
    _unit("request", "request", per_million=False),
    _unit("request_low", "request low", per_million=False),  # by the size of what was searched (Perplexity)
    _unit("request_medium", "request medium", per_million=False),
    _unit("request_high", "request high", per_million=False),
    _unit("web", "web", per_million=False),
    _unit("social", "social", per_million=False),
    _unit("web_fetch", "web_fetch", per_million=False),
    _unit("file", "file", per_million=False),
    _unit("code_container", "code_container", per_million=False),
    _unit("code_execution", "code_execution", per_million=False),
    _unit("sources", "sources", per_million=False),
    _unit("rerank", "rerank", per_million=False),
    _unit("classifications", "classifications", per_million=False),
)
UNITS: Mapping[str, Unit] = {unit.name: unit for unit in (*_TOKENS, *_OTHERS)}

BY_PARTS: Mapping[frozenset[str], str] = {unit.parts: unit.name for unit in UNITS.values()}

# Of a unit: itself and all that it is a part of, the nearest first.
ABOVE: Mapping[str, tuple[str, ...]] = {
    unit.name: tuple(
        other.name for other in sorted(UNITS.values(), key=lambda one: (-len(one.parts), one.name)) if other.parts <= unit.parts
    )
    for unit in UNITS.values()
}

# The names of genai-prices, and how many of ours make one of its amounts of money.
GENAI: Mapping[str, tuple[str, int]] = {
    "input_mtok": ("input", MILLION),
    "output_mtok": ("output", MILLION),
    "cache_read_mtok": ("cache_read", MILLION),
    "cache_write_mtok": ("cache_write", MILLION),
    "cache_write_5m_mtok": ("cache_write_5m", MILLION),
    "cache_write_1h_mtok": ("cache_write_1h", MILLION),
    "input_text_mtok": ("input_text", MILLION),
    "input_audio_mtok": ("input_audio", MILLION),
    "input_image_mtok": ("input_image", MILLION),
    "input_video_mtok": ("input_video", MILLION),
    "cache_text_read_mtok": ("cache_read_text", MILLION),
    "cache_audio_read_mtok": ("cache_read_audio", MILLION),
    "cache_image_read_mtok": ("cache_read_image", MILLION),
    "cache_video_read_mtok": ("cache_read_video", MILLION),
    "output_text_mtok": ("output_text", MILLION),
    "output_audio_mtok": ("output_audio", MILLION),
    "output_image_mtok": ("output_image", MILLION),
    "output_video_mtok": ("output_video", MILLION),
    "output_reasoning_mtok": ("reasoning", MILLION),
    "output_citation_mtok": ("citation", MILLION),
    "input_mchars": ("characters", MILLION),
    "audio_hours": ("audio_seconds", 3_600),
    "input_audio_hours": ("audio_seconds", 3_600),
    "input_document_kpages": ("pages", 1_000),
    "input_annotated_document_kpages": ("annotated_pages", 1_000),
    "input_text_messages_kcount": ("messages", 1_000),
    "requests_kcount": ("request", 1_000),
    "web_searches_kcount": ("web", 1_000),
    "social_searches_kcount": ("social", 1_000),
    "storage_searches_kcount": ("file", 1_000),
    "code_executions_kcount": ("code_execution", 1_000),
    "rerank_searches_kcount": ("rerank", 1_000),
}

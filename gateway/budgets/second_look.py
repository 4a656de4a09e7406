"""A second look at a request, for keys under a budget only: everything in it that decides how dear it can be.

What providers' parsers could read in two ways is refused: a budget that holds for one reading only is none.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from domain.errors import InvalidRequest
from gateway.budgets.look import SEARCHING, STORED, Fields, Look, may_cache, media_of, read, says_no_more
from gateway.budgets.media_look import Media
from gateway.wire.peek import Asked
from pricing.bounds import Kind, Requested

MOST_COUNT = 2**53
_READING = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})
# Who is known to keep to `max_completion_tokens`; others may pass over a field that they do not know, and write on.
_COMPLETION_TOKENS = frozenset({"openai", "azure", "groq", "xai", "openrouter", "cerebras", "vllm", "sim"})

# The first that is found in the path counts.
_KINDS: tuple[tuple[bytes, Kind], ...] = (
    (rb"/moderations$|/count_tokens$|:countTokens$|/input_tokens$|/tokenize$|/cancel$|/models(?:/[^:]*)?$", "free"),
    (rb"/batches$|:batchGenerateContent$|:asyncBatchEmbedContent$", "batch"),
    (rb"/fine_tuning/|/fine-tunes|/evals|/videos|/threads/runs$|/runs$|:predictLongRunning$|/client_secrets$|/realtime/", "job"),
    (
        rb"/files|/uploads|/vector_stores|/threads|/assistants|/batches/|/conversations|/skills|/containers|/cachedContents",
        "free",
    ),
    (rb"/embeddings$|:embedContent$|:batchEmbedContents$|/embed$|/api/embed", "embed"),
    (rb"/images/|:predict$", "image"),
    (rb"/audio/speech$", "speech"),
    (rb"/audio/(?:transcriptions|translations)$", "transcribe"),
    (rb"/rerank$", "rerank"),
)
_PATHS = tuple((re.compile(pattern), kind) for pattern, kind in _KINDS)

# Tools that the app runs itself, by the start of their type; every other kind runs at the provider, for a fee, as often as the model likes.
_OWN_TOOLS = (
    "function",
    "custom",
    "local_shell",
    "apply_patch",
    "computer_",
    "bash_",
    "text_editor_",
    "memory_",
    "tool_search_tool_",
    "namespace",
)
_OWN_GEMINI_TOOLS = frozenset({"functionDeclarations", "function_declarations", "computerUse", "computer_use"})
# Hosted tools whose use a request can bound, and the unit of their fee; None where they have none.
_BOUNDED_TOOLS: Mapping[str, str | None] = {"web_search": "web", "file_search": "file", "web_fetch": None}
_AGENTS = re.compile(r"(?:^|/)(?:sonar|compound|openrouter/auto)|:online$|deep-research|search-(?:preview|api)", re.IGNORECASE)


# With no others than these, there is nothing to understand but the maximum and the tier.
_PLAIN = frozenset({"model", "stream", "max_tokens", "max_completion_tokens", "max_output_tokens", "service_tier"})
# Calls of which nothing in the body matters.
_LATER = "it starts work whose cost is known only later"
_BY_KIND: Mapping[Kind, Requested] = {
    "free": Requested("free"),
    "job": Requested("job", open_cost=_LATER),
    "batch": Requested("batch", open_cost=_LATER),
    "session": Requested("session", writes_audio=True, open_cost="a session has no end that is known before it"),
}


def requested(  # noqa: PLR0913 - what a request is made of
    *,
    method: bytes,
    path: bytes,
    body: bytes,
    whole: bool,
    length: int | None,
    upstream: str,
    model: str | None,
    websocket: bool = False,
    asked: Asked | None = None,
    look: Look | None = None,
) -> Requested:
    """Return what of a request decides how dear it can be.

    Args:
        method: as it came.
        path: as it goes to the upstream, with its query.
        body: what is held of the body.
        whole: whether that is all of it.
        length: the length that its head told, where it is not all here.
        upstream: the name of the upstream it goes to first.
        model: the model asked for.
        websocket: whether it opens a WebSocket.
        asked: what the peek found in this very body, where there was one.
        look: the look at this very body that other upstreams share.

    Raises:
        InvalidRequest: a field that decides is not what it should be, or is there twice.

    """
    kind: Kind = "session" if websocket else _kind_of(method, path.partition(b"?")[0])
    if kind in _BY_KIND:
        return replace(_BY_KIND[kind])
    size = len(body) if whole else max(length or 0, len(body))
    if kind == "transcribe" or (kind == "image" and body[:2] == b"--"):
        return _form(kind, body, size, whole=whole or length is not None)
    if (
        asked is not None
        and asked.fields is not None
        and kind == "generate"
        and (says_no_more(body) if look is None else look.says_no_more)
    ):
        return _plain(asked, size, path, upstream, model, caches=upstream != "anthropic" or b"cache_control" in body)
    fields = (read(body) if look is None else look.fields()) if whole else None
    if fields is None:
        return Requested(kind, size, open_cost="its body cannot be read (too long, compressed or not JSON)")
    found = Requested(kind, size, characters=size if kind == "speech" else 0)
    found.caches = upstream != "anthropic" or (may_cache(body) if look is None else look.may_cache)
    found.open_cost, found.writes_audio, found.writes_pictures = _traits_of(model)
    if fields.keys() <= _PLAIN:
        found.tier = _text("service_tier", fields)
    else:
        _understand(found, fields)
    found.max_output = _most_output(fields, _config(fields), path, upstream)
    media = media_of(body) if look is None else look.media
    if media is not None:
        _take_media(found, media)
    return found


def _plain(asked: Asked, size: int, path: bytes, upstream: str, model: str | None, *, caches: bool) -> Requested:  # noqa: PLR0913 - as above
    """Return what a request asks for in which nothing decides but what the peek has read."""
    searches, sounds, pictures = _traits_of(model)
    if asked.plain:
        return Requested(
            "generate",
            size,
            caches=caches,
            open_cost=searches,
            writes_audio=sounds,
            writes_pictures=pictures,
            only_text=searches is None,
        )
    fields = asked.given()
    return Requested(
        "generate",
        size,
        _most_output(fields, {}, path, upstream),
        _largest(fields, "n", "best_of") or 1,
        _text("service_tier", fields),
        caches=caches,
        open_cost=searches,
        writes_audio=sounds,
        writes_pictures=pictures,
        only_text=searches is None,
    )


@lru_cache(maxsize=1024)
def _kind_of(method: bytes, path: bytes) -> Kind:
    if method in _READING:
        return "free"
    return next((kind for pattern, kind in _PATHS if pattern.search(path)), "generate")


def _understand(found: Requested, fields: Fields) -> None:
    """Write down what the members of a body ask for."""
    config = _config(fields)
    found.choices = _choices(found.kind, fields, config)
    found.tier = _text("service_tier", fields) or _text("serviceTier", fields)
    found.geo = _text("inference_geo", fields)
    if found.kind != "speech":
        found.speed = _text("speed", fields)
    if found.kind == "image":
        found.pixels = _pixels(fields.get("size"))
    models = fields.get("models")
    found.other_models = tuple(name for name in models if isinstance(name, str)) if isinstance(models, list) else ()
    _note_tools(found, fields)
    _note_stored(found, fields)
    _note_modes(found, fields, config)


def _take_media(found: Requested, media: Media) -> None:
    found.text_bytes = max(found.text_bytes - media.media_bytes, 0)
    found.pictures, found.audio_bytes = tuple(media.pictures), media.audio_bytes
    found.open_input = found.open_input or media.open_input


@lru_cache(maxsize=1024)
def _traits_of(model: str | None) -> tuple[str | None, bool, bool]:
    """Return why a model's calls have no bound, and whether it may answer in sounds or pictures: what its name says."""
    name = (model or "").lower()
    searches = f"{model!r} searches by itself, for fees" if _AGENTS.search(name) else None
    return searches, any(word in name for word in ("audio", "live", "realtime")), "image" in name


def _most_output(fields: Fields, config: Mapping[str, Any], path: bytes, upstream: str) -> int | None:
    """Return the most output that the request allows, by the members that the upstream keeps to on this path."""
    if b":" in path:
        return _largest(config, "maxOutputTokens", "max_output_tokens")
    if b"/responses" in path:
        return _largest(fields, "max_output_tokens")
    if b"/chat/completions" in path and upstream in _COMPLETION_TOKENS:
        return _largest(fields, "max_tokens", "max_completion_tokens")
    if b"/messages" in path or b"/completions" in path:
        return _largest(fields, "max_tokens")
    return _largest(fields, "max_tokens_to_sample") if b"/complete" in path else None


def cap_field(path: bytes, upstream: str) -> tuple[str, ...]:
    """Return where the most output is set on this path, as the names of nested members; none where it cannot be."""
    if b":generateContent" in path or b":streamGenerateContent" in path:
        return ("generationConfig", "maxOutputTokens")
    if b"/responses" in path:
        return ("max_output_tokens",)
    if b"/chat/completions" in path:
        return ("max_completion_tokens",) if upstream in {"openai", "azure"} else ("max_tokens",)
    if b"/messages" in path or b"/completions" in path:
        return ("max_tokens",)
    return ()


def _config(fields: Fields) -> Mapping[str, Any]:
    """Return Gemini's settings of the answer; the two ways to write their name are one."""
    if "generationConfig" in fields and "generation_config" in fields:
        raise InvalidRequest(
            "`generationConfig` and `generation_config` are both in the body. Send one.", param="generationConfig"
        )
    config = fields.get("generationConfig", fields.get("generation_config"))
    return config if isinstance(config, dict) else {}


def _choices(kind: Kind, fields: Fields, config: Mapping[str, Any]) -> int:
    if kind == "image" and "instances" in fields:
        parameters = fields.get("parameters")
        asked = _largest(parameters, "sampleCount") if isinstance(parameters, dict) else None
        # Imagen makes four pictures where nobody says how many.
        return 4 if asked is None else asked
    choices = max(_largest(fields, "n", "best_of") or 1, _largest(config, "candidateCount", "candidate_count") or 1)
    return choices * _prompts(fields.get("prompt"))


def _prompts(prompt: Any) -> int:
    """Return how many prompts the field holds: each of them gets answers of its own."""
    return len(prompt) if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list) else 1


def _largest(fields: Mapping[str, Any], *names: str) -> int | None:
    """Return the largest of the numbers that are there.

    Raises:
        InvalidRequest: one of them is not a whole number.

    """
    largest: int | None = None
    for name in names:
        value = fields.get(name)
        if value is None:
            continue
        if type(value) is not int or not 0 <= value <= MOST_COUNT:
            raise InvalidRequest(
                f"`{name}` must be a whole number, 0 or more: this key has a budget, which depends on it.", param=name
            )
        largest = value if largest is None else max(largest, value)
    return largest


def _text(name: str, fields: Fields) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"`{name}` must be a text: this key has a budget, which depends on it.", param=name)
    return value


# Tools, stored input, and what else opens a request


def _note_tools(found: Requested, fields: Fields) -> None:
    """Write down what tools add: to the input, and in calls that the provider makes by itself."""
    for name in SEARCHING & fields.keys():
        if fields[name] not in (False, []):
            found.open_cost = f"`{name}` makes the provider search by itself, for fees"
    found.tools = bool(fields.get("tools") or fields.get("functions"))
    tools = fields.get("tools", [])
    if not isinstance(tools, list):
        found.open_cost = "`tools` is not a list"
        return
    most = _largest(fields, "max_tool_calls") if tools else None
    for tool in tools:
        _note_tool(found, tool, most)


def _note_tool(found: Requested, tool: Any, most_calls: int | None) -> None:
    if not isinstance(tool, dict):
        found.open_cost = "a tool is not an object"
        return
    kind = tool.get("type")
    if kind is None:
        # Anthropic's own tools of the app have a name, Gemini's are named by their only member.
        unknown = [] if "name" in tool else [name for name in tool if name not in _OWN_GEMINI_TOOLS]
        if unknown:
            found.open_cost = f"the hosted tool {unknown[0]!r} has fees that nothing bounds"
        return
    if isinstance(kind, str) and kind.startswith(_OWN_TOOLS):
        return
    bounded = next((name for name in _BOUNDED_TOOLS if isinstance(kind, str) and kind.startswith(name)), None)
    uses = _largest(tool, "max_uses")
    uses = most_calls if uses is None else uses
    if bounded is None or uses is None:
        found.open_cost = f"the hosted tool {str(kind)[:40]!r} has fees that nothing bounds"
        return
    found.passes += uses
    # What it finds becomes input.
    found.open_input = found.open_input or f"the hosted tool {bounded!r} adds what it finds to the input"
    unit = _BOUNDED_TOOLS[bounded]
    if unit is not None:
        found.fees[unit] = found.fees.get(unit, 0) + uses


def _note_stored(found: Requested, fields: Fields) -> None:
    for name in STORED & fields.keys():
        found.open_input = f"`{name}` adds what is stored at the provider"
    if isinstance(fields.get("prompt"), dict):
        found.open_input = "`prompt` adds what is stored at the provider"
    if fields.get("context_management"):
        # The context may be read once more, to make it shorter.
        found.passes += 1
    if fields.get("background") is True:
        found.open_cost = "it runs in the background, and its cost is known only later"


def _note_modes(found: Requested, fields: Fields, config: Mapping[str, Any]) -> None:
    """Write down whether it may answer in sounds or pictures."""
    modes = (fields.get("modalities"), config.get("responseModalities"), config.get("response_modalities"))
    asked = " ".join(map(str, modes)).lower() if any(modes) else ""
    found.writes_audio |= "audio" in asked
    found.writes_pictures |= "image" in asked


def _pixels(size: Any) -> int:
    """Return how many pixels a picture may have that is asked for as `1024x1536`; 0 where that is open, for the usual most."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size) if isinstance(size, str) else None
    return int(match[1]) * int(match[2]) if match else 0


# Forms


_FORM_NUMBER = re.compile(rb'name="n"\r\n\r\n(\d{1,3})\r\n')
_FORM_SIZE = re.compile(rb'name="size"\r\n\r\n([\dx]{1,11})\r\n')
_MOST_PICTURES = 10


def _form(kind: Kind, body: bytes, size: int, *, whole: bool) -> Requested:
    """Return what a multipart form asks for: sounds to write down, or pictures to change."""
    found = Requested(kind, text_bytes=0, open_cost=None if whole else "its length is not told")
    if kind == "transcribe":
        found.audio_bytes = size
        return found
    numbers = [int(match) for match in _FORM_NUMBER.findall(body)]
    found.choices = max(numbers, default=1 if len(body) == size else _MOST_PICTURES)
    found.pixels = max((_pixels(match.decode()) for match in _FORM_SIZE.findall(body)), default=0)
    found.open_input = "it brings pictures along"
    return found

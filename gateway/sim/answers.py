"""The simulated upstream's answer to any request: a pure function of the seed, the request, the time and what was kept."""

from collections.abc import Callable

from gateway.sim import catalogue, faults, media, responses
from gateway.sim.chat import chat
from gateway.sim.completions import completions
from gateway.sim.dice import Dice
from gateway.sim.embeddings import embeddings
from gateway.sim.faults import Refused
from gateway.sim.http import Answer, Asked, Headers
from gateway.sim.memory import Memory
from gateway.sim.messages import count_tokens, messages
from gateway.sim.models import UnknownModel, WrongOption, model_named
from gateway.sim.moderations import moderations
from gateway.sim.reading import Setting, document

_Handler = Callable[[Asked, Setting], Answer]
_POSTS: dict[str, _Handler] = {
    "/chat/completions": chat,
    "/completions": completions,
    "/embeddings": embeddings,
    "/moderations": moderations,
    "/images/generations": media.images,
    "/audio/speech": media.spoken,
    "/audio/transcriptions": media.heard,
    "/audio/translations": media.heard,
    "/messages": messages,
    "/messages/count_tokens": count_tokens,
}
_FORMS = ("/audio/transcriptions", "/audio/translations")
_LIMIT = 10_000
_TOKEN_LIMIT = 2_000_000


def answer(asked: Asked, setting: Setting, memory: Memory) -> Answer:
    """Answer one request as the provider would whose API it uses."""
    anthropic = is_anthropic(asked)
    request_id = _request_id(asked, setting, anthropic)
    try:
        found = _attempted(asked, setting, memory, request_id)
    except Refused as refused:
        found = faults.anthropic_refusal(refused, request_id) if anthropic else faults.openai_refusal(refused)
    return _with_headers(found, _anthropic_headers(request_id) if anthropic else _openai_headers(request_id, found))


def _attempted(asked: Asked, setting: Setting, memory: Memory, request_id: str) -> Answer:
    """Answer, or fail as the model says.

    Raises:
        Refused: the request is wrong.
    """
    anthropic = is_anthropic(asked)
    try:
        failed = _failure(asked, setting)
        if failed is None:
            return _routed(asked, setting, memory, anthropic)
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        # A field that a simulation only passes over has a shape that no provider would take: say so, as one of them would.
        raise Refused(400, "The request has a field of a wrong type.", code="invalid_type") from error
    return faults.anthropic_failure(failed, request_id) if anthropic else faults.openai_failure(failed)


def is_anthropic(asked: Asked) -> bool:
    """Whether a request uses Anthropic's API: by its path, or by the header that its SDKs always send."""
    return asked.path.startswith("/messages") or "anthropic-version" in asked.headers


def _failure(asked: Asked, setting: Setting) -> int | None:
    """Return the status with which this call is to fail, if it asks a model that fails."""
    if asked.method != "POST" or (asked.path not in _POSTS and asked.path != "/responses"):
        return None
    form = asked.path in _FORMS
    try:
        model = model_named(media.fields_of(asked).get("model", b"").decode() if form else str(document(asked).get("model")))
    except (UnknownModel, WrongOption):
        return None
    return faults.falls_out(model, setting.digest(asked))


def _routed(asked: Asked, setting: Setting, memory: Memory, anthropic: bool) -> Answer:
    method = "GET" if asked.method == "HEAD" else asked.method
    handler = _POSTS.get(asked.path)
    if handler is not None:
        _only(method, "POST", asked)
        return handler(asked, setting)
    if asked.path == "/models":
        _only(method, "GET", asked)
        return catalogue.list_models(anthropic)
    if asked.path.startswith("/models/"):
        _only(method, "GET", asked)
        return catalogue.one_model(asked.path.removeprefix("/models/"), anthropic)
    return _responses(method, asked, setting, memory)


def _responses(method: str, asked: Asked, setting: Setting, memory: Memory) -> Answer:
    match method, asked.path.strip("/").split("/"):
        case "POST", ["responses"]:
            return responses.create(asked, setting, memory)
        case "GET", ["responses", response_id]:
            return responses.retrieve(response_id, asked, setting, memory)
        case "DELETE", ["responses", response_id]:
            return responses.delete(response_id, memory)
        case "POST", ["responses", response_id, "cancel"]:
            return responses.cancel(response_id, setting, memory)
        case "GET", ["responses", response_id, "input_items"]:
            return responses.input_items(response_id, memory)
    raise Refused(404, f"Invalid URL ({asked.method} /v1{asked.path})")


def _only(method: str, allowed: str, asked: Asked) -> None:
    if method != allowed:
        message = f"Not allowed to {asked.method} on /v1{asked.path}."
        raise Refused(405, message, code="method_not_supported")


def _request_id(asked: Asked, setting: Setting, anthropic: bool) -> str:
    dice = Dice(setting.digest(asked) + b"request")
    return f"req_01{dice.mark(22)}" if anthropic else f"req_{dice.hexadecimal(32)}"


def _with_headers(found: Answer, headers: Headers) -> Answer:
    return Answer(found.status, found.headers + headers, found.body, found.events, found.delay)


def _openai_headers(request_id: str, found: Answer) -> Headers:
    return (
        ("openai-organization", "faregate-sim"),
        ("openai-processing-ms", str(round(found.delay * 1000) or 1)),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", str(_LIMIT)),
        ("x-ratelimit-limit-tokens", str(_TOKEN_LIMIT)),
        ("x-ratelimit-remaining-requests", str(_LIMIT - 1)),
        ("x-ratelimit-remaining-tokens", str(_TOKEN_LIMIT - 1000)),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", "30ms"),
        ("x-request-id", request_id),
    )


def _anthropic_headers(request_id: str) -> Headers:
    return (
        ("anthropic-organization-id", "faregate-sim"),
        ("anthropic-ratelimit-requests-limit", str(_LIMIT)),
        ("anthropic-ratelimit-requests-remaining", str(_LIMIT - 1)),
        ("anthropic-ratelimit-tokens-limit", str(_TOKEN_LIMIT)),
        ("anthropic-ratelimit-tokens-remaining", str(_TOKEN_LIMIT - 1000)),
        ("request-id", request_id),
    )

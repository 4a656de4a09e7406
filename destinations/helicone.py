"""Deliver spans to Helicone's log API, one call in each request.

Source: ../shared/reference/destinations.md section 4.4 (Helicone is in maintenance mode, so this is kept small).
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field, SecretStr

from destinations.base import MB, DestinationConfig
from destinations.header_values import header_value
from destinations.http import Answer, Verdict, post
from destinations.jsontext import json_bytes
from destinations.lines import ended_at
from destinations.providers import provider_of
from destinations.urls import BaseUrl
from domain.destinations import Limits, Parcel, Payload, Receipt
from domain.spans import Span

if TYPE_CHECKING:
    import httpx

_OPENAI_PATHS = ("/chat/completions", "/completions", "/embeddings")
_SERVED = 200
# What their own SDK says of a call whose caller left.
_CANCELLED = -3
_UNAVAILABLE = 503


class HeliconeConfig(DestinationConfig):
    """Send calls to Helicone, which computes tokens and costs from the answers by itself."""

    LIMITS: ClassVar[Limits] = Limits(items=1, body_bytes=9 * MB, item_bytes=9 * MB, flush=0.0, parallel=4)

    type: Literal["helicone"] = "helicone"
    api_key: SecretStr = Field(description="An API key: `sk-helicone-…`.")
    url: BaseUrl = Field("https://api.worker.helicone.ai", description="The URL of the log API.")
    batch_items: int | None = Field(None, ge=1, le=1, description="Helicone takes one call in a request.")

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look under Requests for the one with the property Trace-Id {trace}."

    def build(self, name: str, client: "httpx.AsyncClient") -> "Helicone":
        """Return the destination."""
        del name
        return Helicone(client, self.url, self.api_key.get_secret_value(), self.limits())


class Helicone:
    """One POST for each call, which carries the call's id, so that Helicone knows one that comes twice."""

    def __init__(self, client: "httpx.AsyncClient", url: str, key: str, limits: Limits) -> None:
        self.limits = limits
        self._client = client
        self._url = url
        self._key = key

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return a call; of several, which nobody should ask for, a list that Helicone does not take."""
        del batch
        logs = [log_of(parcel) for parcel in parcels]
        calls = tuple(parcel.span.id for parcel in parcels)
        kind = "oai" if is_openai(parcels[0].span) else "custom"
        return Payload(json_bytes(logs[0] if len(logs) == 1 else logs), "application/json", calls, meta_of(parcels[0]), name=kind)

    async def send(self, payload: Payload) -> Receipt:
        """Send a call where the form of its answer is understood. The server reads who it is of from the body, its SDKs send headers: it gets both."""
        answer = await post(
            self._client,
            f"{self._url}/{payload.name}/v1/log",
            body=payload.body,
            headers={**payload.headers, "authorization": f"Bearer {self._key}"},
            content_type=payload.content_type,
            judge=_verdict,
        )
        return Receipt(answer.status)


def _verdict(answer: Answer) -> Verdict | None:
    """Return what an answer means: a 200 can hold an error, and a 400 can mean that the body is too large."""
    text = answer.body[:4096].decode("utf-8", "replace")
    if answer.status == 400 and "too large" in text.lower():  # noqa: PLR2004 - the status it says it by
        return "too_large"
    if answer.status != _SERVED or not text.lstrip().startswith("{"):
        return None
    try:
        said = json.loads(answer.body)
    except ValueError:
        return None
    return "unavailable" if isinstance(said, dict) and said.get("error") else None


def is_openai(span: Span) -> bool:
    """Tell whether a call's answer is one of OpenAI's API, from which Helicone reads tokens and costs."""
    return span.path.partition("?")[0].endswith(_OPENAI_PATHS)


def meta_of(parcel: Parcel) -> dict[str, str]:
    """Return who and what a call is of, as headers."""
    span, labels = parcel.span, parcel.span.labels
    told = {
        "Helicone-Request-Id": str(UUID(span.id)),
        "Helicone-User-Id": labels.user,
        "Helicone-Session-Id": labels.session,
        "Helicone-Session-Path": f"/{labels.section}" if labels.session and labels.section else None,
        "Helicone-Session-Name": labels.session,
        "Helicone-Prompt-Id": labels.prompt,
    }
    properties: dict[str, Any] = {
        **labels.tags,
        **parcel.extra,
        "Customer": labels.customer,
        "Environment": labels.env,
        "Release": labels.release,
        "Run": labels.run,
        "Project": span.project,
        "Trace-Id": span.trace_id,
        "Upstream": span.upstream,
    }
    told |= {f"Helicone-Property-{_token(name)}": str(value) for name, value in properties.items() if value is not None}
    return {name: header_value(value) for name, value in told.items() if value}


def _token(name: str) -> str:
    """Return the name of a property as a part of a header's name."""
    token = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in name[:64])
    return token[:1].upper() + token[1:] or "-"


def log_of(parcel: Parcel) -> dict[str, Any]:
    """Return a call as Helicone's log. A streamed answer is put together, and said not to be one."""
    span, content = parcel.span, parcel.content
    asked = content.input if content is not None and isinstance(content.input, dict) else {}
    known = is_openai(span)
    request = {**asked, "model": asked.get("model") or span.model, "stream": False}
    timing: dict[str, Any] = {"startTime": _time(span.started_at), "endTime": _time(ended_at(parcel))}
    if span.time_to_first_chunk_ms is not None:
        timing["timeToFirstToken"] = round(span.time_to_first_chunk_ms)
    return {
        "providerRequest": {
            "url": _url(parcel) if known else "custom-model-nopath",
            "json": request,
            "meta": {**meta_of(parcel), "Helicone-Provider": provider_of(span, parcel.server)[:64]},
        },
        "providerResponse": {"status": _status(span), "headers": {}, "json": _answer(parcel)},
        "timing": timing,
    }


def _url(parcel: Parcel) -> str:
    host = parcel.server[0] if parcel.server is not None else "api.openai.com"
    return f"https://{host}{parcel.span.path.partition('?')[0]}"


def _status(span: Span) -> int:
    if span.outcome == "cancelled":
        return _CANCELLED
    return span.status if span.status is not None else _UNAVAILABLE


def _answer(parcel: Parcel) -> dict[str, Any]:
    """Return the answer, with the usage that Faregate counted where it has none of its own, so that Helicone's cost is of the same tokens."""
    span, content = parcel.span, parcel.content
    output = content.output if content is not None else None
    answer: dict[str, Any] = dict(output) if isinstance(output, Mapping) else {"output": output} if output is not None else {}
    if span.error is not None and "error" not in answer:
        answer["error"] = {"type": span.error.type, "code": span.error.code, "message": span.error.message}
    if span.served_model:
        answer.setdefault("model", span.served_model)
    if span.usage is not None and not isinstance(answer.get("usage"), dict):
        usage = span.usage
        answer["usage"] = {
            "prompt_tokens": usage.input_tokens or 0,
            "completion_tokens": usage.output_tokens or 0,
            "total_tokens": (usage.input_tokens or 0) + (usage.output_tokens or 0),
            "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens or 0},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        }
    return answer


def _time(at: int) -> dict[str, int]:
    milliseconds = at // 1_000_000
    return {"seconds": milliseconds // 1000, "milliseconds": milliseconds % 1000}

"""Deliver spans to LangSmith by its own API: runs in multipart requests, or in batches where a server knows no multipart.

Source: ../shared/reference/destinations.md section 4.1; the wire of the langsmith package 0.15.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field, SecretStr, field_validator

from destinations.base import MB, DestinationConfig
from destinations.chat import chat_messages
from destinations.costs import costs_of
from destinations.http import Answer, Verdict, post
from destinations.jsontext import json_bytes
from destinations.lines import ended_at
from destinations.messages import messages_of
from destinations.providers import is_generation, name_of, provider_of
from destinations.urls import BaseUrl
from domain.calls import Usage
from domain.destinations import Limits, Parcel, Payload, Receipt, Unavailable
from domain.spans import Span

if TYPE_CHECKING:
    import httpx

# How long their own client waits after a 429 that does not say how long.
PATIENCE_WHEN_THROTTLED = 30.0
_STORED = 409
_NO_SUCH_PATH = 404
_LARGE = ("inputs", "outputs", "events", "extra", "error")
_MULTIPART = "multipart/form-data"
_PROVIDERS = {
    "azure.ai.openai": "azure",
    "aws.bedrock": "amazon_bedrock",
    "gcp.gemini": "google_genai",
    "gcp.vertex_ai": "google_vertexai",
    "mistral_ai": "mistralai",
    "x_ai": "xai",
}


class LangSmithConfig(DestinationConfig):
    """Send calls to LangSmith, with exact costs, cached and reasoning tokens, and the time of the first token."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=20 * MB, flush=1.0, parallel=2, timeout=30.0)

    type: Literal["langsmith"] = "langsmith"
    api_key: SecretStr = Field(description="An API key: `lsv2_…`.")
    project: str = Field("faregate", min_length=1, description="The name of the project. LangSmith makes it if it is not there.")
    workspace: str | None = Field(
        None, description="The id of the workspace (a UUID): needed by keys that are of an organisation."
    )
    url: BaseUrl = Field(
        "https://api.smith.langchain.com",
        description="The API's URL: `https://eu.api.smith.langchain.com` for Europe, `https://HOST/api` for a server of your own.",
    )

    @field_validator("workspace")
    @classmethod
    def _workspace_id(cls, workspace: str | None) -> str | None:
        return None if workspace is None else str(UUID(workspace))

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the project for the run with the metadata trace_id {trace}."

    def build(self, name: str, client: "httpx.AsyncClient") -> "LangSmith":
        """Return the destination."""
        del name
        headers = {"x-api-key": self.api_key.get_secret_value()}
        if self.workspace is not None:
            headers["x-tenant-id"] = self.workspace
        return LangSmith(client, self.url, headers, project=self.project, limits=self.limits())


class LangSmith:
    """Each call is a finished run, and the root of its trace: LangSmith takes no run whose parent it was not sent."""

    def __init__(
        self, client: "httpx.AsyncClient", url: str, headers: Mapping[str, str], *, project: str, limits: Limits
    ) -> None:
        self.limits = limits
        self._client = client
        self._url = url
        self._headers = dict(headers)
        self._project = project
        self._multipart = True

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return the runs, as parts or, once the server turned out to know no multipart, as one JSON value."""
        runs = [run_of(parcel, self._project) for parcel in parcels]
        calls = tuple(parcel.span.id for parcel in parcels)
        if not self._multipart:
            return Payload(json_bytes({"post": runs, "patch": []}), "application/json", calls)
        boundary = f"faregate-{batch}"
        return Payload(_parts(runs, boundary), f"{_MULTIPART}; boundary={boundary}", calls)

    async def send(self, payload: Payload) -> Receipt:
        """Send the runs where their form belongs."""
        multipart = payload.content_type.startswith(_MULTIPART)
        try:
            answer = await post(
                self._client,
                f"{self._url}/runs/{'multipart' if multipart else 'batch'}",
                body=payload.body,
                headers=self._headers,
                content_type=payload.content_type,
                judge=_multipart_verdict if multipart else _batch_verdict,
            )
        except Unavailable as error:
            if error.status == _NO_SUCH_PATH:
                self._multipart = False
            if error.throttled and error.retry_after is None:
                error.retry_after = PATIENCE_WHEN_THROTTLED
            raise
        return Receipt(answer.status, note="it was there already" if answer.status == _STORED else "")


def _batch_verdict(answer: Answer) -> Verdict | None:
    """Return what an answer means: a run that is there already was sent before."""
    return "taken" if answer.status == _STORED else None


def _multipart_verdict(answer: Answer) -> Verdict | None:
    """Return what an answer means: an older server has no such path, and what waits goes to the other one."""
    return "unavailable" if answer.status == _NO_SUCH_PATH else _batch_verdict(answer)


def _parts(runs: Sequence[Mapping[str, Any]], boundary: str) -> bytes:
    """Return runs as multipart: for each, one part with what is small, and one for each thing that is large.

    The boundary cannot be in a part: they are JSON, in which a line break is an escape.
    """
    lines: list[bytes] = []
    for run in runs:
        for name, value in _named(run):
            body = json_bytes(value)
            head = (
                f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            lines += (head.encode(), body, b"\r\n")
    lines.append(f"--{boundary}--\r\n".encode())
    return b"".join(lines)


def _named(run: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield f"post.{run['id']}", {name: value for name, value in run.items() if name not in _LARGE}
    for name in _LARGE:
        if name in run:
            yield f"post.{run['id']}.{name}", run[name]


def run_of(parcel: Parcel, project: str) -> dict[str, Any]:
    """Return a call as a run."""
    span = parcel.span
    id_ = str(UUID(span.id))
    started = _time(span.started_at)
    usage = usage_metadata(span)
    run: dict[str, Any] = {
        "id": id_,
        "trace_id": id_,
        "dotted_order": f"{started:%Y%m%dT%H%M%S%fZ}{id_}",
        "name": name_of(span),
        "run_type": _run_type(span),
        "session_name": project,
        "start_time": _iso(started),
        "end_time": _iso(_time(ended_at(parcel))),
        "tags": [name if value == "true" else f"{name}:{value}" for name, value in span.labels.tags.items()],
        "inputs": _inputs(parcel),
    }
    outputs = _outputs(parcel)
    if outputs is not None:
        run["outputs"] = outputs | ({"usage_metadata": usage} if usage else {})
    if span.stream and span.time_to_first_chunk_ms is not None:
        first = _time(span.started_at + round(span.time_to_first_chunk_ms * 1_000_000))
        run["events"] = [{"name": "new_token", "time": _iso(first)}]
    metadata = _metadata(parcel)
    if outputs is None and usage:
        metadata["usage_metadata"] = usage
    run["extra"] = {"metadata": metadata, "invocation_params": _invocation(span), "runtime": {"sdk": "faregate"}}
    if span.outcome != "ok":
        run["error"] = _error(span)
    return run


def _time(at: int) -> datetime:
    seconds, nanoseconds = divmod(at, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")


def _run_type(span: Span) -> str:
    if span.operation == "embeddings":
        return "embedding"
    return "llm" if is_generation(span) or span.usage is not None or span.cost is not None else "chain"


def _error(span: Span) -> str:
    if span.error is None:
        return span.outcome
    return f"{span.error.type or span.error.code or span.outcome}: {span.error.message}"


# --- what was asked and answered: as it passed where LangSmith draws that, else as chat messages


def _inputs(parcel: Parcel) -> dict[str, Any]:
    content = parcel.content
    if content is None or content.input is None:
        return {}
    asked = content.input
    if not isinstance(asked, dict):
        return {"input": asked}
    messages = asked.get("messages")
    if isinstance(messages, list) and asked.get("system"):
        rest = {name: value for name, value in asked.items() if name != "system"}
        return rest | {"messages": [{"role": "system", "content": asked["system"]}, *messages]}
    if "contents" in asked:
        found = messages_of(content)
        rest = {name: value for name, value in asked.items() if name not in _OF_GEMINI}
        return rest | {"messages": chat_messages(found.input, found.system)}
    return asked


_OF_GEMINI = frozenset({"contents", "systemInstruction", "system_instruction", "candidates"})


def _outputs(parcel: Parcel) -> dict[str, Any] | None:
    """Return the answer; None where there is none: an error is told by `error` alone."""
    content, span = parcel.content, parcel.span
    if span.outcome in {"error", "denied"}:
        return None
    if content is None or content.output is None:
        return {} if span.outcome == "ok" else None
    answer = content.output
    if not isinstance(answer, dict):
        return {"output": answer}
    if "candidates" in answer:
        rest = {name: value for name, value in answer.items() if name not in _OF_GEMINI}
        return rest | {"choices": [{"message": message} for message in chat_messages(messages_of(content).output)]}
    return dict(answer)


# --- tokens, costs, metadata


def usage_metadata(span: Span) -> dict[str, Any]:
    """Return tokens and costs in LangSmith's terms, and no other key: it refuses runs with one.

    It wants all three counts, also where a provider counts one side only (embeddings) or none (images): then the others are 0.
    """
    usage, costs = span.usage or Usage(), costs_of(span)
    if usage.input_tokens is None and usage.output_tokens is None and costs.total is None:
        return {}
    asked, answered = max(usage.input_tokens or 0, 0), max(usage.output_tokens or 0, 0)
    money = {"input_cost": costs.input, "output_cost": costs.output, "total_cost": costs.total}
    found: dict[str, Any] = {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}
    found |= {name: value for name, value in money.items() if value is not None}
    details = {
        "input_token_details": _counted(usage, _INPUT_DETAILS),
        "output_token_details": _counted(usage, _OUTPUT_DETAILS),
        "input_cost_details": _priced(costs.details, _INPUT_COSTS),
        "output_cost_details": _priced(costs.details, _OUTPUT_COSTS),
    }
    return found | {name: value for name, value in details.items() if value}


_INPUT_DETAILS = {
    "cache_read": "cache_read_tokens",
    "cache_creation": "cache_write_tokens",
    "ephemeral_5m_input_tokens": "cache_write_5m_tokens",
    "ephemeral_1h_input_tokens": "cache_write_1h_tokens",
    "audio": "input_audio_tokens",
}
_OUTPUT_DETAILS = {"reasoning": "reasoning_tokens", "audio": "output_audio_tokens"}
_INPUT_COSTS = {"cache_read": "cache_read", "cache_write": "cache_creation", "input_audio": "audio"}
_OUTPUT_COSTS = {"reasoning": "reasoning", "output_audio": "audio"}


def _counted(usage: Usage, names: Mapping[str, str]) -> dict[str, int]:
    counts = {name: getattr(usage, field) for name, field in names.items()}
    return {name: count for name, count in counts.items() if count}


def _priced(details: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    """Return the costs of units by their names here; a unit of several kinds (`cache_write_1h`) counts to the one it is a part of."""
    found: dict[str, float] = {}
    for unit, amount in details.items():
        name = next((name for start, name in names.items() if unit.startswith(start)), None)
        if name is not None:
            found[name] = found.get(name, 0.0) + amount
    return found


def _metadata(parcel: Parcel) -> dict[str, Any]:
    """Return what a run can be found by. A session is a thread there; without one, the calls of a run of an agent are."""
    span, labels = parcel.span, parcel.span.labels
    provider = provider_of(span, parcel.server)
    told: dict[str, Any] = {
        "ls_provider": _PROVIDERS.get(provider, provider),
        "ls_model_name": span.served_model or span.model,
        "ls_model_type": "chat" if is_generation(span) else None,
        "ls_temperature": span.params.get("temperature"),
        "ls_max_tokens": span.params.get("max_tokens"),
        "ls_stop": span.params.get("stop_sequences"),
        "session_id": labels.session,
        "thread_id": labels.run if labels.session is None else None,
        "run": labels.run,
        "section": labels.section,
        "user_id": labels.user,
        "customer_id": labels.customer,
        "environment": labels.env,
        "revision_id": labels.release,
        "prompt": labels.prompt,
        "gateway_request_id": span.id,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "project": span.project,
        "key": span.key_name,
        "upstream": span.upstream,
        "operation": span.operation,
        "outcome": span.outcome,
        "status": span.status,
        "cost_status": span.cost_status,
        "finish_reasons": list(span.finish_reasons) or None,
        "shortened": parcel.shortened,
    }
    known = {name: value for name, value in told.items() if value is not None}
    found = {**labels.tags, **known, **parcel.extra}
    found.pop("usage_metadata", None)  # a name with a meaning there, and a run whose value is odd is refused
    return found


def _invocation(span: Span) -> dict[str, Any]:
    return {**({"model": span.model} if span.model else {}), **span.params}

"""A call as a run of LangSmith's: finished, and the root of its trace.

Source: ../shared/reference/destinations.md section 4.1; the wire of the langsmith package 0.15.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from destinations.chat import chat_messages
from destinations.costs import costs_of
from destinations.lines import ended_at
from destinations.messages import messages_of
from destinations.providers import is_generation, name_of, provider_of
from domain.calls import Usage
from domain.destinations import Parcel
from domain.spans import Span

_PROVIDERS = {
    "azure.ai.openai": "azure",
    "aws.bedrock": "amazon_bedrock",
    "gcp.gemini": "google_genai",
    "gcp.vertex_ai": "google_vertexai",
    "mistral_ai": "mistralai",
    "x_ai": "xai",
}


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

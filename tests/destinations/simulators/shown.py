"""What platforms make of the attributes of a span, each by its own rules, and what they should make of the fixture call."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """A call as a platform shows it: tokens with their parts in them, costs in US dollars. None: it shows none, or its own."""

    input: int | None = None
    cached: int | None = None
    written: int | None = None
    output: int | None = None
    reasoning: int | None = None
    cost: float | None = None
    input_cost: float | None = None
    output_cost: float | None = None
    session: str | None = None
    user: str | None = None
    model: str | None = None
    messages: int | None = None


OURS = Shown(1200, 1024, 16, 80, 32, 0.000333, 0.000111, 0.000222, "sess-1", "user-1", "gpt-4o-mini-2024-07-18", 3)


def assert_shows_ours(shown: Shown, *, without: Collection[str] = ()) -> None:
    """A platform shows the fixture call as we have it, but for what it has no place or only its own figures for."""
    expected = {name: None if name in without else value for name, value in asdict(OURS).items()}
    assert asdict(shown) == expected


def by_conventions(found: Attributes) -> Shown:
    """Read what all do that know the GenAI conventions and have no rules of their own."""
    return Shown(
        input=found.get("gen_ai.usage.input_tokens"),
        cached=found.get("gen_ai.usage.cache_read.input_tokens"),
        written=found.get("gen_ai.usage.cache_creation.input_tokens"),
        output=found.get("gen_ai.usage.output_tokens"),
        reasoning=found.get("gen_ai.usage.reasoning.output_tokens"),
        cost=found.get("gen_ai.usage.cost"),
        session=found.get("session.id"),
        user=found.get("user.id"),
        model=found.get("gen_ai.response.model", found.get("gen_ai.request.model")),
        messages=_messages(found),
    )


def _messages(found: Attributes) -> int | None:
    told = [json.loads(found[f"gen_ai.{side}.messages"]) for side in ("input", "output") if f"gen_ai.{side}.messages" in found]
    return sum(len(one) for one in told) if told else None


def by_openinference(found: Attributes) -> Shown:
    starts = {".".join(name.split(".")[:3]) for name in found if name.startswith(("llm.input_messages.", "llm.output_messages."))}
    return Shown(
        input=found.get("llm.token_count.prompt"),
        cached=found.get("llm.token_count.prompt_details.cache_read"),
        written=found.get("llm.token_count.prompt_details.cache_write"),
        output=found.get("llm.token_count.completion"),
        reasoning=found.get("llm.token_count.completion_details.reasoning"),
        cost=found.get("llm.cost.total"),
        input_cost=found.get("llm.cost.prompt"),
        output_cost=found.get("llm.cost.completion"),
        session=found.get("session.id"),
        user=found.get("user.id"),
        model=found.get("llm.model_name"),
        messages=len(starts) or None,
    )


def by_phoenix(found: Attributes) -> Shown:
    """As OpenInference, with costs of its own: a model that its table does not have costs nothing that is known."""
    shown = asdict(by_openinference(found))
    return Shown(**{**shown, "cost": None, "input_cost": None, "output_cost": None})


def by_langwatch(found: Attributes) -> Shown:
    """It adds cached tokens to input tokens. Without a cost it prices them so: 1 for each input, 1 for each cached token."""
    plain = by_conventions(found)
    total = None if plain.input is None else plain.input + (plain.cached or 0) + (plain.written or 0)
    priced = None if total is None else float(total)
    metrics = json.loads(found.get("langwatch.metrics", "{}"))
    return Shown(
        input=total,
        cached=plain.cached,
        written=plain.written,
        output=plain.output,
        reasoning=plain.reasoning,
        cost=found.get("langwatch.span.cost", metrics.get("cost", priced)),
        session=found.get("gen_ai.conversation.id", found.get("langwatch.thread.id")),
        user=found.get("langwatch.user.id", found.get("user.id")),
        model=plain.model,
        messages=plain.messages,
    )


def by_respan(found: Attributes) -> Shown:
    starts = {".".join(name.split(".")[:3]) for name in found if name.startswith(("gen_ai.prompt.", "gen_ai.completion."))}
    numbered = {start for start in starts if start.rpartition(".")[2].isdecimal()}
    return Shown(
        input=found.get("gen_ai.usage.prompt_tokens"),
        cached=found.get("prompt_cache_hit_tokens"),
        written=found.get("prompt_cache_creation_tokens"),
        output=found.get("gen_ai.usage.completion_tokens"),
        reasoning=found.get("llm.usage.reasoning_tokens"),
        session=found.get("respan.threads.thread_identifier"),
        user=found.get("respan.customer_params.customer_identifier"),
        model=found.get("gen_ai.response.model"),
        messages=len(numbered) or None,
    )


def by_braintrust(found: Attributes) -> Shown:
    metrics, metadata = json.loads(found.get("braintrust.metrics", "{}")), json.loads(found["braintrust.metadata"])
    return Shown(
        input=metrics.get("prompt_tokens"),
        cached=metrics.get("prompt_cached_tokens"),
        written=metrics.get("prompt_cache_creation_tokens"),
        output=metrics.get("completion_tokens"),
        reasoning=metrics.get("completion_reasoning_tokens"),
        cost=metrics.get("estimated_cost"),
        session=metadata.get("session_id"),
        user=metadata.get("user_id"),
        model=metadata.get("model"),
        messages=_messages(found),
    )


def by_opik(found: Attributes) -> Shown:
    """Each whole number under `gen_ai.usage.` is a usage; a cost is not, whatever its name."""
    usage = {
        name.removeprefix("gen_ai.usage."): value
        for name, value in found.items()
        if name.startswith("gen_ai.usage.") and type(value) is int
    }
    metadata = json.loads(found.get("opik.metadata", "{}"))
    return Shown(
        input=usage.get("input_tokens"),
        cached=usage.get("cache_read_input_tokens"),
        written=usage.get("cache_creation_input_tokens"),
        output=usage.get("output_tokens"),
        reasoning=usage.get("reasoning.output_tokens"),
        cost=metadata.get("gateway.cost_usd"),
        session=found.get("thread_id"),
        model=found.get("gen_ai.response.model"),
        messages=_messages(found),
    )


def priced_by_opik(found: Attributes, style: str) -> tuple[int, int, int]:
    """Return how many input tokens Opik multiplies with the price of plain input, of reading from a cache, and of writing to it."""
    usage = {name.removeprefix("gen_ai.usage."): value for name, value in found.items() if name.startswith("gen_ai.usage.")}
    read, written = usage.get("cache_read_input_tokens", 0), usage.get("cache_creation_input_tokens", 0)
    if style == "openai":
        return usage["input_tokens"] - read, read, 0
    names = {
        "anthropic": ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        "bedrock": ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
    }[style]
    told = zip(names, (usage["input_tokens"], read, written), strict=True)
    plain, read, written = (usage.get(f"original_usage.{name}", otherwise) for name, otherwise in told)
    return plain, read, written


def by_weave(found: Attributes) -> Shown:
    """It adds up tokens by both of their names, and takes what begins with `gen_ai.prompt` for the input, before the messages."""
    plain = by_conventions({} if any(name.startswith("gen_ai.prompt") for name in found) else found)
    told = json.loads(found.get("wandb.attributes", "{}"))
    return Shown(
        input=(plain.input or 0) + found.get("gen_ai.usage.prompt_tokens", 0) + found.get("llm.token_count.prompt", 0) or None,
        output=(plain.output or 0) + found.get("gen_ai.usage.completion_tokens", 0) + found.get("llm.token_count.completion", 0)
        or None,
        cost=told.get("gateway.cost_usd"),
        session=found.get("wandb.thread_id"),
        user=told.get("user"),
        model=plain.model,
        messages=plain.messages,
    )


def by_mlflow(found: Attributes) -> Shown:
    usage, cost = (json.loads(found.get(name, "{}")) for name in ("mlflow.chat.tokenUsage", "mlflow.llm.cost"))
    return Shown(
        input=usage.get("input_tokens"),
        cached=usage.get("cache_read_input_tokens"),
        written=usage.get("cache_creation_input_tokens"),
        output=usage.get("output_tokens"),
        cost=cost.get("total_cost"),
        input_cost=cost.get("input_cost"),
        output_cost=cost.get("output_cost"),
        session=found.get("session.id"),
        user=found.get("user.id"),
        model=json.loads(found.get("mlflow.llm.model", "null")),
        messages=_messages(found),
    )


def by_sentry(found: Attributes) -> Shown:
    plain = asdict(by_conventions(found))
    return Shown(
        **{
            **plain,
            "cached": found.get("gen_ai.usage.input_tokens.cached"),
            "written": found.get("gen_ai.usage.input_tokens.cache_write"),
            "reasoning": found.get("gen_ai.usage.output_tokens.reasoning"),
            "cost": found.get("gen_ai.cost.total_tokens"),
            "input_cost": found.get("gen_ai.cost.input_tokens"),
            "output_cost": found.get("gen_ai.cost.output_tokens"),
            "session": found.get("gen_ai.conversation.id"),
        }
    )


# By kind: how it reads, and what of a call it has no place for or only its own figures.
_PARTS = ("input_cost", "output_cost")
READERS: Mapping[str, tuple[Callable[[Attributes], Shown], Collection[str]]] = {
    "phoenix": (by_phoenix, ("cost", *_PARTS)),
    "arize": (by_openinference, ()),
    "langwatch": (by_langwatch, _PARTS),
    "respan": (by_respan, ("cost", *_PARTS)),
    "datadog-apm": (by_conventions, _PARTS),
    "braintrust": (by_braintrust, _PARTS),
    "opik": (by_opik, ("user", *_PARTS)),
    "weave": (by_weave, ("cached", "written", "reasoning", *_PARTS)),
    "mlflow": (by_mlflow, ("reasoning",)),
    "sentry": (by_sentry, ()),
    **dict.fromkeys(("newrelic", "grafana", "honeycomb", "dynatrace", "signoz", "axiom"), (by_conventions, _PARTS)),
}

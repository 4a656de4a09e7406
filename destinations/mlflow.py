"""Deliver spans to an MLflow tracking server by OTLP.

Source: ../shared/reference/destinations.md sections 3.8 and 5, and a server of version 3.17 that was tried. It takes a request whole or not at all, so that a
span that it refuses is found by halving. It takes JSON with numbers of more than 64 bits, and cannot show the trace then, nor a page with it.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from destinations.attributes import LARGEST_INT, Attributes
from destinations.costs import costs_of
from destinations.counts import total_tokens
from destinations.credentials import HeaderSecret, HeaderText, basic, packed_in
from destinations.genai import genai
from destinations.otlp import Preset, PresetConfig, traces_url
from destinations.providers import is_generation, operation_of, provider_of
from destinations.urls import Url
from domain.calls import Usage
from domain.destinations import Limits, Parcel
from domain.spans import Span

_MB = 1024 * 1024
_DEEPEST = 64
_MOST_BITS = 4_096


class MlflowConfig(PresetConfig):
    """Send spans to an MLflow tracking server."""

    # One at a time: servers on SQLite wait for one another's locks.
    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=8 * _MB, parallel=1)

    type: Literal["mlflow"] = "mlflow"
    url: Url = Field(description="Where the tracking server is.", examples=["https://mlflow.example.com:5000"])
    # It refuses each span for an id that is no number, as if something were wrong with the span.
    experiment_id: str = Field(pattern=r"^[0-9]{1,32}$", description="The id of the experiment that traces go to: a number.")
    username: HeaderText | None = Field(None, description="A user, where the server asks for one.")
    password: HeaderSecret | None = Field(None, description="The user's password.")

    @model_validator(mode="after")
    def _complete(self) -> "MlflowConfig":
        if (self.username is None) is not (self.password is None):
            raise ValueError("set both of `username` and `password`, or none")
        return self

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the experiment's traces for tr-{trace}."

    def preset(self) -> Preset:
        """Return how MLflow is sent to."""
        headers = {"x-mlflow-experiment-id": self.experiment_id}
        if self.username is not None and self.password is not None:
            headers["authorization"] = basic(self.username, self.password)
        return Preset(url=traces_url(self.url), headers=headers, mappers=(mlflow, genai), parents=self.parents)

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be seen: the password, and the header that it is in."""
        return (*super().secrets(), *packed_in(self.preset().headers))


def mlflow(parcel: Parcel, to: Attributes) -> None:
    """Write what MLflow has names of its own for, as JSON, which is how it keeps its attributes; messages it reads in the conventions' terms."""
    span = parcel.span
    to.json("mlflow.spanType", _kind(span))
    to.json("mlflow.llm.model", span.served_model or span.model)
    to.json("mlflow.llm.provider", provider_of(span, parcel.server))
    if span.usage is not None:
        to.json("mlflow.chat.tokenUsage", token_usage(span.usage))
    to.json("mlflow.llm.cost", cost_of(span))
    # As the conventions have them, but for numbers that it could not show; the first to write a name counts.
    messages = to.messages
    to.json("gen_ai.system_instructions", bounded(messages.system))
    to.json("gen_ai.input.messages", bounded(messages.input))
    to.json("gen_ai.output.messages", bounded(messages.output))
    to.json("gen_ai.tool.definitions", bounded(messages.tools))


def bounded(value: Any, depth: int = 0) -> Any:
    """Return a JSON value in which whole numbers of more than 64 bits (arguments that a model came up with, say) are texts."""
    if isinstance(value, int):
        return value if -LARGEST_INT <= value <= LARGEST_INT else _spelled(value)
    if not isinstance(value, dict | list):
        return value
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {name: bounded(inner, depth + 1) for name, inner in value.items()}
    return [bounded(inner, depth + 1) for inner in value]


def _spelled(number: int) -> str:
    """Return a number in digits; one that is too long for that as its sign only."""
    return str(number) if number.bit_length() <= _MOST_BITS else "-…" if number < 0 else "…"


def _kind(span: Span) -> str:
    if operation_of(span) == "embeddings":
        return "EMBEDDING"
    return "CHAT_MODEL" if is_generation(span) else "LLM" if span.usage is not None else "UNKNOWN"


def token_usage(usage: Usage) -> dict[str, int]:
    """Return the tokens of a call: cached ones are among the input."""
    told = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": total_tokens(usage),
        "cache_read_input_tokens": usage.cache_read_tokens or None,
        "cache_creation_input_tokens": usage.cache_write_tokens or None,
    }
    return {name: count for name, count in told.items() if count is not None and -LARGEST_INT <= count <= LARGEST_INT}


def cost_of(span: Span) -> dict[str, float]:
    """Return the cost of a call in US dollars; what is unknown is not there."""
    costs = costs_of(span)
    told = {"input_cost": costs.input, "output_cost": costs.output, "total_cost": costs.total}
    return {name: amount for name, amount in told.items() if amount is not None}

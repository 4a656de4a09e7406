"""What the settings of all destinations have in common."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr, WithJsonSchema

from domain.destinations import Destination, Limits
from domain.durations import duration_text, seconds_of

if TYPE_CHECKING:  # the gate reads settings too, and has no use for an HTTP client
    import httpx

MB = 1024 * 1024
_WEEK = 7 * 86_400.0

Seconds = Annotated[
    float,
    BeforeValidator(seconds_of),
    PlainSerializer(lambda seconds: None if seconds is None else duration_text(seconds)),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^((\d+(\.\d+)?)(ms|s|m|h|d|w))+$"}, {"type": "number", "minimum": 0}]}
    ),
]


class DestinationConfig(BaseModel):
    """The settings of one destination. A kind adds its own fields, sets `LIMITS`, and writes `build`.

    The docstring of a kind is the first line of its page. Where a field is None, the kind's own default in `LIMITS` holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    LIMITS: ClassVar[Limits] = Limits()
    # A channel for people: it is told of events, and of calls only where a rule names it.
    CHANNEL: ClassVar[bool] = False
    # What it is for: rules that send the other are told so.
    TAKES: ClassVar[Literal["spans", "events", "both"]] = "spans"

    type: str = Field(description="The kind of destination.")
    content: Literal["full", "redacted", "none"] = Field(
        "full",
        description="How much of requests and answers is sent: all, with everything masked that looks like a secret or a person, or nothing.",
    )
    redact: tuple[str, ...] = Field(
        ("secrets", "card", "iban", "national_id"),
        description="What is masked before it is sent: names of profiles, and kinds of data. An empty list masks nothing.",
    )
    allow_private: bool = Field(
        False, description="Whether it may be at a private or loopback address, and be spoken to by plain http there."
    )
    ca_file: Path | None = Field(
        None, description="A file (PEM) with the certificate of a CA of your own; the usual ones are trusted besides."
    )
    max_age: Seconds | None = Field(None, description="Older calls are not sent, and counted as expired.")
    batch_items: int | None = Field(None, ge=1, le=10_000, description="The most calls in one request.")
    batch_mb: float | None = Field(None, gt=0, le=64, description="The most megabytes in one request, before compression.")
    flush: Seconds | None = Field(None, description="How long calls may be gathered for one request.")
    parallel: int | None = Field(None, ge=1, le=64, description="The most requests at once.")
    timeout: Seconds | None = Field(None, description="How long one request may take.")
    transform: str | None = Field(
        None,
        description="A function of your own that changes what is sent, by its name in the entry point group `faregate.transforms`.",
    )
    retry_for: Seconds = Field(_WEEK, description="How long a call is tried again before it is given up.")

    def limits(self) -> Limits:
        """Return how this destination is to be served: what the settings say over what is usual for its kind."""
        told: Mapping[str, Any] = {
            "items": self.batch_items,
            "body_bytes": None if self.batch_mb is None else int(self.batch_mb * MB),
            "flush": self.flush,
            "parallel": self.parallel,
            "timeout": self.timeout,
            "max_age": self.max_age,
        }
        return replace(self.LIMITS, **{name: value for name, value in told.items() if value is not None})

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there: a sentence with `{trace}` for its trace's id. Empty where there is nothing more to say than that."""
        return ""

    def build(self, name: str, client: "httpx.AsyncClient") -> Destination:
        """Return the destination called `name`, which sends by `client`. Does no I/O."""
        raise NotImplementedError

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets among the settings: what must never be in a message, a log line or a payload."""
        return tuple(secret for _, secret in _secrets_in(self))

    def secret_settings(self) -> tuple[str, ...]:
        """Return which settings hold secrets, as paths: `api_key`, `secret.0`, `headers.authorization`."""
        return tuple(path for path, _ in _secrets_in(self))


def _secrets_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, SecretStr) and value.get_secret_value():
        yield path, value.get_secret_value()
    for name, inner in _within(value):
        yield from _secrets_in(inner, f"{path}.{name}" if path else str(name))


def _within(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, BaseModel):
        return ((name, getattr(value, name)) for name in type(value).model_fields)
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple) else ()

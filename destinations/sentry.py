"""Deliver spans to Sentry by OTLP.

Source: ../shared/reference/destinations.md section 5, and Sentry's own names for what the conventions had none for (https://github.com/getsentry/sentry-conventions,
read November 2026). It keeps no events of spans, so an error is told by attributes too.
"""

from typing import ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from destinations.attributes import Attributes
from destinations.costs import costs_of
from destinations.counts import total_tokens
from destinations.genai import error_message_of, error_type_of, genai
from destinations.otlp import Preset, PresetConfig
from destinations.providers import operation_of
from destinations.urls import allowed_url
from domain.calls import Usage
from domain.destinations import Limits, Parcel

_MB = 1024 * 1024
_CLIENT = "faregate/1"
_SHAPE = "write the DSN as Sentry shows it: https://KEY@HOST/PROJECT"


class SentryConfig(PresetConfig):
    """Send spans to Sentry."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=4 * _MB, parallel=2)

    type: Literal["sentry"] = "sentry"
    dsn: SecretStr = Field(description="The DSN of the project, which says where it is and holds its key.")

    @field_validator("dsn")
    @classmethod
    def _checked(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        parts = _split(value)
        if not (parts.username and parts.username.isalnum() and parts.username.isascii()):
            raise ValueError(_SHAPE)
        allowed_url(_address(parts), info)
        return value

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look under Explore, Traces, for the trace {trace}."

    def preset(self) -> Preset:
        """Return how Sentry is sent to."""
        parts = _split(self.dsn)
        return Preset(
            url=_address(parts),
            headers={
                "x-sentry-auth": f"Sentry sentry_key={parts.username}, sentry_version=7, sentry_client={_CLIENT}",
            },
            mappers=(sentry, genai),
            parents=self.parents,
        )

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be seen: the DSN, and the key in it."""
        return (*super().secrets(), _split(self.dsn).username or "")


def _split(dsn: SecretStr) -> SplitResult:
    """Return the parts of a DSN.

    Raises:
        ValueError: it is none; the message does not hold it.

    """
    try:
        parts = urlsplit(dsn.get_secret_value())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_SHAPE) from None
    if parts.scheme not in {"https", "http"} or not host or not parts.path.rpartition("/")[2].isdecimal():
        raise ValueError(_SHAPE)
    return parts


def _address(parts: SplitResult) -> str:
    """Return where the project of a DSN takes spans."""
    before, _, project = parts.path.rpartition("/")
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{before}/api/{project}/integration/otlp/v1/traces/"


def sentry(parcel: Parcel, to: Attributes) -> None:
    """Write what Sentry has names of its own for; messages it reads in the conventions' terms."""
    span = parcel.span
    to.text("sentry.op", f"gen_ai.{operation_of(span)}")
    to.text("sentry.environment", span.labels.env)
    to.text("sentry.release", span.labels.release)
    if span.usage is not None:
        _write_usage(span.usage, to)
    costs = costs_of(span)
    # Amounts in US dollars, whatever the names say.
    to.real("gen_ai.cost.total_tokens", costs.total)
    to.real("gen_ai.cost.input_tokens", costs.input)
    to.real("gen_ai.cost.output_tokens", costs.output)
    if error_type_of(span) is not None:
        to.text("exception.type", error_type_of(span))
        to.text("exception.message", error_message_of(span))


def _write_usage(usage: Usage, to: Attributes) -> None:
    """Write the counts whose names have changed by their older ones too."""
    to.whole("gen_ai.usage.total_tokens", total_tokens(usage))
    to.whole("gen_ai.usage.input_tokens.cached", usage.cache_read_tokens or None)
    to.whole("gen_ai.usage.input_tokens.cache_write", usage.cache_write_tokens or None)
    to.whole("gen_ai.usage.output_tokens.reasoning", usage.reasoning_tokens or None)

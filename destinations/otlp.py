"""OpenTelemetry collectors, and what is common to all platforms that are sent to by OTLP over HTTP.

A platform is a `PresetConfig`: its address, its headers, its dialects. Source: ../shared/reference/destinations.md sections 3 and 4.10.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import Field, model_validator

from destinations.attributes import Mapper
from destinations.base import DestinationConfig
from destinations.genai import genai, genai_without_messages
from destinations.http import Judge
from destinations.openinference import openinference, openinference_without_messages
from destinations.urls import Headers, Url
from domain.destinations import Destination, Limits

if TYPE_CHECKING:  # the gate reads settings too, and has no use for an HTTP client
    import httpx

Encoding = Literal["protobuf", "json"]
Parents = Literal["root", "keep"]
PATH = "/v1/traces"
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Preset:
    """How a platform is sent to by OTLP. `url` is the full one, of traces. `mappers` write in turn; the first to write an attribute counts.

    `headers` hold the credentials. `judge` is as in `destinations.http.post`. `resource` are attributes of the sender. `longest_text` is where texts
    of attributes are cut, in bytes, for platforms that drop longer ones.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    mappers: Sequence[Mapper] = (genai,)
    resource: Mapping[str, str] = field(default_factory=dict)
    encoding: Encoding = "protobuf"
    gzip: bool = True
    parents: Parents = "root"
    judge: Judge | None = None
    longest_text: int | None = None


class PresetConfig(DestinationConfig):
    """The settings that all platforms have which are sent to by OTLP. A platform adds its own, and writes `preset`."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=4 * _MB, parallel=2)

    service: str = Field("faregate", min_length=1, max_length=200, description="The name of the sender (`service.name`).")
    resource: dict[str, str] = Field({}, description="More attributes of the sender, by name.")
    parents: Parents = Field(
        "root",
        description="What becomes of a span whose parent is in the app that called: it stands as a root, or keeps its parent, for platforms that get the app's own spans too.",
    )

    def preset(self) -> Preset:
        """Return how this platform is sent to."""
        raise NotImplementedError

    def build(self, name: str, client: "httpx.AsyncClient") -> Destination:
        """Return the destination, which sends by `client`."""
        from destinations.exporter import OtlpExporter  # noqa: PLC0415 - protobuf, for which the gate has no use

        del name
        return OtlpExporter(client, self.preset(), self.limits(), service=self.service, resource=self.resource)


def traces_url(url: str) -> str:
    """Return the full URL of traces: a base gets `/v1/traces`, a URL that ends in it is whole."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return url if path.endswith(PATH) else urlunsplit(parts._replace(path=path + PATH))


class OtlpConfig(PresetConfig):
    """Send spans to any OpenTelemetry collector or platform, by OTLP over HTTP."""

    LIMITS: ClassVar[Limits] = Limits(items=200, body_bytes=4 * _MB, parallel=2)

    type: Literal["otlp"] = "otlp"
    from_env: bool = Field(
        False, description="Take what is not said here from the standard variables, `OTEL_EXPORTER_OTLP_ENDPOINT` and its kin."
    )
    url: Url = Field(
        description="Where it is: the full URL of traces, or its base, which `/v1/traces` is added to.",
        examples=["https://collector.example.com:4318"],
    )
    headers: Headers = Field({}, description="Headers of each request, such as credentials.")
    encoding: Encoding = Field("protobuf", description="How requests are written.")
    compression: Literal["gzip", "none"] = Field("gzip", description="How requests are compressed.")
    dialects: tuple[Literal["genai", "openinference"], ...] = Field(
        ("genai",),
        min_length=1,
        description="In which terms a call is told. Messages are sent in the first one's only, since they are large.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_env(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("from_env") in (True, "true"):
            return {**told_by(os.environ), **values}
        return values

    def preset(self) -> Preset:
        """Return how the collector is sent to."""
        first, *others = dict.fromkeys(self.dialects)
        return Preset(
            url=traces_url(self.url),
            headers={name: value.get_secret_value() for name, value in self.headers.items()},
            mappers=(_WITH_MESSAGES[first], *(_WITHOUT_MESSAGES[name] for name in others)),
            encoding=self.encoding,
            gzip=self.compression == "gzip",
            parents=self.parents,
        )


_WITH_MESSAGES: Mapping[str, Mapper] = {"genai": genai, "openinference": openinference}
_WITHOUT_MESSAGES: Mapping[str, Mapper] = {
    "genai": genai_without_messages,
    "openinference": openinference_without_messages,
}


def told_by(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that the standard variables of OTLP exporters say.

    Raises:
        ValueError: they ask for a protocol that is not spoken here.

    """

    def said(name: str) -> str:
        return (
            environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}", "").strip() or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()
        )

    told: dict[str, Any] = {}
    whole, base = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if whole or base:
        told["url"] = whole or base
    if said("PROTOCOL"):
        told["encoding"] = _encoding(said("PROTOCOL"))
    pairs = [pair.partition("=") for pair in said("HEADERS").split(",") if "=" in pair]
    if pairs:
        told["headers"] = {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}
    for setting, name in (("compression", "COMPRESSION"), ("ca_file", "CERTIFICATE")):
        if said(name):
            told[setting] = said(name)
    if said("TIMEOUT"):
        told["timeout"] = f"{said('TIMEOUT')}ms"
    return told


def _encoding(protocol: str) -> Encoding:
    if protocol == "grpc":
        raise ValueError("OTEL_EXPORTER_OTLP_PROTOCOL asks for grpc; OTLP is spoken here over HTTP: http/protobuf or http/json")
    return "json" if protocol == "http/json" else "protobuf"

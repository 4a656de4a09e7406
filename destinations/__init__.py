"""Destinations: one module for each kind of place that a span can be sent to. This is the table of them.

To add one: write `destinations/<kind>.py`, a line here, `tests/destinations/test_<kind>.py` and `docs/destinations/<kind>.md`. Packages of others add
theirs by an entry point of the group `faregate.destinations`, whose name is the kind and whose value is its class of settings.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from destinations.base import DestinationConfig

GROUP = "faregate.destinations"
# By `type`, where its class of settings is. Modules are imported when somebody uses them.
KINDS: Mapping[str, str] = {
    "otlp": "destinations.otlp:OtlpConfig",
    "langfuse": "destinations.langfuse:LangfuseConfig",
    "langsmith": "destinations.langsmith:LangSmithConfig",
    "webhook": "destinations.webhook:WebhookConfig",
    "s3": "destinations.objects:S3Config",
    "gcs": "destinations.objects:GcsConfig",
    "azure": "destinations.objects:AzureConfig",
    "folder": "destinations.objects:FolderConfig",
    "helicone": "destinations.helicone:HeliconeConfig",
    "posthog": "destinations.posthog:PostHogConfig",
    "datadog": "destinations.datadog:DatadogConfig",
    "slack": "destinations.slack:SlackConfig",
    "email": "destinations.email:EmailConfig",
    "pagerduty": "destinations.pagerduty:PagerDutyConfig",
    "apprise": "destinations.apprise:AppriseConfig",
    "phoenix": "destinations.phoenix:PhoenixConfig",
    "arize": "destinations.arize:ArizeConfig",
    "langwatch": "destinations.langwatch:LangWatchConfig",
    "respan": "destinations.respan:RespanConfig",
    "datadog-apm": "destinations.datadog_apm:DatadogApmConfig",
    "braintrust": "destinations.braintrust:BraintrustConfig",
    "opik": "destinations.opik:OpikConfig",
    "weave": "destinations.weave:WeaveConfig",
    "mlflow": "destinations.mlflow:MlflowConfig",
    "sentry": "destinations.sentry:SentryConfig",
    "newrelic": "destinations.newrelic:NewRelicConfig",
    "grafana": "destinations.grafana:GrafanaConfig",
    "honeycomb": "destinations.honeycomb:HoneycombConfig",
    "dynatrace": "destinations.dynatrace:DynatraceConfig",
    "signoz": "destinations.signoz:SignozConfig",
    "axiom": "destinations.axiom:AxiomConfig",
}


class UnknownKind(ValueError):
    """There is no such kind of destination; the message names the nearest, or all."""


def config_class(kind: str) -> type[DestinationConfig]:
    """Return the class of settings of one kind of destination.

    Raises:
        UnknownKind: there is none of this name, or what another package offers under it is none.

    """
    place = KINDS.get(kind)
    if place is not None:
        module, _, name = place.partition(":")
        found = getattr(import_module(module), name)
    else:
        found = _of_others(kind)
    if not (isinstance(found, type) and issubclass(found, DestinationConfig)):
        raise UnknownKind(f"what a package offers as the destination type {kind!r} is no class of `DestinationConfig`")
    return found


def kinds() -> tuple[str, ...]:
    """Return the kinds there are, those of other packages included, sorted."""
    return tuple(sorted({*KINDS, *(point.name for point in _offered())}))


def _of_others(kind: str) -> object:
    point = next((point for point in _offered() if point.name == kind), None)
    if point is None:
        near = get_close_matches(kind, kinds(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(kinds())}"
        raise UnknownKind(f"there is no destination type {kind!r}; {hint}")
    try:
        return point.load()
    except Exception as error:  # code of others, of which nothing is known
        raise UnknownKind(f"the package that offers the destination type {kind!r} cannot be imported: {error}") from error


def _offered() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))

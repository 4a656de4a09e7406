"""The platforms that are sent to by OTLP, each with settings that are complete, and what is sent to them."""

from collections.abc import Mapping
from typing import Any

from destinations import config_class
from destinations.otlp import PresetConfig
from domain.destinations import Parcel
from tests.destinations.fixture import BATCH
from tests.destinations.otlp_reading import attributes, spans_in

KEY = "canary-" + "0123456789abcdef"
SENTRY_KEY = "c4na" * 8
URL = "https://platform.test"
# By kind: what its settings are besides the URL.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "phoenix": {"api_key": KEY, "project": "shop"},
    "arize": {"api_key": KEY, "space_id": "U3BhY2U6MQ", "project": "shop"},
    "langwatch": {"api_key": KEY, "project_id": "project_1"},
    "respan": {"api_key": KEY},
    "datadog-apm": {"api_key": KEY},
    "braintrust": {"api_key": KEY, "project": "shop"},
    "opik": {"api_key": KEY, "workspace": "team", "project": "shop"},
    "weave": {"api_key": KEY, "entity": "team", "project": "shop"},
    "mlflow": {"experiment_id": "7", "username": "gateway", "password": KEY},
    "sentry": {},
    "newrelic": {"license_key": KEY},
    "grafana": {"instance_id": "123456", "token": KEY},
    "honeycomb": {"api_key": KEY, "dataset": "classic"},
    "dynatrace": {"token": KEY},
    "signoz": {"ingestion_key": KEY},
    "axiom": {"token": KEY, "dataset": "traces"},
}


def config(kind: str, url: str = URL, **more: Any) -> PresetConfig:
    """Return the settings of a platform at `url`."""
    place = {"dsn": url.replace("://", f"://{SENTRY_KEY}@") + "/42"} if kind == "sentry" else {"url": url}
    found = config_class(kind).model_validate({"allow_private": True, **place, **SETTINGS[kind], **more})
    assert isinstance(found, PresetConfig)
    return found


def told(settings: PresetConfig, one: Parcel) -> tuple[Any, dict[str, Any]]:
    """Return the span that is sent of a call, and its attributes."""
    (span,) = spans_in(settings.build("mine", None).encode([one], BATCH))  # type: ignore[arg-type]  # nothing is sent
    return span, attributes(span)

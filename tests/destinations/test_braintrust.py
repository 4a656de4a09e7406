import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from destinations.braintrust import BraintrustConfig, metrics_of
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, fixture_span, parcel, streamed_variant
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import readable
from tests.destinations.presets import KEY, config, told
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink
from tests.destinations.variants import VARIANTS


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("braintrust", sink.url), sink)
        assert sink.last.path == "/otel/v1/traces"
        assert sink.last.headers["authorization"] == f"Bearer {KEY}"
        assert sink.last.headers["x-bt-parent"] == "project_name:shop"


@pytest.mark.parametrize("name", ["full", "error", "streamed"])
def test_a_payload_is_as_its_golden_file(name):
    golden(f"braintrust/{name}.json", readable(config("braintrust").build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_metrics_are_those_of_its_sdks():
    assert metrics_of(streamed_variant().span) == {
        "prompt_tokens": 1200,
        "completion_tokens": 80,
        "tokens": 1280,
        "prompt_cached_tokens": 1024,
        "prompt_cache_creation_tokens": 16,
        "completion_reasoning_tokens": 32,
        "time_to_first_token": 0.41,
        "estimated_cost": 0.000333,
    }
    assert metrics_of(replace(fixture_span(), usage=None, cost=None)) == {}


def test_the_rest_is_metadata_and_tags():
    _, found = told(config("braintrust"), parcel())
    metadata = json.loads(found["braintrust.metadata"])
    assert (metadata["session_id"], metadata["user_id"], metadata["team"]) == ("sess-1", "user-1", "search")
    assert (metadata["model"], metadata["provider"], metadata["temperature"]) == ("gpt-4o-mini-2024-07-18", "openai", 0.2)
    assert found["braintrust.tags"] == ["prod", "gw"]
    assert json.loads(found["braintrust.span_attributes"]) == {"type": "llm"}


@pytest.mark.parametrize(
    ("place", "parent"),
    [
        ({"project": "shop"}, "project_name:shop"),
        ({"project_id": "p-1"}, "project_id:p-1"),
        ({"experiment_id": "e-1"}, "experiment_id:e-1"),
    ],
)
def test_where_spans_go(place, parent):
    preset = BraintrustConfig.model_validate({"api_key": KEY, **place}).preset()
    assert preset.headers["x-bt-parent"] == parent
    assert preset.url == "https://api.braintrust.dev/otel/v1/traces"


@pytest.mark.parametrize("places", [{}, {"project": "a", "project_id": "b"}])
def test_one_place_is_named(places):
    with pytest.raises(ValidationError, match="set one of"):
        BraintrustConfig.model_validate({"api_key": KEY, **places})

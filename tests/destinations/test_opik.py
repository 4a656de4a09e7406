import json
from dataclasses import replace

import pytest

from destinations.opik import OpikConfig
from domain.calls import Usage
from domain.destinations import Parcel
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, fixture_span, parcel
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import readable
from tests.destinations.presets import KEY, config, told
from tests.destinations.simulators.receiver import taken
from tests.destinations.simulators.shown import priced_by_opik
from tests.destinations.sink import Sink
from tests.destinations.variants import VARIANTS


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("opik", sink.url + "/api"), sink)
        headers = sink.last.headers
        assert sink.last.path == "/api/v1/private/otel/v1/traces"
        assert (headers["authorization"], headers["comet-workspace"], headers["projectname"]) == (KEY, "team", "shop")


@pytest.mark.parametrize("name", ["full", "error", "streamed"])
def test_a_payload_is_as_its_golden_file(name):
    golden(f"opik/{name}.json", readable(config("opik").build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_a_thread_tags_and_what_it_cost():
    _, found = told(config("opik"), parcel())
    assert (found["thread_id"], found["gen_ai.system"]) == ("sess-1", "openai")
    assert found["opik.tags"] == ["prod", "gw"]
    metadata = json.loads(found["opik.metadata"])
    assert (metadata["gateway.cost_usd"], metadata["team"]) == (0.000333, "search")


@pytest.mark.parametrize(
    ("upstream", "host", "model", "style", "priced"),
    [
        ("openai", "api.openai.com", "gpt-4o-mini", "openai", (176, 1024, 0)),
        ("anthropic", "api.anthropic.com", "claude-sonnet-5", "anthropic", (160, 1024, 16)),
        ("vertex", "aiplatform.googleapis.com", "claude-sonnet-5", "anthropic", (160, 1024, 16)),
        ("bedrock", "bedrock-runtime.eu-west-1.amazonaws.com", "claude-sonnet-5", "bedrock", (160, 1024, 16)),
    ],
)
def test_no_cached_token_is_priced_twice(upstream, host, model, style, priced):
    span = replace(fixture_span(), upstream=upstream, model=model, served_model=model)
    _, found = told(config("opik"), Parcel(span, None, server=(host, 443)))
    assert priced_by_opik(found, style) == priced
    assert found["gen_ai.usage.input_tokens"] == 1200


def test_what_is_unknown_is_not_told():
    span = replace(fixture_span(), upstream="anthropic", served_model=None, model=None, usage=Usage(output_tokens=3))
    _, found = told(config("opik"), Parcel(span, None))
    usage = {name: value for name, value in found.items() if name.startswith("gen_ai.usage.") and name != "gen_ai.usage.cost"}
    assert usage == {"gen_ai.usage.output_tokens": 3, "gen_ai.usage.original_usage.output_tokens": 3}


def test_a_self_hosted_one_needs_no_key():
    mine = OpikConfig.model_validate({"url": "http://127.0.0.1:5173/api", "allow_private": True})
    assert mine.preset().url == "http://127.0.0.1:5173/api/v1/private/otel/v1/traces"
    assert mine.preset().headers == {"projectName": "faregate"}
    cloud = OpikConfig.model_validate({"api_key": KEY})
    assert cloud.preset().url == "https://www.comet.com/opik/api/v1/private/otel/v1/traces"

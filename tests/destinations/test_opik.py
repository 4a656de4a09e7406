import json

import pytest

from destinations.opik import OpikConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, parcel
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import readable
from tests.destinations.presets import KEY, config, told
from tests.destinations.simulators.receiver import taken
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


def test_a_self_hosted_one_needs_no_key():
    mine = OpikConfig.model_validate({"url": "http://127.0.0.1:5173/api", "allow_private": True})
    assert mine.preset().url == "http://127.0.0.1:5173/api/v1/private/otel/v1/traces"
    assert mine.preset().headers == {"projectName": "faregate"}
    cloud = OpikConfig.model_validate({"api_key": KEY})
    assert cloud.preset().url == "https://www.comet.com/opik/api/v1/private/otel/v1/traces"

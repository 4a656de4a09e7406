import pytest

from destinations.arize import ArizeConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, parcel
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import attributes, readable, request_in
from tests.destinations.presets import KEY, config
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink
from tests.destinations.variants import VARIANTS


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("arize", sink.url), sink)
        headers = sink.last.headers
        assert sink.last.path == "/v1/traces"
        # by the newer names and the older ones, without a word in front of the key
        assert (headers["authorization"], headers["api_key"]) == (KEY, KEY)
        assert (headers["arize-space-id"], headers["space_id"]) == ("U3BhY2U6MQ", "U3BhY2U6MQ")
        assert headers["arize-interface"] == "otel"


@pytest.mark.parametrize("name", ["full", "error", "streamed"])
def test_a_payload_is_as_its_golden_file(name):
    golden(f"arize/{name}.json", readable(config("arize").build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_the_project_is_told_by_both_of_its_names():
    request = request_in(config("arize").build("mine", None).encode([parcel()], BATCH))
    found = attributes(request.resource_spans[0].resource)
    assert (found["openinference.project.name"], found["model_id"]) == ("shop", "shop")


def test_where_it_is():
    told = {"api_key": KEY, "space_id": "s"}
    assert ArizeConfig.model_validate(told).preset().url == "https://otlp.arize.com/v1/traces"
    europe = ArizeConfig.model_validate({**told, "url": "https://otlp.eu-west-1a.arize.com"})
    assert europe.preset().url == "https://otlp.eu-west-1a.arize.com/v1/traces"

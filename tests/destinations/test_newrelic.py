import pytest

from destinations.newrelic import NewRelicConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, hostile
from tests.destinations.otlp_reading import spans_in
from tests.destinations.presets import KEY, config
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("newrelic", sink.url), sink)
        assert sink.last.path == "/v1/traces"
        assert sink.last.headers["api-key"] == KEY


def test_no_value_is_longer_than_it_takes():
    for span in spans_in(config("newrelic").build("mine", None).encode(hostile(), BATCH)):
        for owner in (span, *span.events):
            assert max(len(one.value.string_value.encode()) for one in owner.attributes) <= 4_095


def test_a_request_is_within_a_megabyte():
    assert config("newrelic").limits().body_bytes == 1_000_000


@pytest.mark.parametrize("url", ["https://otlp.nr-data.net", "https://otlp.eu01.nr-data.net"])
def test_where_it_is(url):
    settings = NewRelicConfig.model_validate({"license_key": KEY, "url": url})
    assert settings.preset().url == f"{url}/v1/traces"

import pytest

from destinations.honeycomb import HoneycombConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, hostile
from tests.destinations.otlp_reading import spans_in
from tests.destinations.presets import KEY, config
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("honeycomb", sink.url), sink)
        assert sink.last.path == "/v1/traces"
        assert (sink.last.headers["x-honeycomb-team"], sink.last.headers["x-honeycomb-dataset"]) == (KEY, "classic")


def test_no_text_is_longer_than_it_takes():
    spans = spans_in(config("honeycomb").build("mine", None).encode(hostile(), BATCH))
    longest = max(len(one.value.string_value.encode()) for span in spans for one in span.attributes)
    assert 60_000 < longest <= 64_000


@pytest.mark.parametrize("url", ["https://api.honeycomb.io", "https://api.eu1.honeycomb.io"])
def test_where_it_is(url):
    settings = HoneycombConfig.model_validate({"api_key": KEY, "url": url})
    assert settings.preset().url == f"{url}/v1/traces"
    assert settings.preset().headers == {"x-honeycomb-team": KEY}

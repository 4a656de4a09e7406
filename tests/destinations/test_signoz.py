from destinations.signoz import SignozConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import parcel, streamed_variant
from tests.destinations.presets import KEY, config, told
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("signoz", sink.url), sink)
        assert sink.last.path == "/v1/traces"
        assert sink.last.headers["signoz-ingestion-key"] == KEY


def test_the_time_to_the_first_token_has_its_own_name_there():
    assert told(config("signoz"), streamed_variant())[1]["gen_ai.server.ttft"] == 0.41
    assert "gen_ai.server.ttft" not in told(config("signoz"), parcel())[1]


def test_a_collector_of_ones_own_needs_no_key():
    settings = SignozConfig.model_validate({"url": "http://127.0.0.1:4318", "allow_private": True})
    assert settings.preset().headers == {}

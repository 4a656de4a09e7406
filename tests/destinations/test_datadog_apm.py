import pytest
from pydantic import ValidationError

from destinations.datadog_apm import DatadogApmConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.presets import KEY, config
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("datadog-apm", sink.url, llmobs=True), sink)
        assert sink.last.path == "/v1/traces"
        assert (sink.last.headers["dd-api-key"], sink.last.headers["dd-otlp-source"]) == (KEY, "llmobs")


def told(**more):
    return DatadogApmConfig.model_validate({"api_key": KEY, **more}).preset()


def test_apm_names_no_source_of_its_own():
    assert told().headers == {"dd-api-key": KEY}
    assert told(source="acme").headers["dd-otlp-source"] == "acme"
    with pytest.raises(ValidationError, match="set one of them"):
        told(source="acme", llmobs=True)


def test_where_it_is():
    assert told(site="datadoghq.eu").url == "https://otlp.datadoghq.eu/v1/traces"
    agent = DatadogApmConfig.model_validate({"url": "http://127.0.0.1:4318", "allow_private": True})
    assert (agent.preset().url, agent.preset().headers) == ("http://127.0.0.1:4318/v1/traces", {})
    with pytest.raises(ValidationError, match="for an agent of your own"):
        DatadogApmConfig.model_validate({})


def test_calls_older_than_a_day_are_not_sent():
    assert config("datadog-apm").limits().max_age < 86_400


def test_where_to_look():
    assert "APM" in config("datadog-apm").look_at
    assert "Agent Observability" in config("datadog-apm", llmobs=True).look_at.format(trace="0af7")

import json
import warnings
from dataclasses import replace

import pytest

from destinations.respan import RespanConfig, log_type_of
from domain.calls import Usage
from domain.exchange import Labels
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, CALL_ID, fixture_content, fixture_span, parcel
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import readable
from tests.destinations.presets import KEY, config, told
from tests.destinations.sink import Reply, Sink
from tests.destinations.variants import VARIANTS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's own
    from respan_sdk.constants.llm_logging import LogTypeChoices
    from respan_sdk.constants.otlp_constants import ALL_PROMOTED_KEYS
    from respan_sdk.constants.span_attributes import RESPAN_SPAN_TOOLS, RespanSpanAttributes
    from respan_sdk.constants.tracing_constants import RESPAN_DOGFOOD_HEADER


async def test_complies():
    with Sink(Reply(200, b'{"message":"ok"}')) as sink:
        await assert_complies(config("respan", sink.url), sink)
        assert sink.last.path == "/api/v2/traces"
        assert sink.last.headers["authorization"] == f"Bearer {KEY}"
        assert sink.last.headers[RESPAN_DOGFOOD_HEADER.lower()] == "1"


@pytest.mark.parametrize("name", ["full", "error", "streamed"])
def test_a_payload_is_as_its_golden_file(name):
    golden(f"respan/{name}.json", readable(config("respan").build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_messages_are_one_attribute_each():
    _, found = told(config("respan"), parcel())
    assert (found["gen_ai.prompt.0.role"], found["gen_ai.prompt.0.content"]) == ("system", "You are terse.")
    assert found["gen_ai.prompt.1.role"] == "user"
    assert json.loads(found["gen_ai.prompt.1.content"])[1]["image_url"]["url"] == "https://example.com/p.png"
    assert found["gen_ai.completion.0.role"] == "assistant"
    (call,) = json.loads(found["gen_ai.completion.0.tool_calls"])
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    (tool,) = json.loads(found[RESPAN_SPAN_TOOLS])
    assert tool["function"]["name"] == "get_weather"
    # large texts are not sent twice
    assert not [name for name in found if name.endswith(".messages")]


def test_its_own_names_are_those_of_its_sdk():
    """Each name that its server makes a column of is written as the SDK has it, and no other name is said to be its own."""
    _, found = told(config("respan"), parcel(replace(fixture_span(), labels=replace(fixture_span().labels, run="run-1"))))
    known = {one.value for one in RespanSpanAttributes} | {RESPAN_SPAN_TOOLS}
    assert {name for name in found if name.startswith("respan.")} <= known
    assert len(ALL_PROMOTED_KEYS & found.keys()) >= 16
    assert found[RespanSpanAttributes.RESPAN_SPAN_CUSTOM_ID.value] == CALL_ID
    assert found[RespanSpanAttributes.RESPAN_CUSTOMER_PARAMS_ID.value] == "user-1"
    assert found[RespanSpanAttributes.RESPAN_SESSION_ID.value] == "sess-1"
    assert found[RespanSpanAttributes.RESPAN_TRACE_GROUP_ID.value] == "run-1"
    assert found[RespanSpanAttributes.RESPAN_ENVIRONMENT.value] == "prod"
    metadata = json.loads(found[RespanSpanAttributes.RESPAN_METADATA.value])
    assert (metadata["team"], metadata["gateway.cost_usd"]) == ("search", 0.000333)
    assert found["llm.request.type"] == "chat"


@pytest.mark.parametrize(
    ("operation", "usage", "kind"),
    [
        ("chat", None, "chat"),
        ("responses", None, "chat"),
        ("text_completion", None, "completion"),
        ("embeddings", None, "embedding"),
        ("image_generation", Usage(images=1), "generation"),
        ("files", None, "span"),
    ],
)
def test_kinds_of_calls_are_those_it_knows(operation, usage, kind):
    assert log_type_of(replace(fixture_span(), operation=operation, usage=usage)) == kind
    assert kind in {one.value for one in LogTypeChoices}


def test_a_customer_stands_for_a_user_who_is_not_known():
    _, found = told(config("respan"), parcel(replace(fixture_span(), labels=Labels(customer="cust-1")), fixture_content()))
    assert found["respan.customer_params.customer_identifier"] == "cust-1"


@pytest.mark.parametrize("url", ["https://api.respan.ai", "https://api.respan.ai/api/", "https://api.respan.ai/"])
def test_where_it_is(url):
    settings = RespanConfig.model_validate({"api_key": KEY, "url": url})
    assert settings.preset().url == "https://api.respan.ai/api/v2/traces"

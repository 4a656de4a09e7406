import json
import warnings
from dataclasses import replace

import pytest

from destinations.respan import RespanConfig
from destinations.respan_logs import log_of, log_type_of
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
    from respan_sdk.respan_types.log_types import RespanFullLogParams, RespanLogParams


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


# As JSON. The official package is what says which logs its server reads.


def is_a_log(payload):
    log = json.loads(payload.body)
    for one in log if isinstance(log, list) else [log]:
        RespanLogParams.model_validate(json.loads(json.dumps(one)))


async def test_logs_comply():
    with Sink(Reply(200, b'{"message":"log successful"}')) as sink:
        await assert_complies(config("respan", sink.url, format="json"), sink, valid=is_a_log)
        assert sink.last.path == "/api/request-logs/create/"
        assert sink.last.headers["authorization"] == f"Bearer {KEY}"
        assert sink.last.headers["content-type"] == "application/json"
        assert sink.last.headers[RESPAN_DOGFOOD_HEADER.lower()] == "1"


@pytest.mark.parametrize("name", ["full", "error", "streamed", "bare"])
def test_a_log_is_as_its_golden_file(name):
    golden(f"respan/log_{name}.json", json.dumps(log_of(VARIANTS[name]()), indent=1, sort_keys=True).encode() + b"\n")


def test_a_log_says_what_a_call_cost_and_used():
    log = RespanLogParams.model_validate(log_of(parcel()))
    assert log.cost == 0.000333
    assert (log.usage.prompt_tokens, log.usage.completion_tokens, log.usage.total_tokens) == (1200, 80, 1280)
    assert (log.usage.cache_read_input_tokens, log.usage.cache_creation_input_tokens) == (1024, 16)
    assert log.usage.completion_tokens_details == {"reasoning_tokens": 32}
    assert [message.role for message in log.prompt_messages] == ["system", "user"]
    assert log.completion_message.tool_calls[0].function.name == "get_weather"
    assert log.tools[0]["function"]["name"] == "get_weather"
    assert (log.custom_identifier, log.customer_identifier, log.session_identifier) == (CALL_ID, "user-1", "sess-1")
    assert (log.trace_unique_id, log.span_unique_id) == (fixture_span().trace_id, fixture_span().span_id)
    assert (log.status_code, log.latency, log.time_to_first_token) == (200, 1.234, None)
    assert log.metadata["team"] == "search"
    assert (log.temperature, log.max_tokens) == (0.2, 256)
    assert RespanFullLogParams.model_validate(log_of(parcel())).log_type == "chat"


def test_a_log_of_a_stream_says_when_it_began_to_answer():
    assert RespanLogParams.model_validate(log_of(VARIANTS["streamed"]())).time_to_first_token == 0.41


def test_a_log_of_an_error_has_its_status_and_no_cost():
    log = RespanLogParams.model_validate(log_of(VARIANTS["error"]()))
    assert (log.status_code, log.error_message, log.cost, log.usage) == (429, "429 rate limited", None, None)
    assert log.completion_message is None


def test_what_is_unknown_is_not_in_a_log():
    log = log_of(parcel(replace(fixture_span(), cost=None, usage=Usage(input_tokens=7), cost_lines=()), None))
    assert log["usage"] == {"prompt_tokens": 7}
    assert not {"cost", "prompt_messages", "completion_message", "input", "output"} & log.keys()
    free = log_of(parcel(replace(fixture_span(), cost=0, cost_lines=())))
    assert free["cost"] == 0.0


def test_a_role_that_respan_does_not_know_spoils_no_log():
    content = replace(fixture_content(), input={"messages": [{"role": "narrator", "content": "hi"}]})
    (message,) = RespanLogParams.model_validate(log_of(parcel(fixture_span(), content))).prompt_messages
    assert (message.role, message.content) == ("user", "hi")


def test_what_is_no_conversation_is_a_text():
    content = replace(fixture_content(), input={"purpose": "batch"}, output={"id": "file-1"})
    log = log_of(parcel(replace(fixture_span(), operation="files", usage=None), content))
    assert (log["input"], log["output"], log["log_type"]) == ('{"purpose":"batch"}', '{"id":"file-1"}', "span")


def test_a_parent_is_kept_where_respan_gets_it_too():
    one = parcel(replace(fixture_span(), parent_span_id="00f067aa0ba902b7"))
    assert "span_parent_id" not in log_of(one)
    kept = config("respan", parents="keep", format="json").build("mine", None).encode([one], BATCH)
    assert json.loads(kept.body)["span_parent_id"] == "00f067aa0ba902b7"


def test_a_log_is_alone_in_its_request():
    limits = config("respan", format="json", batch_items=50).limits()
    assert (limits.items, limits.flush, limits.parallel) == (1, 0.0, 4)
    assert config("respan").limits().items == 50

"""The official Anthropic SDK, unmodified, against the simulated upstream."""

import json

import anthropic
import pytest

ASKED = [{"role": "user", "content": "Tell me a story"}]
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"where": {"type": "string"}}, "required": ["where"]}}


@pytest.fixture
async def client(sim):
    async with anthropic.AsyncAnthropic(base_url=sim, api_key="anything", max_retries=0) as made:
        yield made


async def test_a_message_is_answered_with_usage(client):
    message = await client.messages.create(model="echo", max_tokens=100, messages=ASKED)
    assert message.content[0].text == "Tell me a story"
    assert message.stop_reason == "end_turn"
    counted = await client.messages.count_tokens(model="echo", messages=ASKED)
    assert message.usage.input_tokens == counted.input_tokens
    assert message.usage.output_tokens == 4


async def test_a_stream_gives_the_same_message(client):
    whole = await client.messages.create(model="chat", max_tokens=100, messages=ASKED)
    async with client.messages.stream(model="echo", max_tokens=100, messages=ASKED) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == "Tell me a story"
    assert final.usage.output_tokens == 4
    assert final.usage.input_tokens == whole.usage.input_tokens
    assert final.stop_reason == "end_turn"


async def test_tools_are_asked_for_and_their_results_used(client):
    async with client.messages.stream(model="tools", max_tokens=100, messages=ASKED, tools=[TOOL]) as stream:
        first = await stream.get_final_message()
    assert first.stop_reason == "tool_use"
    block = first.content[0]
    assert isinstance(block.input["where"], str)
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": block.id, "content": "a forest"}]}
    history = [*ASKED, {"role": "assistant", "content": [block.model_dump(include={"type", "id", "name", "input"})]}, result]
    second = await client.messages.create(model="tools", max_tokens=100, messages=history, tools=[TOOL])
    assert second.content[0].text == "The tool answered: a forest"


async def test_a_limit_stops_the_message(client):
    message = await client.messages.create(model="chat", max_tokens=3, messages=ASKED)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)


async def test_models_have_anthropics_shape(client):
    names = [model.id async for model in client.models.list()]
    assert names[:2] == ["echo", "chat"]


@pytest.mark.parametrize(
    ("code", "error", "kind"),
    [
        (401, anthropic.AuthenticationError, "authentication_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_errors_have_anthropics_shape(client, code, error, kind):
    with pytest.raises(error) as caught:
        await client.messages.create(model=f"error?code={code}", max_tokens=10, messages=ASKED)
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.request_id == caught.value.body["request_id"]


async def test_an_unknown_model_is_not_found(client):
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.create(model="claude-99", max_tokens=10, messages=ASKED)


async def test_system_text_counts_and_a_named_tool_is_asked_for(client):
    choice = {"type": "tool", "name": "look"}
    forced = await client.messages.create(
        model="chat", max_tokens=50, system="Be brief", messages=ASKED, tools=[TOOL], tool_choice=choice
    )
    assert forced.content[0].name == "look"
    free = await client.messages.create(model="chat", max_tokens=50, messages=ASKED, tools=[TOOL])
    assert free.content[0].type == "text"
    assert forced.usage.input_tokens > free.usage.input_tokens


async def test_a_structured_output_fits_its_schema(client):
    schema = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"], "additionalProperties": False}
    config = {"format": {"type": "json_schema", "schema": schema}}
    message = await client.messages.create(model="chat", max_tokens=50, messages=ASKED, output_config=config)
    assert isinstance(json.loads(message.content[0].text)["size"], int)


async def test_no_messages_are_refused(client):
    with pytest.raises(anthropic.BadRequestError):
        await client.messages.create(model="chat", max_tokens=50, messages=[])

"""The official Anthropic SDK for Python, unmodified: only `ANTHROPIC_BASE_URL` and `ANTHROPIC_API_KEY` are set."""

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests.harness.gate import Gate
from tests.harness.steps import answer
from tests.harness.upstream import ScriptedUpstream
from tests.wire.settings import OWN

ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOL = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def simulated(gate: Gate) -> str:
    return f"{gate.url}/sim"


def test_messages(gate: Gate) -> None:
    with Anthropic(base_url=simulated(gate)) as client:
        message = client.messages.create(model="chat", max_tokens=100, messages=ASKED)
    assert message.content[0].text
    assert message.usage.output_tokens > 0


def test_a_model_can_name_its_upstream(gate: Gate) -> None:
    with Anthropic(base_url=gate.url) as client:
        message = client.messages.create(model="sim/chat", max_tokens=100, messages=ASKED)
    assert message.content[0].text


async def test_a_stream_async(gate: Gate) -> None:
    async with AsyncAnthropic(base_url=simulated(gate)) as client:
        whole = await client.messages.create(model="echo", max_tokens=100, messages=ASKED)
        async with client.messages.stream(model="echo", max_tokens=100, messages=ASKED) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            message = await stream.get_final_message()
    assert text == whole.content[0].text
    assert message.usage == whole.usage


def test_tools(gate: Gate) -> None:
    with Anthropic(base_url=simulated(gate)) as client:
        message = client.messages.create(model="tools", max_tokens=100, messages=ASKED, tools=[TOOL])
    assert message.stop_reason == "tool_use"
    assert [block.name for block in message.content if block.type == "tool_use"] == ["get_weather"]


def test_the_native_path_reaches_the_provider_unchanged(gate: Gate, upstream: ScriptedUpstream) -> None:
    body = b'{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}'
    upstream.plan(
        answer(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    )
    with Anthropic() as client:
        assert client.messages.create(model="claude-of-tests", max_tokens=10, messages=ASKED).id == "msg_1"
    (received,) = upstream.received
    assert received.head.start == b"POST /v1/messages HTTP/1.1"
    assert received.head.value(b"x-api-key") == OWN.encode()
    assert received.head.value(b"anthropic-version") is not None


def test_errors_are_the_sdks_own(gate: Gate, upstream: ScriptedUpstream) -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    upstream.plan(answer(b"HTTP/1.1 529 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)))
    with Anthropic(max_retries=0) as client, pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(model="claude-of-tests", max_tokens=10, messages=ASKED)
    assert raised.value.status_code == 529


def test_a_key_that_is_not_good_is_refused_in_anthropics_shape(gate: Gate) -> None:
    with (
        Anthropic(api_key="fg-" + "nobody-nobody-nobody-nobody-nobody") as client,
        pytest.raises(anthropic.AuthenticationError) as raised,
    ):
        client.messages.create(model="claude-of-tests", max_tokens=10, messages=ASKED)
    assert raised.value.body["error"]["type"] == "authentication_error"

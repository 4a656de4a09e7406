"""The official OpenAI SDK for Python, unmodified: only `OPENAI_BASE_URL` and `OPENAI_API_KEY` are set."""

import io
import json

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.harness.gate import Gate
from tests.harness.messages import chunked
from tests.harness.steps import answer
from tests.harness.upstream import ScriptedUpstream
from tests.wire.settings import OWN

ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}


class Plan(BaseModel):
    name: str
    minutes: int


def reply(body: bytes, kind: bytes = b"application/json", *, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, kind, headers, len(body), body)


def test_chat(gate: Gate) -> None:
    with OpenAI() as client:
        raw = client.chat.completions.with_raw_response.create(model="sim/chat", messages=ASKED)
    completion = raw.parse()
    assert completion.choices[0].message.content
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert raw.headers["x-faregate-upstream"] == "sim"
    assert len(raw.headers["x-faregate-call"]) == 32


async def test_chat_async(gate: Gate) -> None:
    async with AsyncOpenAI() as client:
        completion = await client.chat.completions.create(model="sim/chat", messages=ASKED)
    assert completion.choices[0].finish_reason == "stop"


def test_a_stream_without_usage_has_none(gate: Gate) -> None:
    with OpenAI() as client:
        whole = client.chat.completions.create(model="sim/echo", messages=ASKED)
        chunks = list(client.chat.completions.create(model="sim/echo", messages=ASKED, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_a_stream_with_usage_async(gate: Gate) -> None:
    async with AsyncOpenAI() as client:
        stream = await client.chat.completions.create(
            model="sim/chat", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage.completion_tokens > 0
    assert chunks[-1].choices == []


def test_tools(gate: Gate) -> None:
    with OpenAI() as client:
        completion = client.chat.completions.create(model="sim/tools", messages=ASKED, tools=[TOOL])
        (call,) = completion.choices[0].message.tool_calls
        assert call.function.name == "get_weather"
        assert set(json.loads(call.function.arguments)) == {"city"}
        followed = [*ASKED, completion.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        assert client.chat.completions.create(model="sim/tools", messages=followed, tools=[TOOL]).choices


def test_tools_in_a_stream(gate: Gate) -> None:
    with OpenAI() as client, client.chat.completions.stream(model="sim/tools", messages=ASKED, tools=[TOOL]) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_structured_outputs(gate: Gate) -> None:
    with OpenAI() as client:
        completion = client.chat.completions.parse(model="sim/chat", messages=ASKED, response_format=Plan)
    assert isinstance(completion.choices[0].message.parsed, Plan)


def test_responses(gate: Gate) -> None:
    with OpenAI() as client:
        response = client.responses.create(model="sim/echo", input="Hello")
        assert response.status == "completed"
        events = list(client.responses.create(model="sim/echo", input="Hello", stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == response.output_text


async def test_responses_async_stream_helper(gate: Gate) -> None:
    async with AsyncOpenAI() as client, client.responses.stream(model="sim/chat", input="Hello") as stream:
        response = await stream.get_final_response()
    assert response.output_text


def test_embeddings(gate: Gate) -> None:
    with OpenAI() as client:
        result = client.embeddings.create(model="sim/chat", input=["one", "two"])
    assert len(result.data) == 2
    assert len(result.data[0].embedding) == len(result.data[1].embedding) > 0
    assert result.usage.prompt_tokens > 0


def test_files(gate: Gate, upstream: ScriptedUpstream) -> None:
    described = (
        b'{"id":"file-1","object":"file","bytes":9,"created_at":1,"filename":"x.jsonl","purpose":"batch","status":"processed"}'
    )
    content = bytes(range(256)) * 5000
    upstream.plan(
        answer(reply(described)),
        answer(reply(content, b"application/octet-stream")),
        answer(reply(b'{"object":"list","has_more":false,"data":[' + described + b"]}")),
        answer(reply(b'{"id":"file-1","object":"file","deleted":true}')),
    )
    with OpenAI() as client:
        made = client.files.create(file=("x.jsonl", io.BytesIO(content)), purpose="batch")
        assert client.files.content(made.id).content == content
        assert [one.id for one in client.files.list()] == ["file-1"]
        assert client.files.delete(made.id).deleted
    first = upstream.received[0]
    assert first.head.start == b"POST /v1/files HTTP/1.1"
    assert first.body is not None
    assert content in first.body.data
    assert {one.head.value(b"authorization") for one in upstream.received} == {b"Bearer " + OWN.encode()}


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK says so of translations
def test_audio(gate: Gate, upstream: ScriptedUpstream) -> None:
    sound = b"\xff\xfb\x90\x00" * 100_000
    spoken = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.plan(
        answer(spoken, *chunked([sound[at : at + 100_000] for at in range(0, len(sound), 100_000)])),
        answer(reply(b'{"text":"hello","usage":{"type":"duration","seconds":2}}')),
        answer(reply(b'{"text":"hello"}')),
    )
    with OpenAI() as client:
        with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="hello") as speech:
            assert b"".join(speech.iter_bytes()) == sound
        heard = client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", io.BytesIO(sound)))
        assert heard.text == "hello"
        translated = client.audio.translations.create(model="whisper-1", file=("a.mp3", io.BytesIO(sound)))
    assert translated.text == "hello"
    assert all(one.body is not None and (number == 0 or sound in one.body.data) for number, one in enumerate(upstream.received))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
def test_errors_are_the_sdks_own(status: int, kind: type[openai.APIStatusError], gate: Gate, upstream: ScriptedUpstream) -> None:
    body = b'{"error":{"message":"because","type":"some_type","param":"p","code":"some_code"}}'
    upstream.plan(answer(reply(body, status=b"%d X" % status, headers=b"x-request-id: req_9\r\n")))
    with OpenAI(max_retries=0) as client, pytest.raises(kind) as raised:
        client.chat.completions.create(model="gpt-4o", messages=ASKED)
    assert (raised.value.code, raised.value.type, raised.value.param) == ("some_code", "some_type", "p")
    assert raised.value.request_id == "req_9"


def test_the_sdk_tries_again_as_the_provider_says(gate: Gate, upstream: ScriptedUpstream) -> None:
    limited = reply(b"{}", status=b"429 Slow", headers=b"retry-after-ms: 1\r\n")
    good = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[]}'
    upstream.plan(answer(limited), answer(reply(good)))
    with OpenAI() as client:
        assert client.chat.completions.create(model="gpt-4o", messages=ASKED).id == "c"
    assert [one.head.value(b"x-stainless-retry-count") for one in upstream.received] == [b"0", b"1"]


def test_a_key_that_is_not_good_is_not_tried_again(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(reply(b"{}")))
    with (
        OpenAI(api_key="fg-" + "nobody-nobody-nobody-nobody-nobody") as client,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        client.chat.completions.create(model="gpt-4o", messages=ASKED)
    assert raised.value.code == "invalid_api_key"
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert upstream.received == []


def test_labels_in_the_base_url_and_in_the_body(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(reply(b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[]}')))
    with OpenAI(base_url=f"{gate.url}/@session=s1,tag.team=x/v1") as client:
        client.chat.completions.create(
            model="gpt-4o", messages=ASKED, extra_body={"faregate": {"run": "r1"}}, extra_headers={"x-faregate-user": "u1"}
        )
    (received,) = upstream.received
    assert received.body is not None
    assert received.head.start == b"POST /v1/chat/completions HTTP/1.1"
    assert b"faregate" not in received.head.raw
    assert b"faregate" not in received.body.data

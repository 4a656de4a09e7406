"""The official OpenAI SDK, unmodified, against the simulated upstream."""

import asyncio
import base64
import io
import json
import math
import wave
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Look at the sky",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


class Step(BaseModel):
    title: str
    minutes: int


class Plan(BaseModel):
    name: str
    difficulty: Literal["easy", "hard"]
    steps: list[Step]
    note: str | None


@pytest.fixture
async def client(sim):
    async with openai.AsyncOpenAI(base_url=f"{sim}/v1", api_key="anything", max_retries=0) as made:
        yield made


async def test_the_same_request_has_the_same_answer(client):
    first = await client.chat.completions.create(model="chat", messages=ASKED)
    second = await client.chat.completions.create(model="chat", messages=ASKED)
    other = await client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "And in Rome?"}])
    assert first == second
    assert first.choices[0].message.content != other.choices[0].message.content
    assert first.choices[0].finish_reason == "stop"
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens


async def test_the_synchronous_client_works_too(sim):
    def ask():
        with openai.OpenAI(base_url=f"{sim}/v1", api_key="anything") as client:
            return client.chat.completions.create(model="echo", messages=ASKED)

    answer = await asyncio.to_thread(ask)
    assert answer.choices[0].message.content == ASKED[0]["content"]


async def test_a_stream_says_what_the_whole_answer_says_and_no_usage_unless_asked(client):
    stream = await client.chat.completions.create(model="echo", messages=ASKED, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ASKED[0]["content"]
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_usage_of_a_stream_comes_last_without_choices_and_is_null_before(client):
    stream = await client.chat.completions.create(
        model="chat", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    whole = await client.chat.completions.create(model="chat", messages=ASKED)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert all("usage" in chunk.model_fields_set and chunk.usage is None and chunk.choices for chunk in chunks[:-1])


async def test_each_of_n_choices_has_an_index_and_counts(client):
    answer = await client.chat.completions.create(model="chat", messages=ASKED, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 3


async def test_a_limit_cuts_the_answer_and_says_so(client):
    answer = await client.chat.completions.create(model="chat", messages=ASKED, max_completion_tokens=5)
    assert answer.usage.completion_tokens == 5
    assert answer.choices[0].finish_reason == "length"


async def test_the_tools_model_asks_for_a_tool_and_answers_when_it_sees_the_result(client):
    first = await client.chat.completions.create(model="tools", messages=ASKED, tools=[TOOL])
    call = first.choices[0].message.tool_calls[0]
    assert first.choices[0].finish_reason == "tool_calls"
    assert set(json.loads(call.function.arguments)) == {"city", "unit"}
    history = [*ASKED, first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "18 degrees, dry"}]
    second = await client.chat.completions.create(model="tools", messages=history, tools=[TOOL])
    assert second.choices[0].message.content == "The tool answered: 18 degrees, dry"
    third = await client.chat.completions.create(model="loop", messages=history, tools=[TOOL])
    assert third.choices[0].message.tool_calls[0].function.name == "get_weather"


async def test_a_streamed_tool_call_is_the_whole_one(client):
    whole = await client.chat.completions.create(model="tools", messages=ASKED, tools=[TOOL])
    async with client.chat.completions.stream(model="tools", messages=ASKED, tools=[TOOL]) as stream:
        final = await stream.get_final_completion()
    streamed = json.loads(final.choices[0].message.tool_calls[0].function.arguments)
    assert final.choices[0].message.tool_calls[0].function.name == "get_weather"
    assert streamed.keys() == json.loads(whole.choices[0].message.tool_calls[0].function.arguments).keys()


async def test_tool_choice_is_obeyed_by_every_model(client):
    none = await client.chat.completions.create(model="tools", messages=ASKED, tools=[TOOL], tool_choice="none")
    assert none.choices[0].message.tool_calls is None
    required = await client.chat.completions.create(model="chat", messages=ASKED, tools=[TOOL], tool_choice="required")
    named = {"type": "function", "function": {"name": "get_weather"}}
    by_name = await client.chat.completions.create(model="chat", messages=ASKED, tools=[TOOL], tool_choice=named)
    assert required.choices[0].message.tool_calls
    assert by_name.choices[0].message.tool_calls


async def test_structured_outputs_parse(client):
    chat = await client.chat.completions.parse(model="chat", messages=ASKED, response_format=Plan)
    assert isinstance(chat.choices[0].message.parsed, Plan)
    response = await client.responses.parse(model="chat", input="Plan my day", text_format=Plan)
    assert isinstance(response.output_parsed, Plan)


async def test_legacy_completions_answer_each_prompt(client):
    answer = await client.completions.create(model="echo", prompt=["one", "two"], max_tokens=50, echo=False)
    assert [choice.text for choice in answer.choices] == ["one", "two"]
    stream = await client.completions.create(
        model="echo", prompt="to be or not", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "to be or not"
    assert chunks[-1].usage.completion_tokens == 4


async def test_embeddings_are_unit_vectors_the_same_in_both_encodings(client):
    packed = await client.embeddings.create(model="chat", input=["a", "b"])
    plain = await client.embeddings.create(model="chat", input="b", encoding_format="float")
    assert packed.data[1].embedding == pytest.approx(plain.data[0].embedding, abs=1e-7)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert math.hypot(*plain.data[0].embedding) == pytest.approx(1, abs=1e-4)
    short = await client.embeddings.create(model="chat", input="b", dimensions=64)
    assert len(short.data[0].embedding) == 64


async def test_a_response_is_kept_and_can_be_continued(client):
    first = await client.responses.create(model="echo", input="remember me")
    assert first.output_text == "remember me"
    assert await client.responses.retrieve(first.id) == first
    second = await client.responses.create(model="echo", input="and me", previous_response_id=first.id)
    assert second.usage.input_tokens > first.usage.input_tokens
    items = await client.responses.input_items.list(first.id)
    assert items.data[0].content[0].text == "remember me"
    await client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(first.id)


async def test_a_response_that_is_not_stored_is_not_kept(client):
    response = await client.responses.create(model="echo", input="forget me", store=False)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response.id)


async def test_a_streamed_response_has_numbered_events_and_ends_with_the_whole(client):
    stream = await client.responses.create(model="echo", input="as it is", stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "as it is"
    assert events[-1].response.output_text == "as it is"


async def test_a_response_with_a_tool_asks_and_then_answers(client):
    tool = {"type": "function", "name": "look", "parameters": TOOL["function"]["parameters"], "strict": True}
    async with client.responses.stream(model="tools", input="Look outside", tools=[tool]) as stream:
        first = await stream.get_final_response()
    call = first.output[0]
    assert call.name == "look"
    answer = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    second = await client.responses.create(model="tools", input=[answer], tools=[tool], previous_response_id=first.id)
    assert second.output_text == "The tool answered: rain"


async def test_a_cut_response_is_incomplete(client):
    response = await client.responses.create(model="chat", input="Go on", max_output_tokens=3)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


async def test_background_work_is_done_when_its_time_has_passed(client, clock):
    queued = await client.responses.create(model="slow?ttft=60000", input="Think", background=True)
    assert (queued.status, queued.output) == ("queued", [])
    assert (await client.responses.retrieve(queued.id)).status == "in_progress"
    clock.now += 3600
    done = await client.responses.retrieve(queued.id)
    assert done.status == "completed"
    assert done.output_text
    other = await client.responses.create(model="slow?ttft=60000", input="Think again", background=True)
    assert (await client.responses.cancel(other.id)).status == "cancelled"
    assert (await client.responses.retrieve(other.id)).status == "cancelled"


async def test_a_kept_response_can_be_streamed_again_from_any_event(client):
    first = await client.responses.create(model="echo", input="one more time")
    whole = [event async for event in await client.responses.retrieve(first.id, stream=True)]
    assert whole[-1].response == first
    rest = [event async for event in await client.responses.retrieve(first.id, stream=True, starting_after=3)]
    assert rest == whole[4:]


async def test_models_are_listed(client):
    names = [model.id async for model in client.models.list()]
    assert names == ["echo", "chat", "tools", "slow", "error", "loop"]
    assert (await client.models.retrieve("echo")).id == "echo"


async def test_moderations_flag_what_names_a_category(client):
    judged = await client.moderations.create(model="omni-moderation-latest", input=["a kind word", "some violence"])
    assert [result.flagged for result in judged.results] == [False, True]
    assert judged.results[1].categories.violence


async def test_an_unknown_model_is_404_as_with_openai(client):
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="gpt-9", messages=ASKED)
    assert caught.value.code == "model_not_found"
    assert "gpt-9" in caught.value.message


async def test_an_unknown_option_is_refused_by_name(client):
    with pytest.raises(openai.BadRequestError, match="has no option `colour`"):
        await client.chat.completions.create(model="chat?colour=red", messages=ASKED)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_each_error_is_the_sdks_own(client, code, error):
    with pytest.raises(error) as caught:
        await client.chat.completions.create(model=f"error?code={code}", messages=ASKED)
    assert caught.value.status_code == code
    assert ("retry-after" in caught.value.response.headers) == (code in (429, 503))


async def test_a_rate_of_errors_is_kept_and_repeats(client):
    async def fails(number):
        try:
            await client.embeddings.create(model="error?code=500&rate=0.3", input=f"text {number}", dimensions=4)
        except openai.InternalServerError:
            return True
        return False

    first = [await fails(number) for number in range(60)]
    assert 6 <= sum(first) <= 32
    assert first == [await fails(number) for number in range(60)]


async def test_an_image_is_a_png_and_counts(client):
    made = await client.images.generate(model="chat", prompt="a quiet sea", n=2)
    pictures = [base64.b64decode(picture.b64_json) for picture in made.data]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert pictures[0] != pictures[1]
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens


async def test_speech_is_a_wav_that_can_be_heard_again(client):
    async with client.audio.speech.with_streaming_response.create(
        model="chat", voice="alloy", input="one two three", response_format="wav"
    ) as answer:
        sound = await answer.read()
    with wave.open(io.BytesIO(sound)) as opened:
        assert opened.getnframes() / opened.getframerate() == pytest.approx(0.75)
    first = await client.audio.transcriptions.create(model="chat", file=("a.wav", sound))
    again = await client.audio.transcriptions.create(model="chat", file=("b.wav", sound), language="en")
    other = await client.audio.transcriptions.create(model="chat", file=("a.wav", sound + b"x"))
    assert first.text == again.text != other.text
    with pytest.raises(openai.BadRequestError, match="WAV only"):
        await client.audio.speech.create(model="chat", voice="alloy", input="hm", response_format="mp3")


async def test_tokens_may_be_given_as_numbers(client):
    completed = await client.completions.create(model="echo", prompt=[11, 12], max_tokens=9)
    assert completed.choices[0].text == "11 12"
    several = await client.completions.create(model="echo", prompt=[[11], [12]], echo=True, n=2, max_tokens=0)
    assert [choice.text for choice in several.choices] == ["11", "11", "12", "12"]
    made = await client.embeddings.create(model="chat", input=[[1, 2], [3]], dimensions=2)
    assert len(made.data) == 2
    same = await client.embeddings.create(model="chat", input=[1, 2], dimensions=2)
    assert same.data[0].embedding == made.data[0].embedding


async def test_a_json_object_is_one(client):
    chat = await client.chat.completions.create(model="chat", messages=ASKED, response_format={"type": "json_object"})
    assert isinstance(json.loads(chat.choices[0].message.content), dict)
    response = await client.responses.create(model="chat", input="JSON, please", text={"format": {"type": "json_object"}})
    assert isinstance(json.loads(response.output_text), dict)


async def test_parts_of_content_are_read(client):
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    answer = await client.chat.completions.create(model="echo", messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == "look"
    judged = await client.moderations.create(input=[{"type": "text", "text": "pure hate"}])
    assert judged.results[0].categories.hate


async def test_instructions_and_choices_of_a_response_count(client):
    tool = {"type": "function", "name": "look", "parameters": {}, "strict": False}
    forced = await client.responses.create(
        model="chat", input="Look", instructions="Be brief", tools=[tool], tool_choice={"type": "function", "name": "look"}
    )
    assert forced.output[0].name == "look"
    plain = await client.responses.create(model="chat", input="Look", tools=[tool])
    assert plain.output_text
    assert forced.usage.input_tokens > plain.usage.input_tokens
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        await client.responses.cancel(plain.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        await client.responses.create(model="chat", input="Go on", previous_response_id="resp_none")


async def test_a_background_response_can_be_streamed(client):
    stream = await client.responses.create(model="echo", input="in the back", background=True, stream=True)
    events = [event async for event in stream]
    assert events[0].type == "response.queued"
    assert events[-1].response.output_text == "in the back"

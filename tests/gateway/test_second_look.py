"""What of a request decides how dear it can be, on every path, and what is refused because parsers could read it in two ways."""

import base64
import json
import struct
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidRequest
from gateway.budgets.look import DECIDING, Look
from gateway.budgets.second_look import cap_field, requested
from gateway.wire.peek import asked_in
from pricing.tokens.images import Picture


def look(
    body,
    path="/v1/chat/completions",
    *,
    upstream="openai",
    model="gpt-4o",
    method=b"POST",
    whole=True,
    length=None,
    websocket=False,
):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def looked(asked, shared=None, upstream=upstream):
        return requested(
            method=method,
            path=path.encode(),
            body=data,
            whole=whole,
            length=length,
            upstream=upstream,
            model=model,
            websocket=websocket,
            asked=asked,
            look=shared,
        )

    found = looked(None)
    asked = None
    with suppress(InvalidRequest):  # the peek refuses some by itself
        asked = asked_in(data) if whole else None
    # The short way, by what the peek has read already, says the same.
    assert replace(looked(asked), only_text=False) == found
    # And so does a look that other upstreams have used.
    shared = Look(data)
    for other in ("anthropic", "mistral"):
        with suppress(InvalidRequest):
            looked(asked, shared, other)
    assert looked(None, shared) == found
    assert looked(asked, shared) == looked(asked)
    return found


def chat(**fields):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **fields}


def parts(*content):
    return chat(messages=[{"role": "user", "content": list(content)}])


def png(width, height):
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(400)
    return base64.b64encode(head).decode()


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        (b"GET", "/v1/models", "free"),
        (b"GET", "/v1/files/f/content", "free"),
        (b"DELETE", "/v1/responses/r", "free"),
        (b"POST", "/v1/moderations", "free"),
        (b"POST", "/v1/files", "free"),
        (b"POST", "/v1/uploads/u/parts", "free"),
        (b"POST", "/v1/messages/count_tokens", "free"),
        (b"POST", "/v1beta/models/gemini-2.5-pro:countTokens", "free"),
        (b"POST", "/v1/responses/r/cancel", "free"),
        (b"POST", "/v1/batches/b/cancel", "free"),
        (b"POST", "/v1/vector_stores", "free"),
        (b"POST", "/v1/threads", "free"),
        (b"POST", "/v1/batches", "batch"),
        (b"POST", "/v1/messages/batches", "batch"),
        (b"POST", "/v1beta/models/gemini-2.5-pro:batchGenerateContent", "batch"),
        (b"POST", "/v1/fine_tuning/jobs", "job"),
        (b"POST", "/v1/threads/t/runs", "job"),
        (b"POST", "/v1/threads/runs", "job"),
        (b"POST", "/v1/videos", "job"),
        (b"POST", "/v1/realtime/client_secrets", "job"),
        (b"POST", "/v1beta/models/veo:predictLongRunning", "job"),
        (b"POST", "/v1/embeddings", "embed"),
        (b"POST", "/v1beta/models/e:embedContent", "embed"),
        (b"POST", "/v1/images/generations?x=1", "image"),
        (b"POST", "/v1beta/models/imagen:predict", "image"),
        (b"POST", "/v1/audio/speech", "speech"),
        (b"POST", "/v1/audio/transcriptions", "transcribe"),
        (b"POST", "/v1/audio/translations", "transcribe"),
        (b"POST", "/v1/rerank", "rerank"),
        (b"POST", "/v1/chat/completions", "generate"),
        (b"POST", "/v1/responses", "generate"),
        (b"POST", "/v1/messages", "generate"),
        (b"POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "generate"),
        (b"POST", "/v1/something/new", "generate"),
    ],
)
def test_every_endpoint_is_of_a_kind(method, path, kind):
    assert look({}, path, method=method).kind == kind


def test_what_only_starts_work_and_a_session_have_no_bound():
    kinds = [look({}, "/v1/batches"), look({}, "/v1/videos"), look(b"", "/v1/realtime", method=b"GET", websocket=True)]
    assert [one.kind for one in kinds] == ["batch", "job", "session"]
    assert all(one.open_cost for one in kinds)


@pytest.mark.parametrize(
    ("path", "upstream", "fields", "most"),
    [
        ("/v1/chat/completions", "openai", {"max_tokens": 7}, 7),
        ("/v1/chat/completions", "openai", {"max_completion_tokens": 8}, 8),
        # Of two maxima the larger one may count.
        ("/v1/chat/completions", "openai", {"max_tokens": 7, "max_completion_tokens": 8}, 8),
        # Not everybody keeps to OpenAI's newer name.
        ("/v1/chat/completions", "llamas", {"max_completion_tokens": 8}, None),
        ("/v1/chat/completions", "llamas", {"max_tokens": 7, "max_completion_tokens": 800}, 7),
        ("/v1/chat/completions", "openai", {"max_output_tokens": 5}, None),
        ("/v1/chat/completions", "openai", {"max_tokens": None}, None),
        ("/v1/completions", "openai", {"max_tokens": 7}, 7),
        ("/v1/responses", "openai", {"max_output_tokens": 9, "max_tokens": 1}, 9),
        ("/v1/messages", "anthropic", {"max_tokens": 7, "max_completion_tokens": 1}, 7),
        ("/v1/complete", "anthropic", {"max_tokens_to_sample": 6}, 6),
        ("/v1beta/models/g:generateContent", "gemini", {"generationConfig": {"maxOutputTokens": 5}}, 5),
        ("/v1beta/models/g:generateContent", "gemini", {"generation_config": {"max_output_tokens": 4}}, 4),
        ("/v1beta/models/g:generateContent", "gemini", {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 50}}, 50),
        ("/v1beta/models/g:generateContent", "gemini", {"max_tokens": 5}, None),
        ("/v1/something/new", "openai", {"max_tokens": 5}, None),
    ],
)
def test_only_the_maximum_that_the_provider_keeps_to_counts(path, upstream, fields, most):
    assert look(fields, path, upstream=upstream).max_output == most


@pytest.mark.parametrize(
    ("path", "fields", "choices"),
    [
        ("/v1/chat/completions", {}, 1),
        ("/v1/chat/completions", {"n": 3}, 3),
        ("/v1/completions", {"n": 2, "best_of": 5}, 5),
        ("/v1/completions", {"prompt": ["a", "b", "c"], "n": 2}, 6),
        ("/v1/completions", {"prompt": [[1, 2], [3]]}, 2),
        ("/v1/completions", {"prompt": [1, 2, 3]}, 1),
        ("/v1beta/models/g:generateContent", {"generationConfig": {"candidateCount": 4}}, 4),
        ("/v1beta/models/imagen:predict", {"instances": [{}], "parameters": {"sampleCount": 2}}, 2),
        ("/v1beta/models/imagen:predict", {"instances": [{}]}, 4),
        ("/v1/images/generations", {"n": 10}, 10),
    ],
)
def test_answers_are_counted(path, fields, choices):
    assert look(fields, path).choices == choices


@pytest.mark.parametrize("value", [True, False, -1, 1.0, 1.5e10, "100", [1], {"a": 1}, 2**60])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", lambda value: {"max_tokens": value}),
        ("/v1/chat/completions", lambda value: {"n": value}),
        ("/v1/responses", lambda value: {"max_output_tokens": value}),
        ("/v1beta/models/g:generateContent", lambda value: {"generationConfig": {"maxOutputTokens": value}}),
    ],
)
def test_a_maximum_that_is_no_whole_number_is_refused(path, fields, value):
    with pytest.raises(InvalidRequest, match="must be a whole number, 0 or more"):
        look(fields(value), path)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b'{"max_tokens":1,"messages":[],"max_tokens":100000}'),
        ("/v1/chat/completions", b'{"max_tokens":1,"messages":[],"max\\u005ftokens":100000}'),
        ("/v1/chat/completions", b'{"tools":[],"messages":[],"tools":[{"type":"web_search"}]}'),
        ("/v1/responses", b'{"input":"x","previous_response_id":null,"previous_response_id":"r"}'),
        ("/v1beta/models/g:generateContent", b'{"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":100000}}'),
        ("/v1beta/models/g:generateContent", b'{"generationConfig":{"maxOutputTokens":1},"generationConfig":{}}'),
        ("/v1beta/models/g:generateContent", b'{"generationConfig":{"maxOutputTokens":1},"generation_config":{}}'),
        # The long way round: a body in which each name is looked for once.
        ("/v1/chat/completions", b'{"max_tokens":1,"messages":["' + b"x" * 9_000 + b'"],"max_tokens":100000}'),
    ],
)
def test_a_deciding_field_that_is_there_twice_is_refused(path, body):
    with pytest.raises(InvalidRequest, match=r"Send it once|Send one"):
        look(body, path)


@pytest.mark.parametrize(
    "body",
    [
        # The names stand elsewhere too, but only once at the top.
        b'{"max_tokens":5,"messages":[{"role":"user","content":"set \\"max_tokens\\" please"}]}',
        b'{"max_tokens":5,"messages":[],"metadata":{"max_tokens":"x"}}',
        b'{"max_tokens":5,"messages":["' + b"x" * 9_000 + b'"],"metadata":{"max_tokens":"x"}}',
    ],
)
def test_a_name_that_stands_elsewhere_is_no_double(body):
    assert look(body).max_output == 5


@pytest.mark.parametrize("field", ["service_tier", "speed", "inference_geo"])
def test_a_tier_is_a_text_or_refused(field):
    assert look(chat(**{field: None})).tier is None
    with pytest.raises(InvalidRequest, match=f"`{field}` must be a text"):
        look(chat(**{field: 1}))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "code_interpreter"}], "max_tool_calls": 3}, "code_interpreter"),
        ({"tools": [{"type": "mcp", "server_url": "https://x"}]}, "mcp"),
        ({"tools": [{"type": "image_generation"}]}, "image_generation"),
        ({"tools": [{"type": ["function"]}]}, "fees that nothing bounds"),
        ({"tools": ["x"]}, "not an object"),
        ({"tools": {"a": 1}}, "not a list"),
        ({"tools": [{"googleSearch": {}}]}, "googleSearch"),
        ({"tools": [{"functionDeclarations": [], "codeExecution": {}}]}, "codeExecution"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"background": True}, "background"),
    ],
)
def test_what_the_provider_does_by_itself_has_no_bound(fields, why):
    assert why in look(chat(**fields), "/v1/responses").open_cost


@pytest.mark.parametrize(
    "model", ["perplexity/sonar-pro", "compound-beta", "x/y:online", "o3-deep-research", "gpt-4o-search-preview"]
)
def test_a_model_that_searches_by_itself_has_no_bound(model):
    assert "searches by itself" in look(chat(), model=model).open_cost


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "function", "function": {"name": "f"}}],
        [{"type": "custom", "name": "f"}],
        [{"name": "f", "input_schema": {}}],
        [{"type": "bash_20250124", "name": "bash"}, {"type": "computer_20250124"}],
        [{"functionDeclarations": [{"name": "f"}]}],
    ],
)
def test_tools_of_the_app_only_lengthen_the_input(tools):
    found = look(chat(tools=tools))
    assert (found.tools, found.open_cost, found.passes) == (True, None, 1)


@pytest.mark.parametrize(
    ("fields", "passes", "fees"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]}, 3, {"web": 2}),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": 4}, 5, {"web": 4}),
        ({"tools": [{"type": "file_search"}], "max_tool_calls": 1}, 2, {"file": 1}),
        ({"tools": [{"type": "web_fetch_20250910", "max_uses": 3}]}, 4, {}),
    ],
)
def test_a_hosted_tool_that_is_bounded_reads_the_window_each_time(fields, passes, fees):
    found = look(chat(**fields), "/v1/responses")
    assert (found.open_cost, found.passes, found.fees) == (None, passes, fees)
    assert "what it finds" in found.open_input


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "r"},
        {"conversation": "c"},
        {"prompt": {"id": "p"}},
        {"cachedContent": "c"},
        {"container": "c"},
        {"input": [{"type": "item_reference", "id": "i"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
    ],
)
def test_what_is_stored_at_the_provider_may_fill_the_window(fields):
    assert look({"model": "gpt-4o", **fields}, "/v1/responses").open_input


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "document", "source": {"type": "url", "url": "https://x"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        {"type": "video_url", "video_url": {"url": "https://x"}},
        {"type": "container_upload", "file_id": "f"},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
        {"fileData": {"fileUri": "gs://x"}},
    ],
)
def test_a_file_may_fill_the_window(part):
    assert look(parts(part)).open_input == "a file in it may be as long as the model can read"


def test_a_document_of_plain_text_is_its_bytes():
    body = parts({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}})
    found = look(body, "/v1/messages", upstream="anthropic")
    assert (found.open_input, found.text_bytes) == (None, len(json.dumps(body)))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + png(640, 480), "detail": "low"}},
        {"type": "input_image", "image_url": "data:image/png;base64," + png(640, 480), "detail": "low"},
    ],
)
def test_a_picture_counts_by_its_size_and_not_by_its_bytes(part):
    body = parts(part)
    found = look(body)
    assert found.pictures == (Picture((640, 480), "low"),)
    assert found.text_bytes == len(json.dumps(body)) - len("data:image/png;base64," + png(640, 480))


def test_pictures_of_other_dialects_are_seen():
    anthropic = parts({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(10, 20)}})
    gemini = {"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": png(30, 40)}}]}]}
    assert look(anthropic, "/v1/messages").pictures == (Picture((10, 20)),)
    assert look(gemini, "/v1beta/models/g:generateContent").pictures == (Picture((30, 40)),)
    assert look({"images": [png(5, 6)], "prompt": "x"}, "/api/generate").pictures == (Picture((5, 6)),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "input_image", "file_id": "f"},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,!!!"}},
    ],
)
def test_a_picture_that_cannot_be_seen_has_no_size(part):
    assert look(parts(part)).pictures == (Picture(None),)


def test_a_name_in_escapes_hides_nothing():
    body = b'{"messages":[{"role":"user","content":[{"type":"im\\u0061ge_url","im\\u0061ge_url":{"url":"https://x"}}]}]}'
    assert look(body).pictures == (Picture(None),)


def test_sound_counts_by_its_length():
    body = parts({"type": "input_audio", "input_audio": {"data": "A" * 4_000, "format": "mp3"}})
    found = look(body)
    assert (found.audio_bytes, found.text_bytes) == (3_001, len(json.dumps(body)) - 4_000)


@pytest.mark.parametrize(
    "fields",
    [
        # In a schema, or in what the model called a tool with, a picture is text to the model.
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"image_url": "data:image/png;base64," + png(9, 9)}}}
            ]
        },
        {"messages": [{"content": [{"type": "tool_use", "input": {"image_url": "data:image/png;base64," + png(9, 9)}}]}]},
    ],
)
def test_what_only_looks_like_a_picture_is_text(fields):
    body = chat(**fields)
    found = look(body)
    assert (found.pictures, found.text_bytes) == ((), len(json.dumps(body)))


def test_what_a_tool_of_the_app_answered_is_seen():
    answer = {
        "functionResponse": {
            "name": "f",
            "response": {"file_id": "x"},
            "parts": [{"inlineData": {"mimeType": "image/png", "data": png(7, 8)}}],
        }
    }
    found = look({"contents": [{"parts": [answer]}]}, "/v1beta/models/g:generateContent")
    assert (found.pictures, found.open_input) == ((Picture((7, 8)),), None)


def test_sounds_and_pictures_may_be_written_where_they_are_asked_for():
    assert look(chat(modalities=["text", "audio"])).writes_audio
    assert look({"generationConfig": {"responseModalities": ["IMAGE"]}}, "/v1beta/models/g:generateContent").writes_pictures
    assert look(chat(), model="gemini-2.5-flash-image").writes_pictures
    assert not look(chat()).writes_audio


def test_anthropic_caches_only_what_it_is_told_to():
    assert not look(chat(), "/v1/messages", upstream="anthropic").caches
    assert look(chat(system=[{"cache_control": {"type": "ephemeral"}}]), "/v1/messages", upstream="anthropic").caches
    assert look(chat()).caches


@pytest.mark.parametrize(
    "body", [b'{"max_tokens":1e999}', b'{"max_tokens":NaN}', b"\x1f\x8b\x08compressed", b"[1]", b"not json", b'{"a":' * 5_000]
)
def test_a_body_that_cannot_be_read_has_no_bound(body):
    assert "cannot be read" in look(body).open_cost


def test_a_body_that_is_not_all_here_has_no_bound():
    found = look(b'{"max_tokens":5,', whole=False, length=9_000_000)
    assert (found.text_bytes, found.max_output) == (9_000_000, None)
    assert "too long" in found.open_cost


def test_a_form_of_sounds_is_as_long_as_its_head_says():
    assert look(b"--x\r\n", "/v1/audio/transcriptions", whole=False, length=1_000_000).audio_bytes == 1_000_000
    assert look(b"--x\r\n", "/v1/audio/transcriptions", whole=False).open_cost == "its length is not told"


def test_a_form_of_pictures_says_how_many_it_wants():
    form = b'--x\r\ncontent-disposition: form-data; name="n"\r\n\r\n3\r\n--x\r\ncontent-disposition: form-data; name="size"\r\n\r\n2048x2048\r\n'
    found = look(form, "/v1/images/edits")
    assert (found.choices, found.pixels, found.open_cost) == (3, 2048 * 2048, None)
    # Where the field may come later, it may be the most that can be asked for.
    assert look(form[:5], "/v1/images/edits", whole=False, length=10**6).choices == 10


@pytest.mark.parametrize(
    ("path", "upstream", "names"),
    [
        (b"/v1/chat/completions", "openai", ("max_completion_tokens",)),
        (b"/v1/chat/completions", "groq", ("max_tokens",)),
        (b"/v1/responses", "openai", ("max_output_tokens",)),
        (b"/v1/messages", "anthropic", ("max_tokens",)),
        (b"/v1beta/models/g:streamGenerateContent", "gemini", ("generationConfig", "maxOutputTokens")),
        (b"/v1/embeddings", "openai", ()),
    ],
)
def test_where_a_maximum_can_be_set(path, upstream, names):
    assert cap_field(path, upstream) == names


def test_a_body_that_is_nested_too_deep_has_no_bound():
    body = b'{"messages":' + b"[" * 3_000 + b'"image"' + b"]" * 3_000 + b"}"
    assert "cannot be read" in look(body).open_cost


NAMES = sorted(
    DECIDING | {"messages", "input", "contents", "image_url", "type", "source", "data", "maxOutputTokens", "inlineData"}
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
PATHS = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1beta/models/g:generateContent",
    "/v1/completions",
    "/v1/images/generations",
    "/v1/audio/speech",
]


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8), st.sampled_from(PATHS))
def test_whatever_a_body_holds_it_is_understood_or_refused(body, path):
    try:
        found = look(body, path)
    except InvalidRequest:
        return
    assert found.text_bytes >= 0
    assert found.choices >= 1 or "instances" in body
    assert found.max_output is None or found.max_output >= 0


def test_other_models_that_may_answer_are_known():
    assert look(chat(models=["a/b", "c/d", 3])).other_models == ("a/b", "c/d")


@pytest.mark.parametrize("more", ["", ', "speed": 2'])
def test_every_byte_of_a_request_for_speech_may_be_a_character_that_is_billed(more: str) -> None:
    body = f'{{"model": "tts-1", "voice": "alloy", "input": "hello"{more}}}'.encode()
    assert look(body, "/v1/audio/speech").characters == len(body)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["gpt-4o", "flex", "auto", 'say \\"tools\\"', "image", '{"tools":1}']),
    st.just([{"type": "function", "name": "f"}]),
    st.just([{"type": "web_search_preview"}]),
    st.just({"maxOutputTokens": 7}),
)
_PATHS_TO_TRY = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/completions",
    "/v1/embeddings",
    "/v1beta/models/gemini:generateContent",
)


@given(
    st.dictionaries(st.sampled_from([*sorted(DECIDING), "temperature", "metadata", "input"]), _VALUES, max_size=5),
    st.sampled_from(_PATHS_TO_TRY),
    st.sampled_from(["openai", "anthropic", "other"]),
    st.sampled_from(["gpt-4o", "sonar", "gpt-4o-audio-preview", None]),
)
def test_the_short_way_says_what_the_long_one_says(fields, path, upstream, model):
    def outcome(asked):
        data = json.dumps(chat(**fields)).encode()
        try:
            found = requested(
                method=b"POST",
                path=path.encode(),
                body=data,
                whole=True,
                length=None,
                upstream=upstream,
                model=model,
                asked=asked_in(data) if asked else None,
            )
        except InvalidRequest as error:
            return str(error)
        return replace(found, only_text=False)

    assert outcome(True) == outcome(False)


def test_a_plain_chat_is_known_to_be_only_text():
    data = json.dumps(chat(max_tokens=5, n=2, service_tier="flex", temperature=1)).encode()
    found = requested(
        method=b"POST",
        path=b"/v1/chat/completions",
        body=data,
        whole=True,
        length=None,
        upstream="openai",
        model="gpt-4o",
        asked=asked_in(data),
    )
    assert (found.only_text, found.max_output, found.choices, found.tier) == (True, 5, 2, "flex")


def test_a_body_is_read_once_for_all_upstreams():
    shared = Look(json.dumps(parts({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}})).encode())
    assert shared.fields() is shared.fields()
    assert shared.media is shared.media is not None
    doubled = Look(b'{"model":"m","n":1,"n":2}')
    refusals = []
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="twice") as refused:
            doubled.fields()
        refusals.append(refused.value)
    assert refusals[0] is refusals[1]
